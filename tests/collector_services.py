"""The services of gRPC with which a collector takes the three signals; how each is answered is the collector's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from opentelemetry.proto.collector.logs.v1 import logs_service_pb2 as logs_pb
from opentelemetry.proto.collector.logs.v1.logs_service_pb2_grpc import (
    LogsServiceServicer,
    add_LogsServiceServicer_to_server,
)
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2 as metrics_pb
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2_grpc import (
    MetricsServiceServicer,
    add_MetricsServiceServicer_to_server,
)
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as trace_pb
from opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc import (
    TraceServiceServicer,
    add_TraceServiceServicer_to_server,
)

if TYPE_CHECKING:
    from collector_kit import GrpcCollector


def add_services(server: Any, collector: GrpcCollector) -> None:
    """Let *server* take traces, logs and metrics for *collector*."""
    add_TraceServiceServicer_to_server(_Traces(collector), server)  # type: ignore[no-untyped-call]
    add_LogsServiceServicer_to_server(_Logs(collector), server)  # type: ignore[no-untyped-call]
    add_MetricsServiceServicer_to_server(_Metrics(collector), server)  # type: ignore[no-untyped-call]


class _Traces(TraceServiceServicer):
    def __init__(self, collector: GrpcCollector) -> None:
        self._collector = collector

    def Export(self, request: Any, context: Any) -> Any:  # noqa: N802 - the service names it so
        partial = self._collector.answer(request, context)
        return partly_taken() if partial else trace_pb.ExportTraceServiceResponse()


class _Logs(LogsServiceServicer):
    def __init__(self, collector: GrpcCollector) -> None:
        self._collector = collector

    def Export(self, request: Any, context: Any) -> Any:  # noqa: N802 - as above
        self._collector.answer(request, context, is_logs=True)
        return logs_pb.ExportLogsServiceResponse()


class _Metrics(MetricsServiceServicer):
    def __init__(self, collector: GrpcCollector) -> None:
        self._collector = collector

    def Export(self, request: Any, context: Any) -> Any:  # noqa: ARG002, N802 - as above
        if self._collector.metrics_mode == "hang":
            self._collector.released.wait(30)
        self._collector.metrics.append(request)
        return metrics_pb.ExportMetricsServiceResponse()


def partly_taken() -> trace_pb.ExportTraceServiceResponse:
    return trace_pb.ExportTraceServiceResponse(
        partial_success=trace_pb.ExportTracePartialSuccess(rejected_spans=1, error_message="one is too old")
    )
