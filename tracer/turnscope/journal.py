"""The journal of this process: a mark that was appended is kept, even if the process is killed the next instant.

Appending never raises, never waits for a disk or a network, and never writes into a file of another process, a
forked child included. What cannot be kept is counted by reason, said once, and tried again when the disk comes back.
"""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from turnscope._guard import guard
from turnscope.header import Header, end_line, note_line
from turnscope.keeper import ClockWatch, Keeper, Reading, boot_clock_ns
from turnscope.life import ENDED, RUNNING, LifeFile, Slot
from turnscope.process import call_in_forked_child, identify
from turnscope.segment import LONGEST_LINE, Segment
from turnscope.supply import Supply
from turnscope.trouble import Trouble

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping


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
        sync_accepted: bool = False,
    ) -> None:
        self.folder = Path(folder).absolute()
        self.sync_accepted = sync_accepted
        self.on_pulse: list[Callable[[], None]] = []
        self._service, self._budgets, self._segment_bytes = service, dict(budgets or {}), segment_bytes
        self._carry, self._wall_ns, self._mono_ns, self._boot_ns = carry, wall_ns, mono_ns, boot_ns
        self._pulse_s, self._gap_s, self._cap_bytes, self._keep_s = pulse_s, gap_s, cap_bytes, keep_s
        self._begin()
        call_in_forked_child(self._begin_in_child)

    def _begin(self) -> None:
        """Take the state of a process that has recorded nothing yet; it owns no file."""
        self._identity = identify()
        self._life = LifeFile(self._identity.process_id, self._identity.pid, self._mono_ns)
        self._watch = ClockWatch(int(self._gap_s * 1e9))
        self._lock = threading.RLock()  # re-entrant: a signal handler or a finalizer may record while this thread does
        self._supply: Supply | None = None
        self._keeper: Keeper | None = None
        self._segment: Segment | None = None
        self._missed: Segment | None = None
        self._open = self._rolling = False
        self._waiting: list[bytes] = []
        self._failure: str | None = None
        self._trouble = Trouble()

    @property
    def process_id(self) -> str:
        """Id of this process; another one in a forked child."""
        return self._identity.process_id

    def append(self, line: bytes) -> None:
        """Keep one whole line, line feed included, or count why it could not be kept."""
        with self._lock:
            segment = self._segment
            if segment is not None and segment.put(line):
                return
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
        with self._lock:
            fd = self._segment.duplicate_fd() if self._segment is not None else None
        if fd is None:
            return
        try:
            getattr(os, "fdatasync", os.fsync)(fd)
        except OSError as error:
            self.drop(self._trouble.learn(error))
        finally:
            os.close(fd)
        self._trouble.tell()

    def close(self, open_turns: Iterable[str]) -> None:
        """Write the ``end`` note and cut the segment to its length. A later append opens the journal again."""
        with self._lock:
            if self._segment is not None:
                now = self._beat()
                note = {"proc": self.process_id, "t": now.wall_ns, "m": now.mono_ns}
                self.append(end_line(note, sorted(open_turns), self.drops()))
                self._life.set_fate(ENDED)
            self._rescue()
            self._leave_segment()
            if self._supply is not None:
                self._supply.discard()
            if self._keeper is not None:
                self._keeper.stop()
            self._keeper = self._failure = None
            self._open = False
        self._trouble.tell()

    def pulse(self) -> None:
        """Do what the keeper does about once a second: leave a proof of life, and look after the files."""
        with self._lock:
            if not self._open:
                return
            for note in self._watch.notes(self._beat()):
                self.append(note_line(note | {"proc": self.process_id}))
            self._try_again()
            self._rescue()
            if self._segment is not None and not self._life.in_place():
                self._create_life()
            self._append_waiting()
        self._prepare()
        if self.sync_accepted:
            self.sync()
        for hook in tuple(self.on_pulse):
            with guard:
                hook()
        self._trouble.tell()

    def _append_slowly(self, line: bytes) -> None:
        """Keep *line* where there is no segment, no room in it, or no memory map. The lock is held."""
        if len(line) > LONGEST_LINE:
            self._life.drop("too_large")
        elif self._rolling:
            self._waiting.append(line)  # a signal handler or finalizer recorded while this thread rolls
        elif self._failure is not None:
            self._life.drop(self._failure)
        else:
            try:
                if self._segment is None or not self._segment.write(line):
                    self._roll().write(line)
            except OSError as error:
                self._fail(error)
                self._life.drop(self._trouble.learn(error))
            self._append_waiting()

    def _append_waiting(self) -> None:
        while self._waiting:
            self.append(self._waiting.pop(0))

    def _roll(self) -> Segment:
        """Go on in the next segment, which begins with what is open. The lock is held.

        Raises:
            OSError: There is no next segment.
        """
        self._rolling = True
        try:
            supply = self._enter()
            rescued = self._rescue()
            if rescued is not None:
                return rescued
            self._leave_segment()
            carry = list(self._carry()) if supply.number else []
            segment = supply.next(2 * sum(map(len, carry)))
            self._segment = segment
            for line in carry:
                segment.write(line)
            if self._keeper is not None:
                self._keeper.wake()
            return segment
        finally:
            self._rolling = False

    def _enter(self) -> Supply:
        """Begin to record in this process, unless it has begun."""
        if not self._open:
            self._open = True
            self._life.set_fate(RUNNING)
            now = self._beat()
            self._watch.notes(now)
            if self._supply is None:
                header = Header(self._identity, now.wall_ns, now.mono_ns, self._service, self._budgets)
                self._supply = Supply(self.folder, header, self._segment_bytes, self._lock)
            if self._pulse_s is not None:
                self._keeper = Keeper(self.pulse, self._pulse_s)
                self._keeper.start()
        assert self._supply is not None
        return self._supply

    def _rescue(self) -> Segment | None:
        """Write a segment whose file has gone into a new file, as long as its memory still holds it. The lock is held.

        Returns:
            The new segment, with room for a line; None when the file is in its place, or no new one can be had.
        """
        segment, supply = self._segment, self._supply
        if segment is None or supply is None or segment.in_place():
            return None
        if segment is not self._missed:
            self._missed = segment
            self._life.drop("folder_vanished")
        rolling, self._rolling, self._segment = self._rolling, True, None
        try:
            self._segment = supply.replace(segment)
        except OSError as error:
            self._segment = segment
            self._trouble.learn(error)
            return None
        finally:
            self._rolling = rolling
        segment.abandon()
        return self._segment

    def _leave_segment(self) -> None:
        segment, self._segment = self._segment, None
        if segment is not None:
            try:
                segment.close()
            except OSError as error:
                self._trouble.learn(error)

    def _try_again(self) -> None:
        """Look whether a disk that refused takes a segment again. The lock is held."""
        if self._failure is None:
            return
        self._failure = None
        try:
            self._roll()
        except OSError as error:
            self._fail(error)

    def _fail(self, error: OSError) -> None:
        """Go on without a segment until a pulse finds that there can be one. The lock is held."""
        self._leave_segment()
        self._failure = self._trouble.learn(error)

    def _create_life(self) -> None:
        try:
            self._life.create(self.folder)
        except OSError as error:
            self._trouble.learn(error)

    def _prepare(self) -> None:
        segment, supply = self._segment, self._supply
        if segment is None or supply is None:
            return
        try:
            supply.prepare(segment)
        except OSError as error:
            self._trouble.learn(error)
        with self._lock:
            if not self._open:
                supply.discard()

    def _beat(self) -> Reading:
        now = Reading(self._wall_ns(), self._mono_ns(), self._boot_ns())
        self._life.pulse(now.wall_ns, now.mono_ns)
        return now

    def _begin_in_child(self) -> None:
        """Let go of the parent's files, without a change to them."""
        for part in (self._segment, self._supply, self._life):
            if part is not None:
                part.abandon()
        self._begin()
