"""Every line of a file with its exact place, in bounded memory, however long or damaged the file is.

A line that is too long to be held is handed over by its two ends. Nothing in a file's content raises, but for
compressed data that is damaged: its lines are given as far as they can be unpacked, then one `DamagedError`.
"""

from __future__ import annotations

import io
import os
from typing import TYPE_CHECKING, Final, NamedTuple

from turnscope_analyzer.sources.opened import DAMAGED, STEP_BYTES, DamagedError, open_plain

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from typing import BinaryIO

CAP_BYTES: Final = 64 << 10
"""A line up to this length is handed over whole."""

TAIL_BYTES: Final = 4 << 10
"""How much of a longer line's end is kept: enough for a small record that was glued onto a torn one."""

BLOCK_BYTES: Final = 256 << 10
"""What is read at once; with more of it, reading gets no faster."""


class Line(NamedTuple):
    """A line without its newline.

    ``head`` is the whole line, or its first ``cap_bytes`` where it is longer; then ``tail`` is its end. ``offset``
    counts in what the file holds unpacked.
    """

    offset: int
    head: bytes
    length: int
    whole: bool
    tail: bytes = b""


def iter_lines(
    path: Path, cap_bytes: int = CAP_BYTES, progress: Callable[[int], None] = lambda _bytes: None
) -> Iterator[Line]:
    """Read the lines of *path*, split at newlines alone, the last one also where its newline is missing.

    Args:
        path: A file, plain, gzip or zstd, told by its content.
        cap_bytes: A longer line is handed over by its two ends.
        progress: Called now and then with the bytes on disk that were read since the last call.

    Raises:
        DamagedError: The rest cannot be read. Every line that stands wholly before its ``offset`` was handed over.
        OSError: The file cannot be opened.
    """
    with open_plain(path) as file:
        source = _Source(file)
        view = memoryview(source.block)
        crossing = _Crossing(cap_bytes)
        base = 0
        while True:
            try:
                count = source.fill()
            except (*DAMAGED, OSError) as error:
                raise DamagedError(path, base - crossing.length, _why(error)) from error
            if not count:
                break
            start = 0
            # find, not a split: memchr runs at 8 GB/s and copies nothing.
            while (end := source.block.find(b"\n", start, count)) >= 0:
                if crossing.length:
                    crossing.add(base + start, view[start:end])
                    yield crossing.take()
                else:
                    yield _line(base + start, source.block, start, end, cap_bytes)
                start = end + 1
            crossing.add(base + start, view[start:count])
            base += count
            progress(source.advanced_bytes())
        if crossing.length:
            yield crossing.take()


class _Source:
    """What a file holds, block by block, and how far that is on disk."""

    def __init__(self, file: BinaryIO) -> None:
        self._descriptor = file.fileno()
        self._done_bytes = 0
        if isinstance(file, io.RawIOBase):
            # A block no larger than the file: the zeros of large blocks for a thousand small files cost 0.3 s.
            size_bytes = os.fstat(self._descriptor).st_size
            self.block = bytearray(min(BLOCK_BYTES, max(size_bytes + 1, CAP_BYTES)))
            self._readinto = file.readinto
        else:
            self.block = bytearray(STEP_BYTES)
            # One step at a time: what fills a larger buffer first would lose it where the data is damaged.
            self._readinto = file.readinto1  # type: ignore[attr-defined]

    def fill(self) -> int:
        """Read the next block and return its length, 0 at the end."""
        return self._readinto(self.block) or 0

    def advanced_bytes(self) -> int:
        """Return how many bytes on disk were read since this was last asked."""
        before, self._done_bytes = self._done_bytes, os.lseek(self._descriptor, 0, os.SEEK_CUR)
        return self._done_bytes - before


def _why(error: Exception) -> str:
    if isinstance(error, DAMAGED):
        return "the compressed data is damaged or cut off; what comes after cannot be read"
    return f"cannot be read on: {getattr(error, 'strerror', None)}"


def _line(offset: int, block: bytearray, start: int, end: int, cap_bytes: int) -> Line:
    length = end - start
    if length <= cap_bytes:
        return Line(offset, bytes(block[start:end]), length, True)  # noqa: FBT003 -- a keyword costs, for every line
    head, tail = block[start : start + cap_bytes], block[max(start, end - TAIL_BYTES) : end]
    return Line(offset, bytes(head), length, whole=False, tail=bytes(tail))


class _Crossing:
    """A line that began in an earlier block: its two ends and its length so far."""

    def __init__(self, cap_bytes: int) -> None:
        self._cap_bytes = cap_bytes
        self._offset = 0
        self._head = bytearray()
        self._tail = b""
        self.length = 0

    def add(self, offset: int, text: memoryview) -> None:
        if not self.length:
            self._offset = offset
        self.length += len(text)
        if room_bytes := self._cap_bytes - len(self._head):
            self._head += text[:room_bytes]
        self._tail = (self._tail + bytes(text[-TAIL_BYTES:]))[-TAIL_BYTES:]

    def take(self) -> Line:
        """Return the line and begin anew."""
        whole = self.length <= self._cap_bytes
        line = Line(self._offset, bytes(self._head), self.length, whole, b"" if whole else self._tail)
        self._head.clear()
        self._tail = b""
        self.length = 0
        return line
