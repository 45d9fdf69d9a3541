"""The lines of OTLP/JSON that are written, put together from parts that are JSON already."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import orjson

from turnscope_analyzer.collect.decode import GROUPS
from turnscope_analyzer.sources.otlp.own import SEEN_EVENT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from turnscope_analyzer.sources.otlp.wire import Signal

LINE_BYTES: Final = 256 << 10
"""A line is begun anew from here on: it is held whole when it is read, and evidence points at its begin."""

SCOPES: Final[dict[Signal, tuple[str, str]]] = {
    "traces": ("scopeSpans", "scope_spans"),
    "logs": ("scopeLogs", "scope_logs"),
    "metrics": ("scopeMetrics", "scope_metrics"),
}
RECORDS: Final[dict[Signal, tuple[str, str]]] = {
    "traces": ("spans", "spans"),
    "logs": ("logRecords", "log_records"),
    "metrics": ("metrics", "metrics"),
}
"""What a resource group holds, and what a scope holds; in both spellings, the one that is written first."""


def lines_of(signal: Signal, resource: bytes, scope: bytes, records: list[bytes]) -> Iterator[bytes]:
    """Yield the records of one scope as lines of at most about ``LINE_BYTES``."""
    of_scope, of_records = SCOPES[signal][0].encode(), RECORDS[signal][0].encode()
    head = b'{"%s":[{"resource":%s,"%s":[{"scope":%s,"%s":[' % (
        GROUPS[signal].encode(),
        resource,
        of_scope,
        scope,
        of_records,
    )
    line: list[bytes] = []
    length = 0
    for record in records:
        line.append(record)
        length += len(record)
        if length >= LINE_BYTES:
            yield head + b",".join(line) + b"]}]}]}\n"
            line, length = [], 0
    if line:
        yield head + b",".join(line) + b"]}]}]}\n"


def seen_record(at_ns: int) -> bytes:
    """Return the log record that says that its resource was alive at *at_ns*."""
    return orjson.dumps({"timeUnixNano": str(at_ns), "eventName": SEEN_EVENT})
