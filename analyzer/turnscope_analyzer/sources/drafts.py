"""The marks of one turn while its file is still being read: they can be completed, moved and taken back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from turnscope_analyzer.model import Mark

if TYPE_CHECKING:
    from turnscope_analyzer.model import Value


class Placed(Protocol):
    """A record with its place in its file and on the timeline."""

    @property
    def offset(self) -> int:
        """Its first byte."""

    @property
    def at_ns(self) -> int:
        """When it was written, on a line that does not go back."""

    @property
    def wall_ns(self) -> int:
        """When it was written, by the clock on the wall."""


@dataclass(slots=True, eq=False)
class Draft:
    """A mark that still lacks what only the whole file tells: its session, its process, its place in the order."""

    lane: str
    phase: str
    at_ns: int
    wall_ns: int
    offset: int
    attrs: dict[str, Value]

    def tell(self, **attrs: Value) -> None:
        """Add what a later record says; attributes that are None are not on file."""
        self.attrs |= {name: value for name, value in attrs.items() if value is not None}

    def move(self, wall_ms: int | None, not_before_ns: int, *, late: bool = False) -> None:
        """Give the mark the time that its record names, if that is not later than now nor before *not_before_ns*."""
        back_ns = -1 if wall_ms is None or wall_ms < 0 else self.wall_ns - wall_ms * 1_000_000
        if not 0 <= back_ns <= self.at_ns - not_before_ns:
            return
        self.at_ns -= back_ns
        self.wall_ns -= back_ns
        if not late:
            self.attrs.pop("late", None)

    def placed(self, turn_id: str, session_id: str, seq: int, process_id: str, file: str) -> Mark:
        """Return the mark, with what only the whole file tells."""
        return Mark(
            turn_id=turn_id,
            session_id=session_id,
            lane=self.lane,
            phase=self.phase,
            at_ns=self.at_ns,
            wall_ns=self.wall_ns,
            seq=seq,
            process_id=process_id,
            file=file,
            offset=self.offset,
            attrs=self.attrs,
        )


class Drafts(list[Draft]):
    """The marks of one turn in the order in which they came about."""

    def mark(self, record: Placed, lane: str, phase: str, **attrs: Value) -> Draft:
        """Add a mark that *record* proves; attributes that are None are not on file."""
        draft = Draft(lane, phase, record.at_ns, record.wall_ns, record.offset, {})
        draft.tell(**attrs)
        self.append(draft)
        return draft
