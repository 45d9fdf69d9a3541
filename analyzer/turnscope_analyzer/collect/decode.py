"""The body of an export request as a JSON value, whatever its encoding; unpacked no further than it may be long."""

from __future__ import annotations

import json
import zlib
from functools import cache
from typing import TYPE_CHECKING, Any, Final, Literal

import orjson

from turnscope_analyzer.collect.refusal import RefusedError
from turnscope_analyzer.sources.otlp.wire import signal_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from turnscope_analyzer.sources.otlp.wire import Signal

Encoding = Literal["json", "protobuf"]

CODINGS: Final[dict[str, int]] = {"gzip": 31, "deflate": 15}
"""The compressions that are understood, and how zlib calls their formats."""

GROUPS: Final[dict[Signal, str]] = {"traces": "resourceSpans", "logs": "resourceLogs", "metrics": "resourceMetrics"}
"""What a request of each signal holds."""

_SNAKE: Final[dict[Signal, str]] = {"traces": "resource_spans", "logs": "resource_logs", "metrics": "resource_metrics"}
_IDS: Final = frozenset({"trace_id", "span_id", "parent_span_id"})


def unpack(body: bytes, coding: str, cap_bytes: int) -> bytes:
    """Return *body* as it was before it was compressed.

    Args:
        body: What was received.
        coding: One of ``CODINGS``, or "" where it is as it was.
        cap_bytes: More than this is never unpacked, however small *body* is.

    Raises:
        RefusedError: It is damaged, or there is more in it.
    """
    if not coding:
        return body
    unpacked = bytearray()
    rest = body
    try:
        # Several packed blocks in a row are one body.
        while rest:
            packer = zlib.decompressobj(CODINGS[coding])
            unpacked += packer.decompress(rest, cap_bytes + 1 - len(unpacked))
            if len(unpacked) > cap_bytes:
                raise RefusedError("too_large", f"more than {cap_bytes} bytes when unpacked; send smaller batches")
            if not packer.eof:
                raise RefusedError("malformed", f"the {coding} data is cut off")
            rest = packer.unused_data
    except zlib.error:
        raise RefusedError("malformed", f"damaged {coding} data of {len(body)} bytes") from None
    return bytes(unpacked)


def decode(signal: Signal, encoding: Encoding, body: bytes) -> list[object]:
    """Return the resource groups of an export request as OTLP/JSON has them.

    Ids from protobuf are in hex, bytes stay bytes, and numbers are numbers. What they hold is not checked.

    Raises:
        RefusedError: It is no request of this signal.
    """
    if encoding == "protobuf":
        return _from_protobuf(signal, body)
    try:
        request = _parse(body)
    except (ValueError, RecursionError):
        raise RefusedError("malformed", f"{len(body)} bytes that are no JSON") from None
    if not isinstance(request, dict):
        raise RefusedError("malformed", "JSON, but no object")
    groups = request.get(GROUPS[signal], request.get(_SNAKE[signal]))
    if groups is None and not request:
        return []
    if not isinstance(groups, list):
        raise RefusedError("malformed", f"no {GROUPS[signal]} in it; they belong to /v1/{signal}")
    return groups


def _parse(body: bytes) -> object:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        # What other languages write and orjson is too strict for: halves of surrogate pairs, NaN.
        return json.loads(body, parse_int=_whole)


def _whole(digits: str) -> float:
    return int(digits) if len(digits) <= 20 else float(digits)


def _from_protobuf(signal: Signal, body: bytes) -> list[object]:
    # All requests have the same envelope on the wire: one for another path would pass, and lose its records.
    if (found := signal_of(body)) not in {signal, None}:
        raise RefusedError("malformed", f"a request of {found}; they belong to /v1/{found}")
    kinds, error = _generated()
    try:
        request = kinds[signal].FromString(body)
    except error:
        raise RefusedError("malformed", f"{len(body)} bytes that are no request of {signal} in protobuf") from None
    groups = _plain(request).get(GROUPS[signal], [])
    return groups if isinstance(groups, list) else []


def _plain(message: Any) -> dict[str, object]:
    """Return a message as JSON has it. Not the library's own way: that gives ids in base64 and takes thrice as long."""
    plain: dict[str, object] = {}
    for field, value in message.ListFields():
        if field.name in _IDS:
            plain[field.json_name] = value.hex()
        elif field.message_type is None:
            plain[field.json_name] = value
        else:
            single = hasattr(value, "ListFields")
            plain[field.json_name] = _plain(value) if single else [_plain(entry) for entry in value]
    return plain


@cache
def _generated() -> tuple[Mapping[Signal, Any], type[Exception]]:
    """Return the classes of the requests, and what they raise for bytes that are none."""
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]  # noqa: PLC0415 -- slow to load
    from opentelemetry.proto.logs.v1.logs_pb2 import LogsData  # noqa: PLC0415
    from opentelemetry.proto.metrics.v1.metrics_pb2 import MetricsData  # noqa: PLC0415
    from opentelemetry.proto.trace.v1.trace_pb2 import TracesData  # noqa: PLC0415

    return {"traces": TracesData, "logs": LogsData, "metrics": MetricsData}, DecodeError
