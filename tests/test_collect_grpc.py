"""OTLP over gRPC: the same requests and limits, in gRPC's words."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import grpc  # type: ignore[import-untyped]
import pytest
from google.rpc.error_details_pb2 import RetryInfo  # type: ignore[import-untyped]
from google.rpc.status_pb2 import Status  # type: ignore[import-untyped]
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc import TraceServiceStub

from collect_kit import ANY_PORT, ask, collecting, span, spans_in, traces
from collector_kit import wait_until
from turnscope_analyzer.collect import over_grpc
from turnscope_analyzer.collect.over_grpc import PortTakenError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from turnscope_analyzer.collect.collector import Collector

TOKEN = "a-token-of-some-length"


@pytest.fixture
def collector(tmp_path: Path) -> Iterator[Collector]:
    with collecting(tmp_path, grpc=ANY_PORT, body_bytes=1 << 20, memory_bytes=1 << 20) as collector:
        yield collector


def request(*ids: int, name: str = "chat") -> ExportTraceServiceRequest:
    made = ExportTraceServiceRequest()
    scope = made.resource_spans.add().scope_spans.add()
    for number in ids:
        scope.spans.add(span_id=number.to_bytes(8, "big"), start_time_unix_nano=1, name=name)
    return made


def export(collector: Collector, message: Any, *metadata: tuple[str, str], **options: Any) -> Any:
    with grpc.insecure_channel(str(collector.grpc), **options) as channel:
        return TraceServiceStub(channel).Export(message, metadata=metadata, timeout=20)  # type: ignore[no-untyped-call]


@pytest.mark.parametrize("compression", [grpc.Compression.NoCompression, grpc.Compression.Gzip])
def test_spans_are_on_disk_when_they_are_answered(collector: Collector, tmp_path: Path, compression: Any) -> None:
    partial = export(collector, request(1, 0, 2), compression=compression).partial_success

    assert [one["spanId"] for one in spans_in(tmp_path)] == [f"{1:016x}", f"{2:016x}"]
    assert (partial.rejected_spans, partial.error_message) == (1, "1 times a span without an id or a begin")


def test_no_request_is_an_invalid_argument(collector: Collector) -> None:
    with grpc.insecure_channel(str(collector.grpc)) as channel:
        call = channel.unary_unary("/opentelemetry.proto.collector.trace.v1.TraceService/Export")
        with pytest.raises(grpc.RpcError) as failed:
            call(b"\xff\xfe", timeout=20)

    assert failed.value.code() is grpc.StatusCode.INVALID_ARGUMENT


def test_other_services_are_not_there(collector: Collector) -> None:
    with grpc.insecure_channel(str(collector.grpc)) as channel, pytest.raises(grpc.RpcError) as failed:
        channel.unary_unary("/opentelemetry.proto.collector.profiles.v1.ProfilesService/Export")(b"", timeout=20)

    assert failed.value.code() is grpc.StatusCode.UNIMPLEMENTED


@pytest.mark.parametrize("compression", [grpc.Compression.NoCompression, grpc.Compression.Gzip])
def test_what_is_too_large_is_refused_also_when_it_is_small_on_the_wire(
    collector: Collector, tmp_path: Path, compression: Any
) -> None:
    with pytest.raises(grpc.RpcError) as failed:
        export(collector, request(1, name="x" * (20 << 20)), compression=compression)

    assert failed.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert "larger than max" in failed.value.details()
    assert spans_in(tmp_path) == []


def test_more_than_fits_at_a_time_is_told_to_come_again(collector: Collector, tmp_path: Path) -> None:
    assert collector._intake.memory.take(1 << 20)
    with pytest.raises(grpc.RpcError) as failed:
        export(collector, request(1))
    collector._intake.memory.give(1 << 20)
    export(collector, request(2))

    trailing = dict(failed.value.trailing_metadata())
    status, info = Status.FromString(trailing["grpc-status-details-bin"]), RetryInfo()
    assert failed.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert status.code == 8
    assert status.details[0].Unpack(info)
    assert info.retry_delay.seconds == 1
    assert [one["spanId"] for one in spans_in(tmp_path)] == [f"{2:016x}"]


def test_a_folder_that_cannot_be_written_is_unavailable(collector: Collector, tmp_path: Path) -> None:
    export(collector, request(1))
    kept = tmp_path.rename(tmp_path.with_name("elsewhere"))
    tmp_path.write_text("a file is in the way")
    with pytest.raises(grpc.RpcError) as failed:
        export(collector, request(2))
    tmp_path.unlink()
    export(collector, request(2))

    assert failed.value.code() is grpc.StatusCode.UNAVAILABLE
    assert len(spans_in(kept)) == len(spans_in(tmp_path)) == 1


def test_with_a_token_nobody_else_sends_anything(tmp_path: Path) -> None:
    with collecting(tmp_path, grpc=ANY_PORT, token=TOKEN) as collector:
        with pytest.raises(grpc.RpcError) as without:
            export(collector, request(1))
        with pytest.raises(grpc.RpcError) as wrong:
            export(collector, request(1), ("authorization", "Bearer other"))
        export(collector, request(2), ("authorization", f"Bearer {TOKEN}"))

    assert without.value.code() is wrong.value.code() is grpc.StatusCode.UNAUTHENTICATED
    assert len(spans_in(tmp_path)) == 1


def test_calls_without_a_message_do_not_keep_others_out(
    collector: Collector, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(over_grpc, "_MESSAGE_S", 0.3)
    done = threading.Event()

    def never() -> Iterator[bytes]:
        done.wait()
        yield b""

    with grpc.insecure_channel(str(collector.grpc)) as channel:
        method = channel.stream_unary("/opentelemetry.proto.collector.trace.v1.TraceService/Export")
        calls = [method.future(never()) for _ in range(8)]
        export(collector, request(1))
        assert wait_until(lambda: all(call.done() for call in calls))
        done.set()

    assert len(spans_in(tmp_path)) == 1


def test_a_port_that_is_taken_is_said_and_everything_let_go(collector: Collector, tmp_path: Path) -> None:
    other = tmp_path / "other"
    for taken in ({"grpc": collector.grpc}, {"grpc": collector.http}, {"http": collector.http}):
        with pytest.raises(PortTakenError), collecting(other, **taken):
            pass

    with collecting(other) as second:
        assert ask(second, traces(span())).status == 200
