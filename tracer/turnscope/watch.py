"""Tells the gateway while a turn is stuck, so that it can show an honest error instead of "Thinking".

Each wait is told once. A stream counts from its last chunk, a wait for a person or for a quota never counts, and
time in which the process did not run is not held against anybody.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from turnscope._guard import guard
from turnscope.phases import PHASE, lane_kind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from turnscope.phases import Cause

GAP_NS: Final = 5_000_000_000
"""Two pulses further apart than this: the process did not run in between."""

WORKING: Final = frozenset({"hydration", "upstream", "tool", "compaction", "quota"})
"""Lanes on which somebody works for the turn; as long as one is open, the gateway itself has nothing to do."""


class StuckPhase(NamedTuple):
    """A wait that has passed its budget."""

    turn_id: str
    session: str
    lane: str
    phase: str
    since_ns: int
    """Wall clock of the mark that opened the wait, or of the last sign of progress in it."""
    age_s: float
    """Seconds since then in which the process ran."""
    cause: Cause | None


class Wait(NamedTuple):
    """What an open turn waits in, stuck or not; ``since_ns`` and ``age_s`` as those of a `StuckPhase`."""

    turn_id: str
    session: str
    lane: str
    phase: str
    seq: int
    since_ns: int
    age_s: float
    is_stuck: bool


class Progress(Protocol):
    """What a progress slot says."""

    @property
    def cursor(self) -> int:
        """Events sent, or seen."""

    def figures(self) -> dict[str, int]:
        """Return ``progress_at``, monotonic ns of the last chunk, where there was one."""


class Mark(Protocol):
    """The latest mark of a lane."""

    @property
    def lane(self) -> str:
        """Its lane."""

    @property
    def phase(self) -> str:
        """Its phase."""

    @property
    def mono_ns(self) -> int:
        """Monotonic clock."""

    @property
    def wall_ns(self) -> int:
        """Wall clock."""

    @property
    def seq(self) -> int:
        """Its number."""

    @property
    def slot(self) -> Progress | None:
        """What streams in it."""


class OpenTurn(Protocol):
    """A turn that has not ended."""

    id: str
    session: str

    @property
    def cursor(self) -> int | None:
        """How many events it has sent, None when nobody knows."""

    def lanes_held(self) -> Sequence[Mark]:
        """Return the latest mark of each open lane."""

    def last_step(self) -> Mark | None:
        """Return the latest mark by which the turn itself got on."""


class Watched(Protocol):
    """A process and its open turns: a recorder, or what a journal tells of one."""

    def mono_ns(self) -> int:
        """Return its monotonic clock, at the last moment at which it was known to live."""

    def own_turns(self) -> Iterable[OpenTurn]:
        """Return its open turns."""


class Watch:
    """Applies the budgets to what is open.

    Args:
        watched: Whose turns are watched.
        budgets: (slow, stuck) seconds of the phases that the gateway changed.
        on_stuck: Told each wait once. What it raises is counted and goes no further.
    """

    def __init__(
        self,
        watched: Watched,
        budgets: Mapping[str, tuple[float, float]],
        on_stuck: Callable[[StuckPhase], None] | None = None,
    ) -> None:
        self._watched = watched
        self._on_stuck = on_stuck
        self._stuck_after_s = {
            name: phase.stuck_after_s for name, phase in PHASE.items() if phase.stuck_after_s is not None
        }
        self._stuck_after_s.update({name: stuck for name, (_, stuck) in budgets.items()})
        self._gaps: deque[tuple[int, int]] = deque(maxlen=1024)
        self._last_pulse_ns: int | None = None
        self._told: set[int] = set()
        self._behind: dict[int, tuple[int, int]] = {}

    def check(self) -> None:
        """Look at every open turn; called about once a second, by the process itself."""
        now_ns = self._watched.mono_ns()
        last_ns, self._last_pulse_ns = self._last_pulse_ns, now_ns
        if last_ns is not None and now_ns - last_ns > GAP_NS:
            self.note_gap(last_ns, now_ns)
        self.look()

    def note_gap(self, from_ns: int, until_ns: int) -> None:
        """Take note that the process did not run in between."""
        self._gaps.append((from_ns, until_ns))

    def look(self) -> None:
        """Look at every open turn, from wherever."""
        now_ns = self._watched.mono_ns()
        seen: set[int] = set()
        for turn in self._watched.own_turns():
            for mark, since_ns in self._waits(turn, now_ns, self._behind):
                seen.add(mark.seq)
                self._judge(self._wait(turn, mark, since_ns, now_ns))
        self._told &= seen
        self._behind = {seq: behind for seq, behind in self._behind.items() if seq in seen}

    def waits(self) -> Iterator[Wait]:
        """Yield what each open turn waits in now; changes nothing, so that any thread may ask."""
        now_ns = self._watched.mono_ns()
        behind = self._behind.copy()
        for turn in self._watched.own_turns():
            for mark, since_ns in self._waits(turn, now_ns, behind):
                yield self._wait(turn, mark, since_ns, now_ns)

    def _wait(self, turn: OpenTurn, mark: Mark, since_ns: int, now_ns: int) -> Wait:
        limit_s = self._stuck_after_s.get(mark.phase)
        age_s = max(0, now_ns - since_ns - self._stood_still_ns(since_ns, now_ns)) / 1e9
        since_wall_ns = mark.wall_ns + since_ns - mark.mono_ns
        is_stuck = limit_s is not None and age_s > limit_s
        return Wait(turn.id, turn.session, mark.lane, mark.phase, mark.seq, since_wall_ns, age_s, is_stuck)

    def _judge(self, wait: Wait) -> None:
        if self._on_stuck is None or not wait.is_stuck or wait.seq in self._told:
            return
        self._told.add(wait.seq)
        with guard:
            self._on_stuck(
                StuckPhase(
                    wait.turn_id,
                    wait.session,
                    wait.lane,
                    wait.phase,
                    wait.since_ns,
                    wait.age_s,
                    PHASE[wait.phase].cause,
                )
            )

    def _waits(self, turn: OpenTurn, now_ns: int, behind: dict[int, tuple[int, int]]) -> Iterator[tuple[Mark, int]]:
        """Yield what *turn* waits in, each with the monotonic time since when; note in *behind* who lags."""
        is_worked_on = False
        for held in turn.lanes_held():
            kind = lane_kind(held.lane)
            if kind in WORKING:
                is_worked_on = True
                yield held, _progress_of(held)
            elif kind == "cancel":
                yield held, held.mono_ns
            elif kind == "renderer":
                yield held, _behind_since(turn, held, now_ns, behind)
        if not is_worked_on and (latest := turn.last_step()) is not None:
            yield latest, latest.mono_ns

    def _stood_still_ns(self, since_ns: int, now_ns: int) -> int:
        return sum(max(0, min(until_ns, now_ns) - max(from_ns, since_ns)) for from_ns, until_ns in tuple(self._gaps))


def _behind_since(turn: OpenTurn, held: Mark, now_ns: int, behind: dict[int, tuple[int, int]]) -> int:
    """Return since when a client lags behind the turn without getting on; *now_ns* when it does not."""
    if held.slot is None or turn.cursor is None or held.slot.cursor >= turn.cursor:
        behind.pop(held.seq, None)
        return now_ns
    seen = held.slot.cursor
    if behind.get(held.seq, (None, 0))[0] != seen:
        behind[held.seq] = (seen, now_ns)
    return behind[held.seq][1]


def _progress_of(held: Mark) -> int:
    """Return when the wait last got on: the mark, or a later chunk of its stream."""
    return held.mono_ns if held.slot is None else max(held.mono_ns, held.slot.figures().get("progress_at", 0))
