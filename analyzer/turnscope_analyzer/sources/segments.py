"""Journal segments as files: whose they are, how far their text reaches, and a copy that an engine can read.

A segment of a process that lives or was killed ends in NUL bytes and perhaps in half a record. The engine is given
such a file as a copy that is cut at its last whole line, so every byte offset is the same in both.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, BinaryIO, Final, NamedTuple

import orjson

from turnscope_analyzer.model import Reject
from turnscope_analyzer.sources.damage import FURTHEST_NS

if TYPE_CHECKING:
    from pathlib import Path

_HEAD_BYTES: Final = 65_536
_BLOCK_BYTES: Final = 1 << 20
_NOTE_START: Final = b'{"turnscope":'
_PLAIN = re.compile(r"(?!~)[^*?\[\]{}\\\ud800-\udfff]+")


class Segment(NamedTuple):
    """A journal segment. ``text`` is the file to read, the segment itself or its copy; offsets hold for both."""

    path: Path
    text: Path
    header: dict[str, Any]
    text_bytes: int
    closed: bool
    torn: Reject | None

    @property
    def process_id(self) -> str:
        """The process that wrote it."""
        return str(self.header["proc"])

    @property
    def number(self) -> int:
        """Its place among the segments of its process; 0 where the header is damaged."""
        number = self.header.get("segment")
        return number if isinstance(number, int) else 0


def is_segment(head: bytes) -> bool:
    """Tell from the first bytes of a file whether it is a journal segment."""
    return _header(head) is not None


def open_segment(path: Path, copies: Path) -> Segment:
    """Look at the segment *path*; put a copy into the folder *copies* if it is not closed.

    Raises:
        OSError: It cannot be read.
    """
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
        header = _header(head)
        if header is None:
            raise OSError(0, "the header of the segment has changed while it was read", str(path))
        size = file.seek(0, 2)
        text_bytes = _text_bytes(file, size)
        whole_bytes = _end_of_last_line(file, text_bytes)
        torn = None
        if whole_bytes < text_bytes:
            torn = Reject(str(path), whole_bytes, f"torn record of {text_bytes - whole_bytes} bytes at the end")
        if whole_bytes == size:
            return Segment(path, _plainly_named(path, copies), header, size, closed=True, torn=None)
        copy = _new_name(copies)
        file.seek(0)
        with copy.open("wb") as out:
            _copy(file, out, whole_bytes)
    return Segment(path, copy, header, whole_bytes, closed=False, torn=torn)


def with_text(segment: Segment, text: bytes, copies: Path) -> Segment:
    """Return *segment* with a copy as its text, which holds *text*."""
    copy = _new_name(copies)
    copy.write_bytes(text)
    return segment._replace(text=copy, closed=False)


def notes(segment: Segment) -> list[dict[str, Any]]:
    """Return the notes of *segment* in order, its header first; what does not parse is left out."""
    data = segment.text.read_bytes()
    found, at = [], 0
    while at >= 0:
        end = data.find(b"\n", at)
        if data.startswith(_NOTE_START, at) and (note := _object(data[at:end])):
            found.append(note)
        at = data.find(b"\n" + _NOTE_START, end) + 1 or -1
    return found


def _header(head: bytes) -> dict[str, Any] | None:
    """Return the header, or where that line is damaged what the first whole mark says of its process."""
    for line in head.split(b"\n")[:-1]:
        record = _object(line) if line.startswith((b'{"turnscope":', b'{"turn":')) else None
        if record and isinstance(record.get("proc"), str) and _is_time(record.get("t")) and _is_time(record.get("m")):
            return record if record.get("turnscope") == "journal" else {key: record[key] for key in ("proc", "t", "m")}
    return None


def _is_time(value: object) -> bool:
    return isinstance(value, int) and 0 <= value < FURTHEST_NS


def _plainly_named(path: Path, copies: Path) -> Path:
    """Return *path*, or where its name is a pattern to the engine, or no text, a link to it that is neither."""
    if _PLAIN.fullmatch(str(path)):
        return path
    link = _new_name(copies)
    link.symlink_to(path.resolve())
    return link


def _new_name(copies: Path) -> Path:
    return copies / f"{len(list(copies.iterdir())):06d}.jsonl"


def _object(line: bytes) -> dict[str, Any] | None:
    try:
        found = orjson.loads(line)
    except orjson.JSONDecodeError:
        return None
    return found if isinstance(found, dict) else None


def _text_bytes(file: BinaryIO, size: int) -> int:
    """Return where the text ends and the preallocated NUL bytes begin, by bisection."""
    low, high = 0, size
    while low < high:
        middle = (low + high) // 2
        file.seek(middle)
        if file.read(1) == b"\0":
            high = middle
        else:
            low = middle + 1
    return low


def _end_of_last_line(file: BinaryIO, text_bytes: int) -> int:
    end = text_bytes
    while end > 0:
        start = max(0, end - _HEAD_BYTES)
        file.seek(start)
        found = file.read(end - start).rfind(b"\n")
        if found >= 0:
            return start + found + 1
        end = start
    return 0


def _copy(file: BinaryIO, out: BinaryIO, n_bytes: int) -> None:
    while n_bytes > 0:
        block = file.read(min(_BLOCK_BYTES, n_bytes))
        if not block:
            return
        out.write(block)
        n_bytes -= len(block)
