"""Files of spans and log records, whatever their encoding, as records; also damaged ones, in bounded memory."""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING, Final

import orjson

from turnscope_analyzer.sources.opened import DAMAGED, ZSTD, head_of, open_plain, unpack_zstd
from turnscope_analyzer.sources.otlp import jaeger, messages, plain_json, protobuf
from turnscope_analyzer.sources.otlp.wire import signal_of

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Iterator, Mapping
    from pathlib import Path
    from typing import BinaryIO

    from typing_extensions import Buffer as WriteableBuffer

    from turnscope_analyzer.sources.otlp.records import LogRecord, Span
    from turnscope_analyzer.sources.rejects import Rejects

_BUFFER_BYTES: Final = 1 << 20

_WRAPPED: Final = ("data", "trace", "result")
"""What query APIs put around the requests or traces that they give."""

_JSON = re.compile(
    rb'(?:\A|\n)[ \t\0\xef\xbb\xbf\[]*\{\s*(?:"(?:trace|result)"\s*:\s*\{\s*)?'
    rb'"(?:resource_?(?:[sS]pans|[lL]ogs|[mM]etrics)|batches)"\s*:\s*\[\s*(?:\]|\{\s*(?:\}|"(?:resource|schema|scope|instr)))'
)
_JAEGER = re.compile(rb'[\s\[]*\{\s*(?:"data"\s*:\s*(?:null|\[)\s*\{\s*)?"(?:traceID|spans|processes)"\s*:\s*["\[{]')


def is_otlp(_path: Path, head: bytes) -> bool:
    """Tell by its first bytes whether a file holds spans, log records or metrics of OpenTelemetry, or Jaeger's."""
    if head.lstrip(messages.BLANK)[:1] in {b"{", b"["}:
        return _JSON.search(head) is not None or _JAEGER.match(head) is not None
    return messages.is_framed(head) or signal_of(head) is not None or _JSON.search(head) is not None


def read_records(path: Path, rejects: Rejects, left_alone: Counter[str]) -> Iterator[Span | LogRecord]:
    """Yield the spans and log records in *path*, in file order.

    What is no record goes into *rejects*, metrics are counted in *left_alone*.

    Raises:
        OSError: The file cannot be opened or read.
    """
    reader = _Reader(str(path), rejects, left_alone)
    head = head_of(path)
    with open_plain(path) as plain, io.BufferedReader(_Steps(plain), _BUFFER_BYTES) as file:
        try:
            if messages.is_framed(head):
                yield from reader.requests(messages.framed(file, rejects))
            elif signal_of(head) is not None and head[:1] == b"\n":
                yield from reader.requests(messages.bare(file, rejects))
            else:
                yield from reader.json(messages.json_values(file, rejects))
        except DAMAGED as error:
            rejects.add(reader.offset, f"the compressed data after this is damaged: {error}")


class _Steps(io.RawIOBase):
    """A file that gives what it has at each step, so that nothing is lost that stands before the damage."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        view = memoryview(buffer)
        # A packed file's read() goes on until it has all that is asked for, and raises where it cannot.
        block = getattr(self._file, "read1", self._file.read)(len(view))
        view[: len(block)] = block
        return len(block)


class _Reader:
    """Turns what one file holds into records; ``offset`` is where the last request began."""

    def __init__(self, file: str, rejects: Rejects, left_alone: Counter[str]) -> None:
        self.offset = 0
        self._file = file
        self._rejects = rejects
        self._left_alone = left_alone

    def json(self, values: Iterator[tuple[int, object]]) -> Iterator[Span | LogRecord]:
        for self.offset, value in values:
            yield from self._value(value)

    def requests(self, requests: Iterator[tuple[int, bytes]]) -> Iterator[Span | LogRecord]:
        for self.offset, request in requests:
            packed = request.startswith(ZSTD)
            content = unpack_zstd(request, messages.CAP_BYTES) if packed else request
            if content is None:
                self._rejects.add(self.offset, f"damaged zstd data of {len(request)} bytes, or too much in it")
            elif content[:1] == b"{":
                try:
                    yield from self._value(orjson.loads(content))
                except orjson.JSONDecodeError:
                    self._rejects.add(self.offset, f"broken JSON of {len(content)} bytes")
            else:
                yield from protobuf.records_of(content, self._file, self.offset, self._rejects, self._left_alone)

    def _value(self, value: object) -> Iterator[Span | LogRecord]:
        if isinstance(value, list):
            for entry in value:
                yield from self._value(entry)
        elif not isinstance(value, dict):
            self._rejects.add(self.offset, "JSON, but no export request")
        elif plain_json.is_request(value):
            yield from plain_json.records_of(value, self._file, self.offset, self._rejects, self._left_alone)
        elif jaeger.is_trace(value):
            yield from jaeger.spans_of(value, self._file, self.offset, self._rejects)
        else:
            yield from self._wrapped(value)

    def _wrapped(self, value: Mapping[str, object]) -> Iterator[Span | LogRecord]:
        inner = next((value[name] for name in _WRAPPED if isinstance(value.get(name), (dict, list))), None)
        if inner is None:
            self._rejects.add(self.offset, "JSON, but no export request")
        else:
            yield from self._value(inner)
