"""What decides between states, and between two causes that both match."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import given, settings
from hypothesis import strategies as st

from turnscope.phases import CAUSES, LANE, PHASES, STATES
from turnscope_analyzer.rules import RULES
from verdict_kit import M, judge, judgements, process

if TYPE_CHECKING:
    import random

ACCEPTED = M("turn", "accepted", 0)
STARTED = M("turn", "started", 5)
SENT = M("upstream:1", "upstream_sent", 10, {"purpose": "turn", "step": 1, "attempt": 1})
DONE = M("turn", "completed", 1000)
LATE_MS = 3_600_000


def test_a_completed_turn_is_healthy_however_long_ago() -> None:
    assert judge([ACCEPTED, STARTED, DONE], now_ms=LATE_MS) == {"t1": ("healthy", None, "healthy.completed")}


def test_a_young_turn_is_in_progress() -> None:
    assert judge([ACCEPTED, STARTED, SENT], now_ms=500) == {"t1": ("healthy", None, "healthy.in_progress")}


def test_an_approval_waits_for_a_person_however_long() -> None:
    marks = [ACCEPTED, STARTED, M("tool:a", "tool_call", 20), M("tool:a", "awaiting_approval", 30)]

    assert judge(marks, now_ms=LATE_MS)["t1"] == ("waiting", None, "waiting.approval")


def test_a_quota_waits_for_its_reset_and_names_the_cause() -> None:
    marks = [ACCEPTED, STARTED, SENT, M("upstream:1", "upstream_failed", 20, {"error_type": "rate_limited"})]

    verdicts = judge([*marks, M("quota", "awaiting_quota", 30)], now_ms=LATE_MS)

    assert verdicts["t1"] == ("waiting", "quota_or_auth", "quota_or_auth.waiting")


def test_a_running_tool_is_not_a_stall() -> None:
    marks = [ACCEPTED, STARTED, SENT, M("upstream:1", "first_item", 20), M("tool:a", "tool_call", 30)]

    assert judge(marks, now_ms=600_000)["t1"] == ("waiting", None, "waiting.tool")


def test_of_two_parallel_tools_the_one_that_is_open_decides() -> None:
    calls = [M("tool:a", "tool_call", 20), M("tool:b", "tool_call", 21), M("tool:b", "tool_result", 30)]

    assert judge([ACCEPTED, STARTED, *calls], now_ms=400_000)["t1"] == ("waiting", None, "waiting.tool")


def test_the_last_of_parallel_results_opens_the_continuation() -> None:
    calls = [M("tool:a", "tool_call", 20), M("tool:b", "tool_call", 21), M("tool:b", "tool_result", 30)]

    verdicts = judge([ACCEPTED, STARTED, *calls, M("tool:a", "tool_result", 40)], now_ms=400_000)

    assert verdicts["t1"].rule == "continuation_loss.after_tool_result"


def test_a_follow_up_that_was_sent_is_the_requests_wait_not_a_lost_continuation() -> None:
    tool = [M("tool:a", "tool_call", 20), M("tool:a", "tool_result", 30)]
    follow_up = [M("upstream:2", "upstream_sent", 40, {"step": 2}), M("upstream:2", "response_headers", 50)]

    assert judge([ACCEPTED, STARTED, *tool, *follow_up], now_ms=LATE_MS)["t1"].rule == "model_stall.after_headers"


def test_the_request_of_a_compaction_is_the_compactions() -> None:
    marks = [
        M("compaction", "compaction_started", 20),
        M("upstream:1", "upstream_sent", 21, {"purpose": "compaction"}),
        M("upstream:1", "response_headers", 22),
    ]

    assert judge([ACCEPTED, STARTED, *marks], now_ms=LATE_MS)["t1"] == ("stuck", "compaction", "compaction.open")


def test_a_window_that_the_compactions_request_exceeds_is_the_compactions() -> None:
    marks = [
        M("compaction", "compaction_started", 20),
        M("upstream:1", "upstream_sent", 21, {"purpose": "compaction"}),
        M("upstream:1", "upstream_failed", 22, {"error_type": "context_length_exceeded"}),
        M("compaction", "compaction_failed", 23, {"error_type": "context_length_exceeded"}),
        M("turn", "failed", 24, {"error_type": "context_length_exceeded"}),
    ]

    assert judge([ACCEPTED, STARTED, *marks], now_ms=LATE_MS)["t1"] == ("failed", "compaction", "compaction.failed")


def test_a_status_decides_before_transport_does() -> None:
    attempts = [
        SENT,
        M("upstream:1", "upstream_failed", 20, {"error_type": "rate_limited", "status": 429}),
        M("upstream:2", "upstream_sent", 30, {"attempt": 2}),
    ]

    verdicts = judge([ACCEPTED, STARTED, *attempts], now_ms=LATE_MS)

    assert verdicts["t1"] == ("stuck", "quota_or_auth", "quota_or_auth.retry_loop")


def test_attempts_that_failed_in_transport_make_silence_transports() -> None:
    attempts = [
        SENT,
        M("upstream:1", "upstream_failed", 20, {"error_type": "connection_refused"}),
        M("upstream:2", "upstream_sent", 30, {"attempt": 2}),
    ]

    assert judge([ACCEPTED, STARTED, *attempts], now_ms=LATE_MS)["t1"].rule == "transport.retry_loop"


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


def test_a_message_that_was_started_late_was_not_dropped() -> None:
    marks = [ACCEPTED, M("turn", "started", 200_000), M("turn", "completed", 201_000)]

    assert judge(marks, now_ms=LATE_MS)["t1"] == ("slow", "pre_start", "pre_start.started_late")


def test_a_message_whose_process_may_have_died_with_it_is_only_possibly_dropped() -> None:
    [judgement] = judgements([ACCEPTED], process(fate="unknown", now_ms=LATE_MS))

    assert (judgement.rule.name, judgement.confidence) == ("silent_drop.never_started", "possible")


def test_a_failure_that_a_later_attempt_put_right_is_not_why_the_turn_failed() -> None:
    marks = [
        SENT,
        M("upstream:1", "upstream_failed", 20, {"error_type": "connection_refused"}),
        M("upstream:2", "upstream_sent", 30),
        M("upstream:2", "upstream_completed", 40),
        M("turn", "failed", 50, {"error_type": "tool_error"}),
    ]

    assert judge([ACCEPTED, STARTED, *marks], now_ms=LATE_MS)["t1"] == ("failed", "unknown", "unknown.other_error")


def test_a_bare_400_gives_way_to_the_turns_own_error() -> None:
    marks = [
        ACCEPTED,
        STARTED,
        SENT,
        M("upstream:1", "upstream_failed", 500, {"error_type": "bad_request"}),
        M("turn", "failed", 600, {"error_type": "context_length_exceeded"}),
    ]

    assert judge(marks, now_ms=LATE_MS)["t1"].rule == "context_length.exceeded"


def test_chunks_that_still_come_keep_a_stream_from_being_stuck() -> None:
    streaming = M("upstream:1", "first_item", 20, {"live_chunks": 9, "live_progress_at": (LATE_MS - 1000) * 1_000_000})

    assert judge([ACCEPTED, STARTED, SENT, streaming], now_ms=LATE_MS)["t1"] == ("healthy", None, "healthy.in_progress")


def test_a_long_answer_that_kept_coming_is_not_slow() -> None:
    figures = {"chunks": 4000, "max_gap": 900_000_000, "progress_at": 899_900 * 1_000_000}
    marks = [M("upstream:1", "first_item", 20), M("upstream:1", "upstream_completed", 900_000, figures)]

    assert (
        judge([ACCEPTED, STARTED, SENT, *marks, M("turn", "completed", 900_001)], now_ms=LATE_MS)["t1"].state
        == "healthy"
    )


def test_a_silence_in_a_long_answer_is_slow() -> None:
    figures = {"chunks": 4000, "max_gap": 150_000_000_000, "progress_at": 899_900 * 1_000_000}
    marks = [M("upstream:1", "first_item", 20), M("upstream:1", "upstream_completed", 900_000, figures)]

    verdicts = judge([ACCEPTED, STARTED, SENT, *marks, M("turn", "completed", 900_001)], now_ms=LATE_MS)

    assert verdicts["t1"] == ("slow", "model_stall", "model_stall.mid_stream")


def test_a_turn_that_was_cancelled_while_it_was_stuck_keeps_the_cause() -> None:
    marks = [SENT, M("upstream:1", "response_headers", 20), M("turn", "interrupted", 400_000)]

    verdicts = judge([ACCEPTED, STARTED, *marks], now_ms=LATE_MS)

    assert verdicts["t1"] == ("cancelled", "model_stall", "model_stall.after_headers")


def test_a_turn_that_was_cancelled_in_time_has_no_cause() -> None:
    assert judge([ACCEPTED, STARTED, SENT, M("turn", "cancelled", 9000)], now_ms=LATE_MS)["t1"].cause is None


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


def test_a_default_gives_way_to_three_times_the_usual() -> None:
    slow_model = [
        mark
        for n in range(2)
        for mark in (
            M("turn", "accepted", 0, {}, f"usual{n}"),
            M("turn", "started", 5, {}, f"usual{n}"),
            M("upstream:1", "response_headers", 10, {}, f"usual{n}"),
            M("upstream:1", "upstream_completed", 200_010, {}, f"usual{n}"),
            M("turn", "completed", 200_020, {}, f"usual{n}"),
        )
    ]
    waiting = [ACCEPTED, STARTED, M("upstream:1", "response_headers", 10)]

    states = [judge([*slow_model, *waiting], now_ms=500_000, plain=plain)["t1"].state for plain in (98, 198, 9)]

    assert states == ["slow", "stuck", "stuck"]


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


def lane_of(kind: str) -> st.SearchStrategy[str]:
    return st.sampled_from([f"{kind}:a", f"{kind}:b"]) if LANE[kind].many else st.just(kind)  # type: ignore[index]


any_mark = st.sampled_from([phase for phase in PHASES if phase.lane != "continuation"]).flatmap(
    lambda phase: st.builds(
        M,
        lane_of(phase.lane),
        st.just(phase.name),
        st.integers(0, 1_000_000),
        st.fixed_dictionaries(
            {}, optional={"error_type": st.sampled_from(["stream_cut", "rate_limited"]), "recovered": st.booleans()}
        ),
        st.sampled_from(["t1", "t2"]),
        st.sampled_from(["p1", "p2"]),
    )
)


@given(st.lists(any_mark, max_size=25), st.randoms(use_true_random=False))
@settings(max_examples=60, deadline=None)
def test_the_same_marks_in_any_order_give_each_turn_the_same_one_verdict(marks: list[M], rng: random.Random) -> None:
    numbered = [mark._replace(attrs={**mark.attrs, "seq": seq}) for seq, mark in enumerate(marks, 1)]
    processes = process(now_ms=1_000_000), process("p2", fate="killed", now_ms=900_000)
    shuffled = rng.sample(numbered, len(numbered))

    first, second = judgements(numbered, *processes), judgements(shuffled, *processes)

    told = {j.facts.turn_id: (j.facts.state, j.rule, j.confidence, j.facts.age_ns) for j in first}
    assert len(first) == len(told)
    assert told == {j.facts.turn_id: (j.facts.state, j.rule, j.confidence, j.facts.age_ns) for j in second}
    assert set(told) == {
        m.turn for m in marks if not m.attrs.get("recovered") and m.lane.split(":")[0] not in {"renderer", "cancel"}
    }
    assert all(state in STATES for state, *_ in told.values())


def test_each_rule_is_named_after_a_cause_or_a_state() -> None:
    assert {rule.name.partition(".")[0] for rule in RULES} <= {*CAUSES, *STATES}


def test_a_call_that_may_wait_for_a_person_is_not_a_hanging_tool_however_long_it_lasts() -> None:
    call = M("tool:a", "tool_call", 30, {"escalated": True})
    day_ms = 86_400_000

    assert judge([ACCEPTED, STARTED, call], now_ms=day_ms)["t1"] == ("waiting", None, "waiting.tool")
    decided = judge([ACCEPTED, STARTED, call, M("tool:a", "approved", 40)], now_ms=day_ms)["t1"]
    assert decided == ("stuck", "tool_hang", "tool_hang.no_result")
