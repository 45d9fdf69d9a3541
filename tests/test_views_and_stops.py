"""What the clients of a turn have seen of it, and what a stop came to."""

from __future__ import annotations

import pytest

from turnscope.phases import CANCEL_RESULTS
from verdict_kit import ACCEPTED, DONE, LATE_MS, SENT, STARTED, M, judge, judgements

ATTACHED = M("renderer:web", "renderer_attached", 6)
LEFT = M("renderer:web", "renderer_detached", 500, {"cursor": 3})
WORK = (M("upstream:1", "upstream_sent", 600), M("upstream:1", "upstream_completed", 900))


@pytest.mark.parametrize(
    ("marks", "now_ms", "expected"),
    [
        ((ATTACHED, LEFT, *WORK, DONE), 301_000, ("stuck", "detachment", "detachment.ended_unseen")),
        ((ATTACHED, LEFT, *WORK, DONE), 300_999, ("healthy", None, "healthy.completed")),
        ((ATTACHED, *WORK, LEFT._replace(ms=999), DONE), LATE_MS, ("healthy", None, "healthy.completed")),
        (
            (ATTACHED, *WORK, LEFT._replace(ms=999), DONE._replace(attrs={"cursor": 9})),
            LATE_MS,
            ("stuck", "detachment", "detachment.ended_unseen"),
        ),
        ((ATTACHED, DONE, LEFT._replace(ms=1500)), LATE_MS, ("healthy", None, "healthy.completed")),
        ((ATTACHED, DONE), LATE_MS, ("healthy", None, "healthy.completed")),
        (
            (ATTACHED, LEFT, M("renderer:web", "renderer_attached", 900), DONE),
            LATE_MS,
            ("healthy", None, "healthy.completed"),
        ),
        (
            (ATTACHED._replace(attrs={"live_cursor": 3}), DONE._replace(attrs={"cursor": 9})),
            LATE_MS,
            ("stuck", "detachment", "detachment.client_behind"),
        ),
        (
            (ATTACHED, LEFT, M("tool:a", "tool_call", 600)),
            300_500,
            ("waiting", None, "waiting.tool"),
        ),
        (
            (ATTACHED, LEFT, SENT, M("upstream:1", "first_item", 300_000)),
            300_500,
            ("stuck", "detachment", "detachment.running_unseen"),
        ),
        ((ATTACHED, LEFT, SENT._replace(ms=600)), 600_000, ("stuck", "transport", "transport.no_headers")),
    ],
)
def test_detachment_is_told_by_what_went_on_after_the_client(
    marks: tuple[M, ...], now_ms: int, expected: tuple[str, str | None, str]
) -> None:
    assert judge([ACCEPTED, STARTED, *marks], now_ms=now_ms) == {"t1": expected}


@pytest.mark.parametrize("result", CANCEL_RESULTS)
def test_a_stop_comes_to_what_was_reported(result: str) -> None:
    stop = [M("cancel", "cancel_requested", 100), M("cancel", "cancel_result", 110, {"result": result})]

    (judgement,) = judgements([ACCEPTED, STARTED, SENT, *stop], now_ms=200)

    assert judgement.facts.cancel == result


def test_a_stop_that_is_reported_done_while_the_turn_goes_on_is_still_running() -> None:
    stop = [M("cancel", "cancel_requested", 100), M("cancel", "cancel_result", 110, {"result": "cancelled"})]

    (judgement,) = judgements([ACCEPTED, STARTED, SENT, *stop, M("upstream:1", "first_item", 900)], now_ms=1000)

    assert (judgement.facts.state, judgement.facts.cancel) == ("healthy", "still_running")


def test_a_stop_without_a_report_is_judged_by_the_turns_end() -> None:
    asked = [ACCEPTED, STARTED, M("cancel", "cancel_requested", 100)]

    results = [
        judgements([*asked, *end], now_ms=200)[0].facts.cancel
        for end in ([], *([M("turn", phase, 120)] for phase in ("cancelled", "interrupted", "completed")))
    ]

    assert results == ["unknown", "cancelled", "cancelled", "already_completed"]


def test_an_interrupted_turn_that_somebody_asked_to_stop_was_stopped_by_him() -> None:
    asked = M("cancel", "cancel_requested", 100)
    end = M("turn", "interrupted", 120)

    (stopped,) = judgements([ACCEPTED, STARTED, asked, end], now_ms=200)
    (interrupted,) = judgements([ACCEPTED, STARTED, end], now_ms=200)

    assert (stopped.rule.name, interrupted.rule.name) == ("cancelled.stopped", "cancelled.interrupted")
