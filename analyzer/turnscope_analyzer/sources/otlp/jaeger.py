"""What the Jaeger UI saves as JSON, as spans: times in µs, ids without leading zeros, processes beside the spans."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from turnscope_analyzer.sources.otlp.kept import hex_id, holds_payload, integer, scalar, short, time_ns
from turnscope_analyzer.sources.otlp.records import Span, SpanEvent

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from turnscope_analyzer.sources.otlp.records import Attribute
    from turnscope_analyzer.sources.rejects import Rejects

_KINDS: Final = {"internal": 1, "server": 2, "client": 3, "producer": 4, "consumer": 5}


def is_trace(message: Mapping[str, Any]) -> bool:
    """Tell whether a JSON object is one of Jaeger's traces."""
    return isinstance(message.get("spans"), list) and isinstance(message.get("processes"), dict)


def spans_of(message: Mapping[str, Any], file: str, offset: int, rejects: Rejects) -> Iterator[Span]:
    """Yield the spans of one of Jaeger's traces."""
    resources = {name: _resource(process) for name, process in message["processes"].items()}
    for entry in message["spans"]:
        span = _span(entry, resources, file, offset) if isinstance(entry, dict) else None
        if span is None:
            rejects.add(offset, "a span without an id or a begin")
        else:
            yield span


def _span(
    entry: Mapping[str, Any], resources: Mapping[str, Mapping[str, Attribute]], file: str, offset: int
) -> Span | None:
    span_id, start_us = _id(entry.get("spanID"), 16), integer(entry.get("startTime"))
    start_ns = 0 if start_us is None else time_ns(start_us * 1_000)
    if not span_id or not start_ns:
        return None
    attrs = _tags(entry.get("tags"))
    trace_id = _id(entry.get("traceID"), 32)
    kind = attrs.pop("span.kind", None)
    scope = attrs.pop("otel.scope.name", None) or attrs.pop("otel.library.name", None)
    process = entry.get("processID")
    lasted_us = integer(entry.get("duration"))
    return Span(
        trace_id=trace_id,
        span_id=span_id,
        parent_id=_parent(entry, trace_id),
        name=short(entry.get("operationName")),
        kind=_KINDS.get(kind, 0) if isinstance(kind, str) else 0,
        start_ns=start_ns,
        end_ns=None if lasted_us is None or lasted_us < 0 else time_ns(start_ns + lasted_us * 1_000) or None,
        failed=attrs.pop("error", None) in {True, "true"} or attrs.get("otel.status_code") == "ERROR",
        status_message=short(attrs.pop("otel.status_description", None)),
        attrs=attrs,
        events=tuple(_events(entry.get("logs"))),
        scope=short(scope),
        resource=resources.get(process, {}) if isinstance(process, str) else {},
        file=file,
        offset=offset,
    )


def _id(value: object, digits: int) -> str:
    return hex_id(value.zfill(digits)) if isinstance(value, str) and value else ""


def _parent(entry: Mapping[str, Any], trace_id: str) -> str:
    """Return the span that *entry* is a child of, in its own trace."""
    references = entry.get("references")
    for reference in references if isinstance(references, list) else []:
        if (
            isinstance(reference, dict)
            and reference.get("refType") == "CHILD_OF"
            and _id(reference.get("traceID"), 32) == trace_id
        ):
            return _id(reference.get("spanID"), 16)
    return _id(entry.get("parentSpanID"), 16)


def _events(logs: object) -> Iterator[SpanEvent]:
    for log in logs if isinstance(logs, list) else []:
        if isinstance(log, dict):
            attrs = _tags(log.get("fields"))
            at_us = integer(log.get("timestamp"))
            name = attrs.pop("event", None) or attrs.pop("name", None)
            yield SpanEvent(short(name), 0 if at_us is None else time_ns(at_us * 1_000), attrs)


def _resource(process: object) -> dict[str, Attribute]:
    if not isinstance(process, dict):
        return {}
    return {**_tags(process.get("tags")), "service.name": short(process.get("serviceName"))}


def _tags(tags: object) -> dict[str, Attribute]:
    kept: dict[str, Attribute] = {}
    for tag in tags if isinstance(tags, list) else []:
        if isinstance(tag, dict) and isinstance(key := tag.get("key"), str) and not holds_payload(key):
            value = scalar(tag.get("value"))
            if value is not None:
                kept[key] = value
    return kept
