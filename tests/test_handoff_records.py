"""Records in every shape are read for a handoff: long ones, damaged ones, and those of other programs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codex_kit import CAPTURES, SHARED, Rollout
from fuzz_kit import Damage
from rescue_kit import base64_text, url
from turnscope_analyzer.handoff.claude import read_claude
from turnscope_analyzer.handoff.codex import read_codex
from turnscope_analyzer.handoff.openclaw import read_openclaw
from turnscope_analyzer.handoff.render import LIMIT_BYTES, render

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from turnscope_analyzer.handoff.story import Story


from handoff_kit import at_work, ran, section, story_of

# -- long records ----------------------------------------------------------------------------------------


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


# -- damage ----------------------------------------------------------------------------------------------


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


PACKED = (b"\x1f\x8b", b"\x28\xb5\x2f\xfd")


@pytest.mark.parametrize(
    ("kind", "read"), [("codex", read_codex), ("claude-code", read_claude), ("openclaw", read_openclaw)]
)
def test_no_damage_keeps_a_thread_from_its_handoff(tmp_path: Path, kind: str, read: Callable[[Path], Story]) -> None:
    for path in Damage(kind, tmp_path / "sample").batch(0, 60, tmp_path / "damaged"):
        if not path.read_bytes().startswith(PACKED):
            assert render(read(path))


ITEMS = ["function_call", "function_call_output", "message", "reasoning", "local_shell_call"]
EVENTS = ["user_message", "patch_apply_end", "task_complete", "error", "turn_diff", "item_completed", "agent_message"]


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
    st.sampled_from(ITEMS + EVENTS),
)
@settings(max_examples=200, deadline=None)
def test_no_value_in_a_record_raises(tmp_path_factory: pytest.TempPathFactory, value: object, inner: str) -> None:
    body = value if isinstance(value, dict) else {"output": value, "content": value, "message": value, "changes": value}
    kind = "response_item" if inner in ITEMS else "event_msg"
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


KEYS = ["type", "role", "message", "content", "stop_reason", "stopReason", "errorMessage", "timestamp", "text", "id"]
MORE = ["input", "name", "tool_use_id", "toolCallId", "arguments", "details", "exitCode", "data", "error", "summary"]
ANY = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-9, 9)
    | st.sampled_from(["tool_use", "text", "toolCall", "error", "end_turn"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(KEYS + MORE), inner, max_size=4),
    max_leaves=10,
)


@given(ANY, st.sampled_from(["user", "assistant", "toolResult", "tool_result"]), st.sampled_from(KEYS + MORE))
@settings(max_examples=200, deadline=None)
def test_no_value_in_another_programs_record_raises(
    tmp_path_factory: pytest.TempPathFactory, value: object, role: str, key: str
) -> None:
    path = tmp_path_factory.mktemp("any") / "transcript.jsonl"
    message = {"role": role, "content": [{"type": "text", "text": "x"}], key: value}
    own = {"timestamp": "2026-11-21T01:00:00.000Z", "isSidechain": False}
    kinds = (role, "message", "system", "session", "custom", "compaction", "model_change")
    records = [{**own, key: value, "type": kind, "message": message} for kind in kinds]
    path.write_bytes(b"".join(orjson.dumps(record) + b"\n" for record in records))

    assert render(read_claude(path))
    assert render(read_openclaw(path))


# -- other programs --------------------------------------------------------------------------------------


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


def test_of_a_long_output_in_claude_code_the_end_is_read_and_no_credential_is_cut(tmp_path: Path) -> None:
    own = {"timestamp": "2026-11-21T01:00:00.000Z", "isSidechain": False, "sessionId": "s"}
    lines = "".join(f"password: {'hunter2-' * 3}{number}\n" for number in range(20_000))
    call = {"type": "tool_use", "id": "c", "name": "Bash", "input": {"command": "make test"}}
    result = {"type": "tool_result", "tool_use_id": "c", "is_error": True, "content": f"{lines}2 tests failed"}
    records = (
        {**own, "type": "user", "message": {"role": "user", "content": "Test it."}},
        {**own, "type": "assistant", "message": {"role": "assistant", "content": [call]}},
        {**own, "type": "user", "message": {"role": "user", "content": [result]}},
    )
    path = tmp_path / "s.jsonl"
    path.write_bytes(b"".join(orjson.dumps(record) + b"\n" for record in records))

    text = render(read_claude(path))

    assert "2 tests failed" in section(text, "Open problems")
    assert "hunter2" not in text


def test_a_transcript_of_openclaw() -> None:
    folder = CAPTURES.parent / "openclaw" / "2026.5.22" / "compaction_silent_drop" / "state/agents/main/sessions"
    story = read_openclaw(folder / "3d95d6b9-f611-4681-ba22-69463dffd856.jsonl")

    assert (story.turn, story.compactions, story.model) == (1, 1, "mock-1")
    assert story.thread_id.startswith("3d95d6b9")
    assert "Turn 1 was completed." in render(story)
