"""What a rollout's records say about its turns: real captures of three versions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson
import pytest

from codex_kit import CAPTURES, SHARED, capture, last, record_at, record_of, story, turns_of
from turnscope.attributes import ATTRIBUTES, ERROR_KIND
from turnscope.phases import PHASE, lane_kind
from turnscope_analyzer.sources.codex.records import is_rollout
from turnscope_analyzer.sources.codex.rollout import read_rollout

if TYPE_CHECKING:
    from pathlib import Path

# -- real captures ----------------------------------------------------------------------------------------


def test_0_169_tells_a_response_by_its_usage_record() -> None:
    assert story(capture("0.169-tools"))[:10] == [
        "accepted",
        "started",
        "first_item 1",
        "tool_call call_1_0",
        "upstream_completed 1",
        "tool_result call_1_0",
        "continuation",
        "first_item 2",
        "tool_call call_2_0",
        "upstream_completed 2",
    ]


def test_0_142_counts_a_response_only_after_its_tools_and_is_told_the_same() -> None:
    assert story(capture("0.142-tools")) == story(capture("0.169-tools"))


def test_0_118_shows_when_response_headers_came() -> None:
    told = story(capture("0.118-tools"))

    assert [phase for phase in told if not phase.startswith("response_headers")] == story(capture("0.169-tools"))
    assert told.index("response_headers 2") == told.index("continuation") + 1


def test_a_response_that_came_at_the_second_attempt_is_one_step() -> None:
    read = capture("0.118-retried")

    attempts = [(m.phase, m.attrs["step"], m.attrs["attempt"]) for m in read.marks if m.lane.startswith("upstream")]
    assert attempts == [
        ("response_headers", 1, 1),
        ("upstream_failed", 1, 1),
        ("response_headers", 1, 2),
        ("first_item", 1, 2),
        ("upstream_completed", 1, 2),
    ]


def test_a_failed_turn_without_an_error_on_file_is_failed_for_no_named_reason() -> None:
    read = capture("0.142-cut-off")

    assert story(read) == [
        "accepted",
        "started",
        "upstream_failed 1",
        "upstream_failed 2",
        "upstream_failed 3",
        "failed",
    ]
    assert "error_type" not in last(read, "failed").attrs


def test_a_failed_turn_names_its_error_where_it_is_on_file() -> None:
    attrs = last(capture("0.169-server-error"), "failed").attrs

    assert attrs == {"error_type": "server_error", "error_class": "http_connection_failed", "status": 503}


def test_a_window_that_was_exceeded_is_told_by_its_made_up_figures() -> None:
    assert last(capture("0.118-window-exceeded"), "failed").attrs == {"error_type": "context_length_exceeded"}


@pytest.mark.parametrize("name", ["0.118-tools", "0.142-two-turns", "0.169-tools"])
def test_a_turn_is_also_known_by_its_trace(name: str) -> None:
    read = capture(name)
    turns = list(turns_of(read))

    assert [turn for trace, turn in read.names.items() if "/" not in trace] == turns
    assert all(read.names[f"{read.marks[0].session_id}/{trace}"] for trace in read.names if "/" not in trace)


def test_a_turn_that_a_later_one_left_open_ends_at_its_own_last_record() -> None:
    read = capture("0.169-process-killed")
    lost = next(mark for mark in read.marks if mark.phase == "interrupted")

    assert lost.attrs == {"recovered": True, "error_type": "process_lost"}
    assert record_at(lost.file, lost.offset)["payload"]["item"]["type"] == "UserMessage"
    assert lost.turn_id == read.marks[0].turn_id
    assert story(read)[-1] == "completed"


def test_an_interrupted_turn_is_not_ended_by_what_its_tool_still_writes() -> None:
    assert story(capture("0.169-interrupted"))[-2:] == ["tool_result call_1_0", "interrupted"]


def test_a_call_that_asks_for_more_rights_may_wait_for_a_person() -> None:
    read = capture("0.169-approval-pending")

    assert last(read, "tool_call").attrs["escalated"] is True
    assert "escalated" not in last(capture("0.169-tools"), "tool_call").attrs


def test_a_compaction_starts_when_its_item_says_so() -> None:
    read = capture("0.169-compaction")
    started, done = last(read, "compaction_started"), last(read, "compaction_completed")

    item = record_of(read.marks[0].file, b"ContextCompaction")
    assert started.wall_ns == item["payload"]["started_at_ms"] * 1_000_000
    assert "late" not in started.attrs
    assert started.seq < done.seq
    assert (started.attrs["tokens"], done.attrs["tokens"]) == (90_500, 6_879)


def test_a_compaction_in_mid_turn_does_not_close_the_wait_for_the_continuation() -> None:
    assert story(capture("0.142-compaction"))[5:] == [
        "tool_result call_1_0",
        "compaction_started",
        "first_item 2",
        "upstream_completed 2",
        "compaction_completed",
        "continuation",
        "first_item 3",
        "upstream_completed 3",
        "completed",
    ]


def test_a_turn_without_a_prompt_on_file_is_compacting() -> None:
    read = capture("0.142-manual-compaction-hangs")

    assert story(read) == ["accepted", "started", "compaction_started"]
    assert "kind" not in last(read, "compaction_started").attrs


def test_an_answered_request_after_a_full_window_is_likely_a_compaction() -> None:
    read = capture("0.118-compaction-hangs")

    assert story(read)[-2:] == ["response_headers 2", "compaction_started"]
    assert last(read, "response_headers").attrs["purpose"] == "compaction"
    assert last(read, "compaction_started").attrs["kind"] == "likely"


@pytest.mark.parametrize("name", ["0.142-compaction-rejected", "0.169-compaction-rejected"])
def test_a_turn_that_ends_where_it_had_to_compact_failed_in_compaction(name: str) -> None:
    read = capture(name)

    assert story(read)[-2:] == ["compaction_failed", "failed"]
    assert last(read, "failed").attrs["error_type"] == "compaction_failed"
    assert last(read, "compaction_failed").attrs["purpose"] == "compaction"


# -- every mark -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", sorted(CAPTURES.glob("*.jsonl")), ids=lambda path: path.stem)
def test_every_mark_is_in_the_vocabulary_and_points_at_its_record(path: Path) -> None:
    read = read_rollout(path)

    known = {attribute.name for attribute in ATTRIBUTES}
    for mark in read.marks:
        assert PHASE[mark.phase].lane == lane_kind(mark.lane)
        assert set(mark.attrs) <= known
        assert mark.attrs.get("error_type", "other") in ERROR_KIND
        assert record_at(mark.file, mark.offset)["payload"]
    assert [mark.seq for mark in read.marks] == list(range(len(read.marks)))
    assert [mark.at_ns for mark in read.marks] == sorted(mark.at_ns for mark in read.marks)
    assert read.rejects == []


# -- captures that stay where they are --------------------------------------------------------------------


@pytest.mark.skipif(not (SHARED / "codex-lab").is_dir(), reason="the labelled runs are not here")
def test_every_labelled_run_ends_as_its_label_says() -> None:
    ends: dict[str | None, str | None] = {"completed": "completed", "failed": "failed", "interrupted": "interrupted"}
    for label in sorted((SHARED / "codex-lab").glob("*/*/truth.json")):
        truth = orjson.loads(label.read_bytes())
        for path in label.parent.glob("home/sessions/*/*/*/*.jsonl"):
            turns = list(turns_of(read_rollout(path)).values())
            judged = turns[0] if "orphan" in truth["scenario"] else turns[-1]
            end = [mark for mark in judged if PHASE[mark.phase].lane == "turn" and PHASE[mark.phase].terminal]

            told = end[0].phase if end and not end[0].attrs.get("recovered") else None
            assert told == ends.get(truth["terminal_on_disk"]), label


@pytest.mark.skipif(not (SHARED / "codex-public").is_dir(), reason="the public captures are not here")
def test_public_rollouts_of_old_versions_show_one_answered_request_a_step() -> None:
    for path in sorted((SHARED / "codex-public").glob("*.jsonl")):
        read = read_rollout(path)

        assert is_rollout(path.read_bytes()[:4_096]), path
        for marks in turns_of(read).values():
            steps = [mark.attrs["step"] for mark in marks if mark.phase == "response_headers"]
            assert steps == list(range(1, len(steps) + 1)), path
