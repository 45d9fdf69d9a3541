"""The export requests in a file, each with its place: JSON by lines or documents, protobuf framed or bare.

A request that is damaged is put aside, and what lies around it is read. No more than one request is held at a time,
and none that is larger than ``CAP_BYTES``.
"""

from __future__ import annotations

import itertools
import re
from typing import TYPE_CHECKING, BinaryIO, Final

import orjson

from turnscope_analyzer.sources.opened import ZSTD
from turnscope_analyzer.sources.otlp.protobuf import parses
from turnscope_analyzer.sources.otlp.wire import signal_of, varint

if TYPE_CHECKING:
    from collections.abc import Iterator

    from turnscope_analyzer.sources.rejects import Rejects

CAP_BYTES: Final = 64 << 20
"""A larger request is put aside: the protocol recommends to refuse it."""

BLANK: Final = b"\xef\xbb\xbf\0\t\r\n "
"""What may stand between requests in JSON: space, the mark of UTF-8, and what a file system leaves after a crash."""

_START = re.compile(rb'\{\s*"resource_?(?:[sS]pans|[lL]ogs|[mM]etrics)"\s*:')
_FRAME = re.compile(rb"(?=[\0-\4][\s\S]{3}(?:\n|\x28\xb5\x2f\xfd))")
_FIELD_1: Final = 0x0A
_MOST_ENDS: Final = 16
_BLOCK_BYTES: Final = 1 << 20
_LOOK_BYTES: Final = 1 << 16
"""So much behind a length tells whether a request begins there."""


def is_framed(head: bytes) -> bool:
    """Tell whether a file begins with the length of its first request, as the collector's file exporter writes it."""
    size = int.from_bytes(head[:4], "big")
    body = head[4 : 4 + size]
    return 0 < size <= CAP_BYTES and (body.startswith(ZSTD) or signal_of(body) is not None)


def json_values(file: BinaryIO, rejects: Rejects) -> Iterator[tuple[int, object]]:
    """Yield the JSON values in *file* and where each begins: one a line, or documents over many lines."""
    document: _Document | None = None
    for offset, line in _lines(file, rejects):
        if document is not None and document.ends_before(line):
            yield from _salvage(document.offset, bytes(document.text), rejects)
            document = None
        if document is None:
            text = line.strip(BLANK)
            value = _parse(text) if text else None
            if value is not None:
                yield offset, value
            elif text.endswith((b"{", b"[", b",")):
                document = _Document(offset, line)
            elif text:
                yield from _salvage(offset, text, rejects)
        elif len(document.text) + len(line) > CAP_BYTES:
            rejects.add(document.offset, f"a document of more than {CAP_BYTES} bytes")
            document = None
        elif document.add(line) and (value := _parse(document.text.strip(BLANK))) is not None:
            yield document.offset, value
            document = None
    if document is not None:
        yield from _salvage(document.offset, bytes(document.text), rejects)


class _Document:
    """A JSON document over many lines, as far as it was read."""

    def __init__(self, offset: int, line: bytes) -> None:
        self.offset = offset
        self.text = bytearray()
        self._depth = 0
        self._indented = False
        self._ends = 0
        self.add(line)

    def add(self, line: bytes) -> bool:
        """Take in the next line; tell whether the document may end with it."""
        self._indented = self._indented or line[:1] in b" \t"
        self.text += line
        self._depth += line.count(b"{") + line.count(b"[") - line.count(b"}") - line.count(b"]")
        # Brackets inside strings make the depth wrong: then the document is parsed where the next one begins. It is
        # not parsed as often as a damaged one would have it, which took time by the square of its length.
        may_end = self._depth <= 0 and line[:1] in b"}]"
        self._ends += may_end
        return may_end and self._ends <= _MOST_ENDS

    def ends_before(self, line: bytes) -> bool:
        """Tell whether *line* begins another document, this one being cut off."""
        return line[:1] == b"{" and (self._indented or _START.match(line) is not None)


def framed(file: BinaryIO, rejects: Rejects) -> Iterator[tuple[int, bytes]]:
    """Yield the requests in *file*, each of which stands after its length in 4 bytes, big-endian, and their places."""
    window = bytearray(file.read(4))
    at = 0
    while window:
        size = int.from_bytes(window[:4], "big") if len(window) >= 4 else CAP_BYTES + 1
        if 0 < size <= CAP_BYTES:
            window += file.read(max(0, 4 + size - len(window)))
            body = bytes(window[4 : 4 + size])
            if len(body) == size and (body.startswith(ZSTD) or parses(body)):
                yield at, body
                del window[: 4 + size]
                at += 4 + size
                window += file.read(max(0, 4 - len(window)))
                continue
        # The length or what stands behind it is damaged: go on at the next place that looks like a request.
        lost = _skip(file, window)
        rejects.add(at, f"{lost} bytes that are no whole request")
        at += lost


def bare(file: BinaryIO, rejects: Rejects) -> Iterator[tuple[int, bytes]]:
    """Yield the parts of the one request that *file* is, each a request of its own with one resource."""
    at = 0
    # A request is a row of field 1, each of which can stand alone.
    while tag := file.read(1):
        digits = _digits(file)
        try:
            size = varint(digits, 0, len(digits))[0] if tag[0] == _FIELD_1 else CAP_BYTES + 1
        except ValueError:
            size = CAP_BYTES + 1
        if size > CAP_BYTES:
            rejects.add(at, "no request, or one that is too large; from here on nothing is read")
            return
        part = tag + digits + file.read(size)
        length = 1 + len(digits) + size
        if len(part) < length:
            rejects.add(at, f"cut off after {len(part)} of {length} bytes")
            return
        yield at, part
        at += length


def _digits(file: BinaryIO) -> bytes:
    """Return the bytes of the variable-length integer that comes next."""
    digits = bytearray()
    while len(digits) < 10 and (byte := file.read(1)):
        digits += byte
        if byte[0] < 0x80:
            break
    return bytes(digits)


def _skip(file: BinaryIO, window: bytearray) -> int:
    """Drop from *window* what stands before the next place that looks like a request; return how much that was."""
    lost, start = 0, 1
    while True:
        block = file.read(_BLOCK_BYTES)
        window += block
        # A copy: a search holds on to what it searches, which then cannot shrink.
        for found in _FRAME.finditer(text := bytes(window), start):
            if block and found.start() + _LOOK_BYTES > len(text):
                break
            if is_framed(text[found.start() : found.start() + _LOOK_BYTES]):
                del window[: found.start()]
                return lost + found.start()
        kept = min(len(window), _LOOK_BYTES) if block else 0
        lost += len(window) - kept
        del window[: len(window) - kept]
        start = 0 if lost else 1
        if not block:
            return lost


def _lines(file: BinaryIO, rejects: Rejects) -> Iterator[tuple[int, bytes]]:
    """Yield the lines of *file* with their newlines and places; a line that is too long is put aside."""
    offset = 0
    while line := file.readline(CAP_BYTES + 1):
        length = len(line)
        if length <= CAP_BYTES:
            yield offset, line
        else:
            while not line.endswith(b"\n") and (line := file.readline(_BLOCK_BYTES)):
                length += len(line)
            rejects.add(offset, f"a line of {length} bytes, more than {CAP_BYTES}")
        offset += length


def _salvage(offset: int, text: bytes, rejects: Rejects) -> Iterator[tuple[int, object]]:
    """Yield the requests that stand whole in a damaged line: a killed writer leaves half of one, the next goes on."""
    starts = [match.start() for match in _START.finditer(text)]
    for start, end in itertools.pairwise(sorted({0, *starts, len(text)})):
        piece = text[start:end].strip(BLANK)
        value = _parse(piece)
        if value is not None:
            yield offset + start, value
        elif piece:
            ending = "broken JSON of" if piece.endswith(b"}") else "cut off after"
            rejects.add(offset + start, f"{ending} {len(piece)} bytes")


def _parse(text: bytes | bytearray) -> object:
    """Return a JSON value, None where it is none."""
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
