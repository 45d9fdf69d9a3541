from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

import turnscope
from turnscope import testing
from turnscope.phases import PHASE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from turnscope.testing import Recording
    from turnscope.watch import StuckPhase


class Told:
    """Collects what the watch tells, on a clock that is stepped."""

    def __init__(self) -> None:
        self.stuck: list[StuckPhase] = []
        self.recording: Recording

    def phases(self) -> list[str]:
        return [stuck.phase for stuck in self.stuck]

    def run(self, seconds: float) -> None:
        """Let *seconds* pass with a pulse each."""
        for _ in range(round(seconds)):
            self.recording.clock.step(1)
            self.recording.journal.pulse()


@contextmanager
def watching(budgets: dict[str, tuple[float, float]] | None = None) -> Iterator[Told]:
    told = Told()
    with testing.recorder(on_stuck=told.stuck.append, budgets=budgets) as told.recording:
        yield told


def test_a_wait_past_its_budget_is_told_once() -> None:
    with watching() as told, turnscope.turn("s") as turn, turn.upstream():
        told.run(300)
        assert told.stuck == []

        told.run(600)

    assert told.stuck == [
        turnscope.StuckPhase("turn-1", "s", "upstream:1", "upstream_sent", testing.START_NS, 301.0, "transport")
    ]


def test_a_budget_of_the_gateway_replaces_the_default() -> None:
    with watching({"upstream_sent": (1, 5)}) as told, turnscope.turn("s") as turn, turn.upstream():
        told.run(6)

    assert told.phases() == ["upstream_sent"]


def test_a_stream_counts_from_its_last_chunk() -> None:
    with watching() as told, turnscope.turn("s") as turn, turn.upstream() as upstream:
        upstream.item()
        for _ in range(10):
            told.run(100)
            upstream.progress(1)
        told.run(300)
        assert told.stuck == []
        told.run(1)

    assert told.phases() == ["first_item"]
    assert told.stuck[0].since_ns == testing.START_NS + 1000 * 1_000_000_000
    assert told.stuck[0].age_s == 301.0


def test_keepalives_are_no_progress() -> None:
    with watching() as told, turnscope.turn("s") as turn, turn.upstream() as upstream:
        upstream.headers(200)
        for _ in range(31):
            told.run(10)
            upstream.keepalive()

    assert told.phases() == ["response_headers"]


@pytest.mark.parametrize("wait", ["awaiting_approval", "awaiting_quota"])
def test_a_person_and_a_quota_may_take_their_time(wait: str) -> None:
    with watching() as told, turnscope.turn("s") as turn, turn.phase("tool_call", "a"):
        turn.mark(wait, "a")
        if wait == "awaiting_quota":
            turn.mark("awaiting_approval", "a")
        told.run(4000)

    assert told.stuck == []


@pytest.mark.parametrize(
    ("phases", "stuck"),
    [
        ([], "accepted"),
        (["queued"], "queued"),
        (["started"], "started"),
        (["started", "hydration_started", "hydration_completed"], "hydration_completed"),
        (["started", "upstream_sent", "upstream_completed"], "upstream_completed"),
        (["started", "tool_call", "tool_result"], "tool_result"),
        (["started", "tool_call", "tool_result", "continuation"], "continuation"),
    ],
)
def test_the_gateway_itself_may_be_what_is_waited_for(phases: list[str], stuck: str) -> None:
    with watching() as told:
        turn = turnscope.accept("s")
        for phase in phases:
            turn.mark(phase)
        limit_s = PHASE[stuck].stuck_after_s
        assert limit_s is not None
        told.run(limit_s)
        assert told.stuck == []
        told.run(1)

    assert told.phases() == [stuck]


def test_while_a_tool_runs_the_turn_itself_is_not_stuck() -> None:
    with watching() as told, turnscope.turn("s") as turn, turn.tool("build"):
        told.run(1800)
        assert told.stuck == []
        told.run(1)

    assert told.phases() == ["tool_call"]


def test_a_turn_that_has_ended_is_not_watched() -> None:
    with watching() as told:
        turn = turnscope.accept("s")
        turn.mark("upstream_sent")
        turn.complete()
        told.run(1000)

    assert told.stuck == []


def test_a_stop_that_takes_no_effect_is_told() -> None:
    with watching() as told, turnscope.turn("s") as turn, turn.tool("sleep"), turn.cancel():
        told.run(121)

    assert told.phases() == ["cancel_requested"]


def test_a_client_that_falls_behind_is_told_and_one_that_keeps_up_is_not() -> None:
    with watching() as told, turnscope.turn("s") as turn, turn.tool("build"), turn.renderer("web") as renderer:
        turn.emitted(1)
        renderer.seen(1)
        told.run(900)
        turn.emitted(2)
        told.run(200)
        renderer.seen(2)
        told.run(200)
        assert told.stuck == []
        turn.emitted(3)
        told.run(302)

    assert [(stuck.lane, stuck.cause, stuck.age_s) for stuck in told.stuck] == [("renderer:web", "detachment", 301.0)]


def test_time_in_which_the_process_did_not_run_is_not_held_against_anybody() -> None:
    with watching() as told, turnscope.turn("s") as turn, turn.upstream():
        told.run(100)
        told.recording.clock.step(5000)
        told.recording.journal.pulse()
        told.run(200)
        assert told.stuck == []
        told.run(1)

    assert [stuck.age_s for stuck in told.stuck] == [301.0]


def test_a_gap_before_a_wait_is_not_taken_from_it() -> None:
    with watching() as told, turnscope.turn("s") as turn:
        told.run(1)
        told.recording.clock.step(5000)
        told.recording.journal.pulse()
        with turn.upstream():
            told.run(301)

    assert told.phases() == ["upstream_sent"]


def test_a_wall_clock_that_is_set_does_not_make_a_turn_stuck() -> None:
    with watching() as told, turnscope.turn("s") as turn, turn.upstream():
        told.recording.clock.set_wall(86_400)
        told.run(10)

    assert told.stuck == []


def test_a_callback_that_fails_is_counted_and_the_next_turn_is_told() -> None:
    told: list[str] = []

    def on_stuck(stuck: turnscope.StuckPhase) -> None:
        told.append(stuck.turn_id)
        raise ValueError("the gateway's own")

    with testing.recorder(on_stuck=on_stuck) as recording:
        turnscope.accept("s")
        turnscope.accept("s")
        for _ in range(int(PHASE["accepted"].stuck_after_s or 0) + 5):
            recording.clock.step(1)
            recording.journal.pulse()

    assert told == ["turn-1", "turn-2"]
    assert recording.journal.drops == {"guard": 2}
