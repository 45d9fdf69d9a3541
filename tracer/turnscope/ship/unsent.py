"""Says how old the oldest mark is that stands behind a cursor; of each segment only the next line is read."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from turnscope.errors import JournalFormatError
from turnscope.reading import RawMark
from turnscope.segment import LONGEST_LINE

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_MARK_START = b'{"turn":'


def oldest_unsent_ns(journal: Path, at: Mapping[str, int]) -> int | None:
    """Return the wall clock of the oldest mark behind the places in *at*; None when every segment was read.

    Args:
        journal: The folder.
        at: Bytes by the name of a segment; one that is not in it was not read at all.
    """
    found = []
    for path in journal.glob("*.jsonl"):
        with suppress(OSError):  # it went meanwhile
            wall_ns = _first_mark_ns(path, at.get(path.name, 0))
            if wall_ns is not None:
                found.append(wall_ns)
    return min(found, default=None)


def _first_mark_ns(path: Path, start: int) -> int | None:
    with path.open("rb") as file:
        file.seek(start)
        text = file.read(2 * LONGEST_LINE).partition(b"\0")[0]
    for line in text.split(b"\n")[:-1]:
        if line.startswith(_MARK_START):
            with suppress(JournalFormatError):
                wall_ns = RawMark(start, line).fields()["t"]
                return wall_ns if isinstance(wall_ns, int) else None
    return None
