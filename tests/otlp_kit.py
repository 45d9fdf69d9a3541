"""Spans made by the real SDK, in every encoding that a file of them may have."""

from __future__ import annotations

import base64
import json
from collections import Counter
from typing import TYPE_CHECKING, Any, NamedTuple

from google.protobuf import json_format  # type: ignore[import-untyped]
from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.common._log_encoder import encode_logs
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Span as SdkSpan
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.trace import NonRecordingSpan, SpanContext, SpanKind, StatusCode, set_span_in_context

from codex_kit import SHARED as CAPTURES
from collect_kit import slimmed
from turnscope_analyzer.analyze import analyze
from turnscope_analyzer.sources.otlp.decode import read_records
from turnscope_analyzer.sources.rejects import Rejects

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from google.protobuf.message import Message  # type: ignore[import-untyped]
    from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    from turnscope_analyzer.model import Reject, Report, Verdict
    from turnscope_analyzer.sources.otlp import records as ours
    from turnscope_analyzer.sources.otlp.wire import Signal

SHARED = CAPTURES / "otlp-public"
"""Files of other projects, which may lie beside a checkout and are not ours to copy."""

START_NS = 1_795_000_000_000_000_000
SECOND_NS = 1_000_000_000


class CountingIds(IdGenerator):
    """Ids that count up: the same program gives the same bytes."""

    def __init__(self, first: int = 0xA1) -> None:
        self._last = first << 32

    def generate_span_id(self) -> int:
        self._last += 1
        return self._last

    def generate_trace_id(self) -> int:
        self._last += 1
        return self._last << 64


class Program:
    """A program whose spans and log records the real SDK makes; only what has ended is exported."""

    def __init__(self, service: str = "gateway", first_id: int = 0xA1, **resource: str) -> None:
        self.resource = Resource({"service.name": service, **{k.replace("_", "."): v for k, v in resource.items()}})
        self._spans = InMemorySpanExporter()
        self._logs = InMemoryLogRecordExporter()  # type: ignore[no-untyped-call]
        provider = TracerProvider(resource=self.resource, id_generator=CountingIds(first_id), shutdown_on_exit=False)
        provider.add_span_processor(SimpleSpanProcessor(self._spans))
        self._tracer = provider.get_tracer("tests.agent")
        logs = LoggerProvider(resource=self.resource, shutdown_on_exit=False)
        logs.add_log_record_processor(SimpleLogRecordProcessor(self._logs))
        self._logger = logs.get_logger("tests.log")

    def span(
        self,
        name: str,
        start_s: float,
        end_s: float | None,
        parent: SdkSpan | None = None,
        *,
        kind: SpanKind = SpanKind.INTERNAL,
        error: str | None = None,
        events: Sequence[tuple[str, float, Mapping[str, Any]]] = (),
        remote: SpanContext | None = None,
        **attrs: Any,
    ) -> SdkSpan:
        """Make a span that ends at *end_s*, or never; in attribute names ``__`` stands for a dot."""
        above = NonRecordingSpan(remote) if remote is not None else parent
        context = Context() if above is None else set_span_in_context(above, Context())
        named = {key.replace("__", "."): value for key, value in attrs.items()}
        span = self._tracer.start_span(name, context, kind, named, start_time=_ns(start_s))
        for event, at_s, said in events:
            span.add_event(event, said, _ns(at_s))
        if error is not None:
            span.set_status(StatusCode.ERROR, error)
        if end_s is not None:
            span.end(_ns(end_s))
        assert isinstance(span, SdkSpan)
        return span

    def log(self, event: str, at_s: float, span: SdkSpan | None = None, **attrs: Any) -> None:
        """Write a log record."""
        context = Context() if span is None else set_span_in_context(span, Context())
        self._logger.emit(
            LogRecord(
                timestamp=_ns(at_s),
                context=context,
                severity_number=SeverityNumber.INFO,
                body="something happened",
                event_name=event,
                attributes={key.replace("__", "."): value for key, value in attrs.items()},
            )
        )

    def spans(self) -> ExportTraceServiceRequest:
        """Return the export request of all spans that have ended."""
        return encode_spans(self._spans.get_finished_spans())

    def logs(self) -> ExportLogsServiceRequest:
        """Return the export request of all log records."""
        return encode_logs(self._logs.get_finished_logs())


def _ns(at_s: float) -> int:
    return START_NS + int(at_s * SECOND_NS)


def as_json(request: Message, *, snake: bool = False, b64: bool = False, numbers: bool = False) -> Any:
    """Return a request as OTLP/JSON has it, or with other habits: snake_case and names of enums, base64, numbers."""
    value = json_format.MessageToDict(request, preserving_proto_field_name=snake, use_integers_for_enums=not snake)
    return _changed(value, b64=b64, numbers=numbers)


def _changed(value: Any, *, b64: bool, numbers: bool) -> Any:
    if isinstance(value, list):
        return [_changed(entry, b64=b64, numbers=numbers) for entry in value]
    if not isinstance(value, dict):
        return value
    changed = {name: _changed(entry, b64=b64, numbers=numbers) for name, entry in value.items()}
    for name, entry in changed.items():
        if name.lower().replace("_", "").endswith(("traceid", "spanid")) and not b64:
            changed[name] = base64.b64decode(entry).hex()
        elif numbers and isinstance(entry, str) and entry.isdigit() and name != "stringValue":
            changed[name] = int(entry)
    return changed


def frame(request: bytes) -> bytes:
    """Return a request behind its length, as the collector's file exporter writes it."""
    return len(request).to_bytes(4, "big") + request


def line(request: Message, **habits: bool) -> bytes:
    """Return a request as one line."""
    return json.dumps(as_json(request, **habits), separators=(",", ":")).encode() + b"\n"


def write(folder: Path, content: bytes, name: str = "spans.jsonl") -> Path:
    """Write a file."""
    path = folder / name
    path.write_bytes(content)
    return path


class Read(NamedTuple):
    """What a file gave."""

    records: list[ours.Span | ours.LogRecord]
    rejects: list[Reject]
    left_alone: Counter[str]


def read(path: Path) -> Read:
    """Read one file."""
    rejects, left_alone = Rejects(str(path)), Counter[str]()
    records = list(read_records(path, rejects, left_alone))
    return Read(records, rejects.all(), left_alone)


def plain(records: Sequence[ours.Span | ours.LogRecord]) -> list[ours.Span | ours.LogRecord]:
    """Return records without their places."""
    return [record._replace(file="", offset=0) for record in records]


AGENT: dict[str, Any] = {"gen_ai__operation__name": "invoke_agent", "gen_ai__conversation__id": "conversation-1"}
CHAT: dict[str, Any] = {"gen_ai__operation__name": "chat", "gen_ai__request__model": "some-model"}
TOOL: dict[str, Any] = {"gen_ai__operation__name": "execute_tool", "gen_ai__tool__name": "shell"}


def report(folder: Path, *programs: Program) -> Report:
    """Return what is said of everything that the programs exported, which is also said of what a collector keeps."""
    content = b"".join(line(made.spans()) + line(made.logs()) for made in programs)
    told = analyze([write(folder, content)], everything=True)
    (folder / "kept").mkdir(exist_ok=True)
    requests: list[tuple[Signal, bytes]] = []
    for made in programs:
        requests += [("traces", line(made.spans())), ("logs", line(made.logs()))]
    kept = b"".join(lines for signal, body in requests for lines in slimmed(signal, body).values())
    assert judged(analyze([write(folder / "kept", kept)], everything=True)) == judged(told)
    return told


def judged(report: Report) -> list[tuple[Any, ...]]:
    """Return all that is said of the turns, without the places of the evidence."""
    return sorted(
        (
            *(turn.turn_id, turn.session_id, turn.state, turn.cause, turn.rule, turn.summary, turn.cancel),
            *(turn.phase, turn.lane, turn.since_ns, turn.age_ms, turn.horizon_ns, turn.stretches, turn.not_seen),
        )
        for turn in report.turns
    )


def verdict(folder: Path, *programs: Program) -> Verdict:
    """Return what is said of the one turn that the programs exported."""
    (turn,) = report(folder, *programs).turns
    return turn


def said(turn: Verdict) -> tuple[str, str | None, str]:
    """Return a verdict in short."""
    return turn.state, turn.cause, turn.rule


def story(turn: Verdict) -> list[tuple[str, str]]:
    """Return where the time of a turn went."""
    return [(stretch.lane, stretch.phase) for stretch in turn.stretches]


def alive_until(made: Program, at_s: float) -> None:
    """Let the same service do something else, so that its records reach that far."""
    made.span("GET /health", at_s - 1, at_s, kind=SpanKind.SERVER)


def call(made: Program, above: SdkSpan, start_s: float, end_s: float, **said: Any) -> SdkSpan:
    """Make the span of a call to the model."""
    return made.span("chat some-model", start_s, end_s, above, kind=SpanKind.CLIENT, **{**CHAT, **said})


def tool(made: Program, above: SdkSpan, start_s: float, end_s: float | None, **said: Any) -> SdkSpan:
    """Make the span of a tool."""
    return made.span("execute_tool shell", start_s, end_s, above, **{**TOOL, **said})
