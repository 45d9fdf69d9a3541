"""Several views of one turn as one set of marks.

The same turn may stand in a rollout, in a log database and in exported telemetry. Each view shows other phases, and
numbers the requests in its own way: their lanes cannot simply be laid over each other. Requests are taken from
the view with the most detail, and from the others only what is later than all that it shows.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import chain
from typing import TYPE_CHECKING, Final, NamedTuple

from turnscope.phases import PHASE, lane_kind

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from turnscope_analyzer.model import Fate, Mark, Process

_FATES: Final[tuple[Fate, ...]] = ("running", "killed", "ended", "unknown")
"""The surest first: who holds a lock lives, whatever another view could not tell."""

_REQUESTS: Final = frozenset({"upstream", "continuation"})
_SLACK_NS: Final = 2_000_000_000
"""Two views may write the same moment down so far apart."""


class Joined(NamedTuple):
    """One turn from all its views: its marks in order, and the process that they are put under."""

    marks: list[Mark]
    process: Process


def join(marks: Iterable[Mark], processes: Mapping[str, Process]) -> Joined:
    """Join the marks of one turn, which stand under two or more of *processes*.

    Returns:
        The marks under one process that knows what any of them knew. Each mark keeps its file and offset.
    """
    views: dict[str, list[Mark]] = {}
    for mark in marks:
        views.setdefault(mark.process_id, []).append(mark)
    ranked = sorted(views, key=lambda name: (-processes[name].detail, name))
    process = _process([processes[name] for name in ranked])
    chosen = [*_requests([views[name] for name in ranked]), *_others([views[name] for name in ranked])]
    chosen.sort(key=lambda mark: (mark.at_ns, PHASE[mark.phase].terminal, mark.seq, mark.phase))
    turn_id = chosen[0].turn_id
    session_id = next((mark.session_id for mark in chosen if mark.session_id), "")
    placed = [
        mark._replace(turn_id=turn_id, session_id=session_id, seq=seq, process_id=process.process_id)
        for seq, mark in enumerate(chosen)
    ]
    return Joined(placed, process)


def _process(views: Sequence[Process]) -> Process:
    latest = max(views, key=lambda view: view.horizon_ns)
    surest = min(views, key=lambda view: _FATES.index(view.fate))
    budgets: dict[str, tuple[float, float]] = {}
    for view in reversed(views):
        budgets |= view.budgets
    return replace(
        views[0],
        process_id="+".join(view.process_id for view in views),
        fate=surest.fate,
        horizon_ns=latest.horizon_ns,
        horizon_why=latest.horizon_why,
        file=latest.file,
        shows_requests=any(view.shows_requests for view in views),
        shows_ends=any(view.shows_ends for view in views),
        budgets=budgets,
        gaps=tuple(chain.from_iterable(view.gaps for view in views)),
        clock_steps=max(view.clock_steps for view in views),
    )


def _requests(views: Sequence[Sequence[Mark]]) -> Iterator[Mark]:
    """Yield the marks of requests: the first view's, then of each other what happened after all before."""
    until_ns = 0
    for number, view in enumerate(views):
        own = [mark for mark in view if lane_kind(mark.lane) in _REQUESTS and mark.at_ns > until_ns]
        if not own:
            continue
        for mark in own:
            # Requests are numbered by each view alone.
            yield (
                mark
                if number == 0 or lane_kind(mark.lane) != "upstream"
                else mark._replace(lane=f"{mark.lane}.{number}")
            )
        until_ns = max(mark.at_ns for mark in own) + _SLACK_NS


def _others(views: Sequence[Sequence[Mark]]) -> Iterator[Mark]:
    """Yield one mark for each phase of the other lanes, from the view that knows its time best."""
    best: dict[tuple[str, str, int], Mark] = {}
    for view in views:
        count: dict[tuple[str, str], int] = {}
        for mark in sorted(view, key=lambda mark: (mark.at_ns, mark.seq)):
            if lane_kind(mark.lane) in _REQUESTS:
                continue
            if mark.lane == "turn" and PHASE[mark.phase].terminal:
                # A turn has one end; views may differ in how they call it.
                name = (mark.lane, "", 0)
            else:
                times = count.get((mark.lane, mark.phase), 0)
                count[mark.lane, mark.phase] = times + 1
                name = (mark.lane, mark.phase, times)
            held = best.get(name)
            if held is None or (held.attrs.get("late") and not mark.attrs.get("late")):
                best[name] = mark if held is None else mark._replace(attrs={**held.attrs, **mark.attrs, "late": None})
    return iter(best.values())
