"""Reads what was added to the segments of a folder since the last time, in bounded memory and without a lock.

A line counts once it stands there whole: what its process is just writing, or was killed in, waits. Nothing in a file
makes it fail, and nothing is written.
"""

from __future__ import annotations

import os
from contextlib import suppress
from io import BytesIO
from typing import TYPE_CHECKING, Final, NamedTuple

from turnscope.reading import read_header
from turnscope.segment import LONGEST_LINE
from turnscope.ship.story import step_in

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from turnscope.ship.story import Step

_BLOCK_BYTES: Final = 2 * LONGEST_LINE
_NOTE_START: Final = b'{"turnscope":'


class Segment(NamedTuple):
    """A segment by its name and its header."""

    name: str
    header: dict[str, object]

    @property
    def process_id(self) -> str:
        """The process that fills it."""
        return str(self.header.get("proc"))

    @property
    def began_ns(self) -> int:
        """When that process began to record, wall clock."""
        began_ns = self.header.get("t")
        return began_ns if isinstance(began_ns, int) else 0

    @property
    def number(self) -> int:
        """Which of its process's segments it is."""
        number = self.header.get("segment")
        return number if isinstance(number, int) else 0


class Reader:
    """The segments of a folder, each read up to a place.

    Attributes:
        at: How far each segment was read, bytes by name.
        segments: Those that were there the last time that somebody looked.
        damaged: Lines that are no marks and no notes.
        missed: Segments that went before they were read.
    """

    def __init__(self, folder: Path) -> None:
        self.at: dict[str, int] = {}
        self.segments: list[Segment] = []
        self.damaged = self.missed = 0
        self._folder = folder
        self._headers: dict[str, dict[str, object]] = {}
        self._numbers: dict[str, int] = {}

    def look(self) -> None:
        """See which segments there are, oldest first."""
        names = {path.name: path for path in sorted(self._folder.glob("*.jsonl"))}
        for name, path in names.items():
            if name not in self._headers:
                with suppress(OSError):
                    header = read_header(path)
                    if header is not None:
                        self._headers[name] = header
        for name in self._headers.keys() - names.keys():
            del self._headers[name]
        for name in self.at.keys() - names.keys():
            del self.at[name]
        # By the beginnings of their processes: a forked child's marks come after those of its parent.
        found = [Segment(name, self._headers[name]) for name in names if name in self._headers]
        self.segments = sorted(found, key=lambda segment: (segment.began_ns, segment.name))
        self._count_missed()

    def steps(self) -> Iterator[tuple[str, Step]]:
        """Yield the marks that were added since, each with the process that fills its segment.

        `at` is already behind the one that was yielded last.
        """
        for segment in self.segments:
            # Gone or not ours to read: what becomes of it is seen the next time.
            with suppress(OSError):
                yield from self._steps_in(segment)

    def _steps_in(self, segment: Segment) -> Iterator[tuple[str, Step]]:
        name, process_id = segment.name, segment.process_id
        fd = os.open(self._folder / name, os.O_RDONLY | os.O_CLOEXEC)
        try:
            while block := self._block(fd, self.at.get(name, 0)):
                place = self.at.get(name, 0)
                if not block.endswith(b"\n"):
                    # A line that is longer than any of ours: pass over it as it comes.
                    self.at[name] = place + len(block)
                    continue
                # Line by line, not split at once: a batch is mostly full before its last block is at its end.
                for line in BytesIO(block):
                    self.at[name] = place = place + len(line)
                    step = step_in(line)
                    if step is not None:
                        yield process_id, step
                    elif not line.startswith(_NOTE_START):
                        self.damaged += 1
        finally:
            os.close(fd)

    def _block(self, fd: int, at: int) -> bytes:
        """Return whole lines from *at* on, or a part of one that is too long to be one; empty when there are none."""
        # Most often nothing was added: one byte tells, where a block would be read in vain from each old segment.
        if os.pread(fd, 1, at) in {b"", b"\0"}:
            return b""
        text = os.pread(fd, _BLOCK_BYTES, at).partition(b"\0")[0]
        whole = text.rfind(b"\n") + 1
        return text[:whole] if whole or len(text) <= LONGEST_LINE else text

    def _count_missed(self) -> None:
        there = {segment.process_id for segment in self.segments}
        self._numbers = {name: number for name, number in self._numbers.items() if name in there}
        for segment in self.segments:
            last = self._numbers.get(segment.process_id)
            if last is None or segment.number > last:
                self._numbers[segment.process_id] = segment.number
                self.missed += 0 if last is None else segment.number - last - 1
