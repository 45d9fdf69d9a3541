"""OpenClaw's JSON files as they are: rows and transcripts, whole, torn, packed and copied."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from openclaw_kit import KEY, SESSION, State, judged, read, story, verdict_of


@pytest.fixture
def state(tmp_path: Path) -> State:
    return State(tmp_path / ".openclaw")


# -- rows ---------------------------------------------------------------------------------------------------


def test_rows_before_the_damage_are_read(state: State) -> None:
    state.row("agent:main:one", "one", status="running", startedAt=1)
    state.row("agent:main:two", "two", status="running", startedAt=2)
    path = state.sessions / "sessions.json"
    path.write_bytes(path.read_bytes()[:-30])

    capture = read(state.root)

    assert {mark.session_id for mark in capture.marks} == {"agent:main:one"}
    assert len(capture.rejects) == 1


def test_a_row_names_its_place_in_the_file(state: State) -> None:
    state.row("agent:main:one", "one", status="running", startedAt=1).row("agent:main:two", "two", status="running")
    text = (state.sessions / "sessions.json").read_bytes()

    [mark, _] = read(state.root).marks

    assert json.JSONDecoder().raw_decode(text[mark.offset :].decode())[0]["sessionId"] == "one"


def test_an_empty_store_is_nothing(state: State) -> None:
    (state.sessions / "sessions.json").write_text("{}")

    assert read(state.root).marks == []


# -- transcripts --------------------------------------------------------------------------------------------


def test_a_tool_and_its_follow_up_are_two_steps(state: State) -> None:
    state.user(0).call(2).result(3).answer(9).row(status="done", startedAt=0, endedAt=9)

    assert story(read(state.root), KEY) == [
        "accepted",
        "started",
        "first_item 1",
        "upstream_completed 1",
        "tool_call call_1",
        "tool_result call_1",
        "continuation",
        "first_item 2",
        "upstream_completed 2",
        "completed",
    ]


def test_a_torn_last_line_costs_that_line(state: State) -> None:
    state.user(0).answer(5)
    path = state.sessions / f"{SESSION}.jsonl"
    path.write_bytes(path.read_bytes() + b'\n{"type":"message","timestamp":"2026-11-21T01:')

    capture = read(state.root)

    assert story(capture, SESSION)[-1] == "completed"
    assert len(capture.rejects) == 1


def test_a_transcript_that_is_packed_is_read(state: State) -> None:
    state.user(0).answer(5)
    path = state.sessions / f"{SESSION}.jsonl"
    path.with_suffix(".jsonl.gz").write_bytes(gzip.compress(path.read_bytes()))
    path.unlink()

    assert story(read(state.root), SESSION)[-1] == "completed"


def test_a_turn_that_a_later_one_has_left_behind_was_interrupted(state: State) -> None:
    state.user(0).call(2).user(60).answer(62).row(status="done", startedAt=60, endedAt=62)

    assert verdict_of(judged(state.root), KEY).rule == "cancelled.interrupted"


def test_a_turn_that_no_lock_is_held_for_was_interrupted_long_ago(state: State) -> None:
    state.user(0).call(2).row(status="done", startedAt=-9, endedAt=-5, updatedAt=61)
    state.row("agent:main:other", "other", status="done", startedAt=50, endedAt=62, updatedAt=62)

    assert verdict_of(judged(state.root), KEY).rule == "cancelled.interrupted"


def test_a_run_that_prepares_its_prompt_has_no_lock_yet(state: State) -> None:
    state.stage(0, "session.started").row(status="done", startedAt=-9, endedAt=-5, updatedAt=20)

    assert story(read(state.root), KEY) == ["accepted", "started"]


def test_a_checkpoint_of_a_transcript_is_not_read_again(state: State) -> None:
    state.user(0).answer(5)
    path = state.sessions / f"{SESSION}.jsonl"
    path.with_name(f"{SESSION}.checkpoint.{SESSION}.jsonl").write_bytes(path.read_bytes())

    assert len({mark.turn_id for mark in read(state.root).marks}) == 1


def test_a_transcript_whose_first_line_is_damaged_is_read_in_its_place(state: State) -> None:
    state.user(0).answer(5)
    path = state.sessions / f"{SESSION}.jsonl"
    path.write_bytes(b"{" + path.read_bytes())

    capture = read(state.root)

    assert story(capture, SESSION)[-1] == "completed"
    assert len(capture.rejects) == 1


def test_a_file_that_cannot_be_read_is_put_aside(state: State, monkeypatch: pytest.MonkeyPatch) -> None:
    state.user(0).answer(5).row(status="done", startedAt=0, endedAt=5)
    real = Path.read_bytes
    monkeypatch.setattr(Path, "read_bytes", lambda path: _refused() if path.name == "sessions.json" else real(path))

    capture = read(state.root)

    assert [reject.reason for reject in capture.rejects] == ["cannot be read: Permission denied"]
    assert story(capture, SESSION)[-1] == "completed"


def _refused() -> bytes:
    raise PermissionError(13, "Permission denied")
