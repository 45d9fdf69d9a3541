"""The JSON objects of a file that has one on each line, as far as they can be saved, and what stands in one."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any, Final

import orjson

from turnscope_analyzer.sources.lines import CAP_BYTES, Line, iter_lines
from turnscope_analyzer.sources.opened import DamagedError

if TYPE_CHECKING:
    import re
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path

    from turnscope_analyzer.sources.rejects import Rejects

    Found = tuple[int, int, Mapping[str, Any]]
    """Offset and length of an object, and what it holds."""

BLANK: Final = b"\0\t\r\n "
"""What may stand around an object: the NULs are those of a crash or of a preallocated file."""

WORD_CHARS: Final = 256
"""Ids and names are cut to this; a damaged one may be long."""

COUNT_END: Final = 1 << 62
"""No count is larger: a damaged one has to fit 64 bits, also when another is added to it."""


def lines_of(
    path: Path, rejects: Rejects, cap_bytes: int = CAP_BYTES, progress: Callable[[int], None] = lambda _bytes: None
) -> Iterator[Line]:
    """Read the lines of *path* as `iter_lines` does; a rest that cannot be read is put into *rejects*.

    Raises:
        OSError: The file cannot be opened.
    """
    try:
        yield from iter_lines(path, cap_bytes, progress)
    except DamagedError as error:
        rejects.add(error.offset, error.reason)


def objects_in(line: Line, starts: re.Pattern[bytes], rejects: Rejects) -> Iterable[Found]:
    """Give the object of a line that is held whole, or what can be saved of a damaged one.

    Args:
        line: A line with ``whole`` set.
        starts: What a record begins with, so that one glued onto a torn one is found.
        rejects: Gets what is no object.
    """
    # Nearly every line is one record and nothing else, so that is asked first.
    if line.head.startswith(b"{") and (content := parse_object(line.head)) is not None:
        return ((line.offset, line.length, content),)
    return _salvaged(line, starts, rejects)


def _salvaged(line: Line, starts: re.Pattern[bytes], rejects: Rejects) -> Iterator[Found]:
    text = line.head.strip(BLANK)
    offset = line.offset + len(line.head) - len(line.head.lstrip(BLANK))
    content = parse_object(text) if text else None
    # Counted apart only where a whole record stands beside them: one bad line is one reject.
    if b"\0" in line.head and (content is not None or not text):
        rejects.add(line.offset, f"{line.head.count(0)} NUL bytes")
    if content is not None:
        yield offset, len(text), content
    if content is not None or not text:
        return
    begins = [match.start() for match in starts.finditer(text)]
    # A killed writer leaves half a record; the next process appends its own to the same line.
    edges = sorted({0, *begins, len(text)})
    for start, end in itertools.pairwise(edges):
        piece = text[start:end]
        content = parse_object(piece)
        if content is None:
            rejects.add(offset + start, _why_bad(piece))
        else:
            yield offset + start, len(piece), content


def parse_object(text: bytes | str | None) -> Mapping[str, Any] | None:
    """Return the JSON object that *text* is, None where it is none."""
    try:
        content = orjson.loads(text or b"")
    except orjson.JSONDecodeError:
        return None
    return content if isinstance(content, dict) else None


def word(content: Mapping[str, Any], name: str) -> str | None:
    """Return the string at *name*, cut to `WORD_CHARS`, None where there is none or an empty one."""
    value = content.get(name)
    return value[:WORD_CHARS] if isinstance(value, str) and value else None


def part(content: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """Return the object at *name*, an empty one where there is none."""
    value = content.get(name)
    return value if isinstance(value, dict) else {}


def count_of(value: object) -> int | None:
    """Return *value* where it is a count below `COUNT_END`, None for anything else."""
    return value if type(value) is int and 0 <= value < COUNT_END else None


def _why_bad(text: bytes) -> str:
    if b"\0" in text:
        return f"{text.count(0)} NUL bytes in {len(text)}"
    if not text.startswith(b"{"):
        return f"{len(text)} bytes that are no JSON object"
    if not text.endswith(b"}"):
        return f"cut off after {len(text)} bytes"
    return f"broken JSON of {len(text)} bytes"
