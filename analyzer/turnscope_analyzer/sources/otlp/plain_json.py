"""Export requests in JSON as records: lowerCamelCase or snake_case, ids hex or base64, numbers as such or in digits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from turnscope_analyzer.sources.otlp.kept import hex_id, holds_payload, integer, number, short, time_ns
from turnscope_analyzer.sources.otlp.records import LogRecord, Span, SpanEvent

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Iterator, Mapping

    from turnscope_analyzer.sources.otlp.records import Attribute
    from turnscope_analyzer.sources.rejects import Rejects

REMOTE: Final = 0x300
"""The flags of a span whose parent is known to be remote: bit 8 says that it is known, bit 9 that it is so."""

_KINDS = {
    f"SPAN_KIND_{name}": kind
    for kind, name in enumerate(("UNSPECIFIED", "INTERNAL", "SERVER", "CLIENT", "PRODUCER", "CONSUMER"))
}
_ERRORS = frozenset({2, "2", "STATUS_CODE_ERROR"})

_RESOURCE_SPANS = ("resourceSpans", "resource_spans", "batches")
"""``batches``: what Tempo's API calls them."""

_SCOPE_SPANS = ("scopeSpans", "scope_spans", "instrumentationLibrarySpans", "instrumentation_library_spans")
_SCOPE_LOGS = ("scopeLogs", "scope_logs", "instrumentationLibraryLogs", "instrumentation_library_logs")


def is_request(message: Mapping[str, Any]) -> bool:
    """Tell whether a JSON object is an export request."""
    names = (*_RESOURCE_SPANS, "resourceLogs", "resource_logs", "resourceMetrics", "resource_metrics")
    return any(isinstance(message.get(name), list) for name in names)


def records_of(
    message: Mapping[str, Any], file: str, offset: int, rejects: Rejects, left_alone: Counter[str]
) -> Iterator[Span | LogRecord]:
    """Yield the spans and log records of one export request; count its metrics."""
    for group in _dicts(message, *_RESOURCE_SPANS):
        resource = attributes(_dict(group, "resource").get("attributes"))
        for scope in _dicts(group, *_SCOPE_SPANS):
            scope_name = short(_dict(scope, "scope", "instrumentationLibrary").get("name"))
            for entry in _dicts(scope, "spans"):
                span = _span(entry, scope_name, resource, file, offset)
                if span is None:
                    rejects.add(offset, "a span without an id or a begin")
                else:
                    yield span
    for group in _dicts(message, "resourceLogs", "resource_logs"):
        resource = attributes(_dict(group, "resource").get("attributes"))
        for scope in _dicts(group, *_SCOPE_LOGS):
            scope_name = short(_dict(scope, "scope", "instrumentationLibrary").get("name"))
            for entry in _dicts(scope, "logRecords", "log_records"):
                yield _log(entry, scope_name, resource, file, offset)
    for group in _dicts(message, "resourceMetrics", "resource_metrics"):
        left_alone["metrics"] += sum(
            len(_dicts(scope, "metrics")) for scope in _dicts(group, "scopeMetrics", "scope_metrics")
        )


def attributes(pairs: object) -> dict[str, Attribute]:
    """Return attributes as far as they are kept: scalars that hold no payload."""
    kept: dict[str, Attribute] = {}
    if isinstance(pairs, list):
        for pair in pairs:
            if isinstance(pair, dict) and isinstance(key := pair.get("key"), str) and not holds_payload(key):
                value = _value(pair.get("value"))
                if value is not None:
                    kept[key] = value
    return kept


def _span(
    entry: Mapping[str, Any], scope: str, resource: Mapping[str, Attribute], file: str, offset: int
) -> Span | None:
    span_id = hex_id(_get(entry, "spanId", "span_id"))
    start_ns = time_ns(_get(entry, "startTimeUnixNano", "start_time_unix_nano"))
    if not span_id or not start_ns:
        return None
    status = _dict(entry, "status")
    code = status.get("code")
    return Span(
        trace_id=hex_id(_get(entry, "traceId", "trace_id")),
        span_id=span_id,
        parent_id=hex_id(_get(entry, "parentSpanId", "parent_span_id")),
        name=short(entry.get("name")),
        kind=_kind_of(entry.get("kind")),
        start_ns=start_ns,
        end_ns=time_ns(_get(entry, "endTimeUnixNano", "end_time_unix_nano")) or None,
        failed=isinstance(code, (int, str)) and code in _ERRORS,
        status_message=short(status.get("message")),
        attrs=attributes(entry.get("attributes")),
        events=tuple(_events(entry)),
        scope=scope,
        resource=resource,
        file=file,
        offset=offset,
        remote_parent=((integer(entry.get("flags")) or 0) & REMOTE) == REMOTE,
    )


def _events(entry: Mapping[str, Any]) -> Iterator[SpanEvent]:
    for event in _dicts(entry, "events"):
        at_ns = time_ns(_get(event, "timeUnixNano", "time_unix_nano"))
        yield SpanEvent(short(event.get("name")), at_ns, attributes(event.get("attributes")))


def _log(entry: Mapping[str, Any], scope: str, resource: Mapping[str, Attribute], file: str, offset: int) -> LogRecord:
    attrs = attributes(entry.get("attributes"))
    return LogRecord(
        trace_id=hex_id(_get(entry, "traceId", "trace_id")),
        span_id=hex_id(_get(entry, "spanId", "span_id")),
        at_ns=time_ns(_get(entry, "timeUnixNano", "time_unix_nano"))
        or time_ns(_get(entry, "observedTimeUnixNano", "observed_time_unix_nano")),
        event=short(_get(entry, "eventName", "event_name")) or short(attrs.get("event.name")),
        attrs=attrs,
        scope=scope,
        resource=resource,
        file=file,
        offset=offset,
    )


def _value(value: object) -> Attribute:
    """Return the value of an attribute; lists, maps and bytes are not kept."""
    if not isinstance(value, dict):
        return None
    for name, raw in value.items():
        if name in {"stringValue", "string_value"}:
            return short(raw)
        if name in {"intValue", "int_value"}:
            return integer(raw)
        if name in {"boolValue", "bool_value"}:
            return raw if isinstance(raw, bool) else None
        if name in {"doubleValue", "double_value"}:
            return number(raw)
    return None


def _kind_of(value: object) -> int:
    """Return the number of a span's kind that is given by number or by name, 0 where it is none."""
    known = _KINDS.get(value) if isinstance(value, str) else None
    return integer(value) or 0 if known is None else known


def _get(entry: Mapping[str, Any], camel: str, snake: str) -> object:
    value = entry.get(camel)
    return entry.get(snake) if value is None else value


def _dict(entry: Mapping[str, Any], *names: str) -> Mapping[str, Any]:
    return next((value for name in names if isinstance(value := entry.get(name), dict)), {})


def _dicts(entry: Mapping[str, Any], *names: str) -> list[Mapping[str, Any]]:
    """Return the objects in the first of the lists *names* that is there."""
    found = next((value for name in names if isinstance(value := entry.get(name), list)), [])
    return [value for value in found if isinstance(value, dict)]
