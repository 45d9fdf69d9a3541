"""What stands in a segment and is no record: found line by line, and taken out of the way of those that are.

This is slow, and only for the few segments in which a glance has met something.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

import orjson

from turnscope.errors import JournalFormatError
from turnscope.reading import RawMark
from turnscope.segment import LONGEST_LINE
from turnscope_analyzer.model import Reject

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

FURTHEST_NS: Final = 1 << 62
"""Times from here on are damage: sums and differences of two that are below fit into 64 bits."""

_NULS = re.compile(rb"\0+")


def rejects_in(data: bytes, path: Path) -> Iterator[Reject]:
    """Yield what is no record in *data*, the text of the segment *path* up to its last line feed."""
    for nuls in _NULS.finditer(data):
        yield Reject(str(path), nuls.start(), f"{nuls.end() - nuls.start()} NUL bytes amid the text")
    at = 0
    for line in data.replace(b"\0", b"\n").split(b"\n"):
        if reason := _why_not(line):
            yield Reject(str(path), at, reason)
        at += len(line) + 1


def is_overlong(data: bytes) -> bool:
    """Tell whether there is a line in *data* that is far longer than any record."""
    return any(data.find(b"\n", at, at + LONGEST_LINE) < 0 for at in range(0, len(data) - LONGEST_LINE, LONGEST_LINE))


def blanked(data: bytes, rejects: Iterable[Reject]) -> bytes:
    """Return *data* with line feeds in place of every reject and every NUL byte; all offsets stay."""
    clean = bytearray(data.replace(b"\0", b"\n"))
    for reject in rejects:
        end = clean.find(b"\n", reject.offset)
        n_bytes = (end if end >= 0 else len(clean)) - reject.offset
        clean[reject.offset : reject.offset + n_bytes] = b"\n" * n_bytes
    return bytes(clean)


def fields_of(line: bytes) -> dict[str, Any]:
    """Return the keys and values of a mark, all of a type and a size that can be worked with.

    Raises:
        JournalFormatError: It is no such mark.
    """
    mark: dict[str, Any] = RawMark(0, line).fields()
    for key in ("t", "m", "seq"):
        if not 0 <= mark[key] < FURTHEST_NS:
            raise JournalFormatError("mark", 0, f"{key} is {mark[key]}")
    if not isinstance(mark.get("attrs", {}), dict):
        raise JournalFormatError("mark", 0, "attrs is not an object")
    return mark


def _why_not(line: bytes) -> str | None:
    if not line:
        return None
    if len(line) >= LONGEST_LINE:
        return "too_long"
    try:
        record = orjson.loads(line)
    except orjson.JSONDecodeError:
        return "not_json"
    if isinstance(record, dict) and isinstance(record.get("turn"), str):
        try:
            fields_of(line)
        except JournalFormatError as error:
            return error.problem
    elif not isinstance(record, dict) or not isinstance(record.get("turnscope"), str):
        return "unknown"
    return None
