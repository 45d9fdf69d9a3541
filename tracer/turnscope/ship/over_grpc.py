"""Sends over gRPC, one call a batch, and keeps what was answered.

Not through the standard exporter: it throws the answer away, and with it the partial success and the status.
"""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING, Final

import grpc  # type: ignore[import-untyped]
from google.rpc.error_details_pb2 import RetryInfo  # type: ignore[import-untyped]
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from turnscope.errors import ConfigurationError
from turnscope.process import VERSION
from turnscope.ship import receipt as receipts
from turnscope.ship.receipt import Receipt

if TYPE_CHECKING:
    from turnscope.ship.settings import Settings

_METHODS: Final = {
    "traces": "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
    "logs": "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
}
_RETRY_INFO: Final = "google.rpc.retryinfo-bin"
_OPTIONS: Final = (
    ("grpc.primary_user_agent", f"turnscope/{VERSION}"),
    # The shipper waits between two tries by itself; a channel that waits longer would hide that a collector is back.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1000),
)


class GrpcMessages:
    """Sends requests that are encoded already.

    Raises:
        ConfigurationError: A certificate or a key cannot be read.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._metadata = tuple(settings.headers.items())
        self._credentials = None if settings.insecure else _credentials(settings)
        self._compression = grpc.Compression.Gzip if settings.compression == "gzip" else grpc.Compression.NoCompression
        self._lock = threading.Lock()  # orders a call's begin and abort()
        self._call: grpc.Future | None = None
        self._aborted = False
        self._channel = self._connect()

    def send(self, body: bytes) -> Receipt:
        """Send *body* once and say what was answered; never raises."""
        with self._lock:
            if self._aborted:
                return Receipt("retryable", "CANCELLED")
            # The stubs that are generated take messages only; the answers for both signals are built alike.
            export = self._channel.unary_unary(
                _METHODS[self._settings.signal], response_deserializer=ExportTraceServiceResponse.FromString
            )
            self._call = call = export.future(body, timeout=self._settings.timeout_s, metadata=self._metadata)
        try:
            partial = call.result().partial_success
        except grpc.FutureCancelledError:
            return Receipt("retryable", "CANCELLED")
        except grpc.RpcError as error:
            return self._failed(error)
        return receipts.of_success("OK", (partial.rejected_spans, partial.error_message))

    def abort(self) -> None:
        """Send nothing any more; a call under way ends now."""
        with self._lock:
            self._aborted = True
            call = self._call
        if call is not None:
            call.cancel()
        self._channel.close()

    def _failed(self, error: grpc.RpcError) -> Receipt:
        status = error.code()
        metadata = dict(error.trailing_metadata() or ())
        receipt = receipts.of_grpc(status.name, error.details() or "", _delay_s(metadata.get(_RETRY_INFO)))
        if status is grpc.StatusCode.UNAVAILABLE:
            # A connection that was lost may be kept for dead by the channel long after the collector is back.
            with self._lock:
                if not self._aborted:
                    self._channel.close()
                    self._channel = self._connect()
        return receipt

    def _connect(self) -> grpc.Channel:
        target = self._settings.endpoint
        if target.startswith(("http://", "https://")):
            target = target.partition("://")[2].partition("/")[0]
        if self._credentials is None:
            return grpc.insecure_channel(target, options=_OPTIONS, compression=self._compression)
        return grpc.secure_channel(target, self._credentials, options=_OPTIONS, compression=self._compression)


def _credentials(settings: Settings) -> grpc.ChannelCredentials:
    names = (settings.certificate, settings.client_key, settings.client_certificate)
    return grpc.ssl_channel_credentials(*(_read(name) if name else None for name in names))


def _read(name: str) -> bytes:
    try:
        return Path(name).read_bytes()
    except OSError as error:
        raise ConfigurationError(f"cannot read {name}: {error.strerror}; nothing is sent") from error


def _delay_s(packed: object) -> float | None:
    """Return how long a RetryInfo asks to wait, None where there is none."""
    if not isinstance(packed, bytes):
        return None
    try:
        delay = RetryInfo.FromString(packed).retry_delay
    except ValueError:
        return None
    return float(delay.seconds + delay.nanos / 1e9)
