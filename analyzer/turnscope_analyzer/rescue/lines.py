"""Whether a line is sound JSON, also one that is too long to be held."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final, cast

import orjson

from turnscope_analyzer.rescue.strings import LineEnd, LongStrings

if TYPE_CHECKING:
    from typing import BinaryIO

PARSED_BYTES: Final = 2 << 20
"""A longer line is held to its structure alone: parsed, it would take more memory than all the rest."""


class Part:
    """A part of a file, to be read as if it were one."""

    def __init__(self, file: BinaryIO, start: int, size_bytes: int) -> None:
        self._file, self._at, self._end = file, start, start + size_bytes

    def read(self, size_bytes: int) -> bytes:
        """Return the next bytes, at most so many; none at the end of the part."""
        self._file.seek(self._at)
        block = self._file.read(min(size_bytes, self._end - self._at))
        self._at += len(block)
        return block


def parses(line: bytes) -> bool:
    """Tell whether *line* is JSON."""
    try:
        orjson.loads(line)
    except orjson.JSONDecodeError:
        pass
    else:
        return True
    try:
        # Takes half a surrogate pair for a letter, as the programs do that write one.
        json.loads(line)
    except (ValueError, RecursionError):
        return False
    return True


def is_sound(part: Part) -> bool:
    """Tell whether strings and brackets match in a line, which is read as a stream."""
    told = list(LongStrings(cast("BinaryIO", part), glance_bytes=0))
    return [end.is_whole for end in told if isinstance(end, LineEnd)] == [True]
