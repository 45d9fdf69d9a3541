"""Where telemetry goes, and how: the variables of OpenTelemetry, configure(otlp=...), and what is on the wire."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

import turnscope
from collector_kit import GrpcCollector, HttpCollector, wait_until
from helpers import run_python
from ship_kit import FAST, ids_of, journal, point_at, spans_of
from turnscope.ship.settings import settings_for
from turnscope.ship.shipper import Shipper
from turnscope_analyzer.cli import EXIT_ERROR, EXIT_OK, main

if TYPE_CHECKING:
    from pathlib import Path

    from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord

    from collector_kit import Taken


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    """An environment that says nothing about telemetry."""
    for name in [name for name in os.environ if name.startswith("OTEL_")]:
        monkeypatch.delenv(name)


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({}, {"protocol": "http/protobuf", "endpoint": "http://localhost:4318/v1/traces", "timeout_s": 10}),
        ({"ENDPOINT": "http://c:4318/"}, {"endpoint": "http://c:4318/v1/traces"}),
        ({"ENDPOINT": "http://c:1", "TRACES_ENDPOINT": "http://d:2/x"}, {"endpoint": "http://d:2/x"}),
        ({"ENDPOINT": "http://c:4317"}, {"protocol": "grpc", "endpoint": "http://c:4317", "insecure": True}),
        ({"ENDPOINT": "https://c:4317"}, {"protocol": "grpc", "insecure": False}),
        ({"ENDPOINT": "c:4317"}, {"protocol": "grpc", "insecure": False}),
        ({"ENDPOINT": "c:4317", "INSECURE": "true"}, {"insecure": True}),
        ({"ENDPOINT": "http://c:4317", "PROTOCOL": "http/protobuf"}, {"endpoint": "http://c:4317/v1/traces"}),
        ({"PROTOCOL": "grpc"}, {"endpoint": "http://localhost:4317", "insecure": True}),
        ({"HEADERS": "A=b%20c, d=e=f,g"}, {"headers": {"a": "b c", "d": "e=f"}}),
        ({"TIMEOUT": "3", "TRACES_TIMEOUT": "0.5"}, {"timeout_s": 0.5}),
        ({"COMPRESSION": "gzip"}, {"compression": "gzip"}),
    ],
)
def test_the_environment_says_where_and_how(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], said: dict[str, Any]
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(f"OTEL_EXPORTER_OTLP_{name}", value)

    settings = settings_for("traces")

    assert {name: getattr(settings, name) for name in said} == said


@pytest.mark.parametrize(
    ("name", "value"),
    [("PROTOCOL", "http/json"), ("COMPRESSION", "zip"), ("TIMEOUT", "soon"), ("ENDPOINT", "collector:4318")],
)
def test_a_value_that_cannot_work_is_said_at_once_to_who_asked_and_keeps_no_gateway_from_starting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, name: str, value: str
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://localhost:4318")
    monkeypatch.setenv(f"OTEL_EXPORTER_OTLP_{name}", value)

    with pytest.raises(turnscope.ConfigurationError, match=f"OTEL_EXPORTER_OTLP_{name}"):
        turnscope.configure(tmp_path, otlp=True)
    recorder = turnscope.configure(tmp_path)
    turnscope.shutdown()

    assert recorder.shipper is None
    assert "the journal is not sent" in caplog.text


@pytest.mark.parametrize(
    ("variables", "otlp", "sends"),
    [
        ({}, None, False),
        ({}, True, True),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://localhost:1"}, None, True),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://localhost:1/v1/traces"}, None, True),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://localhost:1"}, False, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://localhost:1", "OTEL_SDK_DISABLED": "true"}, None, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://localhost:1", "OTEL_TRACES_EXPORTER": "none"}, None, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://localhost:1", "TURNSCOPE_DISABLED": "1"}, None, False),
    ],
)
def test_who_asks_for_it_decides_whether_a_journal_is_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], *, otlp: bool | None, sends: bool
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)

    recorder = turnscope.configure(tmp_path, otlp=otlp)
    turnscope.shutdown()

    assert (recorder.shipper is not None) is sends


def test_what_is_no_exporter_is_refused(tmp_path: Path) -> None:
    with pytest.raises(turnscope.ConfigurationError, match="SpanExporter"):
        turnscope.configure(tmp_path, otlp="http://localhost:4318")  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", [HttpCollector, GrpcCollector])
def test_headers_and_compression_are_on_the_wire(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: type[HttpCollector]
) -> None:
    folder = journal(tmp_path / "traces", 2)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "x-tenant=seven")
    with kind().open() as collector:
        point_at(collector, monkeypatch)
        done = CliRunner().invoke(main, ["ship", str(folder)])

    assert done.exit_code == EXIT_OK, done.output
    assert sorted(collector.ids()) == ids_of(folder)
    assert {headers.get("x-tenant") for headers in collector.headers} == {"seven"}
    if kind is HttpCollector:
        assert {headers.get("content-encoding") for headers in collector.headers} == {"gzip"}


def heartbeats(collector: Taken) -> list[LogRecord]:
    return [record for record in collector.records if event_of(record) == "turnscope.span.heartbeat"]


def event_of(record: LogRecord) -> str:
    """Return the name of an event, from where also a protocol without a field for it has it."""
    return str(next(pair.value.string_value for pair in record.attributes if pair.key == "event.name"))


@pytest.mark.parametrize("kind", [HttpCollector, GrpcCollector])
def test_phases_are_told_while_they_are_open_and_spans_when_they_have_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: type[HttpCollector]
) -> None:
    with kind().open() as collector:
        point_at(collector, monkeypatch)
        turnscope.configure(tmp_path, service="gw", otlp=False)
        turn = turnscope.accept("chat-17")
        turn.mark("started")
        with turn.upstream(model="large") as upstream:
            upstream.headers(200)
            upstream.progress(10)
            shipper = Shipper(tmp_path, pace=FAST)
            shipper.start()
            assert wait_until(lambda: len(heartbeats(collector)) >= 4)
            names = [span.name for span in collector.spans]
        turn.complete()
        turnscope.shutdown()
        shipper.stop()

    assert [name for name in names if not name.startswith("turnscope.")] == []
    events = [name for name in map(event_of, collector.records) if name != "turnscope.span.heartbeat"]
    assert events == [
        *("turnscope.turn.accepted", "turnscope.turn.started"),
        *("turnscope.upstream.sent", "turnscope.upstream.headers", "turnscope.upstream.first_byte"),
        *("turnscope.upstream.completed", "turnscope.turn.completed"),
    ]
    told = {pair.key: pair.value for pair in heartbeats(collector)[-1].attributes}
    assert told["turnscope.phase"].string_value in {"first_byte", "started"}
    assert told["turnscope.phase.age"].double_value > 0
    chunks = [
        pair.value.int_value
        for record in heartbeats(collector)
        for pair in record.attributes
        if pair.key.endswith(".chunks")
    ]
    assert set(chunks) == {1}
    request = next(span for span in collector.spans if span.name == "chat large")
    below = next(record for record in collector.records if event_of(record) == "turnscope.upstream.headers")
    assert (below.trace_id, below.span_id) == (request.trace_id, request.span_id)


def test_a_gateway_that_ends_at_once_has_sent_its_turns(tmp_path: Path) -> None:
    with HttpCollector().open() as collector:
        program = (
            "import turnscope, time\n"
            "turnscope.configure('traces')\n"
            "with turnscope.turn('s'): pass\n"
            "time.sleep(2)\n"
            "with turnscope.turn('s'): pass\n"
        )
        done = run_python(program, tmp_path, OTEL_EXPORTER_OTLP_ENDPOINT=collector.url)

    assert (done.returncode, done.stderr) == (0, "")
    assert sorted(collector.ids()) == ids_of(tmp_path / "traces")
    assert len(collector.spans) == 4


def test_a_forked_child_sends_nothing_and_its_parent_sends_for_both(tmp_path: Path) -> None:
    program = (
        "import os, time, turnscope, warnings\n"
        "warnings.simplefilter('ignore', DeprecationWarning)\n"
        "turnscope.configure('traces')\n"
        "with turnscope.turn('s'): pass\n"
        "time.sleep(1.5)\n"
        "if os.fork() == 0:\n"
        "    with turnscope.turn('s'): pass\n"
        "    raise SystemExit\n"
        "os.wait()\n"
        "time.sleep(1.5)\n"
    )
    with HttpCollector().open() as collector:
        done = run_python(program, tmp_path, OTEL_EXPORTER_OTLP_ENDPOINT=collector.url)

    assert (done.returncode, done.stderr) == (0, "")
    assert sorted(collector.ids()) == ids_of(tmp_path / "traces")
    assert set(collector.ids().values()) == {1}


def test_an_exit_does_not_wait_for_a_collector_that_hangs(tmp_path: Path) -> None:
    program = (
        "import atexit, sys, time, turnscope\n"
        "atexit.register(lambda: print(time.monotonic() - began < 2))\n"
        "turnscope.configure('traces', otlp=True)\n"
        "with turnscope.turn('s'): pass\n"
        "time.sleep(2)\n"
        "began = time.monotonic()\n"
    )
    collector = HttpCollector()
    collector.mode = "hang"
    with collector.open():
        began = time.monotonic()
        done = run_python(program, tmp_path, OTEL_EXPORTER_OTLP_ENDPOINT=collector.url)
        took_s = time.monotonic() - began

    assert (done.returncode, done.stdout) == (0, "True\n"), done.stderr
    assert collector.asked
    assert took_s < 9, "the request that hangs has ten seconds"


def test_loading_the_command_does_not_load_what_sends(tmp_path: Path) -> None:
    program = (
        "import sys, turnscope\n"
        "turnscope.configure('traces')\n"
        "print(sorted(set(sys.modules) & {'grpc', 'requests', 'google.protobuf', 'opentelemetry.sdk'}))\n"
        "print([name for name in sys.modules if name.startswith('turnscope.ship.s')])\n"
    )

    assert run_python(program, tmp_path).stdout == "[]\n['turnscope.ship.settings']\n"


def test_the_command_says_what_there_is_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    empty = CliRunner().invoke(main, ["ship", str(tmp_path)])
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "pigeon")
    wrong = CliRunner().invoke(main, ["ship", str(journal(tmp_path / "traces", 1))])

    assert (empty.exit_code, wrong.exit_code) == (EXIT_ERROR, EXIT_ERROR)
    assert "no segment of a journal in" in empty.output
    assert "OTEL_EXPORTER_OTLP_PROTOCOL is 'pigeon'" in wrong.output


def test_an_endpoint_is_shown_without_its_credentials(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with HttpCollector().open() as collector:
        url = collector.url.replace("://", "://user:secret@")
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", f"{url}/v1/traces?key=secret")
        monkeypatch.setenv("OTEL_LOGS_EXPORTER", "none")
        done = CliRunner().invoke(main, ["ship", str(journal(tmp_path, 1))])

    assert done.exit_code == EXIT_OK, done.output
    assert collector.url in done.output
    assert "secret" not in done.output
    assert len(collector.spans) == len(spans_of(tmp_path))
