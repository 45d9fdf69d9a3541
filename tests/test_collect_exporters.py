"""Real exporters send to the collector, and `analyze` reads what they sent while it goes on."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry._logs import LogRecord
from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter as GrpcLogs
from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter as GrpcMetrics
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcSpans
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter as HttpLogs
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter as HttpMetrics
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HttpSpans
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import SimpleLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor

import turnscope
from collect_kit import ANY_PORT, collecting, kept
from collector_kit import wait_until
from segment_kit import header, write
from ship_kit import FAST
from test_ship_round_trip import NOW_NS, turns
from turnscope.ship.shipper import Shipper
from turnscope_analyzer.analyze import analyze

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from turnscope_analyzer.collect.collector import Collector

PROMPT = "Please write to my landlord that the heating is broken again"
RESOURCE = Resource({"service.name": "gateway"})


@pytest.fixture
def collector(tmp_path: Path) -> Iterator[Collector]:
    with collecting(tmp_path / "kept", grpc=ANY_PORT) as collector:
        yield collector


def exporters(collector: Collector, protocol: str) -> tuple[Any, Any, Any]:
    """Return the exporters of spans, log records and metrics for *protocol*."""
    if protocol == "grpc":
        target = {"endpoint": str(collector.grpc), "insecure": True}
        return GrpcSpans(**target), GrpcLogs(**target), GrpcMetrics(**target)  # type: ignore[arg-type]
    url, packed = f"http://{collector.http}", Compression.Gzip if protocol == "gzip" else Compression.NoCompression
    return (
        HttpSpans(f"{url}/v1/traces", compression=packed),
        HttpLogs(f"{url}/v1/logs", compression=packed),
        HttpMetrics(f"{url}/v1/metrics", compression=packed),
    )


@pytest.mark.parametrize("protocol", ["http", "gzip", "grpc"])
def test_what_the_sdk_sends_is_read(collector: Collector, tmp_path: Path, protocol: str) -> None:
    spans, logs, metrics = exporters(collector, protocol)
    tracing = TracerProvider(resource=RESOURCE, shutdown_on_exit=False)
    tracing.add_span_processor(SimpleSpanProcessor(spans))
    logging = LoggerProvider(resource=RESOURCE, shutdown_on_exit=False)
    logging.add_log_record_processor(SimpleLogRecordProcessor(logs))
    metering = MeterProvider([PeriodicExportingMetricReader(metrics, 1e9)], RESOURCE, shutdown_on_exit=False)
    tracer = tracing.get_tracer("tests")

    with tracer.start_as_current_span("invoke_agent", attributes={"gen_ai.operation.name": "invoke_agent"}) as turn:
        with tracer.start_as_current_span(
            "chat", attributes={"gen_ai.operation.name": "chat", "gen_ai.prompt": PROMPT}
        ):
            logging.get_logger("tests").emit(LogRecord(body=PROMPT, event_name="said"))
        metering.get_meter("tests").create_counter("requests").add(3)
        assert metering.force_flush()
        tracing.force_flush()
        while_open = analyze([tmp_path / "kept"], everything=True)
    trace_id = f"{turn.get_span_context().trace_id:032x}"
    after = analyze([tmp_path / "kept"], everything=True)
    for provider in (tracing, logging, metering):
        provider.shutdown()

    # Of the turn itself nothing is sent before it ends; that it goes on shows by the parent that is not there yet.
    [not_yet] = while_open.turns
    assert (not_yet.turn_id, not_yet.rule) == (trace_id, "continuation_loss.follow_up_not_on_file")
    assert not_yet.state == "not_determinable"
    assert [(told.turn_id, told.rule) for told in after.turns] == [(trace_id, "healthy.completed")]
    assert after.rejects == ()
    assert (collector.counts["traces"], collector.counts["logs"]) == (2, 1)
    assert collector.counts["metrics"] >= 1
    assert b"landlord" not in b"".join(path.read_bytes() for path in (tmp_path / "kept").iterdir())


def point_at(collector: Collector, protocol: str, monkeypatch: pytest.MonkeyPatch) -> None:
    address = collector.grpc if protocol == "grpc" else collector.http
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://{address}")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", protocol)


@pytest.mark.parametrize("protocol", ["http/protobuf", "grpc"])
def test_a_journal_that_is_shipped_is_judged_as_where_it_was_recorded(
    collector: Collector, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, protocol: str
) -> None:
    write(tmp_path / "traces", header(), *turns())
    point_at(collector, protocol, monkeypatch)
    shipper = Shipper(tmp_path / "traces", pace=FAST, once=True)
    shipper.start()
    shipper.join()

    def told(folder: Path) -> dict[str, tuple[str, str | None, str, str | None]]:
        report = analyze([folder], now_ns=NOW_NS, everything=True)
        assert report.rejects == ()
        return {turn.turn_id: (turn.state, turn.cause, turn.rule, turn.phase) for turn in report.turns}

    sent = told(tmp_path / "kept")
    assert sent == told(tmp_path / "traces")
    # What a shipper sends again whose receipt was lost changes nothing.
    for path in sorted((tmp_path / "kept").glob("otlp-*.jsonl")):
        path.with_name(f"again-{path.name}").write_bytes(path.read_bytes())
    assert told(tmp_path / "kept") == sent
    assert sent["hangs"] == ("stuck", "model_stall", "model_stall.after_headers", "response_headers")
    assert all(standing.is_done and not standing.rejected for standing in shipper.standings())


def test_a_turn_that_hangs_is_told_as_stuck_while_it_does(
    collector: Collector, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    point_at(collector, "http/protobuf", monkeypatch)
    turnscope.configure(tmp_path / "traces", otlp=False)
    shipper = Shipper(tmp_path / "traces", pace=FAST)
    shipper.start()
    try:
        with turnscope.turn("chat-17", turn_id="hangs") as turn, turn.upstream(model="large") as request:
            request.headers(200)
            assert wait_until(lambda: kept(tmp_path / "kept"))
            assert wait_until(lambda: is_stuck(tmp_path / "kept"))
            [told] = analyze([tmp_path / "kept"], budgets={"response_headers": 0.5}, everything=True).turns
    finally:
        shipper.stop()
        turnscope.shutdown()

    assert (told.turn_id, told.session_id, told.rule) == ("hangs", "chat-17", "model_stall.after_headers")
    assert told.age_ms is not None
    assert told.horizon_ns is not None
    assert told.age_ms >= 500
    assert told.horizon_ns <= time.time_ns()


def is_stuck(folder: Path) -> bool:
    report = analyze([folder], budgets={"response_headers": 0.5}, everything=True)
    return [turn.state for turn in report.turns] == ["stuck"]
