"""What a handoff says of a thread: what was wanted, decided, done and is open; quoted, bounded, and no secret."""

from __future__ import annotations

import gzip
import os
import re
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from codex_kit import CAPTURES, SHARED, THREAD, Rollout
from fuzz_kit import Damage
from rescue_kit import base64_text, url
from turnscope_analyzer import cli
from turnscope_analyzer.handoff.claude import read_claude
from turnscope_analyzer.handoff.codex import read_codex
from turnscope_analyzer.handoff.openclaw import read_openclaw
from turnscope_analyzer.handoff.render import LIMIT_BYTES, render
from turnscope_analyzer.handoff.story import Step
from turnscope_analyzer.handoff.text import Cleaner, fenced, shorten
from turnscope_analyzer.handoff.writing import write

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from click.testing import Result

    from turnscope_analyzer.handoff.story import Story

GOLDEN = Path(__file__).parent / "golden"
PACKED = (b"\x1f\x8b", b"\x28\xb5\x2f\xfd")
SECRET = "sk-proj-abcdefghijklmnop1234"


def story_of(rollout: Rollout) -> Story:
    rollout.read()
    return read_codex(rollout.path)


def at_work(tmp_path: Path) -> Rollout:
    """Return a thread with a prompt in a turn that has not ended."""
    path = tmp_path / f"rollout-2026-11-21T01-00-00-{THREAD}.jsonl"
    return Rollout(path).meta(cwd="/home/user/project").started("t1").add("event_msg", "user_message", message="First.")


def ran(rollout: Rollout, call_id: str, command: str, output: object) -> Rollout:
    rollout.call(call_id, orjson.dumps({"cmd": command}).decode())
    return rollout.add("response_item", "function_call_output", call_id=call_id, output=output)


def run(*arguments: str) -> Result:
    return CliRunner().invoke(cli.main, ["handoff", *arguments])


def section(text: str, title: str) -> str:
    return text.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


# -- the whole ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["0.169-tools", "0.142-compaction", "0.169-process-killed", "0.118-tools"])
def test_the_handoff_of_a_real_thread(name: str) -> None:
    story = read_codex(CAPTURES / f"{name}.jsonl")
    story.path = Path(f"{name}.jsonl")

    assert render(story) == (GOLDEN / f"handoff_{name}.md").read_text("utf-8")


def test_goal_decisions_and_the_last_request_are_quoted_with_turn_and_time(tmp_path: Path) -> None:
    rollout = at_work(tmp_path).add("event_msg", "agent_message", message="We take SQLite.").complete("t1", None)
    rollout.started("t2").add("event_msg", "user_message", message="Now take DuckDB.").complete("t2", "DuckDB it is.")
    rollout.started("t3").add("event_msg", "user_message", message="And test it.")

    text = render(story_of(rollout))

    assert section(text, "Goal: the first request").split("\n")[1:4] == [
        "Turn 1, 2026-11-21 01:00:03Z:",
        "",
        "> First.",
    ]
    assert "> And test it." in section(text, "The last request")
    assert re.findall(r"^> (.+)", section(text, "What was decided and answered"), re.MULTILINE) == [
        "We take SQLite.",
        "DuckDB it is.",
    ]
    assert "> Now take DuckDB." in section(text, "Requests in between")


def test_what_was_in_flight_is_the_open_turn_with_its_open_calls(tmp_path: Path) -> None:
    rollout = at_work(tmp_path).call("c1", '{"cmd": "make test"}').call("c2", '{"cmd": "ls"}').output("c2")

    told = section(render(story_of(rollout)), "What was in flight")

    assert "Turn 1 has no end on record" in told
    assert "without a result on record: exec_command `make test`" in told
    assert "`ls`" not in told


@pytest.mark.parametrize(
    ("end", "told"),
    [
        ({"message": None, "error": {"message": "too large"}}, "Turn 1 failed: `too large`."),
        ({"message": None}, "Turn 1 failed; why is not on record."),
        ({"message": "Done."}, "Turn 1 was completed."),
    ],
)
def test_how_the_last_turn_ended(tmp_path: Path, end: dict[str, Any], told: str) -> None:
    text = render(story_of(at_work(tmp_path).complete("t1", **end)))

    assert section(text, "What was in flight").strip() == told


def test_a_turn_without_an_answer_that_compacted_went_well(tmp_path: Path) -> None:
    rollout = at_work(tmp_path).add("compacted", message="What was before.").complete("t1", None)

    text = render(story_of(rollout))

    assert section(text, "What was in flight").strip() == "Turn 1 was completed."
    assert "> What was before." in section(text, "What came before the last compaction")


def test_a_failed_command_is_open_until_it_goes_well(tmp_path: Path) -> None:
    rollout = at_work(tmp_path)
    ran(rollout, "c1", "make test", "Exit code: 2\nWall time: 1 seconds\nOutput:\nNo rule to make target.\n")
    ran(rollout, "c2", "make lint", "Exit code: 1\nWall time: 1 seconds\nOutput:\nbad\n")
    ran(rollout, "c3", "make lint", "Exit code: 0\nWall time: 1 seconds\nOutput:\ngood\n")

    text = render(story_of(rollout))

    assert "exit 2: exec_command `make test`" in section(text, "Open problems")
    assert "No rule to make target." in section(text, "Open problems")
    assert "lint" not in section(text, "Open problems")
    assert section(text, "Commands run").count("make lint") == 2


def test_files_come_from_patches_that_were_applied(tmp_path: Path) -> None:
    def patch(call_id: str, body: str, output: str) -> None:
        text = f"*** Begin Patch\n{body}\n*** End Patch"
        rollout.add("response_item", "custom_tool_call", name="apply_patch", call_id=call_id, input=text)
        rollout.add("response_item", "custom_tool_call_output", call_id=call_id, output=output)

    rollout = at_work(tmp_path)
    patch("c1", "*** Add File: a.py\n+x\n*** Update File: b.py\n@@", '{"output":"ok","metadata":{"exit_code":0}}')
    patch("c2", "*** Delete File: c.py", "apply_patch verification failed: no such file")
    rollout.add("event_msg", "patch_apply_end", success=True, changes={"/d.py": {"type": "delete"}})
    rollout.add("event_msg", "turn_diff", unified_diff="diff --git a/e.py b/e.py\n--- a/e.py\n")

    story = story_of(rollout)

    assert {path: touched.how for path, touched in story.files.items()} == {
        "a.py": "added",
        "b.py": "changed",
        "/d.py": "deleted",
        "e.py": "changed",
    }


def test_the_plan_is_the_one_that_the_plan_tool_had_last(tmp_path: Path) -> None:
    rollout = at_work(tmp_path)
    for status in ("pending", "completed"):
        plan = {"explanation": "Small steps.", "plan": [{"step": "Write it", "status": status}]}
        arguments = orjson.dumps(plan).decode()
        rollout.add("response_item", "function_call", name="update_plan", call_id=status, arguments=arguments)

    story = story_of(rollout)

    assert story.plan is not None
    assert story.plan[1] == (Step("Write it", "completed"),)
    assert "- `completed`: `Write it`" in section(render(story), "The plan")


@pytest.mark.parametrize(
    ("output", "code", "failed"),
    [
        ("Exit code: 3\nWall time: 1 seconds\nOutput:\nx", 3, True),
        ("Chunk ID: 1\nWall time: 0.1 seconds\nProcess exited with code 0\nOutput:\nx", 0, False),
        ('{"output":"x","metadata":{"exit_code":1,"duration_seconds":0.1}}', 1, True),
        ({"exit_code": 0, "command": "pytest"}, 0, False),
        ([{"type": "input_text", "text": "x"}, {"type": "input_image", "image_url": "data:,"}], None, False),
        ("execution error: no such program", None, True),
        ("Wall time: 6.4 seconds\naborted by user", None, True),
        ("Process exited with code 7 is what the manual says", None, False),
        (None, None, False),
    ],
)
def test_the_result_of_a_command_in_every_form_in_which_it_was_ever_written(
    tmp_path: Path, output: object, code: int | None, *, failed: bool
) -> None:
    story = story_of(ran(at_work(tmp_path), "c1", "x", output))

    [call] = story.calls
    assert call.result is not None
    assert (call.result.exit_code, call.result.failed) == (code, failed)


# -- long records -------------------------------------------------------------------------------------------


def test_what_the_user_wrote_beside_a_large_picture_is_read(tmp_path: Path) -> None:
    rollout = at_work(tmp_path).complete("t1").started("t2")
    rollout.add("event_msg", "user_message", message="What is on it?", images=[url(300_000)], local_images=[])

    text = render(story_of(rollout))

    assert section(text, "The last request").split("\n")[3:5] == ["> What is on it?", "> [image]"]
    assert base64_text(300_000)[:40] not in text


def test_of_a_long_output_both_ends_are_read_whatever_it_is_escaped_with(tmp_path: Path) -> None:
    body = 'begin "quoted" ' + "é\\\n\t" * 60_000 + "\nthe end"
    story = story_of(ran(at_work(tmp_path), "c1", "cat it", f"Exit code: 1\nWall time: 1 seconds\nOutput:\n{body}"))

    [call] = story.failures
    assert call.result is not None
    assert call.result.exit_code == 1
    assert call.result.text.startswith('begin "quoted" ')
    assert call.result.text.endswith("\nthe end")
    assert "bytes left out]" in call.result.text
    assert len(call.result.text) < 20_000


@given(st.text(alphabet='a\\"\n é\U0001f600\x07', max_size=400), st.integers(1, 200))
@settings(max_examples=60)
def test_a_long_string_is_cut_between_its_letters(
    tmp_path_factory: pytest.TempPathFactory, unit: str, times: int
) -> None:
    path = tmp_path_factory.mktemp("long") / "rollout.jsonl"
    rollout = Rollout(path).meta().started("t1").add("event_msg", "user_message", message="x" * 70_000 + unit * times)

    story = story_of(rollout)

    assert story.requests_in_all == 1
    assert story.rejects == []


# -- bounds -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("limit", [2_048, 5_000, LIMIT_BYTES, 100_000])
def test_it_is_never_larger_than_its_limit(tmp_path: Path, limit: int) -> None:
    rollout = at_work(tmp_path)
    for number in range(60):
        ran(rollout, f"c{number}", f"cat {'x' * 300} {number}", f"Exit code: {number % 2}\nOutput:\n{'word é ' * 900}")
        rollout.complete(f"t{number}", "An answer. " * 300).started(f"t{number + 1}")
        rollout.add("event_msg", "user_message", message=f"Request {number}. " * 200)

    text = render(story_of(rollout), limit)

    assert len(text.encode()) <= limit
    assert "## What was in flight" in text or limit == 2_048
    assert "characters left out]" in text


def test_credentials_are_replaced_wherever_they_stand(tmp_path: Path) -> None:
    rollout = at_work(tmp_path).meta(cwd="/x").add("event_msg", "user_message", message=f"Use {SECRET} please.")
    ran(rollout, "c1", f"curl -H 'Authorization: Bearer {SECRET}' x", f"Exit code: 1\nOutput:\ntoken={SECRET}\n")
    rollout.complete("t1", f"I have used {SECRET}.")

    text = render(story_of(rollout))

    assert SECRET not in text
    assert "Replaced in the texts above: 4 " in text


def test_the_end_of_a_key_that_was_cut_is_no_less_secret() -> None:
    end = "MIIEpAIBAAKCAQEA75vNlJ\n-----END RSA PRIVATE KEY-----\nand more"

    assert Cleaner().clean(end) == "<private key>\nand more"


def test_nothing_in_a_quote_can_reach_the_terminal_or_leave_its_block() -> None:
    assert Cleaner().clean("a\x1b[31mb\u202e\tc\r\nd") == "a\\x1b[31mb\\u202e    c\nd"
    assert next(iter(fenced("x\n````\ny"))) == "`````text"


@given(st.text(max_size=300), st.integers(40, 200))
def test_shortened_text_keeps_its_ends(text: str, cap: int) -> None:
    short = shorten(text, cap)

    assert len(short) <= cap + 60
    assert short[:10] in text or short.startswith(("\n[", "["))


# -- damage -------------------------------------------------------------------------------------------------


@given(st.data())
@settings(max_examples=80, deadline=None)
def test_a_damaged_thread_still_has_a_handoff(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    whole = (CAPTURES / "0.169-compaction.jsonl").read_bytes()
    content = bytearray(whole)
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(content) - 1))
        content[at : at + data.draw(st.integers(0, 40))] = data.draw(st.binary(max_size=20))
    path = tmp_path_factory.mktemp("damaged") / "rollout.jsonl"
    path.write_bytes(bytes(content))

    assert render(read_codex(path)).startswith("# Handoff of thread")


@pytest.mark.parametrize(
    ("kind", "read"), [("codex", read_codex), ("claude-code", read_claude), ("openclaw", read_openclaw)]
)
def test_no_damage_keeps_a_thread_from_its_handoff(tmp_path: Path, kind: str, read: Callable[[Path], Story]) -> None:
    for path in Damage(kind, tmp_path / "sample").batch(0, 60, tmp_path / "damaged"):
        if not path.read_bytes().startswith(PACKED):
            assert render(read(path))


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=8),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(
                    ["type", "item", "content", "text", "output", "plan", "step", "status", "changes", "error"]
                )
                | st.sampled_from(
                    ["message", "arguments", "call_id", "name", "git", "info", "role", "exit_code", "action"]
                ),
                inner,
                max_size=5,
            )
        ),
        max_leaves=12,
    ),
    st.sampled_from(["function_call", "function_call_output", "message", "reasoning", "local_shell_call"])
    | st.sampled_from(["user_message", "patch_apply_end", "task_complete", "error", "turn_diff", "item_completed"]),
)
@settings(max_examples=200, deadline=None)
def test_no_value_in_a_record_raises(tmp_path_factory: pytest.TempPathFactory, value: object, inner: str) -> None:
    body = value if isinstance(value, dict) else {"output": value, "content": value, "message": value, "changes": value}
    kind = "event_msg" if "_" in inner and not inner.startswith(("function", "local")) else "response_item"
    path = tmp_path_factory.mktemp("any") / "rollout.jsonl"
    rollout = Rollout(path).meta().started("t1")
    rollout.add(kind, inner, **{name: one for name, one in body.items() if name not in ("type", "kind", "inner")})
    rollout.add("compacted", replacement_history=value, message=value)
    rollout.add("session_meta", git=value, cwd=value)

    assert render(story_of(rollout))


@pytest.mark.skipif(not (SHARED / "codex-public").is_dir(), reason="the captures that may not be copied are not here")
def test_public_threads_have_a_handoff() -> None:
    for path in sorted((SHARED / "codex-public").iterdir()):
        assert len(render(read_codex(path)).encode()) <= LIMIT_BYTES


# -- other programs -----------------------------------------------------------------------------------------


def test_a_transcript_of_claude_code(tmp_path: Path) -> None:
    story = read_claude(CAPTURES.parent / "claude" / "2.1-tools-and-errors.jsonl")

    text = render(story)

    assert story.turn == 5
    assert story.compactions == 1
    assert story.program == "Claude Code 2.1.220"
    assert "> Please do the thing." in section(text, "Goal: the first request")
    assert "> Go on." in section(text, "The last request")
    assert "Turn 5 has no end on record" in section(text, "What was in flight")
    assert "You've hit your session limit" in section(text, "Open problems")
    assert "Bash `ls`" in section(text, "Commands run")


def test_a_transcript_of_openclaw() -> None:
    folder = CAPTURES.parent / "openclaw" / "2026.5.22" / "compaction_silent_drop" / "state/agents/main/sessions"
    story = read_openclaw(folder / "3d95d6b9-f611-4681-ba22-69463dffd856.jsonl")

    assert (story.turn, story.compactions, story.model) == (1, 1, "mock-1")
    assert story.thread_id.startswith("3d95d6b9")
    assert "Turn 1 was completed." in render(story)


# -- the command --------------------------------------------------------------------------------------------


def test_the_file_is_written_once_and_for_its_owner_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    thread = str(CAPTURES / "0.169-tools.jsonl")

    written = run(thread)

    path = tmp_path / f"handoff-{THREAD}.md"
    assert written.exit_code == cli.EXIT_OK, written.output
    assert written.stdout == f"{path.name}\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    content = path.read_bytes()
    path.write_text("mine")
    again = run(thread)
    assert again.exit_code == cli.EXIT_ERROR
    assert "--force" in again.stderr
    assert path.read_text() == "mine"
    assert run(thread, "--force").exit_code == cli.EXIT_OK
    assert path.read_bytes() == content
    assert run(thread, "--out", "-").stdout.encode() == content
    assert [one.name for one in tmp_path.iterdir()] == [path.name]


def test_a_thread_is_found_by_the_beginning_of_its_id(tmp_path: Path) -> None:
    path = tmp_path / "home" / "sessions" / f"rollout-2026-11-21T01-00-00-{THREAD}.jsonl"
    path.parent.mkdir(parents=True)
    path.write_bytes((CAPTURES / "0.169-tools.jsonl").read_bytes())

    found = run(THREAD[:13], "--home", str(tmp_path / "home"), "--out", "-")

    assert found.exit_code == cli.EXIT_OK, found.output
    assert f"# Handoff of thread {THREAD}" in found.stdout


def refusals(tmp_path: Path) -> Iterator[tuple[list[str], int, str]]:
    packed = tmp_path / "a.jsonl.gz"
    packed.write_bytes(gzip.compress((CAPTURES / "0.169-tools.jsonl").read_bytes()))
    other = tmp_path / "notes.txt"
    other.write_text("nothing of ours")
    yield [str(packed)], cli.EXIT_ERROR, "is packed"
    yield [str(other)], cli.EXIT_ERROR, "neither a rollout of Codex nor"
    yield ["0000", "--home", str(tmp_path)], cli.EXIT_ERROR, "no thread whose id begins so"
    yield [], cli.EXIT_USAGE, "Give a THREAD"
    yield ["x", "--auto", str(tmp_path)], cli.EXIT_USAGE, "Give a THREAD"
    yield ["--auto", str(tmp_path)], cli.EXIT_USAGE, "--out FOLDER"
    yield [str(CAPTURES / "0.169-tools.jsonl"), "--out", "no/such/file"], cli.EXIT_ERROR, "No such file"


def test_what_cannot_be_done_is_said(tmp_path: Path) -> None:
    for arguments, code, said in refusals(tmp_path):
        result = run(*arguments)
        assert (result.exit_code, said in result.stderr) == (code, True), result.output


def test_a_file_system_without_hard_links_does_as_well(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(1, "not permitted")

    monkeypatch.setattr(os, "link", refuse)
    path = tmp_path / "a.md"

    write(path, "one")

    assert path.read_text() == "one"
    with pytest.raises(FileExistsError):
        write(path, "two")
    assert [one.name for one in tmp_path.iterdir()] == ["a.md"]


def session_of(name: str) -> str:
    return str(orjson.loads((CAPTURES / f"{name}.jsonl").read_bytes().partition(b"\n")[0])["payload"]["id"])


# -- those that are about to fail ---------------------------------------------------------------------------


def test_auto_writes_those_that_failed_to_compact_and_only_when_they_changed(tmp_path: Path) -> None:
    sessions, out = tmp_path / "home" / "sessions", tmp_path / "out"
    sessions.mkdir(parents=True)
    out.mkdir()
    bad = sessions / f"rollout-2026-11-21T01-00-00-{session_of('0.169-compaction-rejected')}.jsonl"
    bad.write_bytes((CAPTURES / "0.169-compaction-rejected.jsonl").read_bytes())
    good = next((CAPTURES / "homes" / "0.169-healthy").glob("rollout-*"))
    (sessions / good.name).write_bytes(good.read_bytes())

    first = run("--auto", str(tmp_path / "home"), "--out", str(out))

    assert first.exit_code == cli.EXIT_OK, first.output
    [written] = out.iterdir()
    assert first.stdout == f"written {written}: COMPACTION_RISK\n"
    assert written.name == f"handoff-{bad.stem[-36:]}.md"
    again = run("--auto", str(tmp_path / "home"), "--out", str(out))
    assert again.stdout == f"unchanged {written}: COMPACTION_RISK\n"
    os.utime(bad, ns=(1, 1))
    assert run("--auto", str(tmp_path / "home"), "--out", str(out)).stdout.startswith("written ")


def test_auto_takes_a_request_that_was_too_large_for_a_thread_that_cannot_go_on(tmp_path: Path) -> None:
    sessions, out = tmp_path / "home" / "sessions", tmp_path / "out"
    sessions.mkdir(parents=True)
    out.mkdir()
    error = {"message": "unexpected status 413 Payload Too Large", "codex_error_info": "other"}
    for number, end in enumerate(({"error": error}, {})):
        thread = f"{THREAD[:-1]}{number}"
        rollout = Rollout(sessions / f"rollout-2026-11-21T01-00-00-{thread}.jsonl").meta(thread).started(f"t{number}")
        rollout.prompt().complete(f"t{number}", None if end else "Done.", **end).read()

    told = run("--auto", str(tmp_path / "home"), "--out", str(out))

    assert told.stdout == f"written {out}/handoff-{THREAD[:-1]}0.md: REQUEST_TOO_LARGE\n"


def test_auto_replaces_nothing_that_it_has_not_written(tmp_path: Path) -> None:
    sessions, out = tmp_path / "home" / "sessions", tmp_path / "out"
    sessions.mkdir(parents=True)
    out.mkdir()
    lab = CAPTURES.parent / "accuracy" / "codex-lab" / "0.169.0" / "j_ctxlen_sse__appserver"
    [bad] = lab.rglob("rollout-*")
    (sessions / bad.name).write_bytes(bad.read_bytes())
    mine = out / f"handoff-{bad.stem[-36:]}.md"
    mine.write_text("# My notes\n")

    result = run("--auto", str(tmp_path / "home"), "--out", str(out))

    assert mine.read_text() == "# My notes\n"
    assert result.exit_code == cli.EXIT_ERROR
    assert result.stdout.startswith(f"not written, {sessions / bad.name}")
