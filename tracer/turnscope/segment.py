"""One file of the journal: preallocated, mapped into memory, filled from the front.

A line that was stored is in the kernel's page cache and survives SIGKILL. Every block is allocated before the
first store, so that a full disk is an error when the file is made and never a SIGBUS later.
"""

from __future__ import annotations

import errno
import mmap
import os
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

LONGEST_LINE: Final = 65_536
"""Longest line in bytes, with its line feed."""

SMALLEST_BYTES: Final = 2 * LONGEST_LINE
"""A segment below this would roll too often to be worth having; a fuller disk counts as full."""

_TRY_SMALLER: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class Segment:
    """A segment that this process fills; the caller holds the journal's lock around every method but ``put``.

    Where the file cannot be preallocated or mapped, each line is one ``write`` instead: as safe, but a system
    call that gives the interpreter lock away (p99.9 with eight threads 4 ms instead of 5 us).
    """

    __slots__ = ("_fd", "_inode", "_length", "_view", "capacity", "number", "path")

    def __init__(self, path: Path, number: int, fd: int, view: mmap.mmap | None, capacity: int) -> None:
        self.path, self.number, self.capacity = path, number, capacity
        self._fd, self._view, self._length = fd, view, 0
        self._inode = os.fstat(fd).st_ino

    @classmethod
    def create(cls, path: Path, number: int, wanted_bytes: int) -> Segment:
        """Make the file and reserve its blocks, fewer than *wanted_bytes* where the disk or a limit asks for it.

        Raises:
            OSError: There is no room, or no right. Nothing is left behind.
        """
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
        try:
            capacity = _reserve(fd, wanted_bytes)
            return cls(path, number, fd, _map(fd, capacity), capacity or wanted_bytes)
        except BaseException:
            os.close(fd)
            with suppress(OSError):
                path.unlink()
            raise

    @property
    def length(self) -> int:
        """Bytes that were stored so far."""
        return self._length if self._view is None else self._view.tell()

    def put(self, line: bytes) -> bool:
        """Store *line* in mapped memory, without a lock or a system call.

        Returns:
            False, and nothing stored, when it does not fit, is too long, or the segment is closed or not mapped.
        """
        view = self._view
        if view is None or len(line) > LONGEST_LINE:
            return False
        try:
            # One call that stores and moves on: no thread, signal handler or finalizer comes in between. A lock around
            # two steps made eight threads queue behind one that was switched away: 300 us at p99 instead of 3.
            view.write(line)
        except ValueError:
            return False
        return True

    def write(self, line: bytes) -> bool:
        """Store *line*, by a system call if the segment is not mapped.

        Returns:
            False, and nothing stored, when it does not fit.

        Raises:
            OSError: The write failed. The file ends after the last whole line.
        """
        if self._view is not None:
            return self.put(line)
        if self._length + len(line) > self.capacity:
            return False
        done = 0
        try:
            while done < len(line):
                done += os.pwrite(self._fd, line[done:], self._length + done)
        except OSError:
            os.ftruncate(self._fd, self._length)
            raise
        self._length += len(line)
        return True

    def content(self) -> bytes:
        """Return what was stored in a sealed segment, also when the file has no name any more."""
        return os.pread(self._fd, self._length, 0)

    def in_place(self) -> bool:
        """Tell whether the file is still found under its path."""
        try:
            return self.path.stat().st_ino == self._inode
        except OSError:
            return False

    def duplicate_fd(self) -> int:
        """Return a descriptor of the file that outlives the segment; the caller closes it."""
        return os.dup(self._fd)

    def seal(self) -> None:
        """Take no line any more, not even from a thread that is on its way."""
        view, self._view = self._view, None
        if view is not None:
            stored = view.tell()
            view.close()
            self._length = _text_end(self._fd, stored)  # somebody may have stored between the two lines before

    def reopen(self) -> None:
        """Take lines again after ``seal``, each by a system call."""
        os.ftruncate(self._fd, self._length)

    def close(self) -> None:
        """Seal the segment and cut the file to its length."""
        if self.capacity:
            self.seal()
            self.capacity = 0
            try:
                os.ftruncate(self._fd, self._length)
            finally:
                os.close(self._fd)

    def abandon(self) -> None:
        """Let go of the file without a change to it: in a forked child it is the parent's."""
        if self.capacity:
            self.capacity = 0
            self._view = None
            os.close(self._fd)

    def discard(self) -> None:
        """Remove the file: it was prepared and not needed."""
        self.abandon()
        with suppress(OSError):
            self.path.unlink()


def preallocate(fd: int, size: int) -> None:
    """Give the file *size* bytes of zeros whose blocks are really there and whose pages are in memory.

    Raises:
        OSError: ENOSPC and the like; the file may have been given a part.
    """
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(fd, 0, size)
    # Written, not only reserved: that costs 0.4 us a page here, without the interpreter lock, and the first store into
    # a page that was only reserved 2.5 us, with it.
    zeros = bytes(min(size, 1 << 20))
    for start in range(0, size, len(zeros)):
        os.pwrite(fd, zeros[: size - start], start)


def _reserve(fd: int, wanted_bytes: int) -> int:
    """Preallocate the largest halving of *wanted_bytes* that there is room for; 0 where that is not possible at all."""
    try:
        preallocate(fd, wanted_bytes)
    except OSError as error:
        os.ftruncate(fd, 0)
        if error.errno not in _TRY_SMALLER:
            return 0
        if wanted_bytes // 2 < SMALLEST_BYTES:
            raise
        return _reserve(fd, wanted_bytes // 2)
    return wanted_bytes


def _map(fd: int, capacity: int) -> mmap.mmap | None:
    # Without the interpreter lock a store into the map is not one step: such builds write each line.
    if not capacity or not getattr(sys, "_is_gil_enabled", lambda: True)():
        return None
    try:
        return mmap.mmap(fd, capacity)
    except OSError:
        os.ftruncate(fd, 0)
        return None


def _text_end(fd: int, start: int) -> int:
    while block := os.pread(fd, LONGEST_LINE, start):
        nul = block.find(0)
        if nul >= 0:
            return start + nul
        start += len(block)
    return start
