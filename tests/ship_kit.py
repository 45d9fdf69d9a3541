"""Journals to send, what must arrive of them, and a shipper that does not wait long."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from journal_kit import line
from segment_kit import header, write
from turnscope.ship.batches import Batches
from turnscope.ship.delivery import Pace
from turnscope.ship.encode import request_of
from turnscope.ship.makers import EventMaker, readable_maker
from turnscope.ship.shipper import Shipper

if TYPE_CHECKING:
    from pathlib import Path

    import pytest
    from opentelemetry.sdk.trace import ReadableSpan

    from collector_kit import GrpcCollector, HttpCollector
    from turnscope.ship.encode import Encoded

FAST = Pace(
    batch=16, every_s=0.02, first_wait_s=0.02, longest_wait_s=0.05, hold_s=0.1, heartbeat_s=0.05, standby_s=0.05
)


def turn_lines(number: int, *, ends: bool = True, proc: str = "feedfacecafe") -> bytes:
    """Return the marks of a turn with a request and a tool, 10 seconds after the one before."""
    turn, at_s, seq = f"turn{number}", 10.0 * number, 10 * number
    steps: list[tuple[str, str, dict[str, object]]] = [
        ("accepted", "turn", {}),
        ("started", "turn", {}),
        ("upstream_sent", "upstream:1", {"model": "large", "step": 1, "attempt": 1, "purpose": "turn"}),
        ("response_headers", "upstream:1", {"status": 200}),
        ("first_event", "upstream:1", {}),
        ("upstream_completed", "upstream:1", {}),
        ("tool_call", "tool:c1", {"name": "shell"}),
        ("tool_result", "tool:c1", {"bytes": 12}),
        ("completed", "turn", {}),
    ]
    shown = steps if ends else steps[:4]
    return b"".join(
        line(seq + place, turn, phase, lane, at_s=at_s + place, attrs=attrs, proc=proc)
        for place, (phase, lane, attrs) in enumerate(shown, 1)
    )


SPANS_PER_TURN = 8
"""invoke_agent, accepted; chat, sent, headers, first_event; execute_tool; continuation."""


def journal(folder: Path, turns: int, **head: Any) -> Path:
    """Write a journal of *turns* that have ended, by a process of another host."""
    write(folder, header(**head), *(turn_lines(number) for number in range(turns)))
    return folder


def spans_of(folder: Path) -> list[ReadableSpan]:
    """Return the spans that a journal makes."""
    batches = Batches(folder, readable_maker())
    spans: list[ReadableSpan] = []
    while items := batches.next(1000):
        spans += items
    return spans


def records_of(folder: Path) -> ExportLogsServiceRequest:
    """Return the log records that a journal makes, in one request."""
    batches = Batches(folder, EventMaker())
    events: list[Encoded] = []
    while items := batches.next(1000):
        events += items
    request = ExportLogsServiceRequest()
    request.ParseFromString(request_of(events))
    return request


def by_name(spans: list[ReadableSpan]) -> dict[str, ReadableSpan]:
    return {span.name: span for span in spans}


def attributes(span: ReadableSpan) -> dict[str, Any]:
    return dict(span.attributes or {})


def ids_of(folder: Path) -> list[str]:
    """Return the ids of the spans that a journal makes, sorted."""
    return sorted(f"{span.context.span_id:016x}" for span in spans_of(folder))


def sent_once(folder: Path) -> list[ReadableSpan]:
    """Send a journal to an exporter in memory, and return what it got."""
    exporter = InMemorySpanExporter()
    shipper = Shipper(folder, exporter=exporter, pace=FAST, once=True)
    shipper.start()
    shipper.join()
    assert not shipper.failure
    return list(exporter.get_finished_spans())


def begin(kind: type[HttpCollector | GrpcCollector], mode: str) -> HttpCollector | GrpcCollector:
    """Return a collector that fails as *mode* says."""
    collector = kind()
    collector.mode = mode
    return collector if mode == "refused" else collector.open()


def point_at(
    collector: HttpCollector | GrpcCollector, monkeypatch: pytest.MonkeyPatch, *, timeout_s: float = 10
) -> None:
    """Let the environment say that telemetry goes to *collector*."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", collector.protocol)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", str(timeout_s))
