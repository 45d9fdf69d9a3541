"""What Codex's own telemetry says about its turns: captured runs, and pitfalls made by hand."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telemetry_kit import MS, THREAD, TRACE, Exported, S, captured, last_turn, story
from turnscope.attributes import ERROR_KIND
from turnscope.phases import PHASE, lane_kind
from turnscope_analyzer.sources.codex.telemetry import CodexTelemetry
from turnscope_analyzer.sources.otlp.records import SpanEvent

if TYPE_CHECKING:
    from pathlib import Path

    from turnscope_analyzer.model import Mark


def find(marks: list[Mark], phase: str) -> Mark:
    return [mark for mark in marks if mark.phase == phase][-1]


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


# -- requests ---------------------------------------------------------------------------------------------


def test_a_request_was_sent_before_its_headers_came() -> None:
    marks = last_turn(Exported().prompt().answered(9, took_s=6).captures())

    assert find(marks, "upstream_sent").at_ns == 3 * S
    assert find(marks, "response_headers").at_ns == 9 * S


def test_chunks_are_counted_on_the_phase_that_is_open() -> None:
    exported = Exported().prompt().answered(3).sse(3.1, "created").sse(3.2, "output_item.added")
    for number in range(50):
        exported.sse(4 + number / 10, "output_text.delta")

    item = find(last_turn(exported.captures()), "first_item")

    assert item.attrs["live_chunks"] == 50
    assert item.attrs["live_progress_at"] == int(8.9 * S)


def test_a_completed_response_is_one_though_it_is_said_twice() -> None:
    told = story(Exported().prompt().response(3).captures())

    assert told.count("upstream_completed 1") == 1


def test_an_error_that_is_said_twice_is_one_failure_of_its_first_kind() -> None:
    exported = Exported().prompt().answered(3).sse(3.1, "created")
    exported.sse(9, None, error__message="idle timeout waiting for SSE")
    exported.sse(9.001, "completed", error__message="stream disconnected before completion: idle timeout")

    marks = last_turn(exported.captures())

    assert [mark.attrs["error_type"] for mark in marks if mark.phase == "upstream_failed"] == ["idle_timeout"]


def test_a_new_attempt_ends_one_whose_end_is_not_on_file() -> None:
    told = story(Exported().prompt().answered(3).sse(3.1, "created").answered(8).captures())

    assert told[-3:] == ["upstream_failed 1", "upstream_sent 2", "response_headers 2"]


@pytest.mark.parametrize(
    ("status", "message", "kind"),
    [
        ("429", "http 429", "rate_limited"),
        ("401", "http 401", "unauthorized"),
        ("503", "http 503", "server_error"),
        ("400", "http 400", "bad_request"),
        ("", "error sending request", "connection_failed"),
    ],
)
def test_a_refusal_is_told_by_its_status(status: str, message: str, kind: str) -> None:
    marks = last_turn(Exported().prompt().answered(3, status, error__message=message).captures())

    assert find(marks, "upstream_failed").attrs["error_type"] == kind


def test_a_stream_without_a_request_on_file_is_a_request() -> None:
    told = story(Exported().prompt().sse(3, "created").sse(4, "output_item.added").captures())

    assert told[-2:] == ["first_event 1", "first_item 1"]
    assert "upstream_sent 1" not in told


# -- tools and compactions --------------------------------------------------------------------------------


def test_a_tool_that_a_person_approved_says_so() -> None:
    told = story(Exported().prompt().response(3).tool(9, source="User").captures())

    assert told[-3:] == ["tool_call c1", "approved c1", "tool_result c1"]


def test_arguments_and_outputs_are_not_kept() -> None:
    [capture] = Exported().prompt().response(3).tool(4).captures()

    assert "secret" not in str(capture)


def test_a_request_before_the_prompt_is_likely_a_compactions() -> None:
    exported = Exported().response(3).prompt(5).response(6)

    marks = last_turn(exported.captures())

    assert [mark.phase for mark in marks if mark.lane == "compaction"] == ["compaction_started", "compaction_completed"]
    assert [mark.attrs.get("purpose") for mark in marks if mark.phase == "upstream_sent"] == ["compaction", None]


def test_below_the_limit_the_request_after_a_tool_is_the_turns() -> None:
    exported = Exported().started(limit=1_000).prompt().response(3, tokens=999).tool(4)

    assert "compaction_started" not in story(exported.answered(7).captures())
    over = Exported().started(limit=1_000).prompt().response(3, tokens=1_000).tool(4)
    assert "compaction_started" in story(over.answered(7).captures())


def test_a_compaction_that_was_only_likely_is_taken_back_by_a_tool_call() -> None:
    exported = Exported().started(limit=1_000).prompt().response(3, tokens=1_000).tool(4).response(7).tool(9, "c2")

    marks = last_turn(exported.captures())

    assert not [mark for mark in marks if mark.lane == "compaction" or mark.attrs.get("purpose")]


def test_a_request_for_a_compaction_alone_needs_no_stream() -> None:
    exported = Exported().prompt().response(3).tool(4).answered(9, endpoint="/responses/compact")

    assert story(exported.captures())[-4:] == [
        "compaction_started",
        "upstream_sent 2",
        "upstream_completed 2",
        "compaction_completed",
    ]


# -- open spans -------------------------------------------------------------------------------------------


def waiting(**parents: str) -> Exported:
    """Return a turn whose request was sent at 3 s and has no answer; spans are on file until then."""
    exported = Exported().prompt().span("build_prompt", 2.9, 2.9, parent=parents.get("sampling", "aa" * 8))
    return exported.span("auth", 3, 3, parent=parents.get("request", "bb" * 8))


def test_the_look_for_credentials_in_an_open_span_is_the_last_before_sending() -> None:
    sent = find(last_turn(waiting().captures()), "upstream_sent")

    assert (sent.at_ns, sent.file) == (3 * S, "traces.jsonl")
    assert "purpose" not in sent.attrs


def test_once_the_span_has_arrived_its_events_tell() -> None:
    exported = waiting().span("model_client.stream_responses_api", 3, 4, id="bb" * 8)

    assert "upstream_sent 1" not in story(exported.captures())


def test_an_answer_on_file_speaks_for_a_span_that_is_merely_late() -> None:
    told = story(waiting().answered(3.4, took_s=0.4).captures())

    assert told.count("upstream_sent 1") == 1
    assert "upstream_sent 2" not in told


def test_credentials_are_also_looked_for_elsewhere() -> None:
    exported = Exported().prompt().span("world_state.build", 2.9, 2.9, parent="cc" * 8)
    exported.span("auth", 3, 3, parent="cc" * 8)

    assert "upstream_sent 1" not in story(exported.captures())


def test_without_the_sign_of_sampling_in_any_turn_an_open_request_is_not_called_a_compaction() -> None:
    exported = Exported().prompt().span("auth", 3, 3, parent="bb" * 8)

    assert "compaction_started" not in story(exported.captures())


# -- ends and horizons ------------------------------------------------------------------------------------


def test_a_missing_request_is_proof_only_where_spans_go_on_after_it() -> None:
    exported = Exported().started().prompt().response(3).tool(4, took_s=1)
    shortly = exported.span("turn/start", 15, 15, trace="ef" * 16, conversation__id="another")
    assert [p.shows_requests for c in shortly.captures() for p in c.processes] == [False]

    well_after = exported.span("turn/start", 21, 21, trace="ef" * 16, conversation__id="another")
    assert [p.shows_requests for c in well_after.captures() for p in c.processes] == [True]


def test_ends_are_on_file_only_where_spans_are() -> None:
    assert [p.shows_ends for c in Exported().prompt().captures() for p in c.processes] == [False]
    assert [p.shows_ends for c in waiting().captures() for p in c.processes] == [True]


def test_a_turn_that_was_done_ends_when_the_thread_goes_on() -> None:
    exported = Exported().started().prompt().response(3)
    exported.log(20, "user_prompt", trace="ef" * 16)

    [capture] = exported.captures()

    assert [mark.phase for mark in capture.marks if mark.turn_id == TRACE][-1] == "completed"


def test_a_turn_that_was_not_done_is_lost_when_the_thread_goes_on_and_its_span_never_ended() -> None:
    exported = Exported().started().prompt().answered(3).sse(3.1, "created")
    exported.log(20, "user_prompt", trace="ef" * 16)
    assert "interrupted" not in {mark.phase for capture in exported.captures() for mark in capture.marks}

    exported.span("session_task.turn", 20, 25, trace="ef" * 16, turn__id="turn-2")
    lost = [m for c in exported.captures() for m in c.marks if m.phase == "interrupted"]
    assert [(mark.turn_id, mark.at_ns, mark.attrs["recovered"]) for mark in lost] == [(TRACE, int(3.1 * S), True)]


def test_a_server_of_many_threads_lives_as_long_as_any_of_them_says_something() -> None:
    for service, horizon_s in (("codex-app-server", 60), ("codex_exec", 3)):
        one, other = Exported(service), Exported(service, thread="other", trace="ef" * 16)
        records = [*one.prompt().answered(3).records, *other.prompt(60).records]

        captures = Exported(service)
        captures.records = records
        horizons = {c.marks[0].session_id: c.processes[0].horizon_ns for c in captures.captures()}

        assert horizons[THREAD] == horizon_s * S


def test_another_host_is_no_proof_of_life() -> None:
    mine, theirs = Exported().prompt().records, Exported(thread="other", trace="ef" * 16).prompt(60).records
    named = [r._replace(resource={**r.resource, "host.name": host}) for r, host in ((mine[0], "a"), (theirs[0], "b"))]
    exported = Exported()
    exported.records = named

    horizons = {c.marks[0].session_id: c.processes[0].horizon_ns for c in exported.captures()}

    assert horizons[THREAD] == 2 * S


def test_nothing_in_a_record_makes_it_raise() -> None:
    odd = Exported().prompt().answered(3, status="many", took_s=1e12).sse(4, "created", duration_ms="x" * 40)
    odd.log(5, "tool_result", call_id=7, duration_ms=-1).log(0, "user_prompt").span("auth", 9, 3)
    odd.records.append(odd.records[0]._replace(attrs={}, trace_id="", resource={"service.name": "codex_exec"}))

    captures = odd.captures()

    assert all(0 <= mark.at_ns < 1 << 63 for capture in captures for mark in capture.marks)
    assert [replace(process, horizon_ns=0) for capture in captures for process in capture.processes]


@given(st.data())
def test_damaged_records_never_raise(data: st.DataObject) -> None:
    whole = Exported().started(limit=100).prompt().response(3, tokens=200).tool(4).response(6).ended(7).records
    odd = st.none() | st.integers(-(1 << 70), 1 << 70) | st.text(max_size=30) | st.booleans() | st.floats()
    exported = Exported()
    for record in data.draw(st.lists(st.sampled_from(whole), max_size=40)):
        names = data.draw(st.lists(st.sampled_from([*record.attrs, "error.message"]), max_size=3))
        attrs = {**record.attrs, **{name: data.draw(odd) for name in names}}
        exported.records.append(
            record._replace(attrs=attrs, trace_id=data.draw(st.sampled_from(["", TRACE, "ef" * 16])))
        )

    for capture in exported.captures():
        assert all(0 <= mark.at_ns < 1 << 63 for mark in capture.marks)
