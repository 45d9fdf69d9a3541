"""Tells from the marks on the lane ``turn`` whether a turn has ended, and which process had it last.

A turn can pass from one process to another and be resumed after an end, so its last mark on that lane decides: by
``seq`` within a process, by wall clock between two.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from turnscope.errors import JournalFormatError
from turnscope.phases import PHASES
from turnscope.reading import RawMark, read_segment

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

ENDS: Final = frozenset(phase.name for phase in PHASES if phase.lane == "turn" and phase.terminal)
"""Phases that end a turn."""


class Mark(NamedTuple):
    """A mark, without its attributes."""

    turn: str
    session: str
    lane: str
    phase: str
    wall_ns: int
    mono_ns: int
    seq: int
    process_id: str

    @property
    def ends_turn(self) -> bool:
        """Whether the turn has reached a terminal phase with it."""
        return self.lane == "turn" and self.phase in ENDS

    def follows(self, other: Mark) -> bool:
        """Tell whether this mark came after *other*."""
        if self.process_id == other.process_id:
            return self.seq > other.seq
        return self.wall_ns > other.wall_ns


def marks_of(path: Path) -> Iterator[Mark]:
    """Yield the marks of a segment; damaged ones are passed over.

    Raises:
        OSError: The file cannot be read.
    """
    for entry in read_segment(path):
        if isinstance(entry, RawMark) and (mark := _parsed(entry)) is not None:
            yield mark


def turn_marks_of(path: Path) -> Iterator[Mark]:
    """Yield the marks on the lane ``turn`` of a segment, at a fifth of the cost of all.

    Raises:
        OSError: The file cannot be read.
    """
    for entry in read_segment(path):
        # A line in our own spelling shows its lane without being parsed; any other spelling has a blank somewhere.
        if isinstance(entry, RawMark) and (b'"lane":"turn"' in entry.raw or b'"lane":"' not in entry.raw):
            mark = _parsed(entry)
            if mark is not None and mark.lane == "turn":
                yield mark


def last_turn_marks(paths: Iterable[Path]) -> dict[str, Mark]:
    """Return the last mark on the lane ``turn`` of each turn in *paths*.

    Raises:
        OSError: A file cannot be read.
    """
    last: dict[str, Mark] = {}
    for path in paths:
        for mark in turn_marks_of(path):
            known = last.get(mark.turn)
            if known is None or mark.follows(known):
                last[mark.turn] = mark
    return last


def _parsed(entry: RawMark) -> Mark | None:
    try:
        found = entry.fields()
    except JournalFormatError:
        return None
    keys = ("turn", "session", "lane", "phase", "t", "m", "seq", "proc")
    return Mark._make(found[key] for key in keys)
