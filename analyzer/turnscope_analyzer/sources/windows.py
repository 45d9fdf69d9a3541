"""Find the marks of some turns in a segment without parsing the others.

The marks of a segment stand in the order of their times, but for what several threads swap among themselves. So a
sparse index of times tells where a turn's marks can lie, and a search for the turn's id finds them there.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from typing import TYPE_CHECKING, BinaryIO, Final, NamedTuple

import orjson

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_STRIDE: Final = 16_384
"""Bytes between two entries of the index; half of what a search reads too much."""

_LARGEST: Final = 64 << 20
"""A file larger than this is read in pieces."""

_M = re.compile(rb'"m":(\d+)')


class Window(NamedTuple):
    """A turn, and the monotonic times of its first and last mark in a file."""

    turn_id: str
    first_m: int
    last_m: int


class Line(NamedTuple):
    """A mark as it stands in the file."""

    turn_id: str
    offset: int
    text: bytes


class LineReader:
    """Reads lines again by their offset; the last file stays open, for marks of one turn stand close together."""

    def __init__(self) -> None:
        self._path: Path | None = None
        self._file: BinaryIO | None = None

    def read(self, path: Path, offset: int, n_bytes: int) -> bytes:
        """Return *n_bytes* of *path* from *offset*."""
        if self._file is None or path != self._path:
            if self._file is not None:
                self._file.close()
            self._path, self._file = path, path.open("rb")
        self._file.seek(offset)
        return self._file.read(n_bytes)

    def close(self) -> None:
        """Close what is open."""
        if self._file is not None:
            self._file.close()


def find_lines(path: Path, windows: list[Window]) -> Iterator[Line]:
    """Yield the lines of *path* that belong to the turns of *windows*.

    Raises:
        OSError: The file cannot be read.
    """
    with path.open("rb") as file:
        base = 0
        rest = b""
        while block := file.read(_LARGEST):
            data = rest + block
            end = data.rfind(b"\n") + 1
            yield from _find_in(data[:end] if end < len(data) else data, base, windows)
            rest = data[end:]
            base += end


def _find_in(data: bytes, base: int, windows: list[Window]) -> Iterator[Line]:
    times, offsets = _index(data)
    for window in windows:
        low, high = _bounds(times, offsets, window, len(data))
        needle = b'{"turn":' + orjson.dumps(window.turn_id) + b","
        at = data.find(needle, low, high)
        while at >= 0:
            end = data.find(b"\n", at) + 1
            if at == 0 or data[at - 1] == 0x0A:
                yield Line(window.turn_id, base + at, data[at:end])
            at = data.find(needle, end, high)


def _index(data: bytes) -> tuple[list[int], list[int]]:
    """Return rising times, and the offsets of lines that come before anything later than that."""
    times: list[int] = []
    offsets: list[int] = []
    latest = 0
    for position in range(0, len(data), _STRIDE):
        start = data.find(b"\n", position) + 1
        found = _M.search(data, start, start + 1024)
        if start and found:
            latest = max(latest, int(found[1]))
            times.append(latest)
            offsets.append(start)
    return times, offsets


def _bounds(times: list[int], offsets: list[int], window: Window, size: int) -> tuple[int, int]:
    if not times or window.first_m < times[0]:
        # Older than the file's own marks: carried over from the segment before, or written for another process.
        return 0, size
    first = bisect_left(times, window.first_m) - 2
    last = bisect_right(times, window.last_m) + 1
    return (offsets[first] if first >= 0 else 0), (offsets[last] if last < len(offsets) else size)
