"""Reads a segment of any process, whole or damaged, in bounded memory; nothing in a file makes it fail.

The text ends at the first NUL byte. What is not a record is put aside with its offset, and the rest is read on.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, BinaryIO, Final, NamedTuple

import orjson

from turnscope.errors import JournalFormatError
from turnscope.segment import LONGEST_LINE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_BLOCK_BYTES: Final = 1 << 20
_MARK_START: Final = b'{"turn":"'
_TEXT_KEYS: Final = ("turn", "session", "lane", "phase", "proc")
_NUMBER_KEYS: Final = ("t", "m", "seq")


class RawMark(NamedTuple):
    """A line that is a mark by its first key; ``raw`` has no line feed. It is parsed when it is asked for."""

    offset: int
    raw: bytes

    def fields(self) -> dict[str, object]:
        """Return the mark's keys and values.

        Raises:
            JournalFormatError: It is not JSON, or a key is missing or of another type.
        """
        found = _object(self.raw)
        if found is None:
            raise JournalFormatError("mark", self.offset, "the line is not a JSON object")
        for keys, kind in ((_TEXT_KEYS, str), (_NUMBER_KEYS, int)):
            for key in keys:
                if not isinstance(found.get(key), kind):
                    raise JournalFormatError("mark", self.offset, f"{key} is not {kind.__name__}")
        return found


class Note(NamedTuple):
    """A line that tells about the process: ``kind`` is journal (the header), gap, step or end."""

    offset: int
    kind: str
    fields: dict[str, object]


class Reject(NamedTuple):
    """A line that is no record: ``reason`` is too_long, not_json (no object) or unknown (neither mark nor note)."""

    offset: int
    reason: str


class Torn(NamedTuple):
    """The last line, cut off or garbled when its process was killed."""

    offset: int
    n_bytes: int


Entry = RawMark | Note | Reject | Torn


def read_segment(path: Path) -> Iterator[Entry]:
    """Yield what stands in a segment, in the file's order.

    Raises:
        OSError: The file cannot be read.
    """
    with path.open("rb") as file:
        held: _Line | None = None
        for line in _lines(file):
            if held is not None:
                yield _entry(held)
            held = line
        if held is not None:
            yield _last_entry(held)


def read_header(path: Path) -> dict[str, object] | None:
    """Return the first line of a segment; None when the file does not begin with a header.

    Raises:
        OSError: The file cannot be read.
    """
    with path.open("rb") as file:
        line = file.read(LONGEST_LINE).partition(b"\n")[0]
    header = _object(line) or {}
    return header if header.get("turnscope") == "journal" else None


def headers_in(folder: Path) -> dict[Path, dict[str, object]]:
    """Return the header of each segment in *folder* that has one, by path; files that cannot be read are left out."""
    headers = {}
    for path in sorted(folder.glob("*.jsonl")):
        with suppress(OSError):
            header = read_header(path)
            if header is not None:
                headers[path] = header
    return headers


def read_end(path: Path) -> dict[str, object] | None:
    """Return the last line of a closed segment; None when it is not an ``end`` note.

    Raises:
        OSError: The file cannot be read.
    """
    with path.open("rb") as file:
        file.seek(-min(LONGEST_LINE + 1, path.stat().st_size), 2)
        line = file.read(LONGEST_LINE + 1).rstrip(b"\n").rpartition(b"\n")[2]
    end = _object(line) or {}
    return end if end.get("turnscope") == "end" else None


def is_segment(path: Path) -> bool:
    """Tell by its first line whether a file is a segment, one without its header included.

    Raises:
        OSError: The file cannot be read.
    """
    with path.open("rb") as file:
        line = file.read(LONGEST_LINE).partition(b"\n")[0]
    if line.startswith(_MARK_START):
        return b'"phase":' in line and b'"seq":' in line
    return "turnscope" in (_object(line) or {})


class _Line(NamedTuple):
    offset: int
    text: bytes | None  # None when it is too long to be held
    n_bytes: int
    whole: bool


def _lines(file: BinaryIO) -> Iterator[_Line]:
    offset = skipped = 0
    rest = b""
    ended = False
    while not ended and (block := file.read(_BLOCK_BYTES)):
        nul = block.find(0)
        ended = nul >= 0
        *pieces, rest = (rest + (block[:nul] if ended else block)).split(b"\n")
        for piece in pieces:
            n_bytes = skipped + len(piece) + 1
            yield _Line(offset, piece if n_bytes <= LONGEST_LINE else None, n_bytes, whole=True)
            offset += n_bytes
            skipped = 0
        if skipped + len(rest) >= LONGEST_LINE:
            skipped += len(rest)
            rest = b""
    if skipped or rest:
        yield _Line(offset, rest, skipped + len(rest), whole=False)


def _entry(line: _Line) -> Entry:
    if line.text is None:
        return Reject(line.offset, "too_long")
    if line.text.startswith(_MARK_START) and line.text.endswith(b"}"):
        return RawMark(line.offset, line.text)
    found = _object(line.text)
    if found is None:
        return Reject(line.offset, "not_json")
    if isinstance(found.get("turn"), str):
        return RawMark(line.offset, line.text)
    kind = found.get("turnscope")
    return Note(line.offset, kind, found) if isinstance(kind, str) else Reject(line.offset, "unknown")


def _last_entry(line: _Line) -> Entry:
    if not line.whole or (line.text is not None and _object(line.text) is None):
        return Torn(line.offset, line.n_bytes)
    return _entry(line)


def _object(text: bytes) -> dict[str, object] | None:
    try:
        found = orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
    return found if isinstance(found, dict) else None
