"""Tells the gateway while a turn is stuck, so that it can show an honest error instead of "Thinking".

Each wait is told once. A stream counts from its last chunk, a wait for a person or for a quota never counts, and
time in which the process did not run is not held against anybody.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final, NamedTuple

from turnscope._guard import guard
from turnscope.phases import PHASE, lane_kind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from turnscope.phases import Cause
    from turnscope.recorder import Recorder
    from turnscope.track import Held
    from turnscope.turn import Turn

_GAP_NS: Final = 5_000_000_000
"""Two pulses further apart than this: the process did not run in between."""

_WORKING: Final = frozenset({"hydration", "upstream", "tool", "compaction", "quota"})
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


class Watch:
    """Applies the budgets to what is open.

    Args:
        recorder: Whose turns are watched.
        budgets: (slow, stuck) seconds of the phases that the gateway changed.
        on_stuck: Told each wait once. What it raises is counted and goes no further.
    """

    def __init__(
        self, recorder: Recorder, budgets: Mapping[str, tuple[float, float]], on_stuck: Callable[[StuckPhase], None]
    ) -> None:
        self._recorder = recorder
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
        """Look at every open turn; called about once a second."""
        now_ns = self._recorder.mono_ns()
        self._note_gap(now_ns)
        seen: set[int] = set()
        for turn in self._recorder.own_turns():
            for held, since_ns in self._waits(turn, now_ns):
                seen.add(held.seq)
                self._judge(turn, held, since_ns, now_ns)
        self._told &= seen
        self._behind = {seq: behind for seq, behind in self._behind.items() if seq in seen}

    def _judge(self, turn: Turn, held: Held, since_ns: int, now_ns: int) -> None:
        limit_s = self._stuck_after_s.get(held.phase)
        age_s = (now_ns - since_ns - self._stood_still_ns(since_ns, now_ns)) / 1e9
        if limit_s is None or age_s <= limit_s or held.seq in self._told:
            return
        self._told.add(held.seq)
        since_wall_ns = held.wall_ns + since_ns - held.mono_ns
        with guard:
            self._on_stuck(
                StuckPhase(turn.id, turn.session, held.lane, held.phase, since_wall_ns, age_s, PHASE[held.phase].cause)
            )

    def _waits(self, turn: Turn, now_ns: int) -> Iterator[tuple[Held, int]]:
        """Yield what *turn* waits in, each with the monotonic time since when."""
        is_worked_on = False
        for held in turn.lanes_held():
            kind = lane_kind(held.lane)
            if kind in _WORKING:
                is_worked_on = True
                yield held, _progress_of(held)
            elif kind == "cancel":
                yield held, held.mono_ns
            elif kind == "renderer":
                yield held, self._behind_since(turn, held, now_ns)
        if not is_worked_on and (latest := turn.last_step()) is not None:
            yield latest, latest.mono_ns

    def _behind_since(self, turn: Turn, held: Held, now_ns: int) -> int:
        """Return since when a client lags behind the turn without getting on; *now_ns* when it does not."""
        if held.slot is None or turn.cursor is None or held.slot.cursor >= turn.cursor:
            self._behind.pop(held.seq, None)
            return now_ns
        seen = held.slot.cursor
        if self._behind.get(held.seq, (None, 0))[0] != seen:
            self._behind[held.seq] = (seen, now_ns)
        return self._behind[held.seq][1]

    def _note_gap(self, now_ns: int) -> None:
        last_ns, self._last_pulse_ns = self._last_pulse_ns, now_ns
        if last_ns is not None and now_ns - last_ns > _GAP_NS:
            self._gaps.append((last_ns, now_ns))

    def _stood_still_ns(self, since_ns: int, now_ns: int) -> int:
        return sum(max(0, min(until_ns, now_ns) - max(from_ns, since_ns)) for from_ns, until_ns in self._gaps)


def _progress_of(held: Held) -> int:
    """Return when the wait last got on: the mark, or a later chunk of its stream."""
    return held.mono_ns if held.slot is None else max(held.mono_ns, held.slot.figures().get("progress_at", 0))
