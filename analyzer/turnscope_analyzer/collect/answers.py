"""What is answered, in the encoding of the request: the responses of the protocol, and its status for a refusal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import orjson
from google.rpc.status_pb2 import Status  # type: ignore[import-untyped]
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceResponse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

if TYPE_CHECKING:
    from turnscope_analyzer.collect.decode import Encoding
    from turnscope_analyzer.collect.intake import Taken
    from turnscope_analyzer.sources.otlp.wire import Signal

CONTENT_TYPES: Final[dict[Encoding, str]] = {"json": "application/json", "protobuf": "application/x-protobuf"}

_REJECTED: Final[dict[Signal, tuple[str, str]]] = {
    "traces": ("rejectedSpans", "rejected_spans"),
    "logs": ("rejectedLogRecords", "rejected_log_records"),
    "metrics": ("rejectedDataPoints", "rejected_data_points"),
}
_RESPONSES: Final[dict[Signal, Any]] = {
    "traces": ExportTraceServiceResponse,
    "logs": ExportLogsServiceResponse,
    "metrics": ExportMetricsServiceResponse,
}

# Codes of google.rpc: what HTTP and the body of its answer say has to be the same thing.
_RPC_CODES: Final = {400: 3, 401: 16, 404: 5, 405: 12, 413: 8, 415: 3, 429: 8, 503: 14}


def response(signal: Signal, encoding: Encoding, taken: Taken) -> bytes:
    """Return the body that says what was taken."""
    camel, snake = _REJECTED[signal]
    if encoding == "json":
        partial = {"partialSuccess": {camel: str(taken.rejected), "errorMessage": taken.why}} if taken.rejected else {}
        return orjson.dumps(partial)
    message = _RESPONSES[signal]()
    if taken.rejected:
        setattr(message.partial_success, snake, taken.rejected)
        message.partial_success.error_message = taken.why
    encoded: bytes = message.SerializeToString()
    return encoded


def status(encoding: Encoding, http_status: int, message: str) -> bytes:
    """Return the body that says why nothing was taken."""
    code = _RPC_CODES[http_status]
    if encoding == "json":
        return orjson.dumps({"code": code, "message": message})
    encoded: bytes = Status(code=code, message=message).SerializeToString()
    return encoded
