"""Several views of one turn as one set of marks.

The same turn may stand in an agent's own files, in its log and in exported telemetry. Each view shows other phases,
and numbers the requests in its own way: their lanes cannot simply be laid over each other. Requests are taken from
the view with the most detail, and from the others only what is earlier or later than all that it shows.
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
_ONLOOKERS: Final = frozenset({"renderer", "cancel"})
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
    lived_ns = max(until_ns(mark) for mark in chosen)
    # Each view closes a turn that its process has left at the last that it knows of it.
    chosen = [
        mark._replace(at_ns=lived_ns, wall_ns=lived_ns) if mark.attrs.get("recovered") else mark for mark in chosen
    ]
    chosen.sort(key=lambda mark: (mark.at_ns, PHASE[mark.phase].terminal, mark.seq, mark.phase))
    process = replace(process, shows_requests=_shows_requests(chosen, [processes[name] for name in ranked]))
    turn_id = chosen[0].turn_id
    session_id = next((mark.session_id for mark in chosen if mark.session_id), "")
    placed = [
        mark._replace(turn_id=turn_id, session_id=session_id, seq=seq, process_id=process.process_id)
        for seq, mark in enumerate(chosen)
    ]
    return Joined(placed, process)


def until_ns(mark: Mark) -> int:
    """Return the last that is known of a phase: the newest progress of its stream, or its begin."""
    progress_ns = mark.attrs.get("live_progress_at")
    return max(mark.at_ns, progress_ns) if isinstance(progress_ns, int) else mark.at_ns


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


def _shows_requests(chosen: Sequence[Mark], views: Sequence[Process]) -> bool:
    """Tell whether a request that followed the turn's last mark would be among *chosen*.

    A view that ends before it, as one does that is written now and then, cannot show that none was sent.
    """
    work = [mark for mark in chosen if lane_kind(mark.lane) not in _ONLOOKERS]
    last = max(work, key=lambda mark: mark.at_ns, default=None)
    waits_for_one = last is not None and lane_kind(last.lane) == "upstream" and not PHASE[last.phase].terminal
    due_ns = 0 if last is None or waits_for_one else last.at_ns + _SLACK_NS
    return any(view.shows_requests and view.horizon_ns >= due_ns for view in views)


def _requests(views: Sequence[Sequence[Mark]]) -> Iterator[Mark]:
    """Yield the marks of requests: the first view's, then of each other what lies outside all before."""
    shown: list[Mark] = []
    for number, view in enumerate(views):
        own = [mark for mark in view if lane_kind(mark.lane) in _REQUESTS]
        if not shown:
            shown = own
            continue
        first_ns, last_ns = min(mark.at_ns for mark in shown), max(mark.at_ns for mark in shown)
        before = [mark for mark in own if mark.at_ns < first_ns - _SLACK_NS]
        after = [mark for mark in own if mark.at_ns > last_ns + _SLACK_NS]
        shown += [*_renumbered(before, number, {}), *_gone_on(after, number, shown)]
    yield from shown


def _gone_on(after: Sequence[Mark], number: int, shown: Sequence[Mark]) -> Iterator[Mark]:
    """Yield the marks *after* those *shown*; a request that is open there is the one that goes on here."""
    ordered = sorted(after, key=lambda mark: (mark.at_ns, mark.seq))
    first = next((mark for mark in ordered if lane_kind(mark.lane) == "upstream"), None)
    lane = _open_lane(shown)
    goes_on = {first.lane: lane} if first is not None and lane is not None else {}
    for mark, placed in zip(ordered, _renumbered(ordered, number, goes_on), strict=True):
        yield _with_progress([m for m in shown if m.lane == lane], placed) if goes_on and mark is first else placed


def _open_lane(marks: Iterable[Mark]) -> str | None:
    """Return the lane of the last request if it has not ended."""
    upstream = [mark for mark in marks if lane_kind(mark.lane) == "upstream"]
    last = max(upstream, key=lambda mark: (mark.at_ns, mark.seq), default=None)
    return last.lane if last is not None and not PHASE[last.phase].terminal else None


def _renumbered(marks: Iterable[Mark], number: int, lanes: Mapping[str, str]) -> Iterator[Mark]:
    """Yield *marks* on lanes of their own: requests are numbered by each view alone."""
    for mark in marks:
        own = lanes.get(mark.lane) or f"{mark.lane}.{number}"
        yield mark._replace(lane=own) if lane_kind(mark.lane) == "upstream" else mark


def _with_progress(marks: Sequence[Mark], until: Mark) -> Mark:
    """Return the mark that goes on with an open request, with what was counted in that until then."""
    counted = max(marks, key=lambda mark: (mark.at_ns, mark.seq)).attrs
    if not counted.get("live_chunks"):
        return until
    progress = {"chunks": counted["live_chunks"], "progress_at": counted.get("live_progress_at")}
    return until._replace(attrs={**progress, **until.attrs})


def _others(views: Sequence[Sequence[Mark]]) -> Iterator[Mark]:
    """Yield one mark for each phase of the other lanes, from the view that knows its time best."""
    best: dict[tuple[str, str, int], Mark] = {}
    for view in views:
        count: dict[tuple[str, str], int] = {}
        for mark in sorted(view, key=lambda mark: (mark.at_ns, mark.seq)):
            if lane_kind(mark.lane) in _REQUESTS or (view is not views[0] and _is_disproved(mark, views[0])):
                continue
            if mark.lane == "turn" and PHASE[mark.phase].terminal:
                # A turn has one end; views may differ in how they call it.
                name = (mark.lane, "", 0)
            else:
                times = count.get((mark.lane, mark.phase), 0)
                count[mark.lane, mark.phase] = times + 1
                name = (mark.lane, mark.phase, times)
            held = best.get(name)
            best[name] = mark if held is None else _better(held, mark)
    return iter(best.values())


def _is_disproved(mark: Mark, view: Sequence[Mark]) -> bool:
    """Tell whether *mark* is a compaction that was only inferred, and *view* shows a request of the turn instead."""
    if mark.phase != "compaction_started" or mark.attrs.get("kind") != "likely":
        return False
    kinds = {lane_kind(other.lane) for other in view if other.at_ns >= mark.at_ns - _SLACK_NS}
    return "upstream" in kinds and "compaction" not in kinds


def _better(held: Mark, other: Mark) -> Mark:
    """Return of two marks of one moment the one with the better time, with what either knows."""
    if not held.attrs.get("late") or (other.attrs.get("late") and held.at_ns <= other.at_ns):
        return held._replace(attrs={**other.attrs, **held.attrs, "late": held.attrs.get("late")})
    return other._replace(attrs={**held.attrs, **other.attrs, "late": other.attrs.get("late")})
