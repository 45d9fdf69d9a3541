"""OTLP over HTTP: what is answered to whom, and that nothing is answered before it is kept."""

from __future__ import annotations

import gzip
import zlib
from typing import TYPE_CHECKING, Any

import orjson
import pytest
from google.rpc.status_pb2 import Status  # type: ignore[import-untyped]
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

from collect_kit import JSON, PROTOBUF, ask, attribute, collecting, kept, span, spans_in, traces

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from turnscope_analyzer.collect.collector import Collector

TOKEN = "a-token-of-some-length"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("kept")


@pytest.fixture(scope="module")
def collector(folder: Path) -> Iterator[Collector]:
    with collecting(folder, body_bytes=1 << 20, memory_bytes=2 << 20) as collector:
        yield collector


def in_protobuf(*ids: int) -> bytes:
    request = ExportTraceServiceRequest()
    scope = request.resource_spans.add().scope_spans.add()
    for number in ids:
        scope.spans.add(trace_id=number.to_bytes(16, "big"), span_id=number.to_bytes(8, "big"), start_time_unix_nano=1)
    encoded: bytes = request.SerializeToString()
    return encoded


@pytest.mark.parametrize(
    ("coding", "pack"),
    [("", bytes), ("identity", bytes), ("gzip", gzip.compress), ("deflate", zlib.compress)],
    ids=["plain", "identity", "gzip", "deflate"],
)
def test_spans_are_on_disk_when_they_are_answered(tmp_path: Path, coding: str, pack: Any) -> None:
    headers = {"content-encoding": coding} if coding else {}
    with collecting(tmp_path) as collector:
        in_json = ask(collector, pack(traces(span(1))), JSON | headers)
        assert [one["spanId"] for one in spans_in(tmp_path)] == [f"{1:016x}"]
        binary = ask(collector, pack(in_protobuf(2)), PROTOBUF | headers)
        assert [one["spanId"] for one in spans_in(tmp_path)] == [f"{1:016x}", f"{2:016x}"]

    assert (in_json.status, in_json.body, in_json.headers["content-type"]) == (200, b"{}", "application/json")
    assert (binary.status, binary.body, binary.headers["content-type"]) == (200, b"", "application/x-protobuf")


def test_each_signal_has_files_of_its_own_and_metrics_only_show_who_lives(tmp_path: Path) -> None:
    log = {"observedTimeUnixNano": "5", "eventName": "codex.user_prompt", "body": {"stringValue": "secret words"}}
    resource = {"attributes": [attribute("service.name", "codex_exec")]}
    logs = {"resourceLogs": [{"resource": resource, "scopeLogs": [{"scope": {"name": "s"}, "logRecords": [log]}]}]}
    points = [{"timeUnixNano": "7", "asInt": "1"}, {"timeUnixNano": "9", "asInt": "1"}]
    metrics = {
        "resourceMetrics": [
            {
                "resource": resource,
                "scopeMetrics": [{"scope": {"name": "m"}, "metrics": [{"sum": {"dataPoints": points}}]}],
            }
        ]
    }
    with collecting(tmp_path) as collector:
        assert ask(collector, traces(span(1))).status == 200
        assert ask(collector, orjson.dumps(logs), path="/v1/logs").status == 200
        assert ask(collector, orjson.dumps(metrics), path="/v1/metrics").status == 200
        counts = dict(collector.counts)

    assert len(kept(tmp_path, "traces")) == 1
    first, seen = (request["resourceLogs"][0] for request in kept(tmp_path, "logs"))
    assert first["scopeLogs"][0]["logRecords"][0]["eventName"] == "codex.user_prompt"
    assert b"secret words" not in b"".join(path.read_bytes() for path in tmp_path.iterdir())
    [alive] = seen["scopeLogs"][0]["logRecords"]
    assert seen["resource"] == resource
    assert (alive["timeUnixNano"], alive["eventName"]) == ("9", "turnscope.collect.seen")
    assert kept(tmp_path, "metrics") == []
    assert (counts["traces"], counts["logs"], counts["metrics"]) == (1, 1, 2)


def test_what_no_reader_could_use_is_rejected_and_the_rest_is_kept(tmp_path: Path) -> None:
    body = traces(span(1), span(2, spanId=""), "no span", span(3, startTimeUnixNano=0), span(4))
    with collecting(tmp_path) as collector:
        answer = ask(collector, body)

    assert answer.status == 200
    partial = orjson.loads(answer.body)["partialSuccess"]
    assert partial["rejectedSpans"] == "3"
    assert partial["errorMessage"] == "1 times a record that is no object, 2 times a span without an id or a begin"
    assert [one["spanId"] for one in spans_in(tmp_path)] == [f"{1:016x}", f"{4:016x}"]


def test_a_partial_success_is_said_in_protobuf_too(collector: Collector) -> None:
    answer = ask(collector, in_protobuf(0, 7), PROTOBUF)

    partial = ExportTraceServiceResponse.FromString(answer.body).partial_success
    assert (answer.status, partial.rejected_spans) == (200, 1)
    assert "without an id" in partial.error_message


def test_a_request_that_comes_again_is_kept_once(tmp_path: Path) -> None:
    with collecting(tmp_path) as collector:
        answers = [ask(collector, traces(span(number))).status for number in (1, 1, 2, 1)]
        counts = dict(collector.counts)

    assert answers == [200] * 4
    assert [one["spanId"] for one in spans_in(tmp_path)] == [f"{1:016x}", f"{2:016x}"]
    assert (counts["requests"], counts["repeated"]) == (4, 2)


def test_an_empty_request_is_taken_and_leaves_no_file(tmp_path: Path) -> None:
    with collecting(tmp_path) as collector:
        assert ask(collector, b"{}").status == 200
        assert ask(collector, b"", PROTOBUF).status == 200
        assert ask(collector, b'{"resourceSpans":[]}').status == 200

    assert kept(tmp_path) == []


@pytest.mark.parametrize(
    ("status", "asked"),
    [
        (404, {"path": "/v1/spans"}),
        (404, {"path": "/"}),
        (405, {"by": "GET"}),
        (405, {"by": "PUT"}),
        (415, {"headers": {"content-type": "text/plain"}}),
        (415, {"headers": {}}),
        (415, {"headers": JSON | {"content-encoding": "br"}}),
        (400, {"body": b"{"}),
        (400, {"body": b""}),
        (400, {"body": b"[]"}),
        (400, {"body": b'{"resourceSpans":{}}'}),
        (400, {"body": b'{"resourceLogs":[]}'}),
        (400, {"body": b"[" * 100_000}),
        (400, {"body": b"\xff\xfe", "headers": PROTOBUF}),
        (400, {"body": b"no gzip", "headers": JSON | {"content-encoding": "gzip"}}),
        (400, {"body": gzip.compress(b"{}")[:-4], "headers": JSON | {"content-encoding": "gzip"}}),
    ],
)  # fmt: skip
def test_a_bad_request_is_told_what_is_wrong_with_it(collector: Collector, status: int, asked: dict[str, Any]) -> None:
    answer = ask(collector, **{"body": traces(span()), **asked})

    assert answer.status == status
    if answer.headers["content-type"] == "application/json":
        said = orjson.loads(answer.body)
        assert said["code"] in {3, 5, 12}
        assert said["message"]
    else:
        assert Status.FromString(answer.body).message


def test_a_request_for_another_path_is_not_taken_for_an_empty_one(collector: Collector) -> None:
    request = ExportLogsServiceRequest()
    request.resource_logs.add().scope_logs.add().log_records.add(observed_time_unix_nano=5)

    answer = ask(collector, request.SerializeToString(), PROTOBUF)

    assert answer.status == 400
    assert "/v1/logs" in Status.FromString(answer.body).message


def test_the_root_tells_what_this_is(collector: Collector) -> None:
    answer = ask(collector, path="/", by="GET")

    told = orjson.loads(answer.body)
    assert answer.status == 200
    assert "POST /v1/traces" in told["takes"]
    assert "turnscope collect" in told
    assert ask(collector, path="/", by="HEAD")._replace(headers={}) == (200, {}, b"")


def test_with_a_token_nobody_else_sends_anything(tmp_path: Path) -> None:
    with collecting(tmp_path, token=TOKEN) as collector:
        refused = [
            ask(collector, traces(span()), JSON | headers)
            for headers in (
                {},
                {"authorization": TOKEN},
                {"authorization": "Bearer other"},
                {"authorization": "Bearer \xe4"},
            )
        ]
        strangers = orjson.loads(ask(collector, path="/", by="GET").body)
        taken = ask(collector, traces(span()), JSON | {"authorization": f"Bearer {TOKEN}"})

    assert [answer.status for answer in refused] == [401] * 4
    assert refused[0].headers["www-authenticate"] == "Bearer"
    assert "counts" not in strangers
    assert taken.status == 200
    assert len(spans_in(tmp_path)) == 1
