"""Every line of a file with its exact place, in bounded memory, however long or damaged the file is.

A line that is too long to be held is handed over by its two ends. Nothing in a file's content raises.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CAP_BYTES: Final = 64 << 10
"""A line up to this length is handed over whole."""

TAIL_BYTES: Final = 4 << 10
"""How much of a longer line's end is kept: enough for a small record that was glued onto a torn one."""

BLOCK_BYTES: Final = 8 << 20
"""What is read at once."""


class Line(NamedTuple):
    """A line without its newline.

    ``head`` is the whole line, or its first ``cap_bytes`` where it is longer; then ``tail`` is its end.
    """

    offset: int
    head: bytes
    length: int
    whole: bool
    tail: bytes = b""


def iter_lines(path: Path, cap_bytes: int = CAP_BYTES) -> Iterator[Line]:
    """Read the lines of *path*, split at newlines alone, the last one also where its newline is missing.

    Raises:
        OSError: The file cannot be opened or read. The lines handed over before it are good.
    """
    with path.open("rb", buffering=0) as file:
        # A block no larger than the file: 8 MiB of zeros for each of a thousand small files cost 0.3 s.
        size_bytes = os.fstat(file.fileno()).st_size
        block = bytearray(min(BLOCK_BYTES, max(size_bytes + 1, CAP_BYTES)))
        view = memoryview(block)
        crossing = _Crossing(cap_bytes)
        base = 0
        while count := file.readinto(block) or 0:
            start = 0
            # find, not a split: memchr runs at 8 GB/s and copies nothing.
            while (end := block.find(b"\n", start, count)) >= 0:
                if crossing.length:
                    crossing.add(base + start, view[start:end])
                    yield crossing.take()
                else:
                    yield _line(base + start, view[start:end], cap_bytes)
                start = end + 1
            crossing.add(base + start, view[start:count])
            base += count
        if crossing.length:
            yield crossing.take()


def _line(offset: int, text: memoryview, cap_bytes: int) -> Line:
    if len(text) <= cap_bytes:
        return Line(offset, bytes(text), len(text), whole=True)
    return Line(offset, bytes(text[:cap_bytes]), len(text), whole=False, tail=bytes(text[-TAIL_BYTES:]))


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
        self._head += text[: self._cap_bytes - len(self._head)]
        self._tail = (self._tail + bytes(text[-TAIL_BYTES:]))[-TAIL_BYTES:]

    def take(self) -> Line:
        """Return the line and begin anew."""
        whole = self.length <= self._cap_bytes
        line = Line(self._offset, bytes(self._head), self.length, whole, b"" if whole else self._tail)
        self._head.clear()
        self._tail = b""
        self.length = 0
        return line
