"""Find the marks of some turns in a segment without parsing the others.

The marks of a segment stand in the order of their times, but for what several threads swap among themselves. So a
bisection by times tells where a turn's marks can lie, and a search for the turn's id finds them there. The glance has
counted them: where some are missing, the whole segment is searched.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections import defaultdict
from contextlib import suppress
from operator import itemgetter
from typing import TYPE_CHECKING, Any, BinaryIO, Final, NamedTuple

import orjson

from turnscope.errors import JournalFormatError
from turnscope_analyzer.sources.damage import fields_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

_STRIDE: Final = 16_384
"""Bytes between two places whose time is looked up: what a search reads too much."""

_FEW: Final = 32
"""For so few turns it is cheaper to look at a place, or for a turn among the repeated lines, when it is asked for."""

_AHEAD: Final = 131_072
"""What is read at once: below this, memory is used again and again, which takes a quarter of the time."""

_PROBE: Final = 1024
"""What is read to find the next line and its time."""

_M = re.compile(rb'"m":(\d+)')
_TURN: Final = b'{"turn":'
_CARRIED: Final = b'\n{"turnscope":"carried"'

Located = tuple[int, bytes]
"""A line and its offset."""


class Window(NamedTuple):
    """A turn, the monotonic times of its first and last mark in a file, and how many it has there."""

    turn_id: str
    first_m: int
    last_m: int
    marks: int


def by_file(rows: Iterable[tuple[Any, ...]]) -> dict[str, list[Window]]:
    """Return windows by file, from rows of the file and what a window has, in the order of their times.

    Neighbours lie close together.
    """
    windows: dict[str, list[Window]] = defaultdict(list)
    for file, *window in sorted(rows, key=itemgetter(0, 2)):
        windows[file].append(Window(*window))
    return windows


class Text:
    """The text of a segment; no more of the file is read than the search comes by.

    Args:
        file: The segment, or its copy.
        n_bytes: How far its text reaches.
        windows: What will be searched for.
        may_carry: It may begin with lines of older segments.
    """

    def __init__(self, file: BinaryIO, n_bytes: int, windows: Sequence[Window], *, may_carry: bool = True) -> None:
        self._file, self._n_bytes, self._windows = file, n_bytes, windows
        self._held, self._held_from = b"", 0
        self._repeated: dict[bytes, list[Located]] = defaultdict(list)
        self._carried = self._read_carry() if may_carry else 0
        self._places = range(self._carried, self._n_bytes, _STRIDE)
        self._found: dict[int, tuple[int, int]] = {}
        # For many windows nearly all of them are needed, and a list is bisected sooner.
        self._times = list(map(self._time_from, self._places)) if len(windows) > _FEW else None
        self._parsed: dict[str, list[Located]] | None = None

    def find(self) -> Iterator[Located]:
        """Yield the lines of the turns, turn by turn; those that are repeated from older segments, too."""
        for window in self._windows:
            name = orjson.dumps(window.turn_id)
            needle = _TURN + name + b","
            found = self._repeated.get(name, [])
            if len(found) < window.marks:
                found = found + self._search(needle, window.marks - len(found), *self._bounds(window))
            if len(found) < window.marks:
                found = self._search(needle, window.marks, 0, self._n_bytes)
            if len(found) < window.marks:
                found = self._in_other_spelling().get(window.turn_id, found)
            # The same line stands twice where a thread wrote it while another rolled.
            yield from {line: (offset, line) for offset, line in found}.values()

    def _hold(self, low: int, high: int) -> None:
        """Have the text from *low* to *high* in memory."""
        high = min(high, self._n_bytes)
        if low < self._held_from or high > self._held_from + len(self._held):
            self._file.seek(low)
            self._held = self._file.read(max(high, min(low + _AHEAD, self._n_bytes)) - low)
            self._held_from = low

    def _read_carry(self) -> int:
        """Take the lines that are repeated from older segments, and return where they end; 0 where there are none."""
        end, reach = 0, 0
        while not end and reach < self._n_bytes:
            reach = 4 * reach or _AHEAD
            self._hold(0, reach)
            end = self._held.find(_CARRIED, 0, reach) + 1
        if len(self._windows) <= _FEW:
            for window in self._windows:
                name = orjson.dumps(window.turn_id)
                self._repeated[name] = self._search(_TURN + name + b",", window.marks, 0, end)
            return end
        at = 0
        for line in self._held[:end].splitlines(keepends=True):
            # A quote within an id is escaped, so this comma is the one behind it.
            name = line[len(_TURN) : line.find(b',"')]
            self._repeated[name].append((at, line))
            at += len(line)
        return end

    def _line_from(self, position: int) -> tuple[int, int]:
        """Return the time and the offset of the first line that begins after *position*.

        Where none is near enough, that of a place before; time 0 where there is none at all.
        """
        if position not in self._found:
            self._found[position] = 0, self._carried
            for place in range(position, self._carried - 1, -_STRIDE):
                self._file.seek(place)
                text = self._file.read(min(_PROBE, self._n_bytes - place))
                start = text.find(b"\n") + 1
                found = _M.search(text, start)
                if start and found:
                    self._found[position] = int(found[1]), place + start
                    break
        return self._found[position]

    def _time_from(self, position: int) -> int:
        return self._line_from(position)[0]

    def _bounds(self, window: Window) -> tuple[int, int]:
        if self._times is None:
            first = bisect_left(self._places, window.first_m, key=self._time_from) - 2
            last = bisect_right(self._places, window.last_m, max(first, 0), key=self._time_from) + 1
        else:
            first = bisect_left(self._times, window.first_m) - 2
            last = bisect_right(self._times, window.last_m, max(first, 0)) + 1
        low = self._line_from(self._places[first])[1] if first >= 0 else self._carried
        return low, self._line_from(self._places[last])[1] if last < len(self._places) else self._n_bytes

    def _search(self, needle: bytes, due: int, low: int, high: int) -> list[Located]:
        self._hold(low, high)
        data, begin = self._held, self._held_from
        low, high = low - begin, high - begin
        found: list[Located] = []
        at = data.find(needle, low, high)
        while at >= 0:
            end = data.find(b"\n", at) + 1
            if at == low or data[at - 1] == 0x0A:
                found.append((begin + at, data[at:end]))
                if len(found) == due:
                    break
            at = data.find(needle, end, high)
        return found

    def _in_other_spelling(self) -> dict[str, list[Located]]:
        """Return all marks by turn, parsed one by one: another implementation may set its blanks differently."""
        if self._parsed is None:
            self._parsed = defaultdict(list)
            self._hold(0, self._n_bytes)
            at = 0
            for line in self._held.split(b"\n"):
                with suppress(JournalFormatError):
                    self._parsed[fields_of(line)["turn"]].append((at, line + b"\n"))
                at += len(line) + 1
        return self._parsed
