"""Follows the marks of all turns and says which lanes have ended: these are the spans.

Each mark counts once, however often segments repeat it. What is open is held, and can be put away and taken up again,
so that reading goes on after a restart where it stood.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from dataclasses import dataclass, field
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

import orjson

from turnscope.phases import PHASE, lane_kind
from turnscope.turn import trace_id_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

How = Literal["ended", "cut", "lost"]
"""``cut``: its turn ended around it. ``lost``: its process is gone."""

_ID: Final = re.compile("(?!0+$)[0-9a-fA-F]+")
_RECENT: Final = 4096
_MOST_STEPS: Final = 128
_BESIDE: Final = frozenset({"renderer", "cancel"})
"""Lanes that go on after their turn has ended."""


class Step(NamedTuple):
    """A mark."""

    turn: str
    session: str
    lane: str
    phase: str
    wall_ns: int
    mono_ns: int
    seq: int
    process_id: str
    attrs: dict[str, Any]


_FIELDS: Final = itemgetter("turn", "session", "lane", "phase", "t", "m", "seq", "proc")
_HIGHEST: Final = 2**63 - 1


def step_in(line: bytes) -> Step | None:
    """Return the mark that stands on *line*; None when it is none, or when no span has room for its numbers."""
    try:
        found = orjson.loads(line)
        turn, session, lane, phase, wall_ns, mono_ns, seq, process_id = _FIELDS(found)
    except (ValueError, KeyError, TypeError):
        return None
    if not (
        (type(turn) is type(session) is type(lane) is type(phase) is type(process_id) is str)
        and (type(wall_ns) is type(mono_ns) is type(seq) is int)
        # What no encoding of a span has room for would have the whole batch refused: one look at the bits of all three.
        and 0 <= wall_ns | mono_ns | seq <= _HIGHEST
    ):
        return None
    attrs = found.get("attrs")
    if type(attrs) is not dict:
        attrs = {}
    # Not by name: that would be one more call in Python for each mark.
    return tuple.__new__(Step, (turn, session, lane, phase, wall_ns, mono_ns, seq, process_id, attrs))


@dataclass(slots=True)
class Episode:
    """A turn as far as one process had it.

    ``first_seq`` names its span, and is 0 where another process, ``owner``, has the turn itself; ``own_span`` is the
    span of the program's own that it was told by, "" where there is none. ``lanes`` has the
    marks of what is open, ``last`` the latest ``seq`` on each lane, ``result`` the tool result that the turn goes on
    from.
    """

    turn: str
    process_id: str
    session: str
    trace_id: str
    parent_id: str = ""
    first_seq: int = 0
    owner: str = ""
    owner_seq: int = 0
    own_span: str = ""
    has_ended: bool = False
    lanes: dict[str, list[Step]] = field(default_factory=dict)
    last: dict[str, int] = field(default_factory=dict)
    result: Step | None = None

    @property
    def is_over(self) -> bool:
        """Whether nothing is open."""
        return not self.lanes and (self.has_ended or not self.first_seq)


class Closed(NamedTuple):
    """What one lane came to: the marks on it without the last, and the one that ended it, where there is one.

    The one mark of a continuation is the result of the tool, as it stands on its own lane.
    """

    episode: Episode
    lane: str
    steps: list[Step]
    end: Step | None
    end_ns: int
    how: How


class Story:
    """Everything that is open, and a few thousand turns that are not any more."""

    def __init__(self) -> None:
        self._open: dict[tuple[str, str], Episode] = {}
        self._recent: OrderedDict[tuple[str, str], Episode] = OrderedDict()

    def __len__(self) -> int:
        return len(self._open)

    def take(self, step: Step) -> tuple[Episode, Sequence[Closed]] | None:
        """Take the next mark.

        Returns:
            The turn that it belongs to, and the lanes that end with it, parents last; None when it was there before.
        """
        turn, _, lane, phase, _, _, seq, process_id, attrs = step
        key = (process_id, turn)
        episode = known = self._open.get(key)
        if episode is None:
            episode = self._recent.get(key)
        if episode is not None and seq <= episode.last.get(lane, 0):
            return None
        begins = phase == "accepted" or (bool(attrs) and attrs.get("resumed") is True)
        if episode is None or (begins and episode.has_ended):
            # A client that stayed attached goes on with the turn when that begins again.
            beside = {} if episode is None else episode.lanes
            episode, known = self._new(step, begins=begins), None
            episode.lanes = beside
        if begins and lane == "turn":
            self._begin(episode, step)
        episode.last[lane] = seq
        closed = _reach(episode, step)
        if known is None or not episode.lanes:
            self._file(key, episode)
        return episode, closed

    def open_of(self, process_id: str) -> list[Episode]:
        """Return the turns that a process has open."""
        return [episode for (owner, _), episode in self._open.items() if owner == process_id]

    def processes(self) -> set[str]:
        """Return the processes that have a turn open."""
        return {process_id for process_id, _ in self._open}

    def lose(self, episode: Episode, horizon_ns: int) -> list[Closed]:
        """End what is open of a turn whose process was alive until *horizon_ns* and is gone."""
        closed = [
            Closed(episode, lane, steps, None, max(horizon_ns, steps[-1].wall_ns), "lost")
            for lane, steps in episode.lanes.items()
        ]
        if episode.result is not None:
            result = episode.result
            closed.append(Closed(episode, "continuation", [result], None, max(horizon_ns, result.wall_ns), "lost"))
        closed.sort(key=lambda one: one.lane == "turn")
        episode.has_ended, episode.lanes, episode.result = True, {}, None
        self._file((episode.process_id, episode.turn), episode)
        return closed

    def put_away(self) -> list[dict[str, Any]]:
        """Return what is open, as JSON has it."""
        return [_as_json(episode) for episode in self._open.values()]

    def take_up(self, kept: list[dict[str, Any]]) -> None:
        """Go on from what `put_away` returned.

        Raises:
            KeyError, TypeError, ValueError: It is something else.
        """
        self._open, self._recent = {}, OrderedDict()
        for one in kept:
            episode = _from_json(one)
            self._open[episode.process_id, episode.turn] = episode

    def _new(self, step: Step, *, begins: bool) -> Episode:
        """Return a turn as another process knows it already, or else a new one."""
        for episode in () if begins else (*self._open.values(), *reversed(self._recent.values())):
            if episode.turn == step.turn:
                # Who only asks for a stop knows the turn's id and not its session.
                session = step.session or episode.session
                known = Episode(step.turn, step.process_id, session, episode.trace_id)
                known.owner, known.owner_seq = episode.owner, episode.owner_seq
                known.own_span = episode.own_span
                return known
        return Episode(step.turn, step.process_id, step.session, trace_id_of(step.turn))

    def _begin(self, episode: Episode, step: Step) -> None:
        episode.first_seq = episode.owner_seq = step.seq
        episode.owner = step.process_id
        episode.trace_id = _hex(step.attrs.get("trace"), 32) or episode.trace_id
        episode.parent_id = _hex(step.attrs.get("parent"), 16) or span_in(step, "span_above")
        episode.own_span = span_in(step, "span")

    def _file(self, key: tuple[str, str], episode: Episode) -> None:
        if not episode.is_over:
            self._open[key] = episode
            self._recent.pop(key, None)
            return
        self._open.pop(key, None)
        self._recent[key] = episode
        while len(self._recent) > _RECENT:
            self._recent.popitem(last=False)


def _reach(episode: Episode, step: Step) -> Sequence[Closed]:
    """Return what ends with a mark, parents last."""
    phase, lane = PHASE.get(step.phase), step.lane
    if phase is None or (lane == "turn" and episode.has_ended):
        return ()
    closed = () if episode.result is None else _continue(episode, step)
    if not phase.terminal:
        steps = episode.lanes.get(lane)
        if steps is None:
            episode.lanes[lane] = [step]
        elif len(steps) < _MOST_STEPS:
            steps.append(step)
        return closed
    if lane == "turn":
        return (*closed, *_end(episode, step))
    steps = episode.lanes.pop(lane, None)
    if steps is None:
        return closed
    if step.phase == "tool_result" and not any(lane_kind(other) == "tool" for other in episode.lanes):
        episode.result = step
    ended = Closed(episode, lane, steps, step, step.wall_ns, "ended")
    return (*closed, ended) if closed else (ended,)


def _end(episode: Episode, step: Step) -> Iterator[Closed]:
    for lane in [lane for lane in episode.lanes if lane != "turn" and lane_kind(lane) not in _BESIDE]:
        yield Closed(episode, lane, episode.lanes.pop(lane), step, step.wall_ns, "cut")
    episode.has_ended = True
    if steps := episode.lanes.pop("turn", []):
        yield Closed(episode, "turn", steps, step, step.wall_ns, "ended")


def _continue(episode: Episode, step: Step) -> Sequence[Closed]:
    """End the wait between a tool's result and the next thing that the turn does about it."""
    goes_on = step.phase in {"continuation", "upstream_sent", "compaction_started", "tool_call"}
    result = episode.result
    if result is None or not (goes_on or PHASE[step.phase].lane == "turn"):
        return ()
    episode.result = None
    return (Closed(episode, "continuation", [result], step, step.wall_ns, "ended"),)


def span_in(step: Step, name: str) -> str:
    """Return the id of a span that the attribute *name* of a mark has as a number, "" where it has none."""
    value = step.attrs.get(name)
    return f"{value % 2**64:016x}" if type(value) is int and value % 2**64 else ""


def _hex(value: object, length: int) -> str:
    """Return *value* if it is an id of that many digits, "" if it is anything else."""
    is_id = isinstance(value, str) and len(value) == length and _ID.fullmatch(value)
    return str(value) if is_id else ""


def _as_json(episode: Episode) -> dict[str, Any]:
    fields = {name: getattr(episode, name) for name in episode.__slots__}
    return fields | {
        "lanes": {lane: [list(step) for step in steps] for lane, steps in episode.lanes.items()},
        "last": episode.last.copy(),
        "result": None if episode.result is None else list(episode.result),
    }


def _from_json(kept: dict[str, Any]) -> Episode:
    lanes = {lane: [Step._make(step) for step in steps] for lane, steps in kept["lanes"].items()}
    result = None if kept["result"] is None else Step._make(kept["result"])
    return Episode(**(kept | {"lanes": lanes, "result": result}))
