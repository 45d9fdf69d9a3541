from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given

from reports import MS, STALLED, T0, S, assert_golden, verdicts
from turnscope_analyzer.model import Stretch, Verdict
from turnscope_analyzer.report.layout import ASCII, Style, columns
from turnscope_analyzer.report.path import Segment, span_of, time_path
from turnscope_analyzer.report.waterfall import MAX_ROWS, render_path, render_waterfall


def turn(*stretches: tuple[str, str, float, float | None], horizon_s: float = 100, wait: int | None = None) -> Verdict:
    """Return a turn of (lane, phase, from, until), in seconds; it waits in the stretch number *wait*."""
    made = tuple(
        Stretch(lane, phase, T0 + int(begin * S), None if end is None else T0 + int(end * S), "")
        for lane, phase, begin, end in stretches
    )
    lane, phase = (None, None) if wait is None else stretches[wait][:2]
    return replace(STALLED, stretches=made, lane=lane, phase=phase, horizon_ns=T0 + int(horizon_s * S))


def test_a_row_a_stretch_with_its_bar_on_one_time_axis() -> None:
    assert_golden("waterfall_stalled.txt", render_waterfall(STALLED, 100))


def test_eighty_columns_and_ascii_are_enough() -> None:
    text = render_waterfall(STALLED, 80, ASCII)

    assert text.isascii()
    assert_golden("waterfall_ascii.txt", text)


def test_parallel_tools_stand_below_one_another() -> None:
    parallel = turn(
        ("turn", "accepted", 0, 0.5),
        ("turn", "started", 0.5, None),
        ("upstream:1", "upstream_sent", 1, 3),
        ("tool:call_a", "tool_call", 4, 10),
        ("tool:call_b", "tool_call", 4, None),
        ("renderer:web", "renderer_attached", 0, None),
        wait=4,
    )

    assert_golden("waterfall_parallel.txt", render_waterfall(parallel, 80))


def test_a_turn_without_stretches_says_so() -> None:
    bare = replace(STALLED, stretches=())

    assert render_waterfall(bare, 80) == "no stretch of this turn is on record\n"
    assert render_path(bare, Style()) == ""


def test_the_middle_of_a_very_long_turn_is_left_out_and_counted() -> None:
    long = turn(*[("turn", "started", n, n + 1) for n in range(MAX_ROWS + 50)])

    lines = render_waterfall(long, 80).splitlines()

    assert sum(" started " in line for line in lines) == MAX_ROWS
    assert lines[-1] == "50 stretches in the middle of the turn are not drawn"
    assert lines[-2].startswith("turn started  +4 min 9 s")


def test_an_open_phase_is_marked_in_words() -> None:
    waits = turn(("turn", "accepted", 0, 1), ("turn", "started", 1, None), wait=1)

    assert render_waterfall(waits, 80).splitlines()[-1].endswith("▌ …open")
    assert render_path(waits, Style()).endswith("▋ …open")


def test_a_phase_that_has_only_just_begun_is_still_shown_as_open() -> None:
    begun = turn(("turn", "accepted", 0, 5), ("turn", "started", 5, None), horizon_s=5, wait=1)

    assert time_path(begun) == [Segment("accepted", 5 * S, open=False), Segment("started", 0, open=True)]
    assert render_path(begun, Style()).endswith(" → started 0 ms …open")


def test_a_phase_that_nothing_waits_in_is_never_open() -> None:
    ended = turn(("turn", "started", 0, 5), ("turn", "completed", 5, None))

    assert "open" not in render_waterfall(ended, 80)
    assert time_path(ended) == [Segment("started", 5 * S, open=False)]


@pytest.mark.parametrize(
    ("stretches", "wait", "path"),
    [
        pytest.param(
            [("turn", "started", 0, None), ("upstream:1", "upstream_sent", 10, 30)],
            0,
            [("started", 10), ("upstream_sent", 20), ("started", 70)],
            id="the turn's own phase shows between pieces of work",
        ),
        pytest.param(
            [("turn", "started", 0, 100), ("tool:a", "tool_call", 10, 60), ("tool:b", "tool_call", 20, 40)],
            None,
            [("started", 10), ("tool_call", 50), ("started", 40)],
            id="parallel tools are one wait",
        ),
        pytest.param(
            [("upstream:1", "first_item", 0, None), ("tool:a", "tool_call", 10, 60)],
            0,
            [("first_item", 100)],
            id="what the verdict names wins",
        ),
        pytest.param(
            [("turn", "started", 0, 100), ("renderer:web", "renderer_attached", 0, None)],
            None,
            [("started", 100)],
            id="a client that looks on holds nothing up",
        ),
        pytest.param(
            [("turn", "started", 0, 40), ("renderer:web", "renderer_detached", 20, None)],
            1,
            [("started", 20), ("renderer_detached", 80)],
            id="unless it is the cause",
        ),
        pytest.param(
            [("turn", "queued", 0, 10), ("turn", "started", 30, 40)],
            None,
            [("queued", 10), ("started", 10)],
            id="time without a record is left out",
        ),
    ],
)
def test_the_path_names_the_one_wait_at_each_moment(
    stretches: list[tuple[str, str, float, float | None]], wait: int | None, path: list[tuple[str, int]]
) -> None:
    found = time_path(turn(*stretches, wait=wait))

    assert [(segment.phase, segment.length_ns // S) for segment in found] == path


def test_short_phases_are_summed_up_where_they_stand() -> None:
    busy = turn(
        *[("upstream:1", f"phase_{n}", n, n + 1) for n in range(30)],
        ("upstream:2", "upstream_sent", 30, 60),
        *[("tool:a", f"phase_{n}", n, n + 1) for n in range(60, 65)],
        ("upstream:3", "first_byte", 65, None),
        wait=36,
    )

    line = render_path(busy, Style(width=100))

    assert line.startswith("  …30 more 30.0 s → upstream_sent 30.0 s ")
    assert " → …5 more 5.0 s → first_byte 35.0 s " in line
    assert line.endswith(" …open")


def test_bars_are_as_long_as_their_share_of_the_time() -> None:
    shared = turn(("turn", "queued", 0, 25), ("turn", "started", 25, 100))

    queued, started = render_path(shared, Style(width=120)).split("→")

    assert (queued.count("█"), started.count("█")) == (10, 30)


def test_a_stretch_that_ends_before_it_begins_takes_no_time() -> None:
    stepped = turn(("turn", "started", 10, 5), ("turn", "queued", 0, 10))

    assert time_path(stepped) == [Segment("queued", 10 * S, open=False)]
    assert "+10.0 s   0 ms" in render_waterfall(stepped, 80)


def test_nothing_is_drawn_past_the_horizon() -> None:
    waits = turn(("turn", "started", 0, None), horizon_s=0.25, wait=0)

    assert time_path(waits) == [Segment("started", 250 * MS, open=True)]


@given(verdicts)
def test_the_path_never_takes_longer_than_the_turn(verdict: Verdict) -> None:
    path, span = time_path(verdict), span_of(verdict)

    assert sum(segment.length_ns for segment in path) <= (span.length_ns if span else 0)
    assert all(segment.length_ns > 0 or segment.open for segment in path)
    assert not any(segment.open for segment in path[:-1])
    assert all(before.phase != after.phase for before, after in pairwise(path))


@given(verdicts)
def test_any_turn_is_drawn_within_its_width(verdict: Verdict) -> None:
    for width in (0, 48, 79, 132):
        lines = [*render_waterfall(verdict, width).splitlines(), render_path(verdict, Style(max(width, 48)))]

        assert max(map(columns, lines)) <= max(width, 48)
