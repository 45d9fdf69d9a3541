"""Follows the marks of turns: what each waits in while it is open, and how long each wait was once it is over.

A phase lasts by the rule of the watch: on a lane on which somebody works for the turn until the next mark there; what
the gateway itself is waited for until the turn gets on, and not while somebody works.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple

from turnscope.metrics.names import LONGEST_MODEL, NONE, cause_of_end, cause_of_phase
from turnscope.phases import PHASE, lane_kind
from turnscope.turn import trace_id_of
from turnscope.watch import WORKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from turnscope.ship.story import Step
    from turnscope.watch import Progress

_RECENT: Final = 4096
_HEX: Final = frozenset("0123456789abcdef")
_ASIDE: Final = frozenset({"renderer", "cancel"})
"""Lanes by which the turn itself does not get on."""


class Over(NamedTuple):
    """A wait that is over, or, with an *outcome*, a turn; ``seconds`` is None where its beginning is not known.

    ``span`` is what names the span that shows it: process, turn, lane and the ``seq`` of the lane's first mark.
    """

    phase: str
    outcome: str
    cause: str
    model: str
    seconds: float | None
    trace_id: str
    span: tuple[str, str, str, int] | None


@dataclass(slots=True)
class Seen:
    """The latest mark of a lane, as the watch looks at it; ``first_seq`` is that of the lane's first."""

    lane: str
    phase: str
    mono_ns: int
    wall_ns: int
    seq: int
    slot_index: int | None
    first_seq: int
    model: str
    slot: Progress | None = None


@dataclass(slots=True)
class Followed:
    """A turn as far as one process has it. Without ``first_seq`` the turn itself is another process's."""

    id: str
    process_id: str
    session: str = ""
    trace_id: str = ""
    first_seq: int = 0
    began_ns: int = 0
    model: str = NONE
    cursor: int | None = None
    is_counted: bool = False
    lanes: dict[str, Seen] = field(default_factory=dict)
    last: dict[str, int] = field(default_factory=dict)
    step: Seen | None = None

    def lanes_held(self) -> list[Seen]:
        """Return the latest mark of each open lane."""
        return list(self.lanes.values())

    def last_step(self) -> Seen | None:
        """Return the latest mark by which the turn itself got on."""
        return self.step

    @property
    def is_worked_on(self) -> bool:
        """Whether a lane is open on which somebody works for the turn."""
        return any(lane_kind(lane) in WORKING for lane in self.lanes)


class Ledger:
    """Every open turn, by process; ended ones are only remembered so that their marks do not count twice."""

    def __init__(self) -> None:
        self.turns: dict[tuple[str, str], Followed] = {}
        self._ended: OrderedDict[tuple[str, str], int] = OrderedDict()
        self._owners: dict[str, str] = {}

    def take(self, step: Step) -> list[Over]:
        """Take the next mark; return what is over with it. A mark that was there before changes nothing."""
        phase = PHASE.get(step.phase)
        key = (step.process_id, step.turn)
        if phase is None or not self._is_new(key, step):
            return []
        turn = self.turns.get(key)
        if turn is None:
            turn = self.turns[key] = Followed(step.turn, step.process_id, step.session, trace_id_of(step.turn))
        if _begins(step):
            self._begin(turn, step)
        turn.last[step.lane] = step.seq
        over = [] if turn.is_counted else list(_reach(turn, step))
        if phase.lane == "turn" and phase.terminal:
            over += [] if turn.is_counted else [_ended(turn, step)]
            self._forget(key, step.seq)
        elif not turn.first_seq and not turn.lanes:
            del self.turns[key]  # a forked child has done its part of a turn of its parent's
        return over

    def processes(self) -> dict[str, list[Followed]]:
        """Return the turns that are followed, by process."""
        found: dict[str, list[Followed]] = {}
        for turn in tuple(self.turns.values()):
            found.setdefault(turn.process_id, []).append(turn)
        return found

    def lose(self, turn: Followed, horizon_ns: int) -> list[Over]:
        """Return what is over with a turn whose process was alive until *horizon_ns*, its monotonic clock; once.

        It stays open: nobody has told its user yet.
        """
        if turn.is_counted:
            return []
        turn.is_counted = True
        waits = [seen for seen in turn.lanes.values() if lane_kind(seen.lane) in WORKING]
        if not waits and turn.step is not None:
            waits = [turn.step]
        over = [_over(turn, seen, horizon_ns - seen.mono_ns) for seen in waits]
        return [*over, _end(turn, "interrupted", "process_lost", horizon_ns - turn.began_ns)]

    def forget(self, turn: Followed) -> None:
        """Follow *turn* no more."""
        self._forget((turn.process_id, turn.id), max(turn.last.values(), default=0))

    def _is_new(self, key: tuple[str, str], step: Step) -> bool:
        turn = self.turns.get(key)
        if turn is not None:
            return step.seq > turn.last.get(step.lane, 0)
        ended = self._ended.get(key)
        # After its end only a new beginning under the same id counts: what a client or a stop does then is no wait.
        return ended is None or (step.seq > ended and _begins(step))

    def _begin(self, turn: Followed, step: Step) -> None:
        before = self.turns.get((self._owners.get(turn.id, ""), turn.id))
        if before is not None and before is not turn:
            self.forget(before)  # it goes on here
        self._owners[turn.id] = turn.process_id
        turn.first_seq, turn.began_ns = step.seq, step.mono_ns
        turn.session = step.session
        trace = step.attrs.get("trace")
        if isinstance(trace, str) and len(trace) == 32 and _HEX.issuperset(trace):
            turn.trace_id = trace

    def _forget(self, key: tuple[str, str], seq: int) -> None:
        self.turns.pop(key, None)
        if self._owners.get(key[1]) == key[0]:
            del self._owners[key[1]]
        self._ended[key] = seq
        while len(self._ended) > _RECENT:
            self._ended.popitem(last=False)


def _begins(step: Step) -> bool:
    return step.phase == "accepted" or step.attrs.get("resumed") is True


def _reach(turn: Followed, step: Step) -> Iterator[Over]:
    """Let *turn* reach a phase; yield the waits that end with it."""
    phase = PHASE[step.phase]
    kind, worked_on, before = phase.lane, turn.is_worked_on, turn.lanes.get(step.lane)
    if before is not None and (kind in WORKING or kind == "cancel"):
        yield _over(turn, before, step.mono_ns - before.mono_ns)
    if kind not in _ASIDE and turn.step is not None and not worked_on:
        yield _over(turn, turn.step, step.mono_ns - turn.step.mono_ns)
    seen = _seen(turn, step, before)
    if phase.terminal:
        turn.lanes.pop(step.lane, None)
    else:
        turn.lanes[step.lane] = seen
    if kind not in _ASIDE:
        turn.step = seen
    if phase.terminal and kind == "turn":
        for held in turn.lanes.values():
            if lane_kind(held.lane) in WORKING or lane_kind(held.lane) == "cancel":
                yield _over(turn, held, step.mono_ns - held.mono_ns)


def _seen(turn: Followed, step: Step, before: Seen | None) -> Seen:
    attrs: Mapping[str, object] = step.attrs
    model, slot = attrs.get("model"), attrs.get("slot")
    named = model[:LONGEST_MODEL] if isinstance(model, str) and model else NONE
    if before is not None and named == NONE:
        named = before.model
    if lane_kind(step.lane) == "upstream" and named != NONE:
        turn.model = named
    return Seen(
        step.lane,
        step.phase,
        step.mono_ns,
        step.wall_ns,
        step.seq,
        slot if isinstance(slot, int) else None,
        step.seq if before is None else before.first_seq,
        named,
    )


def _over(turn: Followed, seen: Seen, lasted_ns: int) -> Over:
    span = (turn.process_id, turn.id, seen.lane, seen.first_seq)
    if lane_kind(seen.lane) == "turn":
        span = (turn.process_id, turn.id, "turn", turn.first_seq)
    model = seen.model if lane_kind(seen.lane) == "upstream" else NONE
    return Over(seen.phase, "", cause_of_phase(seen.phase), model, max(0, lasted_ns) / 1e9, turn.trace_id, span)


def _ended(turn: Followed, step: Step) -> Over:
    cause = cause_of_end(step.phase, step.attrs.get("error_type"))
    return _end(turn, step.phase, cause, step.mono_ns - turn.began_ns)


def _end(turn: Followed, outcome: str, cause: str, lasted_ns: int) -> Over:
    if not turn.first_seq:
        return Over("", outcome, cause, turn.model, None, turn.trace_id, None)
    span = (turn.process_id, turn.id, "turn", turn.first_seq)
    return Over("", outcome, cause, turn.model, max(0, lasted_ns) / 1e9, turn.trace_id, span)
