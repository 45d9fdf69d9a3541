"""The journal of this process: a mark that was appended is kept, even if the process is killed the next instant.

Appending never raises, never waits for a disk or a network, and never writes into a file of another process, a
forked child included. What cannot be kept is counted by reason, said once, and tried again when the disk comes back.
"""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

from turnscope._guard import guard
from turnscope.header import Header, end_line, note_line
from turnscope.keeper import ClockWatch, Keeper, Reading, boot_clock_ns
from turnscope.life import ENDED, RUNNING, LifeFile, Slot
from turnscope.process import call_in_forked_child, identify
from turnscope.retention import Retention
from turnscope.supply import Supply
from turnscope.trouble import Trouble
from turnscope.writer import Writer

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable, Mapping


_PRUNE_NS: Final = 600_000_000_000
_PREPARE_S: Final = 1.0  # a segment takes a hundredth of that; more only where its caller holds the lock itself


class JournalLike(Protocol):
    """What the recorder needs of a journal."""

    @property
    def process_id(self) -> str:
        """Id of this process; another one in a forked child."""

    def append(self, line: bytes) -> None:
        """Keep one whole line, line feed included; never raises."""

    def drop(self, reason: str, count: int = 1) -> None:
        """Count a loss for one of DROPS."""

    def slot(self, seq: int) -> Slot | None:
        """Return a progress slot owned by the mark *seq*; None, and counted, when all are taken."""

    def close(self, open_turns: Iterable[str]) -> None:
        """Say goodbye, naming the turns that have not ended."""


class Journal:
    """A folder into which this process records.

    Nothing is made before the first append, so that a parent that only forks leaves no files.

    Args:
        folder: Made when it is missing.
        service: Name of the gateway, for the report.
        budgets: Limits that the gateway changed, phase -> (slow seconds, stuck seconds).
        segment_bytes: Size of a segment before it rolls.
        cap_bytes: What all segments in the folder may hold together before closed ones go.
        keep_s: Age at which closed segments go.
        carry: Returns the lines that a new segment repeats: for each open turn its ``accepted`` mark and the latest
            mark of each open lane. It is called while the journal is locked, so it must not wait for a lock that
            anybody holds while appending. A mark must be in it *before* it is appended, and a turn until *after* its
            terminal mark was.
        wall_ns: Wall clock, nanoseconds since the epoch.
        mono_ns: Monotonic clock of the marks.
        boot_ns: Clock that also counts while the host is suspended; it returns None where there is none.
        pulse_s: Seconds between two pulses of the keeper thread; None: no thread, the owner calls ``pulse``.
        gap_s: Two pulses further apart than this make a ``gap`` note.
        is_held: See `Retention`.
        sync_accepted: Let every pulse also sync the segment to the disk; the recorder syncs ``accepted`` itself.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        *,
        service: str = "",
        budgets: Mapping[str, tuple[float, float]] | None = None,
        segment_bytes: int = 8 << 20,
        cap_bytes: int = 1 << 30,
        keep_s: float = 14 * 86400,
        carry: Callable[[], Iterable[bytes]] = tuple,
        wall_ns: Callable[[], int] = time.time_ns,
        mono_ns: Callable[[], int] = time.monotonic_ns,
        boot_ns: Callable[[], int | None] = boot_clock_ns,
        pulse_s: float | None = 1.0,
        gap_s: float = 5.0,
        is_held: Callable[[Path], bool] | None = None,
        sync_accepted: bool = False,
    ) -> None:
        self.folder = Path(folder).absolute()
        self.sync_accepted = sync_accepted
        self.on_pulse: list[Callable[[], None]] = []
        self._service, self._budgets, self._segment_bytes = service, dict(budgets or {}), segment_bytes
        self._carry, self._wall_ns, self._mono_ns, self._boot_ns = carry, wall_ns, mono_ns, boot_ns
        self._pulse_s, self._gap_s = pulse_s, gap_s
        keep_ns = int(keep_s * 1e9)
        self._retention = Retention(self.folder, cap_bytes=cap_bytes, keep_ns=keep_ns, drop=self.drop, is_held=is_held)
        self._begin()
        call_in_forked_child(self._begin_in_child)

    def _begin(self) -> None:
        """Take the state of a process that has recorded nothing yet; it owns no file."""
        identity = identify()
        self.process_id = identity.process_id
        self._lock = threading.RLock()  # re-entrant: a signal handler or a finalizer may record while this thread does
        self._life = LifeFile(identity.process_id, identity.pid, self._mono_ns)
        self._trouble = Trouble()
        self._watch = ClockWatch(int(self._gap_s * 1e9))
        header = Header(identity, self._wall_ns(), self._mono_ns(), self._service, self._budgets)
        supply = Supply(self.folder, header, self._segment_bytes, self._lock)
        self._writer = Writer(supply, self._lock, carry=self._carry, drop=self._life.drop, trouble=self._trouble)
        self._keeper: Keeper | None = None
        self._preparing = threading.Lock()
        self._open = False
        self._next_prune_ns = 0

    def append(self, line: bytes) -> None:
        """Keep one whole line, line feed included, or count why it could not be kept."""
        segment = self._writer.segment
        if segment is not None and segment.put(line):
            return
        with self._lock:
            self._append_slowly(line)
        self._trouble.tell()

    def drop(self, reason: str, count: int = 1) -> None:
        """Count *count* losses for one of DROPS."""
        with self._lock:
            self._life.drop(reason, count)

    def drops(self) -> dict[str, int]:
        """Return what this process lost so far by reason, without those that are 0."""
        return self._life.drops()

    def slot(self, seq: int) -> Slot | None:
        """Return a progress slot owned by the mark *seq*; None, and counted, when all are taken."""
        slot = self._life.lend(seq)
        if slot is None:
            self.drop("slots_full")
        return slot

    def sync(self) -> None:
        """Bring what was appended to the disk itself, so that it survives a power cut too. Waits for the disk."""
        self._writer.sync()
        self._trouble.tell()

    def close(self, open_turns: Iterable[str]) -> None:
        """Write the ``end`` note and cut the segment to its length. A later append opens the journal again."""
        with self._lock:
            if self._writer.segment is not None:
                now = self._beat()
                note = {"proc": self.process_id, "t": now.wall_ns, "m": now.mono_ns}
                self.append(end_line(note, sorted(open_turns), self.drops()))
                self._life.set_fate(ENDED)
            self._writer.close()
            if self._keeper is not None:
                self._keeper.stop()
                self._keeper = None
            self._open = False
        # The keeper may be making the next segment: the process should not go down before that is removed again.
        if self._preparing.acquire(timeout=_PREPARE_S):
            self._preparing.release()
        self._trouble.tell()

    def pulse(self) -> None:
        """Do what the keeper does about once a second: leave a proof of life, and look after the files."""
        with self._lock:
            if not self._open:
                return
            for note in self._watch.notes(self._beat()):
                self.append(note_line(note | {"proc": self.process_id}))
            self._writer.look_after()
            self._keep_life()
        self._prepare()
        self._prune()
        if self.sync_accepted:
            self._writer.sync()
        for hook in tuple(self.on_pulse):
            with guard:
                hook()
        self._trouble.tell()

    def _append_slowly(self, line: bytes) -> None:
        if not self._open:
            self._enter()
        self._writer.append(line)
        if self._life.path is None:
            self._keep_life()
        if self._writer.rolled and self._keeper is not None:
            self._keeper.wake()

    def _enter(self) -> None:
        """Begin to record in this process."""
        self._open = True
        self._life.set_fate(RUNNING)
        self._watch.notes(self._beat())
        if self._pulse_s is not None:
            self._keeper = Keeper(self.pulse, self._pulse_s)
            self._keeper.start()

    def _keep_life(self) -> None:
        """See that the life file is in its place, once there is a segment that it belongs to."""
        if self._writer.segment is not None and not self._life.in_place():
            try:
                self._life.create(self.folder)
            except OSError as error:
                self._trouble.learn(error)

    def _prepare(self) -> None:
        with self._preparing:
            self._writer.prepare()
            with self._lock:
                if not self._open:
                    self._writer.close()  # the journal was closed meanwhile, and must leave nothing prepared behind

    def _prune(self) -> None:
        """Delete what has to go, after each roll and now and then."""
        if self._writer.rolled or self._mono_ns() >= self._next_prune_ns:
            self._writer.rolled = False
            self._next_prune_ns = self._mono_ns() + _PRUNE_NS
            try:
                self._retention.prune(self.process_id, self._files_in_use, self._wall_ns())
            except OSError as error:
                self._trouble.learn(error)

    def _files_in_use(self) -> set[Path]:
        with self._lock:
            return self._writer.in_use()

    def _beat(self) -> Reading:
        now = Reading(self._wall_ns(), self._mono_ns(), self._boot_ns())
        self._life.pulse(now.wall_ns, now.mono_ns)
        return now

    def _begin_in_child(self) -> None:
        """Let go of the parent's files, without a change to them."""
        self._writer.abandon()
        self._life.abandon()
        self._begin()
