"""The same spans in every encoding are the same records; damaged files give what is whole."""

from __future__ import annotations

import gzip
import json
import sys
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, settings
from opentelemetry.proto.metrics.v1.metrics_pb2 import MetricsData
from opentelemetry.trace import SpanContext, SpanKind, TraceFlags

from otlp_kit import SECOND_NS, SHARED, START_NS, Program, as_json, frame, line, plain, read, write
from turnscope_analyzer.discover import discover
from turnscope_analyzer.sources.opened import head_of
from turnscope_analyzer.sources.otlp.decode import is_otlp
from turnscope_analyzer.sources.otlp.records import LogRecord, Span, SpanEvent

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

ANY_EXAMPLE = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def program() -> Program:
    made = Program(service_instance_id="one")
    agent = made.span("invoke_agent helper", 0, 9, gen_ai__operation__name="invoke_agent", retries=2, live=True)
    made.span(
        "chat some-model",
        1,
        4.5,
        agent,
        kind=SpanKind.CLIENT,
        error="the server closed the connection",
        events=[("gen_ai.first_token", 2.25, {"chunk": 1})],
        gen_ai__operation__name="chat",
        gen_ai__input__messages='[{"role":"user","content":"the secret"}]',
        score=0.5,
    )
    made.log("turn.started", 0.5, agent, purpose="test", prompt="the secret")
    return made


PROGRAM = program()
SPANS, LOGS = PROGRAM.spans(), PROGRAM.logs()
RAW = SPANS.SerializeToString()
METRICS = MetricsData()
METRICS.resource_metrics.add().scope_metrics.add().metrics.add(name="turns", unit="1").sum.is_monotonic = True

ENCODINGS: dict[str, bytes] = {
    "a line": line(SPANS),
    "a line without its newline": line(SPANS).rstrip(),
    "snake_case": line(SPANS, snake=True),
    "base64 ids": line(SPANS, b64=True),
    "plain numbers": line(SPANS, numbers=True),
    "one pretty document": json.dumps(as_json(SPANS), indent=2).encode(),
    "one document at the margin": json.dumps(as_json(SPANS), indent=0).encode(),
    "an array": json.dumps([as_json(SPANS)]).encode(),
    "what a query API gives": json.dumps({"trace": as_json(SPANS, b64=True)}).encode(),
    "with a byte order mark": b"\xef\xbb\xbf" + line(SPANS),
    "protobuf": RAW,
    "framed protobuf": frame(RAW),
    "frames that are packed each": frame(zstd.compress(RAW)),
    "frames of packed JSON": frame(zstd.compress(line(SPANS).rstrip())),
}


@pytest.fixture
def expected(tmp_path: Path) -> list[Span | LogRecord]:
    return plain(read(write(tmp_path, line(SPANS), "expected.jsonl")).records)


def test_a_span_is_read_with_all_that_is_kept_of_it(tmp_path: Path) -> None:
    path = write(tmp_path, line(SPANS))

    found = next(record for record in read(path).records if isinstance(record, Span) and record.name.startswith("chat"))

    assert found == Span(
        trace_id="000000a1000000010000000000000000",
        span_id="000000a100000003",
        parent_id="000000a100000002",
        name="chat some-model",
        kind=3,
        start_ns=START_NS + SECOND_NS,
        end_ns=START_NS + 4_500_000_000,
        failed=True,
        status_message="the server closed the connection",
        attrs={"gen_ai.operation.name": "chat", "score": 0.5},
        events=(SpanEvent("gen_ai.first_token", START_NS + 2_250_000_000, {"chunk": 1}),),
        scope="tests.agent",
        resource={"service.name": "gateway", "service.instance.id": "one"},
        file=str(path),
        offset=0,
        remote_parent=False,
    )


@pytest.mark.parametrize("pack", [bytes, gzip.compress, zstd.compress], ids=["plain", "gzip", "zstd"])
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_every_encoding_gives_the_same_spans(
    encoding: str, pack: Callable[[bytes], bytes], tmp_path: Path, expected: list[Span | LogRecord]
) -> None:
    path = write(tmp_path, pack(ENCODINGS[encoding]), "x.bin")

    assert is_otlp(path, head_of(path))
    assert plain(read(path).records) == expected
    assert read(path).rejects == []


@pytest.mark.parametrize(
    "content", [line(LOGS), line(LOGS, snake=True, b64=True), LOGS.SerializeToString(), frame(LOGS.SerializeToString())]
)
def test_a_log_record_is_read_from_every_encoding(content: bytes, tmp_path: Path) -> None:
    path = write(tmp_path, content)

    assert is_otlp(path, content)
    assert plain(read(path).records) == [
        LogRecord(
            trace_id="000000a1000000010000000000000000",
            span_id="000000a100000002",
            at_ns=START_NS + SECOND_NS // 2,
            event="turn.started",
            attrs={"purpose": "test"},
            scope="tests.log",
            resource={"service.name": "gateway", "service.instance.id": "one"},
            file="",
            offset=0,
        )
    ]


def test_metrics_are_counted_and_left_alone(tmp_path: Path) -> None:
    for content in (line(METRICS), METRICS.SerializeToString(), frame(METRICS.SerializeToString())):
        path = write(tmp_path, content)

        assert is_otlp(path, content)
        assert read(path) == ([], [], {"metrics": 1})


def test_a_parent_in_another_process_is_known_to_be_one(tmp_path: Path) -> None:
    made = Program()
    made.span("GET /", 0, 1, remote=SpanContext(0xABC << 64, 0xDEF, is_remote=True, trace_flags=TraceFlags(1)))
    made.span("own", 0, 1, made.span("above", 0, None))

    for content in (line(made.spans()), made.spans().SerializeToString()):
        spans = read(write(tmp_path, content)).records
        assert [(span.name, span.remote_parent) for span in spans if isinstance(span, Span)] == [
            ("GET /", True),
            ("own", False),
        ]


def test_a_span_without_an_end_is_open(tmp_path: Path) -> None:
    content = line(SPANS).replace(b'"endTimeUnixNano":', b'"notTheEnd":')

    assert [record.end_ns for record in read(write(tmp_path, content)).records if isinstance(record, Span)] == [
        None
    ] * 2


def test_payloads_are_not_kept_and_long_strings_are_cut(tmp_path: Path) -> None:
    made = Program()
    names = ["gen_ai.prompt.0.content", "input.value", "llm.input_messages.0.message.content", "tool.parameters"]
    names += ["gen_ai.output.messages", "gen_ai.tool.call.arguments", "ai.prompt.messages", "traceloop.entity.input"]
    kept: dict[str, Any] = {
        "gen_ai.usage.input_tokens": 7,
        "gen_ai.output.type": "text",
        "prompt_length": 3,
        "long": "x" * 2_000,
    }
    kept["long"] = "x" * 2_000
    secret: dict[str, Any] = dict.fromkeys(names, "the secret")
    made.span("chat", 0, 1, **secret, **kept)

    (span,) = read(write(tmp_path, line(made.spans()))).records

    assert span.attrs == {**kept, "long": "x" * 512}


def test_what_the_jaeger_ui_saves_is_read(tmp_path: Path) -> None:
    tags = [{"key": "span.kind", "type": "string", "value": "client"}, {"key": "error", "type": "bool", "value": True}]
    tags += [{"key": "gen_ai.operation.name", "type": "string", "value": "chat"}]
    span = {
        "traceID": "a1",
        "spanID": "3",
        "operationName": "chat some-model",
        "references": [{"refType": "CHILD_OF", "traceID": "a1", "spanID": "2"}],
        "startTime": START_NS // 1_000,
        "duration": 2_000_000,
        "tags": tags,
        "logs": [{"timestamp": START_NS // 1_000, "fields": [{"key": "event", "type": "string", "value": "sent"}]}],
        "processID": "p1",
    }
    processes = {"p1": {"serviceName": "gateway", "tags": [{"key": "host.name", "type": "string", "value": "here"}]}}
    saved = {"data": [{"traceID": "a1", "spans": [span, {"traceID": "a1"}], "processes": processes}], "total": 0}
    path = write(tmp_path, json.dumps(saved, indent=2).encode())

    found = read(path)

    assert is_otlp(path, head_of(path))
    assert plain(found.records) == [
        Span(
            trace_id=f"{0xA1:032x}",
            span_id=f"{3:016x}",
            parent_id=f"{2:016x}",
            name="chat some-model",
            kind=3,
            start_ns=START_NS,
            end_ns=START_NS + 2 * SECOND_NS,
            failed=True,
            status_message="",
            attrs={"gen_ai.operation.name": "chat"},
            events=(SpanEvent("sent", START_NS, {}),),
            scope="",
            resource={"service.name": "gateway", "host.name": "here"},
            file="",
            offset=0,
        )
    ]
    assert [reject.reason for reject in found.rejects] == ["a span without an id or a begin"]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\n" * 100,
        b'{"resourceSpans":1}',
        b'{"data":[]}',
        b'{"type":"session_meta","payload":{"id":"x","text":"{\\"resourceSpans\\":[{\\"resource"}}',
        b"SQLite format 3\0" + b"\0" * 100,
        b"\n\x20hello, this is a text of some length, is it not",
        bytes(range(256)) * 10,
    ],
    ids=repr,
)
def test_other_files_are_not_claimed(content: bytes, tmp_path: Path) -> None:
    assert not is_otlp(tmp_path / "x.json", content)


# -- files of other projects ------------------------------------------------------------------------------


@pytest.mark.skipif(not SHARED.exists(), reason="the public captures do not lie beside the checkout")
@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("dazzaji_test-traces.json", 2),
        ("otel-proto_example_trace.json", 1),
        ("smithclay_logs_simple.jsonl", 3),
        ("smithclay_traces_simple.jsonl", 3),
        ("xtergo_otel-traces.json", 1_066),
        ("xtergo_pabot_trace.json", 18),
    ],
)
def test_files_of_other_projects_are_read(name: str, count: int) -> None:
    found = read(SHARED / name)

    assert len(found.records) == count
    assert found.rejects == []


@pytest.mark.skipif(not SHARED.exists(), reason="the public captures do not lie beside the checkout")
def test_files_of_other_projects_are_found_by_their_content() -> None:
    assert len(discover([SHARED]).of("otlp")) == 7
