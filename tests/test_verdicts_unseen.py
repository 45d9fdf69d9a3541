"""Verdicts where something is not on file: requests, ends, or what became of the process."""

from __future__ import annotations

from verdict_kit import ACCEPTED, LATE_MS, SENT, STARTED, M, judge, judgements, process


def test_where_requests_are_not_on_file_the_next_attempt_may_be_under_way() -> None:
    failed = M("upstream:1", "upstream_failed", 20, {"error_type": "connection_refused"})
    answers = process(now_ms=LATE_MS, requests=False)

    [judgement] = judgements([ACCEPTED, STARTED, failed], answers)

    assert (judgement.rule.name, judgement.confidence) == ("transport.last_request_failed", "possible")


def test_several_failures_in_a_row_speak_for_transport_even_so() -> None:
    failed = [M(f"upstream:{n}", "upstream_failed", 20 * n, {"error_type": "connection_refused"}) for n in (1, 2)]
    answers = process(now_ms=LATE_MS, requests=False)

    [judgement] = judgements([ACCEPTED, STARTED, *failed], answers)

    assert (judgement.rule.name, judgement.confidence) == ("transport.last_request_failed", "likely")


def test_a_prompt_without_an_answer_is_no_missing_header_where_headers_are_not_on_file() -> None:
    answers = process(now_ms=LATE_MS, requests=False)

    [judgement] = judgements([ACCEPTED, STARTED, SENT], answers)

    assert (judgement.rule.name, judgement.confidence) == ("model_stall.no_answer_on_file", "possible")


def test_a_message_whose_process_may_have_died_with_it_is_only_possibly_dropped() -> None:
    [judgement] = judgements([ACCEPTED], process(fate="unknown", now_ms=LATE_MS))

    assert (judgement.rule.name, judgement.confidence) == ("silent_drop.never_started", "possible")


def test_a_recovered_turn_waits_no_longer_than_its_process_lived() -> None:
    lost = [ACCEPTED, STARTED, SENT, M("turn", "interrupted", 90, {"recovered": True})]

    assert judge(lost, process(now_ms=LATE_MS))["t1"] == ("orphaned", "process_lost", "process_lost.recovered")


def test_a_recovered_turn_is_orphaned_until_somebody_resumes_it() -> None:
    lost = [ACCEPTED, STARTED, SENT, M("turn", "interrupted", 90, {"recovered": True})]
    resumed = [
        *lost,
        M("turn", "started", 5000, {"resumed": True}, "t1", "p2"),
        M("turn", "completed", 6000, {}, "t1", "p2"),
    ]
    processes = process(fate="killed", now_ms=90), process("p2", now_ms=LATE_MS)

    assert judge(lost, *processes)["t1"] == ("orphaned", "process_lost", "process_lost.recovered")
    assert judge(resumed, *processes)["t1"] == ("healthy", None, "healthy.completed")


def test_lanes_of_the_lost_process_do_not_hold_a_resumed_turn() -> None:
    marks = [ACCEPTED, STARTED, M("tool:a", "tool_call", 20), M("turn", "started", 5000, {"resumed": True}, "t1", "p2")]

    verdicts = judge(marks, process(fate="killed", now_ms=90), process("p2", now_ms=5000 + 300_000))

    assert verdicts["t1"] == ("stuck", "pre_start", "pre_start.never_sent")


def test_a_source_without_requests_never_says_pre_start_or_continuation_loss_for_sure() -> None:
    codex = process(fate="unknown", now_ms=LATE_MS, requests=False)
    tool = [M("tool:a", "tool_call", 20), M("tool:a", "tool_result", 30)]

    (after_tool,) = judgements([ACCEPTED, STARTED, *tool], codex)
    (before_first,) = judgements([ACCEPTED, STARTED], codex)

    assert (after_tool.rule.name, after_tool.confidence) == ("continuation_loss.follow_up_not_on_file", "possible")
    assert (before_first.rule.name, before_first.confidence) == ("unknown.requests_not_on_file", "possible")


def test_silence_before_a_response_is_stuck_if_the_process_lives_and_else_not_determinable() -> None:
    alive = process(fate="running", now_ms=LATE_MS, requests=False)
    unknown = process(fate="unknown", now_ms=LATE_MS, requests=False)
    failed = M("upstream:1", "upstream_failed", 10)

    for last in ([], [failed]):
        rule = "unknown.stall_or_transport"
        assert judge([ACCEPTED, STARTED, *last], alive)["t1"] == ("stuck", "unknown", rule)
        rule = "unknown.requests_not_on_file"
        assert judge([ACCEPTED, STARTED, *last], unknown)["t1"] == ("not_determinable", "unknown", rule)


def test_a_failure_whose_reason_is_on_file_is_told_though_nobody_knows_whether_the_process_lives() -> None:
    unknown = process(fate="unknown", now_ms=LATE_MS, requests=False)
    refused = M("upstream:1", "upstream_failed", 10, {"error_type": "connection_refused"})

    assert judge([ACCEPTED, STARTED, refused], unknown)["t1"] == ("stuck", "transport", "transport.last_request_failed")


def test_an_orphan_that_had_waited_too_long_keeps_its_cause_where_the_records_show_one() -> None:
    headers = M("upstream:1", "response_headers", 20)

    shown = judge([ACCEPTED, STARTED, SENT, headers], process(fate="killed", now_ms=LATE_MS))
    untold = judge([ACCEPTED, STARTED], process(fate="killed", now_ms=LATE_MS, requests=False))
    young = judge([ACCEPTED, STARTED], process(fate="killed", now_ms=1000, requests=False))

    assert shown["t1"] == ("orphaned", "model_stall", "model_stall.after_headers")
    assert untold["t1"] == ("orphaned", "process_lost", "process_lost.after_wait")
    assert young["t1"] == ("orphaned", "process_lost", "process_lost.killed")


def test_a_source_without_ends_is_not_determinable_whatever_came_last() -> None:
    codex = process(fate="unknown", now_ms=LATE_MS, requests=False, ends=False)

    verdicts = judge([ACCEPTED, STARTED, M("tool:a", "tool_call", 20), M("tool:a", "tool_result", 30)], codex)

    assert verdicts["t1"] == ("not_determinable", "unknown", "unknown.ends_not_on_file")
