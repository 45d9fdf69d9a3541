"""What decides between states, and between two causes that both match."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import given, settings
from hypothesis import strategies as st

from turnscope.phases import CAUSES, LANE, PHASES, STATES
from turnscope_analyzer.rules import RULES
from verdict_kit import ACCEPTED, DONE, LATE_MS, SENT, STARTED, M, judge, judgements, process

if TYPE_CHECKING:
    import random


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


def test_a_message_that_was_started_late_was_not_dropped() -> None:
    marks = [ACCEPTED, M("turn", "started", 200_000), M("turn", "completed", 201_000)]

    assert judge(marks, now_ms=LATE_MS)["t1"] == ("slow", "pre_start", "pre_start.started_late")


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
