"""A collector on free ports of this machine, and the plainest of senders."""

from __future__ import annotations

import contextlib
import http.client
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

from turnscope_analyzer.collect.addresses import Address
from turnscope_analyzer.collect.collector import Collector
from turnscope_analyzer.collect.decode import decode
from turnscope_analyzer.collect.options import Options
from turnscope_analyzer.collect.slim import Slimmer

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from turnscope_analyzer.sources.otlp.wire import Signal

ANY_PORT = Address("127.0.0.1", 0)
NOW_NS = 1_800_000_000_000_000_000
JSON = {"content-type": "application/json"}
PROTOBUF = {"content-type": "application/x-protobuf"}


@contextlib.contextmanager
def collecting(folder: Path, **options: Any) -> Iterator[Collector]:
    """Collect into *folder* for as long as the block runs."""
    collector = Collector(folder, Options(**{"http": ANY_PORT, "grpc": None, **options}))
    collector.start()
    try:
        yield collector
    finally:
        collector.stop()


class Answer(NamedTuple):
    """What came back."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def ask(
    collector: Collector,
    body: bytes = b"",
    headers: Mapping[str, str] = JSON,
    *,
    path: str = "/v1/traces",
    by: str = "POST",
) -> Answer:
    """Send one request to *collector*."""
    return ask_at(collector.http.port, body, headers, path=path, by=by)


def ask_at(
    port: int, body: bytes = b"", headers: Mapping[str, str] = JSON, *, path: str = "/v1/traces", by: str = "POST"
) -> Answer:
    """Send one request to a port of this machine."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request(by, path, body, dict(headers))
        response = connection.getresponse()
        return Answer(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())
    finally:
        connection.close()


def kept(folder: Path, signal: str = "*") -> list[Any]:
    """Return the requests that were kept, oldest first."""
    files = sorted(folder.glob(f"otlp-{signal}-*.jsonl"))
    return [orjson.loads(line) for path in files for line in path.read_bytes().splitlines()]


def spans_in(folder: Path) -> list[dict[str, Any]]:
    """Return the spans that were kept."""
    return [
        span
        for request in kept(folder, "traces")
        for group in request["resourceSpans"]
        for scope in group["scopeSpans"]
        for span in scope["spans"]
    ]


def slimmed(signal: Signal, body: bytes) -> dict[Signal, bytes]:
    """Return the lines that are kept of a request in JSON."""
    return Slimmer(lambda: NOW_NS, lambda _reason: None).slim(signal, decode(signal, "json", body)).lines


def span(number: int = 1, **fields: Any) -> dict[str, Any]:
    """Return a span as JSON has it."""
    return {
        "traceId": f"{number:032x}",
        "spanId": f"{number:016x}",
        "name": "chat",
        "startTimeUnixNano": str(NOW_NS),
        "endTimeUnixNano": str(NOW_NS + 1),
        **fields,
    }


def attribute(key: str, value: object) -> dict[str, Any]:
    """Return an attribute as JSON has it."""
    kinds = {str: "stringValue", bool: "boolValue", int: "intValue", float: "doubleValue"}
    return {"key": key, "value": {kinds[type(value)]: value}}


def traces(*spans: Any) -> bytes:
    """Return a request in JSON."""
    return orjson.dumps({"resourceSpans": [{"resource": {}, "scopeSpans": [{"scope": {}, "spans": list(spans)}]}]})
