"""What the metrics say of the turns of this process, on clocks that are stepped."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

import turnscope
from journal_kit import SECOND_NS
from metrics_kit import stage
from turnscope.metrics import names
from turnscope.turn import trace_id_of

if TYPE_CHECKING:
    from pathlib import Path

    from metrics_kit import Stage


def gauges(on: Stage) -> tuple[dict[tuple[str, ...], float], ...]:
    return tuple(on.figures(name) for name in (names.PHASES_OPEN, names.PHASES_OLDEST, names.TURNS_STUCK))


def test_a_stuck_turn_is_in_the_gauges_while_it_is_stuck(tmp_path: Path) -> None:
    with stage(tmp_path) as on:
        with turnscope.turn("s") as turn, turn.upstream(model="large"):
            on.run(300)
            at_its_budget = gauges(on)
            on.run(42)
            beyond = gauges(on)
            assert on.figures(names.TURNS_OPEN) == {(): 1}
        after = gauges(on)

        waiting = ("transport", "upstream_sent")
        assert at_its_budget == ({waiting: 1}, {waiting: 300}, {})
        assert beyond == ({waiting: 1}, {waiting: 342}, {waiting: 1})
        assert after == ({}, {}, {})
        assert on.figures(names.TURNS_OPEN) == {(): 0}


def test_of_several_turns_the_oldest_wait_counts(tmp_path: Path) -> None:
    with stage(tmp_path) as on:
        first = turnscope.accept("s")
        on.run(100)
        second = turnscope.accept("s")
        on.run(90)

        assert gauges(on) == (
            {("silent_drop", "accepted"): 2},
            {("silent_drop", "accepted"): 190},
            {("silent_drop", "accepted"): 1},
        )
        first.complete()
        second.complete()


def test_a_turn_with_two_stuck_waits_is_one_stuck_turn(tmp_path: Path) -> None:
    with stage(tmp_path) as on, turnscope.turn("s") as turn, turn.tool("build"):
        on.run(1000)
        with turn.cancel():
            on.run(900)

            assert on.figures(names.TURNS_STUCK) == {("tool_hang", "tool_call"): 1}
            assert on.figures(names.PHASES_OPEN) == {("tool_hang", "tool_call"): 1, ("unknown", "cancel_requested"): 1}


def test_a_stream_counts_from_its_last_chunk_and_a_person_may_take_their_time(tmp_path: Path) -> None:
    with stage(tmp_path) as on, turnscope.turn("s") as turn:
        with turn.upstream() as upstream:
            upstream.item()
            on.run(500)
            upstream.progress(10)
            on.run(20)
            assert gauges(on) == ({("model_stall", "first_item"): 1}, {("model_stall", "first_item"): 20}, {})
        turn.mark("tool_call", "a")
        turn.mark("awaiting_approval", "a")
        on.run(5000)

        assert gauges(on) == ({("none", "awaiting_approval"): 1}, {("none", "awaiting_approval"): 5000}, {})


def test_time_in_which_the_process_did_not_run_is_not_held_against_a_turn(tmp_path: Path) -> None:
    with stage(tmp_path) as on, turnscope.turn("s") as turn, turn.upstream():
        on.run(10)
        on.clocks.run(5000)
        on.run(5)

        assert gauges(on)[1:] == ({("transport", "upstream_sent"): 14}, {})


def test_a_budget_of_the_gateway_decides_what_is_stuck(tmp_path: Path) -> None:
    with stage(tmp_path, {"upstream_sent": (1, 5)}) as on, turnscope.turn("s") as turn, turn.upstream():
        on.run(6)

        assert on.figures(names.TURNS_STUCK) == {("transport", "upstream_sent"): 1}


def test_each_phase_is_recorded_with_the_time_that_the_turn_waited_in_it(tmp_path: Path) -> None:
    with stage(tmp_path) as on:
        turn = turnscope.accept("s")
        on.run(1)
        with turn:
            on.run(2)
            with turn.upstream(model="large") as upstream:
                on.run(3)
                upstream.headers(200)
                on.run(4)
                upstream.item()
                on.run(5)
            with turn.tool("shell"):
                on.run(6)
            on.run(7)
            with turn.upstream(model="large"):
                on.run(8)
        on.look()

        seconds = {
            (point.attributes["phase"], point.attributes["model"]): point.sum
            for point in on.points(names.PHASE_DURATION)
        }
        assert {phase: waited for phase, waited in seconds.items() if waited} == {
            ("accepted", "none"): 1,
            ("started", "none"): 2,
            ("upstream_sent", "large"): 3 + 8,
            ("response_headers", "large"): 4,
            ("first_item", "large"): 5,
            ("tool_call", "none"): 6,
            ("tool_result", "none"): 7,
        }
        assert sum(seconds.values()) == on.points(names.TURN_DURATION)[0].sum == 36


def test_tools_at_the_same_time_are_no_wait_of_the_gateway(tmp_path: Path) -> None:
    with stage(tmp_path) as on:
        with turnscope.turn("s") as turn, turn.tool("slow"):
            with turn.tool("quick"):
                on.run(1)
            on.run(30)
        on.look()

        sums = {point.attributes["phase"]: point.sum for point in on.points(names.PHASE_DURATION)}
        assert (sums["tool_call"], sums["tool_result"]) == (32, 0)


@pytest.mark.parametrize(
    ("outcome", "error", "labels"),
    [
        ("completed", None, ("none", "none", "completed")),
        ("failed", "rate_limited", ("quota_or_auth", "none", "failed")),
        ("failed", None, ("unknown", "none", "failed")),
        ("cancelled", None, ("none", "none", "cancelled")),
        ("interrupted", None, ("none", "none", "interrupted")),
    ],
)
def test_a_turn_counts_by_its_end_and_the_cause_of_its_error(
    tmp_path: Path, outcome: str, error: str | None, labels: tuple[str, ...]
) -> None:
    with stage(tmp_path) as on:
        turn = turnscope.accept("s")
        turn.mark(outcome, **({} if error is None else {"error_type": error}))
        on.look()

        assert on.figures(names.TURNS) == {labels: 1}


def test_what_rolling_repeats_counts_once(tmp_path: Path) -> None:
    with stage(tmp_path) as on:
        turn = turnscope.accept("s")
        turn.mark("started")
        filler = turnscope.accept("s")
        for number in range(2000):
            filler.mark("upstream_sent", f"{number % 7}")
        turn.complete()
        filler.complete()
        on.look()
        on.look()

        assert len(list(tmp_path.glob("*.jsonl"))) > 1
        assert sum(on.figures(names.TURNS).values()) == 2
        assert on.figures(names.TURN_DURATION).keys() == {("none", "completed")}


def test_a_message_that_is_tried_again_under_its_id_is_a_turn_each_time(tmp_path: Path) -> None:
    with stage(tmp_path) as on:
        for _ in range(3):
            with turnscope.turn("s", turn_id="message-1"):
                pass
        on.look()

        assert on.figures(names.TURNS) == {("none", "none", "completed"): 3}


def test_models_are_capped_in_number_and_length(tmp_path: Path) -> None:
    with stage(tmp_path) as on:
        for number in range(names.MOST_MODELS + 5):
            with (
                turnscope.turn("s") as turn,
                turn.upstream(model=f"the {number}th " + "very, very " * 20 + "large one"),
            ):
                pass
        on.look()

        models = {model for _, model, _ in on.figures(names.TURNS)}
        assert len(models) == names.MOST_MODELS + 1
        assert names.OTHER in models
        assert max(map(len, models)) == names.LONGEST_MODEL
        assert sum(on.figures(names.TURNS).values()) == names.MOST_MODELS + 5


def test_an_exemplar_has_the_trace_of_its_turn(tmp_path: Path) -> None:
    with stage(tmp_path) as on:
        with turnscope.turn("s", turn_id="t1"):
            on.run(3)
        on.look()

        (point,) = on.points(names.TURN_DURATION)
        assert [f"{exemplar.trace_id:032x}" for exemplar in point.exemplars] == [trace_id_of("t1")]


def test_drops_are_there_before_the_first_one(tmp_path: Path) -> None:
    with stage(tmp_path) as on, turnscope.turn("s") as turn:
        none = on.figures(names.DROPPED)
        turn.mark("no_such_phase")

        assert set(none.values()) == {0}
        assert on.figures(names.DROPPED) == none | {("unknown_phase",): 1}


def test_the_journal_is_as_large_as_its_cap_counts_it(tmp_path: Path) -> None:
    with stage(tmp_path) as on, turnscope.turn("s"):
        size = sum(path.stat().st_size for path in tmp_path.glob("*.jsonl"))

        assert on.figures(names.JOURNAL_SIZE) == {(): size}
        assert size > 0


def test_a_mark_of_a_damaged_clock_makes_no_negative_duration(tmp_path: Path) -> None:
    with stage(tmp_path) as on:
        turn = turnscope.accept("s")
        on.clocks.mono -= 10 * SECOND_NS
        turn.complete()
        on.look()

        assert [point.sum for point in on.points(names.TURN_DURATION)] == [0]
