"""A collector on loopback that fails in every way in which one can, over HTTP and over gRPC."""

from __future__ import annotations

import contextlib
import gzip
import socket
import struct
import threading
import time
from collections import Counter
from concurrent import futures
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import grpc  # type: ignore[import-untyped]
from google.protobuf.duration_pb2 import Duration  # type: ignore[import-untyped]
from google.rpc.error_details_pb2 import RetryInfo  # type: ignore[import-untyped]
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2 as logs_pb
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2 as metrics_pb
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as trace_pb

from collector_services import add_services, partly_taken

if TYPE_CHECKING:
    from types import TracebackType

    from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
    from opentelemetry.proto.trace.v1.trace_pb2 import Span
    from typing_extensions import Self

    from tls_kit import Tls

_STATUS = {"503": 503, "429": 429, "401": 401, "302": 302, "400": 400, "413": 413, "404": 404}
_CODES = {
    "503": grpc.StatusCode.UNAVAILABLE,
    "429": grpc.StatusCode.RESOURCE_EXHAUSTED,
    "401": grpc.StatusCode.UNAUTHENTICATED,
    "400": grpc.StatusCode.INVALID_ARGUMENT,
    "404": grpc.StatusCode.UNIMPLEMENTED,
}
RETRY_AFTER_S = 1


class Taken:
    """What a collector has taken, and how often it was asked.

    Attributes:
        mode: How it answers: ok, partial, slow, hang, reset, or a status, which gRPC has a code of its own for.
        logs_mode: How it answers to log records, if it is another way.
        metrics_mode: How it answers to metrics; ok or hang.
        asked: Times at which a request came.
    """

    def __init__(self) -> None:
        self.mode = "ok"
        self.logs_mode: str | None = None
        self.metrics_mode = "ok"
        self.metrics: list[Any] = []
        self.asked: list[float] = []
        self.headers: list[dict[str, str]] = []
        self.requests: list[Any] = []
        self.largest = 1 << 30
        self.released = threading.Event()
        self._lock = threading.Lock()

    def take(self, request: Any) -> None:
        with self._lock:
            self.requests.append(request)

    def note(self, headers: dict[str, str]) -> None:
        with self._lock:
            self.asked.append(time.monotonic())
            self.headers.append(headers)

    @property
    def spans(self) -> list[Span]:
        requests = [request for request in tuple(self.requests) if hasattr(request, "resource_spans")]
        return [s for r in requests for part in r.resource_spans for scope in part.scope_spans for s in scope.spans]

    @property
    def records(self) -> list[LogRecord]:
        requests = [request for request in tuple(self.requests) if hasattr(request, "resource_logs")]
        return [s for r in requests for part in r.resource_logs for scope in part.scope_logs for s in scope.log_records]

    def ids(self) -> Counter[str]:
        """Return how often each span was taken."""
        return Counter(span.span_id.hex() for span in self.spans)


def free_port() -> int:
    """Return a port on which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class HttpCollector(Taken):
    """Takes OTLP over HTTP; `close` has it refuse connections until `open`."""

    protocol = "http/protobuf"

    def __init__(self, port: int | None = None, tls: Tls | None = None) -> None:
        super().__init__()
        self.port, self.tls = port or free_port(), tls
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self.port}"
        self._http: ThreadingHTTPServer | None = None

    def open(self) -> Self:
        collector = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                # Whoever asked may be gone by now; that is what these tests do.
                with contextlib.suppress(OSError):
                    collector._answer(self)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it so
                """Say nothing."""

        ThreadingHTTPServer.allow_reuse_address = True
        self._http = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        self._http.daemon_threads = True
        if self.tls is not None:
            self._http.socket = self.tls.context().wrap_socket(self._http.socket, server_side=True)
        threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def close(self) -> None:
        self.released.set()
        if self._http is not None:
            self._http.shutdown()
            self._http.server_close()
            self._http = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _answer(self, handler: BaseHTTPRequestHandler) -> None:
        if handler.path.endswith("/v1/metrics"):
            self._answer_to_metrics(handler)
            return
        is_logs = handler.path.endswith("/v1/logs")
        mode = self.logs_mode if is_logs and self.logs_mode is not None else self.mode
        self.note({name.lower(): value for name, value in handler.headers.items()})
        length = int(handler.headers["content-length"])
        if mode == "reset":
            handler.rfile.read(length // 2)
            _reset(handler.connection)
            handler.close_connection = True
            return
        body = handler.rfile.read(length)
        if mode == "hang":
            self.released.wait(30)
            handler.close_connection = True
            return
        if len(body) > self.largest:
            mode = "413"
        if mode == "slow":
            time.sleep(0.15)
        answer = b""
        if mode in {"ok", "slow", "partial"}:
            plain = gzip.decompress(body) if handler.headers.get("content-encoding") == "gzip" else body
            answer = self._take(plain, is_logs=is_logs, partial=mode == "partial")
        handler.send_response(_STATUS.get(mode, 200))
        if mode == "429":
            handler.send_header("retry-after", str(RETRY_AFTER_S))
        if mode == "302":
            handler.send_header("location", f"{self.url}/login")
        handler.send_header("content-type", "application/x-protobuf")
        handler.send_header("content-length", str(len(answer)))
        handler.end_headers()
        handler.wfile.write(answer)

    def _answer_to_metrics(self, handler: BaseHTTPRequestHandler) -> None:
        body = handler.rfile.read(int(handler.headers["content-length"]))
        if self.metrics_mode == "hang":
            self.released.wait(30)
            handler.close_connection = True
            return
        plain = gzip.decompress(body) if handler.headers.get("content-encoding") == "gzip" else body
        self.metrics.append(metrics_pb.ExportMetricsServiceRequest.FromString(plain))
        handler.send_response(200)
        handler.send_header("content-type", "application/x-protobuf")
        handler.send_header("content-length", "0")
        handler.end_headers()

    def _take(self, body: bytes, *, is_logs: bool, partial: bool) -> bytes:
        if is_logs:
            self.take(logs_pb.ExportLogsServiceRequest.FromString(body))
            return b""
        self.take(trace_pb.ExportTraceServiceRequest.FromString(body))
        return partly_taken().SerializeToString() if partial else b""


class GrpcCollector(Taken):
    """Takes OTLP over gRPC; what no server of gRPC does, a plain socket does in its place."""

    protocol = "grpc"

    def __init__(self, port: int | None = None, tls: Tls | None = None) -> None:
        super().__init__()
        self.port, self.tls = port or free_port(), tls
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self.port}"
        self._grpc: grpc.Server | None = None
        self._plain: socket.socket | None = None

    def open(self) -> Self:
        if self.mode in {"hang", "reset"}:
            self._open_plain()
            return self
        self._grpc = grpc.server(futures.ThreadPoolExecutor(4))
        add_services(self._grpc, self)
        if self.tls is None:
            self._grpc.add_insecure_port(f"127.0.0.1:{self.port}")
        else:
            self._grpc.add_secure_port(f"127.0.0.1:{self.port}", self.tls.credentials())
        self._grpc.start()
        return self

    def close(self) -> None:
        self.released.set()
        if self._grpc is not None:
            self._grpc.stop(0).wait()
            self._grpc = None
        if self._plain is not None:
            self._plain.shutdown(socket.SHUT_RDWR)
            self._plain.close()
            self._plain = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def answer(self, request: Any, context: Any, *, is_logs: bool = False) -> bool:
        """Take *request*, or fail as the mode says; tell whether it is taken in part."""
        mode = self.logs_mode if is_logs and self.logs_mode is not None else self.mode
        self.note({key: value for key, value in context.invocation_metadata() if isinstance(value, str)})
        if mode == "slow":
            time.sleep(0.15)
        if mode in _CODES:
            if mode == "429":
                info = RetryInfo(retry_delay=Duration(seconds=RETRY_AFTER_S))
                context.set_trailing_metadata((("google.rpc.retryinfo-bin", info.SerializeToString()),))
            context.abort(_CODES[mode], "as the test wants it")
        self.take(request)
        return mode == "partial"

    def _open_plain(self) -> None:
        self._plain = plain = socket.create_server(("127.0.0.1", self.port))
        threading.Thread(target=self._serve_plain, args=(plain, self.mode), daemon=True).start()

    def _serve_plain(self, plain: socket.socket, mode: str) -> None:
        held = []
        with contextlib.suppress(OSError):
            while True:
                connection, _ = plain.accept()
                self.note({})
                if mode == "reset":
                    connection.recv(64)
                    _reset(connection)
                else:
                    held.append(connection)
        for connection in held:
            connection.close()


def _reset(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def wait_until(what: Any, limit_s: float = 20) -> bool:
    """Wait until *what* returns something true; False when it does not for *limit_s*."""
    until = time.monotonic() + limit_s
    while not (found := what()) and time.monotonic() < until:
        time.sleep(0.01)
    return bool(found)


def doubled(counts: Counter[str]) -> list[str]:
    """Return what was taken more than once."""
    return [name for name, count in counts.items() if count > 1]
