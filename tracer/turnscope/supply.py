"""Makes the segments of one process, the next one ahead of its need.

A new file of 8 MiB costs 2 ms; whoever records should not pay that, so a busy process finds its next segment ready.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from turnscope.header import note_line
from turnscope.segment import LONGEST_LINE, Segment

if TYPE_CHECKING:
    from pathlib import Path
    from threading import RLock

    from turnscope.header import Header


class Supply:
    """The files that one process has made, and the one that waits to be used.

    Each file has a number of its own. The caller holds *lock* around every method but ``prepare``.
    """

    def __init__(self, folder: Path, header: Header, segment_bytes: int, lock: RLock) -> None:
        self.folder = folder
        self.number = 0
        self._header, self._segment_bytes, self._lock = header, segment_bytes, lock
        self._ready: Segment | None = None

    def end_of_carry(self, lines: int) -> bytes:
        """Return the note that follows *lines* lines that a segment repeats from the one before."""
        who = self._header.identity
        return note_line({"turnscope": "carried", "proc": who.process_id, "lines": lines})

    def next(self, least_bytes: int = 0) -> Segment:
        """Return an empty segment with its header, larger than usual when *least_bytes* asks for it.

        Raises:
            OSError: There is no room, or no right.
        """
        ready, self._ready = self._ready, None
        if ready is not None:
            if ready.capacity >= least_bytes and ready.in_place():
                return ready
            ready.discard()
        return self._make(self._take_number(), least_bytes)

    def replace(self, vanished: Segment) -> Segment:
        """Return a new segment that holds what *vanished* held.

        Raises:
            OSError: There is no room for all of it. Nothing is left behind; *vanished* goes on without a name.
        """
        segment = self._make(self._take_number(), vanished.length + 2 * LONGEST_LINE)
        vanished.seal()
        if all(segment.write(line) for line in vanished.content().splitlines(keepends=True)[1:]):
            return segment
        vanished.reopen()
        segment.discard()
        raise OSError(f"{segment.path} has no room for the {vanished.length} bytes of {vanished.path}")

    def prepare(self, current: Segment) -> None:
        """Have the next segment ready for a busy process.

        Raises:
            OSError: There is no room for the next segment; the current one is as it was.
        """
        with self._lock:
            slow = current.number == 1 and current.length * 4 < current.capacity
            if slow or self._ready is not None:
                return
            number = self._take_number()
        segment = self._make(number)
        with self._lock:
            # Somebody may have rolled meanwhile: numbers go up in the order of use.
            if self._ready is None and self.number == number:
                self._ready = segment
                return
        segment.discard()

    def discard(self) -> None:
        """Remove the segment that was prepared and is not needed any more."""
        if self._ready is not None:
            self._ready.discard()
            self._ready = None

    def abandon(self) -> None:
        """Let go of all files: in a forked child they are the parent's."""
        if self._ready is not None:
            self._ready.abandon()
            self._ready = None

    def paths(self) -> set[Path]:
        """Return the files that are prepared and not in use yet."""
        return {self._ready.path} if self._ready is not None else set()

    def _take_number(self) -> int:
        self.number += 1
        return self.number

    def _make(self, number: int, least_bytes: int = 0) -> Segment:
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self._header.path(self.folder, number)
        segment = Segment.create(path, number, max(self._segment_bytes, least_bytes))
        segment.write(self._header.line(number))
        return segment
