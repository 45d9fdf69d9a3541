"""The turns of every process that records into a journal, seen from beside: also of one that hangs, or is dead.

What a dead process left open stays in the gauges, as stuck with the cause ``process_lost`` and with the age that it
had when the process was last alive, until somebody closes or resumes the turn, or a day has passed. In the counters
it is an interrupted turn at once.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from turnscope.errors import JournalFormatError
from turnscope.life import ENDED, Life, SlotFigures, read_life
from turnscope.metrics.ledger import Ledger
from turnscope.metrics.names import cause_of_phase
from turnscope.metrics.own import YIELD_STEPS
from turnscope.metrics.source import OpenWait, Snapshot
from turnscope.process import fate_of
from turnscope.ship.reader import Reader
from turnscope.watch import GAP_NS, Watch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path

    from turnscope.metrics.ledger import Followed, Over
    from turnscope.ship.story import Step

_SILENT_NS: Final = 60_000_000_000
"""A process elsewhere that gave no sign of life for so long is shown as lost; it may come back."""

_SHOWN_NS: Final = 86_400_000_000_000
"""How long what a dead process left open is shown."""

_LOST: Final = "process_lost"


class JournalTurns:
    """The turns in *folder*. What ended before the first look is not counted."""

    def __init__(self, folder: Path) -> None:
        self.folder: Path | None = folder
        self._folder = folder
        self._reader = Reader(folder)
        self._ledger = Ledger()
        self._processes: dict[str, _Process] = {}
        self._snapshot: Snapshot | None = None
        self._drops: dict[str, int] = {}
        self._drops_seen: dict[str, dict[str, int]] = {}
        self._gone: set[str] = set()
        self._settled: set[str] = set()

    def look(self, tell: Callable[[Iterable[Over]], None]) -> None:
        """Read what was added, by whomever, and judge what is open."""
        is_first = self._snapshot is None
        if is_first:
            self._pass(_unheard)
        # The first time twice: who was gone all along is only known when its turns are.
        self._pass(_unheard if is_first else tell)
        self._count_drops(is_first=is_first)
        self._snapshot = self._taken()

    def snapshot(self) -> Snapshot | None:
        """Return what was open at the last look, at most a second or so ago; None before the first one has ended."""
        return self._snapshot

    def drops(self) -> Mapping[str, int]:
        """Return what the processes have lost since the first look."""
        return self._drops

    def _pass(self, tell: Callable[[Iterable[Over]], None]) -> None:
        self._reader.look()
        for process in self._processes.values():
            process.look()
        # Who was gone before this has nothing left to say after it.
        self._read(tell)
        self._follow_processes()
        for process in self._processes.values():
            for turn in process.own_turns() if process.is_gone else ():
                tell(self._ledger.lose(turn, process.mono_ns()))
            self._let_go(process)

    def _read(self, tell: Callable[[Iterable[Over]], None]) -> None:
        late: list[Step] = []
        for count, (process_id, step) in enumerate(self._reader.steps(), 1):
            if step.process_id == process_id:
                tell(self._ledger.take(step))
            else:
                late.append(step)  # in the name of a process that is gone: its own marks come first
            if not count % YIELD_STEPS:
                time.sleep(0)
        for step in late:
            tell(self._ledger.take(step))

    def _follow_processes(self) -> None:
        headers = {segment.process_id: segment.header for segment in self._reader.segments}
        turns = self._ledger.processes()
        for process_id in self._processes.keys() - turns.keys():
            del self._processes[process_id]
        for process_id, followed in turns.items():
            known = self._processes.get(process_id)
            if known is None:
                header = headers.get(process_id) or {"proc": process_id}
                known = self._processes[process_id] = _Process(self._folder, process_id, header)
                known.look()
                known.is_gone = False  # it may have written more since it was read: the next look tells
            known.turns = followed
            known.take_slots()
            known.watch.look()

    def _let_go(self, process: _Process) -> None:
        """Forget what was left open so long ago that nobody waits for it, and what has no owner any more."""
        is_old = time.time_ns() - process.last_life_ns > _SHOWN_NS
        for turn in tuple(process.turns) if process.is_gone else ():
            if is_old or not turn.first_seq:
                self._ledger.forget(turn)
                process.turns.remove(turn)

    def _count_drops(self, *, is_first: bool) -> None:
        drops = dict(self._drops)
        headers = {segment.process_id: segment.header for segment in self._reader.segments}
        seen = {process_id: counts for process_id, counts in self._drops_seen.items() if process_id in headers}
        for process_id in headers.keys() - self._settled:
            life = _life(self._folder / f"{process_id}.life")
            if life is None:
                continue
            before = seen.get(process_id, life.drops if is_first else {})
            for reason, count in life.drops.items():
                drops[reason] = drops.get(reason, 0) + max(0, count - before.get(reason, 0))
            seen[process_id] = life.drops
            if process_id in self._gone:
                self._settled.add(process_id)  # it was gone before its file was read, which says no more from now on
        self._settled &= headers.keys()
        left = headers.keys() - self._settled
        self._gone = {process_id for process_id in left if fate_of(headers[process_id]) == "killed"}
        self._drops, self._drops_seen = drops, seen

    def _taken(self) -> Snapshot:
        waits = tuple(wait for process in self._processes.values() for wait in process.waits())
        turns = sum(len(process.own_turns()) for process in self._processes.values())
        return Snapshot(turns, waits)


class _Process:
    """One process of a journal, as its life file and its host tell of it."""

    def __init__(self, folder: Path, process_id: str, header: Mapping[str, object]) -> None:
        self.turns: list[Followed] = []
        self.is_gone = self.is_silent = False
        self.last_life_ns = 0
        self._path = folder / f"{process_id}.life"
        self._header = header
        self._life: Life | None = None
        self._mono_ns: int | None = 0
        self.watch = Watch(self, _budgets(header))

    def look(self) -> None:
        """See whether it is alive, and until when it is known to have been."""
        before, life = self._life, _life(self._path)
        self._life = life
        self._note_gap(before, life)
        pulse_ns = None if life is None else life.pulse_wall_ns
        fate = fate_of(self._header, pulse_ns)
        self.is_gone = fate == "killed" or (fate == "unknown" and life is not None and life.fate == ENDED)
        self.is_silent = fate == "unknown" and pulse_ns is not None and time.time_ns() - pulse_ns > _SILENT_NS
        marks = [seen for turn in self.turns for seen in (*turn.lanes.values(), turn.step) if seen is not None]
        self.last_life_ns = max([pulse_ns or 0, *(seen.wall_ns for seen in marks)])
        # Of one that runs here the age grows on; of any other, only as far as it is known to have lived.
        last_ns = 0 if life is None or life.pulse_mono_ns is None else life.pulse_mono_ns
        self._mono_ns = None if fate == "running" else max([last_ns, *(seen.mono_ns for seen in marks)])

    def _note_gap(self, before: Life | None, life: Life | None) -> None:
        """See whether it did not run between two pulses that follow each other; who reads late misses some."""
        if before is None or life is None or life.pulses != before.pulses + 1:
            return
        last_ns, now_ns = before.pulse_mono_ns, life.pulse_mono_ns
        if last_ns is not None and now_ns is not None and now_ns - last_ns > GAP_NS:
            self.watch.note_gap(last_ns, now_ns)

    def mono_ns(self) -> int:
        """Return its monotonic clock, which is the host's."""
        return time.monotonic_ns() if self._mono_ns is None else self._mono_ns

    def own_turns(self) -> list[Followed]:
        """Return its open turns."""
        return [turn for turn in self.turns if turn.first_seq]

    def take_slots(self) -> None:
        """Let the marks have what the life file says of their streams."""
        slots = {} if self._life is None else self._life.slots
        for turn in self.turns:
            turn.cursor = None
            for seen in turn.lanes.values():
                figures = None if seen.slot_index is None else slots.get(seen.slot_index)
                seen.slot = None if figures is None or figures.seq != seen.seq else _Stream(figures)
                if seen.slot is not None and seen.lane.startswith("upstream"):
                    turn.cursor = max(turn.cursor or 0, seen.slot.cursor)

    def waits(self) -> Iterator[OpenWait]:
        """Yield what its turns wait in."""
        is_lost = self.is_gone or self.is_silent
        for wait in self.watch.waits():
            cause = _LOST if is_lost else cause_of_phase(wait.phase)
            yield OpenWait(wait.turn_id, wait.phase, cause, wait.age_s, is_lost or wait.is_stuck)


class _Stream:
    """What a progress slot said when it was read."""

    def __init__(self, said: SlotFigures) -> None:
        self._said = said

    @property
    def cursor(self) -> int:
        return self._said.cursor

    def figures(self) -> dict[str, int]:
        return {} if self._said.progress_at is None else {"progress_at": self._said.progress_at}


def _life(path: Path) -> Life | None:
    try:
        return read_life(path)
    except (OSError, JournalFormatError):
        return None


def _budgets(header: Mapping[str, object]) -> dict[str, tuple[float, float]]:
    """Return the budgets that a process said it has; what is none is left out."""
    said = header.get("budgets")
    found = {}
    for name, pair in said.items() if isinstance(said, dict) else ():
        if isinstance(pair, list) and len(pair) == 2 and all(isinstance(limit, (int, float)) for limit in pair):
            found[str(name)] = (float(pair[0]), float(pair[1]))
    return found


def _unheard(over: Iterable[Over]) -> None:
    """Count nothing: it was over before anybody looked."""
