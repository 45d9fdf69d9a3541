"""Write a thread's file without what a survey found, prove that nothing else changed, and put it together again."""

from __future__ import annotations

from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import orjson

from turnscope_analyzer.repair.errors import NoBackupError, NotVerifiedError
from turnscope_analyzer.rescue.lines import PARSED_BYTES, Part, is_sound, parses
from turnscope_analyzer.sources.lines import iter_lines

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import BinaryIO

    from turnscope_analyzer.repair.writing import Aside
    from turnscope_analyzer.rescue.survey import Edit, Survey

EDITS: Final = "edits.jsonl"
"""What was taken out, by place; beside it one file for each different original, named after its SHA-256."""

BLOCK_BYTES: Final = 256 << 10


class Change(NamedTuple):
    """A piece of the old file, and what stands in its place in the new one from ``new_start`` on.

    ``edit`` is None for an id of the thread, which is not put aside.
    """

    start: int
    size_bytes: int
    new_start: int
    stands_for: bytes
    edit: Edit | None


class Shortening:
    """The rewriting of the file that *survey* is about.

    Args:
        survey: What is taken out.
        places: Where the old file names its own thread, in order; each name gives way to *new_id*.
        new_id: As long as the old one.
    """

    def __init__(self, survey: Survey, places: Sequence[int] = (), new_id: str = "") -> None:
        self._survey, self._places, self._new_id = survey, places, new_id.encode()
        self.longest = 0
        """The bytes of the new file's longest line, once it was checked."""

    def make(self, old: BinaryIO, new: BinaryIO, aside: Aside) -> None:
        """Write *new*; the originals go into *aside*."""
        kept: set[bytes] = set()
        listed = bytearray()
        at = 0
        for change in self._changes():
            _copy(old, new, at, change.start)
            new.write(change.stands_for)
            at = change.start + change.size_bytes
            if change.edit is not None:
                listed += _note(change, change.edit)
                if (digest := bytes.fromhex(change.edit.sha256)) not in kept:
                    kept.add(digest)
                    aside.copy(change.edit.sha256, old, change.start, change.size_bytes)
        _copy(old, new, at, self._survey.stamp.size_bytes)
        aside.write(EDITS, listed)

    def check(self, old: BinaryIO, new: BinaryIO) -> None:
        """Hold *new* to *old*: what was not taken out is the same byte by byte, and no line is worse than it was.

        A placeholder stands where a part of a string stood, and has no sign that means anything in JSON. So ids, calls,
        outputs and their order are the same. The lines in which one stands are parsed all the same.

        Raises:
            NotVerifiedError: It is not so.
        """
        at = new_at = 0
        for change in self._changes():
            self._hold(old, new, at, change.start, new_at)
            new.seek(change.new_start)
            if new.read(len(change.stands_for)) != change.stands_for:
                raise NotVerifiedError(self._survey.path, f"there is no placeholder at byte {change.new_start}")
            at, new_at = change.start + change.size_bytes, change.new_start + len(change.stands_for)
        self._hold(old, new, at, self._survey.stamp.size_bytes, new_at)
        self._parse(Path(new.name))

    def _changes(self) -> Iterator[Change]:
        """Yield what changes, in order."""
        shift = 0
        names = iter(self._places)
        name = next(names, -1)
        for edit in chain(self._survey.edits, (None,)):
            end = edit.start if edit else self._survey.stamp.size_bytes
            while 0 <= name < end:
                yield Change(name, len(self._new_id), name + shift, self._new_id, None)
                name = next(names, -1)
            if edit is None:
                return
            stands_for = edit.placeholder
            yield Change(edit.start, edit.size_bytes, edit.start + shift, stands_for, edit)
            shift += len(stands_for) - edit.size_bytes
            # What is taken out may quote such a name.
            while 0 <= name < edit.start + edit.size_bytes:
                name = next(names, -1)

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
        places = chain((change.new_start for change in self._changes()), (-1,))
        place = next(places)
        lines = 0
        with new.open("rb", buffering=0) as file:
            for line in iter_lines(new, PARSED_BYTES):
                lines += 1
                self.longest = max(self.longest, line.length)
                edited = False
                while line.offset <= place < line.offset + line.length:
                    edited, place = True, next(places)
                if edited and not (parses(line.head) if line.whole else is_sound(Part(file, line.offset, line.length))):
                    raise NotVerifiedError(self._survey.path, f"the line at byte {line.offset} does not parse")
        if (lines, place) != (self._survey.lines, -1):
            raise NotVerifiedError(self._survey.path, f"it has {lines} lines instead of {self._survey.lines}")


def _note(change: Change, edit: Edit) -> bytes:
    """Return the line about an edit: where its placeholder stands, and what that stands for."""
    note = {"at": change.new_start, "bytes": len(change.stands_for), "was": edit.size_bytes}
    return orjson.dumps({**note, "what": edit.what, "sha256": edit.sha256}, option=orjson.OPT_APPEND_NEWLINE)


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
