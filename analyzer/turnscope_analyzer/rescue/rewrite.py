"""Write a thread's file without what a survey found, prove that nothing else changed, and put it together again."""

from __future__ import annotations

from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Final

import orjson

from turnscope_analyzer.repair.errors import NoBackupError, NotVerifiedError
from turnscope_analyzer.rescue.lines import PARSED_BYTES, Part, is_sound, parses
from turnscope_analyzer.sources.lines import iter_lines

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO

    from turnscope_analyzer.repair.writing import Aside
    from turnscope_analyzer.rescue.survey import Edit, Survey

EDITS: Final = "edits.jsonl"
"""What was taken out, by place; beside it one file for each different original, named after its SHA-256."""

BLOCK_BYTES: Final = 256 << 10


class Shortening:
    """The rewriting of the file that *survey* is about."""

    def __init__(self, survey: Survey) -> None:
        self._survey = survey

    def make(self, old: BinaryIO, new: BinaryIO, aside: Aside) -> None:
        """Write *new*; the originals go into *aside*."""
        kept: set[bytes] = set()
        listed = bytearray()
        at = 0
        for edit, out_at, stands_for in self._placed():
            _copy(old, new, at, edit.start)
            new.write(stands_for)
            at = edit.start + edit.size_bytes
            note = {"at": out_at, "bytes": len(stands_for), "sha256": edit.sha256, "was": edit.size_bytes}
            listed += orjson.dumps({**note, "what": edit.what}, option=orjson.OPT_APPEND_NEWLINE)
            if (digest := bytes.fromhex(edit.sha256)) not in kept:
                kept.add(digest)
                aside.copy(edit.sha256, old, edit.start, edit.size_bytes)
        _copy(old, new, at, self._survey.stamp.size_bytes)
        aside.write(EDITS, listed)

    def check(self, old: BinaryIO, new: BinaryIO) -> None:
        """Hold *new* to *old*: what was not taken out is the same byte by byte, and no line is worse than it was.

        A placeholder stands where a part of a string stood, and has no sign that means anything in JSON. So ids, calls,
        outputs and their order are the same. The lines in which one stands are parsed all the same.

        Raises:
            NotVerifiedError: It is not so.
        """
        at = out_at = 0
        for edit, placed_at, stands_for in self._placed():
            self._hold(old, new, at, edit.start, out_at)
            new.seek(placed_at)
            if new.read(len(stands_for)) != stands_for:
                raise NotVerifiedError(self._survey.path, f"there is no placeholder at byte {placed_at}")
            at, out_at = edit.start + edit.size_bytes, placed_at + len(stands_for)
        self._hold(old, new, at, self._survey.stamp.size_bytes, out_at)
        self._parse(Path(new.name))

    def _placed(self) -> Iterator[tuple[Edit, int, bytes]]:
        """Yield each edit with the place of its placeholder in the new file, and the placeholder."""
        shift = 0
        for edit in self._survey.edits:
            stands_for = edit.placeholder
            yield edit, edit.start + shift, stands_for
            shift += len(stands_for) - edit.size_bytes

    def _hold(self, old: BinaryIO, new: BinaryIO, start: int, end: int, new_start: int) -> None:
        old.seek(start)
        new.seek(new_start)
        while start < end:
            count = min(BLOCK_BYTES, end - start)
            if old.read(count) != new.read(count):
                raise NotVerifiedError(self._survey.path, f"bytes differ after byte {start}")
            start += count

    def _parse(self, new: Path) -> None:
        """Parse every line that has a placeholder, and count all lines."""
        places = chain((place for _, place, _ in self._placed()), (-1,))
        place = next(places)
        lines = 0
        with new.open("rb", buffering=0) as file:
            for line in iter_lines(new, PARSED_BYTES):
                lines += 1
                edited = False
                while line.offset <= place < line.offset + line.length:
                    edited, place = True, next(places)
                if edited and not (parses(line.head) if line.whole else is_sound(Part(file, line.offset, line.length))):
                    raise NotVerifiedError(self._survey.path, f"the line at byte {line.offset} does not parse")
        if (lines, place) != (self._survey.lines, -1):
            raise NotVerifiedError(self._survey.path, f"it has {lines} lines instead of {self._survey.lines}")


def rebuild(new: BinaryIO, new_bytes: int, aside: Path, old: BinaryIO) -> None:
    """Write the *old* file from the first *new_bytes* of the *new* one and what was put *aside*.

    Raises:
        NoBackupError: A part is not there any more.
    """
    at = 0
    try:
        with (aside / EDITS).open("rb") as edits:
            for text in edits:
                edit = orjson.loads(text)
                _copy(new, old, at, edit["at"])
                at = edit["at"] + edit["bytes"]
                with (aside / edit["sha256"]).open("rb") as part:
                    _copy(part, old, 0, edit["was"])
    except (FileNotFoundError, NotADirectoryError) as error:
        raise NoBackupError(f"{error.filename} is gone; without it, nothing can be put together again.") from error
    _copy(new, old, at, new_bytes)


def _copy(source: BinaryIO, out: BinaryIO, start: int, end: int) -> None:
    source.seek(start)
    while start < end:
        block = source.read(min(BLOCK_BYTES, end - start))
        if not block:
            raise OSError(f"a file ended at {start} while it was read")
        out.write(block)
        start += len(block)
