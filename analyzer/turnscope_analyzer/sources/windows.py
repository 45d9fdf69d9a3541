"""Find the marks of some turns in a segment without parsing the others.

The marks of a segment stand in the order of their times, but for what several threads swap among themselves. So a
sparse index of times tells where a turn's marks can lie, and a search for the turn's id finds them there. The glance
has counted them: where some are missing, the whole segment is searched.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections import defaultdict
from contextlib import suppress
from typing import TYPE_CHECKING, Final, NamedTuple

import orjson

from turnscope.errors import JournalFormatError
from turnscope_analyzer.sources.damage import fields_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_STRIDE: Final = 16_384
"""Bytes between two entries of the index; half of what a search reads too much."""

_M = re.compile(rb'"m":(\d+)')
_MARK = re.compile(rb'(?m)^\{"turn":("(?:[^"\\]|\\.)*"),.*\n')
_CARRIED: Final = b'\n{"turnscope":"carried"'

Located = tuple[int, bytes]
"""A line and its offset."""


class Window(NamedTuple):
    """A turn, the monotonic times of its first and last mark in a file, and how many it has there."""

    turn_id: str
    first_m: int
    last_m: int
    marks: int


class Text:
    """The text of a segment, with its index."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._times: list[int] = []
        self._offsets: list[int] = []
        self._carried = data.find(_CARRIED) + 1
        self._repeated: dict[bytes, list[Located]] = defaultdict(list)
        for line in _MARK.finditer(data, 0, self._carried):
            self._repeated[line[1]].append((line.start(), line[0]))
        self._parsed: dict[str, list[Located]] | None = None
        self._build_index(self._carried)

    def find(self, windows: Iterable[Window]) -> Iterator[Located]:
        """Yield the lines of the turns of *windows*, turn by turn; those that are repeated from older segments, too."""
        for window in windows:
            name = orjson.dumps(window.turn_id)
            needle = b'{"turn":' + name + b","
            found = self._repeated.get(name, [])
            found = found + self._search(needle, window.marks - len(found), *self._bounds(window))
            if len(found) < window.marks:
                found = self._search(needle, window.marks, 0, len(self._data))
            if len(found) < window.marks:
                found = self._in_other_spelling().get(window.turn_id, found)
            # The same line stands twice where a thread wrote it while another rolled.
            yield from {line: (offset, line) for offset, line in found}.values()

    def _in_other_spelling(self) -> dict[str, list[Located]]:
        """Return all marks by turn, parsed one by one: another implementation may set its blanks differently."""
        if self._parsed is None:
            self._parsed = defaultdict(list)
            at = 0
            for line in self._data.split(b"\n"):
                with suppress(JournalFormatError):
                    self._parsed[fields_of(line)["turn"]].append((at, line + b"\n"))
                at += len(line) + 1
        return self._parsed

    def _search(self, needle: bytes, due: int, low: int, high: int) -> list[Located]:
        data = self._data
        found: list[Located] = []
        at = data.find(needle, low, high) if due > 0 else -1
        while at >= 0:
            end = data.find(b"\n", at) + 1
            if at == 0 or data[at - 1] == 0x0A:
                found.append((at, data[at:end]))
                if len(found) == due:
                    break
            at = data.find(needle, end, high)
        return found

    def _build_index(self, begin: int) -> None:
        """Note rising times, and the offsets of lines that come before anything later than that."""
        latest = 0
        for position in range(begin, len(self._data), _STRIDE):
            start = self._data.find(b"\n", position) + 1
            found = _M.search(self._data, start, start + 1024)
            if start and found:
                latest = max(latest, int(found[1]))
                self._times.append(latest)
                self._offsets.append(start)

    def _bounds(self, window: Window) -> tuple[int, int]:
        first = bisect_left(self._times, window.first_m) - 2
        last = bisect_right(self._times, window.last_m) + 1
        low = self._offsets[first] if first >= 0 else self._carried
        return low, self._offsets[last] if last < len(self._offsets) else len(self._data)
