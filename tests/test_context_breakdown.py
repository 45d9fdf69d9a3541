"""Where the context of a thread comes from: by origin, tool and turn, what is there twice, what could be taken out."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.threads import large_thread
from codex_kit import CAPTURES, SHARED, THREAD, Rollout
from rescue_kit import url
from turnscope_analyzer import cli
from turnscope_analyzer.context.breakdown import break_down
from turnscope_analyzer.context.measure import measure
from turnscope_analyzer.context.parts import LABELS, ORIGINS, is_injected, tokens_of
from turnscope_analyzer.context.report import render
from turnscope_analyzer.report.layout import ASCII, Style
from turnscope_analyzer.rescue.survey import survey

if TYPE_CHECKING:
    from click.testing import Result

    from turnscope_analyzer.context.breakdown import Breakdown

GOLDEN = Path(__file__).parent / "golden"
LARGE_URL = url(90_000)


def thread(tmp_path: Path) -> Rollout:
    return Rollout(tmp_path / f"rollout-2026-11-21T01-00-00-{THREAD}.jsonl").meta().started("t1")


def broken(rollout: Rollout) -> Breakdown:
    rollout.read()
    return break_down(rollout.path)


def said(rollout: Rollout, role: str, *texts: str, **payload: Any) -> Rollout:
    content = [{"type": "input_text", "text": text} for text in texts]
    return rollout.add("response_item", "message", role=role, content=content, **payload)


def run(*arguments: str) -> Result:
    return CliRunner().invoke(cli.main, ["context", *arguments])


@pytest.mark.parametrize("path", sorted(CAPTURES.glob("*.jsonl")), ids=lambda path: path.stem)
def test_every_byte_of_a_real_thread_is_counted_once(path: Path) -> None:
    found = break_down(path)

    size = measure(path)
    assert sum(amount.bytes for amount in found.parts.values()) == sum(share.bytes for share in size.kinds.values())
    assert sum(amount.bytes for turn in found.turns for amount in turn.parts.values()) == sum(
        amount.bytes for amount in found.parts.values()
    )
    assert found.turns[-1].number == size.growth.turns
    assert set(found.parts) <= set(ORIGINS) == set(LABELS)


def test_every_byte_of_a_thread_full_of_images_is_counted_once(tmp_path: Path) -> None:
    large_thread(tmp_path, turns=8, image_bytes=40_000)
    [path] = tmp_path.rglob("*.jsonl")

    found = break_down(path)

    assert sum(amount.bytes for amount in found.parts.values()) == sum(map(len, path.read_bytes().splitlines()))
    assert found.parts["image"].bytes == found.size.images.bytes


@pytest.mark.parametrize(
    ("text", "kinds", "injected"),
    [
        ("<environment_context>\n", None, True),
        ("# AGENTS.md instructions for /x", None, True),
        ("<b>bold</b> please", None, True),
        ("a < b, is it?", None, False),
        ("<3 this", None, False),
        ("hello", ["environments.environment_context"], True),
        ("<environment_context> is what I ask about", ["user.text"], False),
        ("hello", ["user.text", "user.image"], False),
    ],
)
def test_what_the_program_says_in_the_users_name_is_no_text_of_the_user(
    text: str, kinds: list[str] | None, *, injected: bool
) -> None:
    passed = {"internal_chat_message_metadata_passthrough": {"content_item_kinds": kinds}} if kinds else {}

    assert is_injected({"content": [{"type": "input_text", "text": text}], **passed}) is injected


def test_tokens_are_those_that_codex_itself_would_estimate(tmp_path: Path) -> None:
    rollout = said(thread(tmp_path), "user", "x" * 4_000)
    rollout.add("response_item", "reasoning", summary=[], content=None, encrypted_content="x" * 4_000)
    rollout.add("response_item", "message", role="user", content=[{"type": "input_image", "image_url": LARGE_URL}])

    live = broken(rollout).live

    assert live["user"].sent_bytes - 4_000 < 200, "the envelope of a record that is too long to be held"
    assert live["reasoning"].tokens == (4_000 * 3 // 4 - 650 + 3) // 4
    assert live["image"].tokens == tokens_of(0, 1) == 1_844


def test_what_a_client_was_told_is_no_context(tmp_path: Path) -> None:
    rollout = said(thread(tmp_path), "assistant", "Done. " * 100).add(
        "event_msg", "agent_message", message="Done. " * 100
    )

    found = broken(rollout)

    assert found.parts["replay"].records == 1
    assert "replay" not in found.live
    assert found.live["assistant"].tokens == 150


def test_a_compaction_leaves_its_history_and_the_instructions_of_the_thread(tmp_path: Path) -> None:
    rollout = Rollout(tmp_path / "rollout.jsonl").meta(base_instructions={"text": "i" * 400}).started("t1")
    said(rollout, "user", "u" * 400).call("c1").output("c1")
    history = [{"type": "message", "role": "user", "content": [{"type": "input_text", "text": "s" * 80}]}]
    rollout.add("compacted", message="s" * 4_000, replacement_history=history)
    said(rollout, "assistant", "a" * 40)

    found = broken(rollout)

    assert {origin: amount.tokens for origin, amount in found.live.items()} == {
        "instructions": 100,
        "compaction": 20,
        "assistant": 10,
    }
    assert found.parts["user"].tokens == 100
    assert found.turns[1].compactions == 1


def test_turns_that_were_rolled_back_are_in_no_request(tmp_path: Path) -> None:
    rollout = said(thread(tmp_path), "user", "a" * 40).complete("t1").started("t2")
    said(rollout, "user", "b" * 400).complete("t2").add("event_msg", "thread_rolled_back", num_turns=1)

    assert broken(rollout).live["user"].tokens == 10


def test_tool_outputs_are_told_apart_by_tool(tmp_path: Path) -> None:
    rollout = thread(tmp_path).call("c1").output("c1").output("lost")
    rollout.add("response_item", "custom_tool_call", name="apply_patch", call_id="c2", input="x")
    rollout.add("response_item", "custom_tool_call_output", call_id="c2", output="y" * 80)

    tools = broken(rollout).tools

    assert {name: amount.tokens for name, amount in tools.items()} == {
        "exec_command": 1,
        "unknown": 1,
        "apply_patch": 20,
    }


def test_the_same_payload_is_found_by_its_hash(tmp_path: Path) -> None:
    text = "once more " * 200
    rollout = thread(tmp_path)
    for number in range(3):
        output = f"Chunk ID: {number}\nWall time: {number} seconds\nProcess exited with code 0\nOutput:\n{text}"
        rollout.call(f"c{number}").add("response_item", "function_call_output", call_id=f"c{number}", output=output)
        rollout.add("response_item", "message", role="user", content=[{"type": "input_image", "image_url": LARGE_URL}])

    found = broken(rollout)

    assert [(copy.what, copy.bytes, copy.count) for copy in found.copies] == [
        ("image/png", len(LARGE_URL), 3),
        ("tool output", len(text), 3),
    ]
    assert found.copies[0].spare_bytes == 2 * len(LARGE_URL)


def test_what_could_be_taken_out_is_what_rescue_would_take_out(tmp_path: Path) -> None:
    large_thread(tmp_path, turns=4, image_bytes=40_000)
    [path] = tmp_path.rglob("*.jsonl")

    found = break_down(path).found

    assert (found.size_after, found.taken) == (survey(path).size_after, survey(path).taken)
    assert found.taken["image/png"] > 0


@pytest.mark.parametrize(("name", "style"), [("wide", Style(100)), ("ascii", Style(60, ASCII))])
def test_the_report(tmp_path: Path, name: str, style: Style) -> None:
    large_thread(tmp_path, turns=7, image_bytes=40_000)
    [path] = tmp_path.rglob("*.jsonl")
    found = break_down(path)
    found.size.path = Path("rollout.jsonl")

    text = render(found, style, turns=5)

    assert max(map(len, text.splitlines())) <= style.width
    assert text == (GOLDEN / f"context_{name}.txt").read_text("utf-8")


def test_the_command_answers_a_person_and_a_program(tmp_path: Path) -> None:
    path = tmp_path / "home" / "sessions" / f"rollout-2026-11-21T01-00-00-{THREAD}.jsonl"
    path.parent.mkdir(parents=True)
    path.write_bytes((CAPTURES / "0.169-tools.jsonl").read_bytes())

    told = run(THREAD[:13], "--home", str(tmp_path / "home"), "--turns", "0")
    answer = json.loads(run(str(path), "--json").stdout)

    assert told.exit_code == cli.EXIT_OK, told.output
    assert "exec_command" in told.stdout
    assert "began" not in told.stdout
    assert answer["thread_id"] == THREAD
    assert answer["figures"]["tokens"] == 110
    assert answer["next_request"]["origins"]["tool_call"]["tokens"] == 58
    assert [turn["turn"] for turn in answer["turns"]] == [0, 1]
    assert answer["reclaimable"] == {"bytes": 0, "bytes_after": path.stat().st_size, "what": {}}


def test_the_keys_of_the_answer_to_a_program_are_in_the_docs() -> None:
    answer = json.loads(run(str(CAPTURES / "0.169-tools.jsonl"), "--json").stdout)
    page = (Path(__file__).parents[1] / "docs" / "context.md").read_text("utf-8")
    cells = re.findall(r"^\| (.+?) \|", page.partition("## `--json`")[2], re.MULTILINE)

    assert set(re.findall(r"`(\w+)`", "".join(cells))) == set(answer) - {"schema"}
    assert [origin for origin in ORIGINS if f"| `{origin}` |" not in page] == []


def test_nothing_that_was_said_is_printed(tmp_path: Path) -> None:
    rollout = said(said(thread(tmp_path), "user", "word " * 300), "user", "word " * 300)
    rollout.add("response_item", "message", role="user", content=[{"type": "input_image", "image_url": LARGE_URL}])
    rollout.read()

    for options in ((), ("--json",)):
        result = run(str(rollout.path), *options)
        assert result.exit_code == cli.EXIT_OK
        assert "word" not in result.stdout.replace("words", "")
        assert "base64" not in result.stdout


def test_another_kind_of_thread_is_refused(tmp_path: Path) -> None:
    result = run(str(CAPTURES.parent / "claude" / "2.1-tools-and-errors.jsonl"))

    assert result.exit_code == cli.EXIT_ERROR
    assert "is not a rollout of Codex" in result.stderr


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_a_damaged_thread_is_still_broken_down(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    content = bytearray((CAPTURES / "0.169-compaction.jsonl").read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(content) - 1))
        content[at : at + data.draw(st.integers(0, 40))] = data.draw(st.binary(max_size=20))
    path = tmp_path_factory.mktemp("damaged") / "rollout.jsonl"
    path.write_bytes(bytes(content))

    found = break_down(path)

    assert sum(amount.bytes for amount in found.parts.values()) <= len(content)
    assert render(found, Style(80), turns=20)


@pytest.mark.skipif(not (SHARED / "codex-public").is_dir(), reason="the captures that may not be copied are not here")
def test_public_threads_are_broken_down() -> None:
    for path in sorted((SHARED / "codex-public").iterdir()):
        found = break_down(path)
        assert sum(amount.bytes for amount in found.parts.values()) <= path.stat().st_size
