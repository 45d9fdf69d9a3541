"""Makes batches of what was added to a journal: what a signal sends because of its marks, and of processes that died.

What was read and not yet sent can be put away and taken up again: the same marks make the same batches.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final, Protocol

from turnscope.errors import JournalFormatError
from turnscope.life import ENDED, last_pulse_ns, read_life
from turnscope.process import fate_of
from turnscope.ship.reader import Reader
from turnscope.ship.story import Step, Story

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from turnscope.ship.cursor import Cursor
    from turnscope.ship.story import Closed, Episode

_YIELD_STEPS: Final = 128

Header = dict[str, object]


class Maker(Protocol):
    """Makes the items of one signal.

    Attributes:
        tells_marks: Whether it sends something of marks that end nothing; where not, it is not asked about them.
    """

    tells_marks: bool

    def reached(self, episode: Episode, step: Step, closed: Sequence[Closed], header: Header) -> Sequence[Any]:
        """Return what is sent because of a mark, and of the lanes that ended with it."""

    def lost(self, episode: Episode, closed: Sequence[Closed], header: Header, horizon_ns: int) -> Sequence[Any]:
        """Return what is sent of a turn whose process is gone."""

    def alive(self, episodes: list[Episode], header: Header, folder: Path) -> Sequence[Any]:
        """Return what is sent now and then of the turns that a process has open."""


class Batches:
    """What is to be sent of a journal, in the order in which it was recorded."""

    def __init__(self, folder: Path, maker: Maker) -> None:
        self.reader = Reader(folder)
        self.story = Story()
        self._folder, self._maker = folder, maker
        self._waiting: list[Step] = []
        self._headers: dict[str, Header] = {}

    def next(self, limit: int) -> list[Any]:
        """Return the next items, *limit* of them or a few more; none when everything was read."""
        items: list[Any] = []
        if self._read(items, limit):
            return items
        gone = self._gone()
        # Once more: what a process wrote until it died may have come after the first time.
        if gone and self._read(items, limit):
            return items
        while self._waiting:
            items += self._take(self._waiting.pop(0))
            if len(items) >= limit:
                return items
        for process_id, pulse_ns in gone.items():
            for episode in self.story.open_of(process_id):
                items += self._lose(episode, max(pulse_ns, self._latest_ns(process_id)))
                if len(items) >= limit:
                    return items
        return items

    def _read(self, items: list[Any], limit: int) -> bool:
        """Add what is sent because of the marks that follow to *items*; True when there are *limit* of them."""
        self.reader.look()
        needed = self.story.processes()
        self._headers = {name: header for name, header in self._headers.items() if name in needed}
        self._headers |= {segment.process_id: segment.header for segment in self.reader.segments}
        for count, (process_id, step) in enumerate(self.reader.steps(), 1):
            if step.process_id == process_id:
                items += self._take(step)
            else:
                # Written in the name of a process that is gone: its own marks come first, wherever they stand.
                self._waiting.append(step)
            if len(items) >= limit:
                return True
            if not count % _YIELD_STEPS:
                time.sleep(0)  # a gateway's thread that waits for the interpreter gets it after 1 ms, not after 5
        return False

    def _take(self, step: Step) -> Sequence[Any]:
        taken = self.story.take(step)
        if taken is None:
            return ()
        episode, closed = taken
        if not closed and not self._maker.tells_marks:
            return ()
        return self._maker.reached(episode, step, closed, self._header(step.process_id))

    def _lose(self, episode: Episode, horizon_ns: int) -> Sequence[Any]:
        closed = self.story.lose(episode, horizon_ns)
        return self._maker.lost(episode, closed, self._header(episode.process_id), horizon_ns)

    def _gone(self) -> dict[str, int]:
        """Return the processes with open turns that are gone, each with its last pulse, 0 where it left none."""
        gone = {}
        for process_id in sorted(self.story.processes()):
            header = self._headers.get(process_id)
            if header is None:
                continue
            pulse_ns = last_pulse_ns(self._folder, process_id)
            fate = fate_of(header, pulse_ns)
            if fate == "killed" or (fate == "unknown" and self._said_goodbye(process_id)):
                gone[process_id] = pulse_ns or 0
        return gone

    def _said_goodbye(self, process_id: str) -> bool:
        try:
            return read_life(self._folder / f"{process_id}.life").fate == ENDED
        except (OSError, JournalFormatError):
            return False

    def _latest_ns(self, process_id: str) -> int:
        open_marks = (
            step.wall_ns
            for episode in self.story.open_of(process_id)
            for steps in episode.lanes.values()
            for step in steps
        )
        return max(open_marks, default=0)

    def _header(self, process_id: str) -> Header:
        return self._headers.get(process_id) or {"proc": process_id}

    def alive(self) -> list[Any]:
        """Return what is sent now and then of everything that is open."""
        items: list[Any] = []
        for process_id in sorted(self.story.processes()):
            items += self._maker.alive(self.story.open_of(process_id), self._header(process_id), self._folder)
        return items

    def put_away(self, cursor: Cursor) -> None:
        """Let *cursor* stand behind what was read."""
        cursor.at = dict(self.reader.at)
        cursor.story = self.story.put_away()
        cursor.waiting = [list(step) for step in self._waiting]

    def take_up(self, cursor: Cursor) -> None:
        """Go on from *cursor*, as after a restart."""
        self.reader.at = dict(cursor.at)
        self.story.take_up(cursor.story)
        self._waiting = [Step._make(step) for step in cursor.waiting]
