"""For each cause: the case, the near miss, the same wait closed, a damaged and an empty capture."""

from __future__ import annotations

from typing import NamedTuple

import pytest

from turnscope.phases import CAUSES, PHASE
from turnscope_analyzer.rules import RULES
from verdict_kit import ACCEPTED, SENT, STARTED, M, judge, process


class Case(NamedTuple):
    """Marks that end in a wait; the rule that claims it past its budget; the marks that end the wait well."""

    rule: str
    marks: tuple[M, ...]
    after: tuple[M, ...]

    @property
    def cause(self) -> str:
        return self.rule.partition(".")[0]

    @property
    def limit_ms(self) -> int:
        """When the last mark's wait is past its budget."""
        last = self.marks[-1]
        budget_s = PHASE[last.phase].stuck_after_s
        assert budget_s is not None
        return last.ms + int(budget_s * 1000)


HEADERS = M("upstream:1", "response_headers", 400)
DONE = M("turn", "completed", 900_000)
ANSWERED = (M("upstream:1", "upstream_completed", 899_000), DONE)
TOOL = (ACCEPTED, STARTED, SENT, M("upstream:1", "upstream_completed", 800), M("tool:a", "tool_call", 810))
RESULT = (*TOOL, M("tool:a", "tool_result", 900))
FOLLOW_UP = (
    M("upstream:2", "upstream_sent", 899_000, {"step": 2}),
    M("upstream:2", "upstream_completed", 899_500),
    DONE,
)
COMPACTING = (ACCEPTED, STARTED, M("compaction", "compaction_started", 10))


def failed(error_type: str, **attrs: object) -> M:
    return M("upstream:1", "upstream_failed", 500, {"error_type": error_type, **attrs})


CASES = (
    Case("silent_drop.never_started", (ACCEPTED,), (M("turn", "started", 899_000), DONE)),
    Case("queue_blocked.not_moving", (ACCEPTED, M("turn", "queued", 5)), (M("turn", "started", 899_000), DONE)),
    Case("pre_start.never_sent", (ACCEPTED, STARTED), (M("upstream:1", "upstream_sent", 898_000), *ANSWERED)),
    Case("hydration.open", (ACCEPTED, STARTED, M("hydration", "hydration_started", 10)),
         (M("hydration", "hydration_completed", 899_000), DONE)),
    Case("transport.no_headers", (ACCEPTED, STARTED, SENT), ANSWERED),
    Case("transport.not_retried", (ACCEPTED, STARTED, SENT, failed("connection_reset")),
         (M("upstream:2", "upstream_sent", 898_000), M("upstream:2", "upstream_completed", 899_000), DONE)),
    Case("quota_or_auth.retry_loop", (ACCEPTED, STARTED, SENT, failed("rate_limited", status=429)), FOLLOW_UP),
    Case("context_length.exceeded", (ACCEPTED, STARTED, SENT, failed("context_length_exceeded")), FOLLOW_UP),
    Case("context_length.too_many_bytes", (ACCEPTED, STARTED, SENT, failed("request_too_large")), FOLLOW_UP),
    Case("model_stall.after_headers", (ACCEPTED, STARTED, SENT, HEADERS), ANSWERED),
    Case("model_stall.after_first_byte", (ACCEPTED, STARTED, SENT, M("upstream:1", "first_byte", 500)), ANSWERED),
    Case("model_stall.before_first_item", (ACCEPTED, STARTED, SENT, M("upstream:1", "first_event", 500)), ANSWERED),
    Case("model_stall.mid_stream", (ACCEPTED, STARTED, SENT, M("upstream:1", "first_item", 500)), ANSWERED),
    Case("model_stall.keepalives_only",
         (ACCEPTED, STARTED, SENT, M("upstream:1", "response_headers", 400, {"live_keepalives": 9})), ANSWERED),
    Case("tool_hang.no_result", TOOL, (M("tool:a", "tool_result", 899_000), *FOLLOW_UP)),
    Case("continuation_loss.after_tool_result", RESULT, FOLLOW_UP),
    Case("continuation_loss.after_denial",
         (*TOOL, M("tool:a", "awaiting_approval", 820), M("tool:a", "denied", 900)),
         (M("tool:a", "tool_result", 898_000), *FOLLOW_UP)),
    Case("continuation_loss.after_response",
         (ACCEPTED, STARTED, SENT, M("upstream:1", "upstream_completed", 700)), (DONE,)),
    Case("continuation_loss.after_compaction", (*COMPACTING, M("compaction", "compaction_completed", 50)), FOLLOW_UP),
    Case("pre_start.follow_up_never_sent", (*RESULT, M("continuation", "continuation", 950)), FOLLOW_UP),
    Case("compaction.open", COMPACTING, (M("compaction", "compaction_completed", 898_000), *FOLLOW_UP)),
    Case("compaction.not_handled", (*COMPACTING, M("compaction", "compaction_failed", 50)), FOLLOW_UP),
    Case("hydration.not_handled",
         (ACCEPTED, STARTED, M("hydration", "hydration_started", 10), M("hydration", "hydration_failed", 60)),
         FOLLOW_UP),
)  # fmt: skip

by_rule = pytest.mark.parametrize("case", CASES, ids=lambda case: case.rule)


@by_rule
def test_a_wait_at_its_budget_is_stuck_for_its_cause(case: Case) -> None:
    verdicts = judge(case.marks, now_ms=case.limit_ms)

    assert verdicts == {"t1": ("stuck", case.cause, case.rule)}


@by_rule
def test_a_millisecond_less_is_not_stuck(case: Case) -> None:
    verdicts = judge(case.marks, now_ms=case.limit_ms - 1)

    assert verdicts["t1"].state in {"slow", "waiting"}


@by_rule
def test_the_same_wait_is_only_slow_once_it_is_over(case: Case) -> None:
    verdicts = judge((*case.marks, *case.after), now_ms=10_000_000)

    assert verdicts["t1"].state in {"slow", "healthy"}


@by_rule
def test_a_short_wait_that_is_over_is_healthy(case: Case) -> None:
    soon = [mark._replace(ms=case.marks[-1].ms + place) for place, mark in enumerate(case.after, 1)]

    verdicts = judge((*case.marks, *soon), now_ms=10_000_000)

    assert verdicts == {"t1": ("healthy", None, "healthy.completed")}


@by_rule
def test_a_wait_past_its_budget_keeps_its_cause_when_the_process_dies(case: Case) -> None:
    verdicts = judge(case.marks, process(fate="killed", now_ms=case.limit_ms))

    assert verdicts == {"t1": ("orphaned", case.cause, case.rule)}


@by_rule
def test_a_process_that_dies_before_the_budget_is_what_happened(case: Case) -> None:
    verdicts = judge(case.marks, process(fate="killed", now_ms=case.limit_ms - 1))

    assert verdicts == {"t1": ("orphaned", "process_lost", "process_lost.killed")}


@by_rule
def test_a_capture_whose_begin_is_lost_says_the_same(case: Case) -> None:
    rest = [mark for mark in case.marks if mark.phase != "accepted"] or [*case.marks]

    verdicts = judge(rest, now_ms=case.limit_ms)

    assert verdicts == {"t1": ("stuck", case.cause, case.rule)}


@by_rule
def test_time_in_which_the_process_did_not_run_is_nobodys_wait(case: Case) -> None:
    begin = case.marks[-1].ms

    verdicts = judge(case.marks, process(now_ms=case.limit_ms, frozen_ms=[(begin + 1000, begin + 1001)]))

    assert verdicts["t1"].state in {"slow", "waiting"}


@by_rule
def test_a_limit_that_the_user_sets_holds(case: Case) -> None:
    last = case.marks[-1]

    verdicts = judge(case.marks, now_ms=last.ms + 2000, budgets={last.phase: 2})

    assert verdicts == {"t1": ("stuck", case.cause, case.rule)}


FAILURES = (
    ("transport.failed", (ACCEPTED, STARTED, SENT, failed("stream_cut"))),
    ("quota_or_auth.refused", (ACCEPTED, STARTED, SENT, failed("unauthorized", status=401))),
    ("context_length.exceeded", (ACCEPTED, STARTED, SENT, failed("context_length_exceeded"))),
    ("context_length.too_many_bytes", (ACCEPTED, STARTED, SENT, failed("request_too_large", status=413))),
    ("model_stall.idle_timeout", (ACCEPTED, STARTED, SENT, HEADERS, failed("idle_timeout"))),
    ("model_stall.answer_timeout", (ACCEPTED, STARTED, SENT, failed("answer_timeout"))),
    ("tool_hang.timed_out", (ACCEPTED, STARTED, SENT, failed("tool_timeout"))),
    ("silent_drop.given_up", (ACCEPTED, STARTED, failed("dropped"))),
    ("compaction.failed", (*COMPACTING, M("compaction", "compaction_failed", 50, {"error_type": "other"}))),
    ("hydration.failed", (ACCEPTED, STARTED, M("hydration", "hydration_failed", 50, {"error_type": "other"}))),
    ("unknown.failed_without_reason", (ACCEPTED, STARTED)),
    ("unknown.other_error", (ACCEPTED, STARTED, SENT, failed("bad_request", status=400))),
)  # fmt: skip


@pytest.mark.parametrize(("rule", "marks"), FAILURES, ids=[rule for rule, _ in FAILURES])
def test_a_turn_that_failed_says_why(rule: str, marks: tuple[M, ...]) -> None:
    verdicts = judge((*marks, M("turn", "failed", 600)), now_ms=1000)

    assert verdicts == {"t1": ("failed", rule.partition(".")[0], rule)}


def test_nothing_recorded_is_nothing_said() -> None:
    assert judge((), now_ms=10_000_000) == {}


def test_each_cause_has_a_case() -> None:
    elsewhere = {"detachment", "process_lost"}

    assert {case.cause for case in CASES} | {rule.partition(".")[0] for rule, _ in FAILURES} | elsewhere == set(CAUSES)


def test_each_rule_of_a_wait_has_a_case() -> None:
    waits = {rule.name for rule in RULES if 20 <= rule.rank <= 30}

    assert waits - {case.rule for case in CASES} == {"transport.retry_loop"}
