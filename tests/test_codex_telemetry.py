"""What Codex's own telemetry says about its turns: captured runs, and pitfalls made by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from telemetry_kit import MS, THREAD, TRACE, Exported, S, captured, find, last_turn, story
from turnscope.attributes import ERROR_KIND
from turnscope.phases import PHASE, lane_kind
from turnscope_analyzer.sources.codex.telemetry import CodexTelemetry
from turnscope_analyzer.sources.otlp.records import SpanEvent

if TYPE_CHECKING:
    from pathlib import Path


# -- captured runs ----------------------------------------------------------------------------------------


def test_a_healthy_turn_is_told_from_its_request_to_its_end(tmp_path: Path) -> None:
    assert story(captured("0.169.0/a_healthy__appserver", tmp_path)) == [
        "accepted",
        "started",
        "upstream_sent 1",
        "response_headers 1",
        "first_event 1",
        "first_item 1",
        "upstream_completed 1",
        "completed",
    ]


def test_each_tool_result_is_followed_by_its_request(tmp_path: Path) -> None:
    told = story(captured("0.169.0/b_tools__appserver", tmp_path))

    assert told.count("continuation") == 3
    assert [told[at + 1] for at, phase in enumerate(told) if phase == "continuation"] == [
        "upstream_sent 2",
        "upstream_sent 3",
        "upstream_sent 4",
    ]


def test_a_request_whose_span_is_still_open_was_sent(tmp_path: Path) -> None:
    captures = captured("0.169.0/g_cont_kill_late__appserver", tmp_path)

    assert story(captures)[-2:] == ["continuation", "upstream_sent 2"]
    assert [process.shows_requests for capture in captures for process in capture.processes] == [True]


def test_an_open_request_outside_of_sampling_is_a_compactions(tmp_path: Path) -> None:
    marks = last_turn(captured("0.169.0/f_compact_kill_late__appserver", tmp_path))

    assert [mark.phase for mark in marks[-2:]] == ["compaction_started", "upstream_sent"]
    assert "kind" not in marks[-2].attrs
    assert marks[-1].attrs["purpose"] == "compaction"


def test_without_spans_a_request_after_a_full_window_is_likely_a_compactions(tmp_path: Path) -> None:
    marks = last_turn(captured("0.169.0/f_compact_hang_remote_kill__appserver", tmp_path))

    assert find(marks, "compaction_started").attrs == {"late": True, "kind": "likely", "tokens": 90_500}
    assert find(marks, "first_event").attrs["purpose"] == "compaction"


def test_a_compaction_with_a_span_begins_and_ends_with_it(tmp_path: Path) -> None:
    marks = last_turn(captured("0.169.0/c_compact_auto__appserver", tmp_path))
    lane = [mark for mark in marks if mark.lane == "compaction"]

    assert [mark.phase for mark in lane] == ["compaction_started", "compaction_completed"]
    assert lane[0].attrs == {"trigger": "ContextLimit"}
    assert [mark.attrs.get("purpose") for mark in marks if mark.phase == "upstream_sent"] == [None, "compaction", None]


def test_a_compaction_that_was_refused_has_failed(tmp_path: Path) -> None:
    marks = last_turn(captured("0.169.0/f_compact_ctxlen__appserver", tmp_path))

    assert find(marks, "compaction_failed").attrs == {"error_type": "bad_request"}
    assert [mark.attrs["status"] for mark in marks if mark.phase == "upstream_failed"] == [400] * 5


def test_an_idle_timeout_is_told_with_the_silence_before_it(tmp_path: Path) -> None:
    failed = find(last_turn(captured("0.169.0/d3_stall_mid_timeout__appserver", tmp_path)), "upstream_failed")

    assert failed.attrs["error_type"] == "idle_timeout"
    assert failed.attrs["attempt"] == 3
    assert 6.0 < int(str(failed.attrs["max_gap"])) / S < 6.1


def test_each_refused_connection_is_an_attempt(tmp_path: Path) -> None:
    marks = last_turn(captured("0.169.0/e_refused__exec", tmp_path))
    failed = [mark for mark in marks if mark.phase == "upstream_failed"]

    assert [mark.attrs["attempt"] for mark in failed] == list(range(1, 13))
    assert {mark.attrs["error_type"] for mark in failed} == {"connection_failed"}


def test_a_turn_that_a_client_stopped_is_interrupted_and_says_who_asked(tmp_path: Path) -> None:
    told = story(captured("0.169.0/i_interrupt__appserver", tmp_path))

    assert told[-3:] == ["cancel_requested", "interrupted", "cancel_result"]


def test_a_window_that_is_exceeded_in_the_stream_is_told_by_its_code(tmp_path: Path) -> None:
    marks = last_turn(captured("0.169.0/j_ctxlen_sse__appserver", tmp_path))

    assert find(marks, "upstream_failed").attrs["error_type"] == "context_length_exceeded"


@pytest.mark.parametrize("case", ["b_tools__appserver", "e_refused__exec", "c_compact_auto__appserver"])
def test_every_mark_is_of_the_vocabulary_and_names_its_record(case: str, tmp_path: Path) -> None:
    for capture in captured(f"0.169.0/{case}", tmp_path):
        processes = {process.process_id for process in capture.processes}
        for mark in capture.marks:
            assert PHASE[mark.phase].lane == lane_kind(mark.lane)
            assert mark.attrs.get("error_type") in {None, *ERROR_KIND}
            assert (tmp_path / mark.file).read_bytes()[mark.offset :].startswith(b'{"resource')
            assert mark.process_id in processes


# -- what a turn is ---------------------------------------------------------------------------------------


def test_a_turn_without_spans_is_known_by_its_trace() -> None:
    [capture] = Exported().started().prompt().response(3).captures()

    assert {mark.turn_id for mark in capture.marks} == {TRACE}
    assert {mark.session_id for mark in capture.marks} == {THREAD}
    assert capture.names == {}


def test_the_trace_of_a_turn_that_spans_name_is_another_name_of_it() -> None:
    [capture] = Exported().started().prompt().response(3).ended(4).captures()

    assert {mark.turn_id for mark in capture.marks} == {"turn-1"}
    assert capture.names == {TRACE: "turn-1"}


def test_two_turns_of_one_trace_are_told_apart_by_time() -> None:
    exported = Exported().prompt().response(3).ended(4, "turn-1")
    exported.prompt(10).response(11).span("session_task.turn", 9, 12, turn__id="turn-2")

    [capture] = exported.captures()

    assert [mark.turn_id for mark in capture.marks if mark.phase == "upstream_completed"] == ["turn-1", "turn-2"]
    assert capture.names == {}


def test_a_thread_that_a_turn_started_has_a_turn_of_its_own() -> None:
    exported = Exported().prompt().response(3).ended(9)
    exported.records += Exported(thread="helper").prompt(4).response(5).records

    captures = exported.captures()

    assert [{mark.turn_id for mark in capture.marks} for capture in captures] == [{"turn-1"}, {f"helper/{TRACE}"}]


def test_records_that_name_no_trace_are_counted() -> None:
    exported = Exported(trace="").prompt().response(3)

    [capture] = exported.captures()

    assert capture.marks == []
    assert capture.left_alone == {"threads whose records name no trace": 1}


def test_what_is_asked_for_while_a_thread_starts_is_no_turns() -> None:
    exported = Exported().started().log(1.2, "api_request", trace="cd" * 16, endpoint="/responses", duration_ms="100")

    assert exported.captures() == []


def test_the_list_of_models_is_no_request_of_the_turn() -> None:
    told = story(Exported().prompt().answered(2.5, endpoint="/models").response(3).captures())

    assert "upstream_sent 2" not in told


def test_records_of_other_programs_are_left() -> None:
    [record] = Exported(service="other").prompt().records

    assert not CodexTelemetry().take(record)


def test_the_same_event_in_a_log_and_in_a_span_counts_once() -> None:
    exported = Exported().prompt().answered(3)
    log = exported.records[-1]
    inner = SpanEvent("event session_telemetry.rs:803", 3 * S + MS, log.attrs)
    exported.span("endpoint_session.stream_encoded_json_with", 2.5, 3, id=log.span_id, events=(inner,))

    assert story(exported.captures()).count("response_headers 1") == 1
    assert "upstream_sent 2" not in story(exported.captures())


def test_spans_alone_tell_headers() -> None:
    exported = Exported().prompt().answered(3)
    log = exported.records.pop()
    inner = SpanEvent("event session_telemetry.rs:803", 3 * S, log.attrs)
    exported.span("endpoint_session.stream_encoded_json_with", 2.5, 3, events=(inner,))

    assert story(exported.captures())[-2:] == ["upstream_sent 1", "response_headers 1"]


@pytest.mark.parametrize("seed", range(5))
def test_the_order_in_which_records_arrive_does_not_matter(seed: int) -> None:
    exported = Exported().started().prompt().response(3).tool(4).response(6).ended(7)

    assert story(exported.captures(shuffled=seed)) == story(exported.captures())
