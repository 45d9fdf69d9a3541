"""What a handoff says of a thread: what was wanted, decided, done and is open; quoted, bounded, and no secret."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from codex_kit import CAPTURES, Rollout
from handoff_kit import GOLDEN, SECRET, at_work, ran, section, story_of
from turnscope_analyzer.handoff.codex import read_codex
from turnscope_analyzer.handoff.render import LIMIT_BYTES, render
from turnscope_analyzer.handoff.story import Step
from turnscope_analyzer.handoff.text import Cleaner, fenced, shorten

# -- the whole -------------------------------------------------------------------------------------------


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


def test_a_compaction_that_left_no_words_is_named(tmp_path: Path) -> None:
    text = render(story_of(at_work(tmp_path).add("compacted", message="", replacement_history=[])))

    assert section(text, "What came before the last compaction").strip().startswith("Compacted 1 time;")


def test_the_oldest_rollouts_have_turns_too(tmp_path: Path) -> None:
    def said(role: str, text: str) -> bytes:
        return orjson.dumps({"type": "message", "role": role, "content": [{"type": "input_text", "text": text}]})

    rollout = Rollout(tmp_path / "rollout.jsonl")
    rollout.raw(b'{"id":"old","timestamp":"2025-05-01T00:00:00.000Z","instructions":null}')
    rollout.raw(said("user", "<environment_context>x</environment_context>"))
    for number in range(2):
        rollout.raw(said("user", f"Request {number}.")).raw(said("assistant", f"Answer {number}."))

    text = render(story_of(rollout))

    assert "Turn 1, 2025-05-01 00:00:00Z:\n\n> Request 0." in section(text, "Goal: the first request")
    assert "> Request 1." in section(text, "The last request")
    assert "> Answer 0." in section(text, "What was decided and answered")
    assert "do not say when a turn ends" in section(text, "What was in flight")


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


# -- bounds ----------------------------------------------------------------------------------------------


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
