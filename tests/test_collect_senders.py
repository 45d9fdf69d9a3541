"""Who hangs sends nothing: that its process lives is looked up, and goes into what is collected."""

from __future__ import annotations

import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import orjson
import pytest

from collect_kit import ANY_PORT, ask, attribute, collecting, kept, span
from collector_kit import wait_until
from turnscope_analyzer.analyze import analyze
from turnscope_analyzer.collect import collector as collector_module
from turnscope_analyzer.collect.senders import Peer, Senders

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from turnscope_analyzer.collect.collector import Collector

HANGS = """
import sys
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.exporter.otlp.proto.{protocol}.trace_exporter import OTLPSpanExporter
provider = TracerProvider(resource=Resource({{"service.name": "gateway"}}))
provider.add_span_processor(SimpleSpanProcessor(OTLPSpanExporter({arguments})))
tracer = provider.get_tracer("agent")
with tracer.start_as_current_span("invoke_agent"):
    with tracer.start_as_current_span("execute_tool", attributes={{"gen_ai.operation.name": "execute_tool"}}):
        pass
    print("hangs", flush=True)
    sys.stdin.read()
"""


@contextmanager
def hanging(collector: Collector, protocol: str) -> Iterator[subprocess.Popen[str]]:
    """Run a program that has sent a part of its turn and does nothing any more."""
    http, grpc = f"'http://{collector.http}/v1/traces'", f"'{collector.grpc}', insecure=True"
    program = HANGS.format(protocol=protocol, arguments=http if protocol == "http" else grpc)
    process = subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "hangs\n"
        yield process
    finally:
        process.kill()
        process.communicate()


def seen(folder: Path) -> list[int]:
    """Return the times at which it was noted that the gateway lives."""
    records = [
        (request["resourceLogs"][0]["resource"], record)
        for request in kept(folder, "logs")
        for record in request["resourceLogs"][0]["scopeLogs"][0]["logRecords"]
    ]
    named = [record for resource, record in records if attribute("service.name", "gateway") in resource["attributes"]]
    return [int(record["timeUnixNano"]) for record in named]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks into /proc")
@pytest.mark.parametrize("protocol", ["http", "grpc"])
def test_a_turn_of_a_program_that_says_nothing_more_grows_old_as_long_as_it_lives(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, protocol: str
) -> None:
    monkeypatch.setattr(collector_module, "_LOOK_S", 0.1)
    with collecting(tmp_path, grpc=ANY_PORT) as collector:
        with hanging(collector, protocol):
            assert wait_until(lambda: len(seen(tmp_path)) >= 8)
            [told] = analyze([tmp_path], budgets={"tool_result": 0.3}, everything=True).turns
        gone = len(seen(tmp_path))
        ask(collector, b"{}")
        for _ in range(3):
            collector._intake.tell_who_lives()
        after = len(seen(tmp_path))

    assert told.age_ms is not None
    assert told.age_ms > 300
    assert told.state == "stuck"
    assert after - gone <= 1  # one may have been under way


def test_who_is_not_of_this_machine_is_not_looked_for() -> None:
    senders = Senders(lambda: 5)

    for peer in (Peer("192.0.2.1", 4318), Peer("127.0.0.1", 1), Peer("no address", 1), Peer("::ffff:127.0.0.1", 1)):
        senders.met(peer, {b"{}": b"{}"})

    assert senders.seen() == b""


def test_metrics_show_that_their_sender_was_alive_by_its_own_clock(tmp_path: Path) -> None:
    def metrics(at_ns: int) -> Any:
        point = {"timeUnixNano": str(at_ns), "asInt": "1"}
        scope = {"scope": {"name": "m"}, "metrics": [{"gauge": {"dataPoints": [point]}}]}
        return {"resourceMetrics": [{"resource": {"attributes": [name]}, "scopeMetrics": [scope]}]}

    name = attribute("service.name", "gateway")
    begun = span(1, startTimeUnixNano="1795000000000000000", endTimeUnixNano="1795000001000000000")
    begun |= {"parentSpanId": "2" * 16, "attributes": [attribute("gen_ai.operation.name", "execute_tool")]}
    spans = {"resourceSpans": [{"resource": {"attributes": [name]}, "scopeSpans": [{"spans": [begun]}]}]}
    with collecting(tmp_path) as collector:
        ask(collector, orjson.dumps(spans))
        young = analyze([tmp_path], everything=True).turns[0]
        ask(collector, orjson.dumps(metrics(1_795_000_700_000_000_000)), path="/v1/metrics")
        ask(collector, orjson.dumps(metrics(9_000_000_000_000_000_000)), path="/v1/metrics")
        times = seen(tmp_path)

    assert young.age_ms == 0
    assert times[0] == 1_795_000_700_000_000_000
    assert times[1] < 9_000_000_000_000_000_000
