"""Export requests in protobuf as records. Loads the generated classes at its first use, not when it is imported."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from turnscope_analyzer.sources.otlp.kept import STRING_CAP, hex_id, holds_payload, number, time_ns
from turnscope_analyzer.sources.otlp.plain_json import REMOTE
from turnscope_analyzer.sources.otlp.records import LogRecord, Span, SpanEvent
from turnscope_analyzer.sources.otlp.wire import signal_of

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Iterable, Iterator, Mapping

    from turnscope_analyzer.sources.otlp.records import Attribute
    from turnscope_analyzer.sources.otlp.wire import Signal
    from turnscope_analyzer.sources.rejects import Rejects


def parses(message: bytes) -> bool:
    """Tell whether *message* is a whole export request with a record in it."""
    return _parsed(message, signal_of(message)) is not None


def records_of(
    message: bytes, file: str, offset: int, rejects: Rejects, left_alone: Counter[str]
) -> Iterator[Span | LogRecord]:
    """Yield the spans and log records of one export request; count its metrics."""
    signal = signal_of(message)
    request = _parsed(message, signal)
    if request is None:
        rejects.add(offset, f"{len(message)} bytes that are no whole export request")
    elif signal == "traces":
        yield from _spans(request, file, offset, rejects)
    elif signal == "logs":
        yield from _logs(request, file, offset)
    else:
        groups = request.resource_metrics
        left_alone["metrics"] += sum(len(scope.metrics) for group in groups for scope in group.scope_metrics)


def _parsed(message: bytes, signal: Signal | None) -> Any | None:
    if signal is None:
        return None
    kinds, error = _generated()
    try:
        return kinds[signal].FromString(message)
    except error:
        return None


@cache
def _generated() -> tuple[Mapping[Signal, Any], type[Exception]]:
    """Return the classes of the requests, and what they raise for bytes that are none."""
    # Here, not above: it takes 60 ms, and most analyses meet no protobuf.
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]  # noqa: PLC0415
    from opentelemetry.proto.logs.v1.logs_pb2 import LogsData  # noqa: PLC0415
    from opentelemetry.proto.metrics.v1.metrics_pb2 import MetricsData  # noqa: PLC0415
    from opentelemetry.proto.trace.v1.trace_pb2 import TracesData  # noqa: PLC0415

    return {"traces": TracesData, "logs": LogsData, "metrics": MetricsData}, DecodeError


def _spans(request: Any, file: str, offset: int, rejects: Rejects) -> Iterator[Span]:
    for group in request.resource_spans:
        resource = _attributes(group.resource.attributes)
        for scope in group.scope_spans:
            scope_name = scope.scope.name[:STRING_CAP]
            for entry in scope.spans:
                span_id, start_ns = hex_id(entry.span_id), time_ns(entry.start_time_unix_nano)
                if not span_id or not start_ns:
                    rejects.add(offset, "a span without an id or a begin")
                    continue
                yield Span(
                    trace_id=hex_id(entry.trace_id),
                    span_id=span_id,
                    parent_id=hex_id(entry.parent_span_id),
                    name=entry.name[:STRING_CAP],
                    kind=entry.kind,
                    start_ns=start_ns,
                    end_ns=time_ns(entry.end_time_unix_nano) or None,
                    failed=entry.status.code == entry.status.STATUS_CODE_ERROR,
                    status_message=entry.status.message[:STRING_CAP],
                    attrs=_attributes(entry.attributes),
                    events=tuple(
                        SpanEvent(event.name[:STRING_CAP], time_ns(event.time_unix_nano), _attributes(event.attributes))
                        for event in entry.events
                    ),
                    scope=scope_name,
                    resource=resource,
                    file=file,
                    offset=offset,
                    remote_parent=entry.flags & REMOTE == REMOTE,
                )


def _logs(request: Any, file: str, offset: int) -> Iterator[LogRecord]:
    for group in request.resource_logs:
        resource = _attributes(group.resource.attributes)
        for scope in group.scope_logs:
            scope_name = scope.scope.name[:STRING_CAP]
            for entry in scope.log_records:
                attrs = _attributes(entry.attributes)
                named = attrs.get("event.name")
                # Older generated classes know no event name; there it stands in the attribute.
                event = getattr(entry, "event_name", "") or (named if isinstance(named, str) else "")
                yield LogRecord(
                    trace_id=hex_id(entry.trace_id),
                    span_id=hex_id(entry.span_id),
                    at_ns=time_ns(entry.time_unix_nano) or time_ns(entry.observed_time_unix_nano),
                    event=event[:STRING_CAP],
                    attrs=attrs,
                    scope=scope_name,
                    resource=resource,
                    file=file,
                    offset=offset,
                )


def _attributes(pairs: Iterable[Any]) -> Mapping[str, Attribute]:
    kept: dict[str, Attribute] = {}
    for pair in pairs:
        if holds_payload(pair.key):
            continue
        match pair.value.WhichOneof("value"):
            case "string_value":
                kept[pair.key] = pair.value.string_value[:STRING_CAP]
            case "int_value":
                kept[pair.key] = pair.value.int_value
            case "bool_value":
                kept[pair.key] = pair.value.bool_value
            case "double_value" if (value := number(pair.value.double_value)) is not None:
                kept[pair.key] = value
    return kept
