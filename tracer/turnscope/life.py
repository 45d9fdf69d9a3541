"""The figures of a process that change too often for a line each: its pulse, its drop counters, its progress.

Every store is one whole 64-bit word in memory that the kernel keeps when the process is killed. As long as there is
no file (nothing recorded yet, no room for it) the same words stand in plain memory and move into it later.
"""

from __future__ import annotations

import mmap
import os
import struct
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from turnscope.drops import DROP_INDEX, DROPS
from turnscope.errors import JournalFormatError
from turnscope.segment import preallocate

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

LIFE_BYTES: Final = 65_536
SLOTS: Final = 1020
RUNNING: Final = 1
ENDED: Final = 2
RECOVERED: Final = 3

_MAGIC: Final = b"TSLIFE01"
_WORDS: Final = LIFE_BYTES // 8
_FATE_OFFSET: Final = 56
# Word numbers; docs/journal-format.md has the bytes.
_PID, _PULSES, _WALL, _MONO, _FATE, _DROPS, _SLOTS = 3, 4, 5, 6, 7, 8, 32
_SLOT_WORDS: Final = 8


class Slot:
    """Progress of one open phase, readable by others while it goes on and after this process was killed.

    The slot's words hold absolute figures that are kept here as well, so that a store is never a read.
    """

    __slots__ = (
        "_bytes", "_chunks", "_cursor", "_home", "_keepalive_at", "_keepalives",
        "_max_gap", "_mono_ns", "_progress_at", "_words", "index",
    )  # fmt: skip

    def __init__(self, home: LifeFile, index: int, words: memoryview[int], mono_ns: Callable[[], int]) -> None:
        self.index = index
        self._home, self._words, self._mono_ns = home, words, mono_ns
        self._chunks = self._bytes = self._progress_at = self._max_gap = 0
        self._keepalives = self._keepalive_at = self._cursor = 0

    def progress(self, n_bytes: int = 0) -> None:
        """Count one chunk of *n_bytes*, received now."""
        words = self._words
        now = self._mono_ns()
        last = self._progress_at
        self._chunks = words[1] = self._chunks + 1
        self._bytes = words[2] = self._bytes + n_bytes
        self._progress_at = words[3] = now
        if last and now - last > self._max_gap:
            self._max_gap = words[6] = now - last

    def keepalive(self) -> None:
        """Count one keepalive, received now; it is a sign of the transport and not of progress."""
        words = self._words
        self._keepalives = words[4] = self._keepalives + 1
        self._keepalive_at = words[5] = self._mono_ns()

    @property
    def cursor(self) -> int:
        """Events sent (upstream) or seen (renderer)."""
        return self._cursor

    @cursor.setter
    def cursor(self, events: int) -> None:
        self._cursor = self._words[7] = events

    def figures(self) -> dict[str, int]:
        """Return what the next mark of the lane carries; a time or gap that there was not is missing, not 0."""
        figures = {"chunks": self._chunks, "bytes": self._bytes, "keepalives": self._keepalives}
        if self._chunks:
            figures["progress_at"] = self._progress_at
        if self._chunks > 1:
            figures["max_gap"] = self._max_gap
        if self._keepalives:
            figures["keepalive_at"] = self._keepalive_at
        return figures

    def release(self) -> None:
        """Give the slot back; a straggler that still counts afterwards reaches nobody's figures."""
        self._home._take_back(self)

    def _move(self, words: memoryview[int]) -> None:
        self._words = words


class LifeFile:
    """The life file of this process; see the module for its promise."""

    def __init__(self, process_id: str, pid: int, mono_ns: Callable[[], int]) -> None:
        self.process_id = process_id
        self.path: Path | None = None
        self._mono_ns = mono_ns
        self._inode = 0
        self._free = deque(range(SLOTS))
        self._lent: dict[int, Slot] = {}
        self._scratch = _words_of(bytearray(8 * _SLOT_WORDS))
        head = _MAGIC + process_id.encode("ascii")[:12].ljust(16, b"\0")
        self._words = _words_of(bytearray(head.ljust(LIFE_BYTES, b"\0")))
        self._words[_PID] = pid
        self._words[_FATE] = RUNNING

    def create(self, folder: Path) -> None:
        """Give the figures a file in *folder*, also again when the first one has gone.

        Raises:
            OSError: There is no room, or no right. The figures stay where they are.
        """
        path = folder / f"{self.process_id}.life"
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            preallocate(fd, LIFE_BYTES)
            words = _words_of(mmap.mmap(fd, LIFE_BYTES))
            self._inode = os.fstat(fd).st_ino
        except OSError:
            with suppress(OSError):
                path.unlink()
            raise
        finally:
            os.close(fd)
        words[:] = self._words
        self._words, self.path = words, path
        for slot in tuple(self._lent.values()):
            slot._move(self._slot_words(slot.index))

    def in_place(self) -> bool:
        """Tell whether the file is still found under its path."""
        try:
            return self.path is not None and self.path.stat().st_ino == self._inode
        except OSError:
            return False

    def pulse(self, wall_ns: int, mono_ns: int) -> None:
        """Leave a proof of life."""
        words = self._words
        words[_WALL] = wall_ns
        words[_MONO] = mono_ns
        words[_PULSES] += 1

    def set_fate(self, fate: int) -> None:
        """Say RUNNING or ENDED."""
        self._words[_FATE] = fate

    def drop(self, reason: str, count: int = 1) -> None:
        """Count *count* losses for one of DROPS; a reason that is not one counts as ``guard``."""
        self._words[_DROPS + DROP_INDEX.get(reason, DROP_INDEX["guard"])] += count

    def drops(self) -> dict[str, int]:
        """Return what was lost so far by reason, without those that are 0."""
        return _named_drops(self._words[_DROPS : _DROPS + len(DROPS)].tolist())

    def lend(self, seq: int) -> Slot | None:
        """Return a slot owned by the mark *seq*; None when all are taken."""
        try:
            index = self._free.popleft()
        except IndexError:
            return None
        words = self._slot_words(index)
        for place in range(1, _SLOT_WORDS):
            words[place] = 0
        words[0] = seq  # the owner comes last: until then the slot says nothing about anybody
        slot = self._lent[index] = Slot(self, index, words, self._mono_ns)
        return slot

    def abandon(self) -> None:
        """Turn every lent slot away from the file: in a forked child it is the parent's."""
        for slot in self._lent.values():
            slot._move(self._scratch)
        self._lent.clear()

    def _take_back(self, slot: Slot) -> None:
        if self._lent.pop(slot.index, None) is None:
            return
        self._slot_words(slot.index)[0] = 0
        slot._move(self._scratch)
        self._free.append(slot.index)

    def _slot_words(self, index: int) -> memoryview[int]:
        start = _SLOTS + index * _SLOT_WORDS
        return self._words[start : start + _SLOT_WORDS]


@dataclass(frozen=True, slots=True)
class SlotFigures:
    """What a slot said when it was read; times are monotonic nanoseconds of its process, None when there was none."""

    seq: int
    chunks: int
    bytes: int
    progress_at: int | None
    keepalives: int
    keepalive_at: int | None
    max_gap: int
    cursor: int


@dataclass(frozen=True, slots=True)
class Life:
    """A life file as it was read. ``pulse_wall_ns`` and ``pulse_mono_ns`` are None before the first pulse."""

    process_id: str
    pid: int
    pulses: int
    pulse_wall_ns: int | None
    pulse_mono_ns: int | None
    fate: int
    drops: dict[str, int]
    slots: dict[int, SlotFigures]


def read_life(path: Path) -> Life:
    """Read a life file, also one whose process is still writing it.

    Returns:
        The figures; ``slots`` has those that belong to an open phase, by slot number.

    Raises:
        OSError: The file cannot be read.
        JournalFormatError: It is not a life file, or is cut off.
    """
    with path.open("rb") as file:
        data = file.read(LIFE_BYTES)
    if len(data) < LIFE_BYTES or not data.startswith(_MAGIC):
        raise JournalFormatError(path, 0, f"{len(data)} bytes that are not a life file")
    words = struct.unpack(f"<{_WORDS}Q", data)
    slots = {}
    for index in range(SLOTS):
        start = _SLOTS + index * _SLOT_WORDS
        if words[start]:
            slots[index] = _slot_figures(words[start : start + _SLOT_WORDS])
    return Life(
        process_id=data[8:20].decode("ascii", "replace"),
        pid=words[_PID],
        pulses=words[_PULSES],
        pulse_wall_ns=words[_WALL] or None,
        pulse_mono_ns=words[_MONO] or None,
        fate=words[_FATE],
        drops=_named_drops(words[_DROPS : _DROPS + len(DROPS)]),
        slots=slots,
    )


def slot_offset(index: int) -> int:
    """Return where slot *index* begins in a life file."""
    return 8 * (_SLOTS + index * _SLOT_WORDS)


def last_pulse_ns(folder: Path, process_id: str) -> int | None:
    """Return the wall clock of a process's last pulse, ns; None when it left none that can be read."""
    try:
        with (folder / f"{process_id}.life").open("rb") as file:
            head = file.read(_FATE_OFFSET)
    except OSError:
        return None
    if len(head) < _FATE_OFFSET or not head.startswith(_MAGIC):
        return None
    wall_ns: int = struct.unpack_from("<Q", head, 8 * _WALL)[0]
    return wall_ns or None


def write_fate(path: Path, fate: int) -> None:
    """Set the fate in the life file of a process that is gone.

    Raises:
        OSError: The file is not there or cannot be written.
    """
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.pwrite(fd, struct.pack("<Q", fate), _FATE_OFFSET)
    finally:
        os.close(fd)


def _slot_figures(words: tuple[int, ...]) -> SlotFigures:
    seq, chunks, size, progress_at, keepalives, keepalive_at, max_gap, cursor = words
    return SlotFigures(seq, chunks, size, progress_at or None, keepalives, keepalive_at or None, max_gap, cursor)


def _named_drops(counts: list[int] | tuple[int, ...]) -> dict[str, int]:
    return {reason: count for reason, count in zip(DROPS, counts, strict=True) if count}


def _words_of(memory: bytearray | mmap.mmap) -> memoryview[int]:
    return memoryview(memory).cast("Q")
