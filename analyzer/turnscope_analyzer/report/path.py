"""Reduce a turn's overlapping stretches to one path through its time: at each moment the one wait that held it up."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

from turnscope.phases import PHASE, lane_kind

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from turnscope_analyzer.model import Stretch, Verdict

_BESIDE_THE_TURN = frozenset({"renderer", "cancel"})
"""Lanes that run beside the turn's work: they hold a turn up only where the verdict says so."""


class Span(NamedTuple):
    """From the first thing known of a turn to the last, in nanoseconds."""

    from_ns: int
    until_ns: int

    @property
    def length_ns(self) -> int:
        """How long it is, never negative."""
        return max(self.until_ns - self.from_ns, 0)


class Segment(NamedTuple):
    """A part of the path: a phase that held the turn up, for how long, and whether it still does."""

    phase: str
    length_ns: int
    open: bool


def is_open(stretch: Stretch) -> bool:
    """Tell whether something is still waited for; a phase that ends a lane for good is not open."""
    phase = PHASE.get(stretch.phase)
    return stretch.until_ns is None and (phase is None or phase.waits_on is not None)


def span_of(verdict: Verdict) -> Span | None:
    """Return the time that *verdict*'s stretches cover, to the horizon if one is open; None without stretches."""
    if not verdict.stretches:
        return None
    known = [stretch.from_ns for stretch in verdict.stretches]
    known += [stretch.until_ns for stretch in verdict.stretches if stretch.until_ns is not None]
    if verdict.horizon_ns is not None and any(map(is_open, verdict.stretches)):
        known.append(verdict.horizon_ns)
    return Span(min(known), max(known))


def end_of(stretch: Stretch, span: Span) -> int:
    """Return where *stretch* ends: an open one at the end of *span*, one that ends a lane where it begins."""
    if stretch.until_ns is not None:
        return max(stretch.until_ns, stretch.from_ns)
    return span.until_ns if is_open(stretch) else stretch.from_ns


def time_path(verdict: Verdict) -> list[Segment]:
    """Return the path in order of time; no two neighbours have the same phase.

    The last segment is what the turn waits in, if it still does, even where that has only just begun; no other
    segment has length zero.

    Where several stretches overlap, the work that the verdict names wins, then any other work over the turn's
    own lane, then what began last.
    """
    span = span_of(verdict)
    if span is None:
        return []
    path: list[Segment] = []
    for stretch, length_ns in _moments(verdict, span):
        before_ns = path.pop().length_ns if path and path[-1].phase == stretch.phase else 0
        path.append(Segment(stretch.phase, before_ns + length_ns, open=False))
    if (last := _waits_in(verdict)) is not None:
        length_ns = path.pop().length_ns if path and path[-1].phase == last.phase else 0
        path.append(Segment(last.phase, length_ns, open=True))
    return path


def _moments(verdict: Verdict, span: Span) -> Iterator[tuple[Stretch, int]]:
    """Cut the time at each beginning and end, and yield for each piece the stretch that held the turn up."""
    candidates = sorted(_holding_up(verdict), key=lambda stretch: stretch.from_ns)
    cuts = sorted({at for s in candidates for at in (s.from_ns, end_of(s, span))})
    active: list[Stretch] = []
    begun = 0
    for from_ns, until_ns in pairwise(cuts):
        while begun < len(candidates) and candidates[begun].from_ns <= from_ns:
            active.append(candidates[begun])
            begun += 1
        active = [stretch for stretch in active if end_of(stretch, span) > from_ns]
        if active:
            yield max(active, key=lambda stretch: _weight(stretch, verdict)), until_ns - from_ns


def _waits_in(verdict: Verdict) -> Stretch | None:
    waits = filter(is_open, _holding_up(verdict))
    return max(waits, key=lambda stretch: _weight(stretch, verdict), default=None)


def _holding_up(verdict: Verdict) -> Sequence[Stretch]:
    return [
        stretch
        for stretch in verdict.stretches
        if stretch.lane == verdict.lane or lane_kind(stretch.lane) not in _BESIDE_THE_TURN
    ]


def _weight(stretch: Stretch, verdict: Verdict) -> tuple[bool, bool, int]:
    is_work = lane_kind(stretch.lane) != "turn"
    is_named = is_open(stretch) and (stretch.lane, stretch.phase) == (verdict.lane, verdict.phase)
    return (is_work and is_named, is_work, stretch.from_ns)
