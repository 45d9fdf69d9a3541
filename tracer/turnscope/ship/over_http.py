"""Sends over HTTP, one request a batch, and keeps what was answered.

Spans go through the standard exporter, in a session that lets it neither follow a redirect nor try again by itself:
both would hide what became of the batch.
"""

from __future__ import annotations

import gzip
import logging
import zlib
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

import requests
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse
from opentelemetry.sdk.trace.export import SpanExportResult
from urllib3.exceptions import HTTPError

from turnscope.process import VERSION
from turnscope.ship import receipt as receipts
from turnscope.ship.receipt import Receipt

if TYPE_CHECKING:
    from collections.abc import Sequence

    from google.protobuf.message import Message
    from opentelemetry.sdk.trace import ReadableSpan

    from turnscope.ship.settings import Settings

THREAD: Final = "turnscope-ship"
"""How the names of the threads that send begin."""

_EXPORTER: Final = "opentelemetry.exporter.otlp.proto.http.trace_exporter"
_LONGEST_ANSWER: Final = 4 << 20
_NOT_SENT: Final = Receipt("refused", "not encodable", "the exporter did not send it", of_batch=True)


class NotTakenError(Exception):
    """The batch was not taken; the receipt says why."""


class Session(requests.Session):
    """A session whose every request leaves a receipt, and that answers the exporter only where one was accepted."""

    def __init__(self) -> None:
        super().__init__()
        self.receipt: Receipt | None = None

    def request(self, *args: Any, **options: Any) -> requests.Response:
        """Send one request.

        Raises:
            NotTakenError: It was not answered with 2xx. No error of requests is raised, or the exporter would try
                again by itself.
        """
        # A request that was cut off may have been taken: its receipt must not be the one of the request before.
        self.receipt = None
        options |= {"allow_redirects": False, "stream": True}
        try:
            with super().request(*args, **options) as response:
                self.receipt = receipts.of_http(response.status_code, response.headers, _rejected(response))
        except (OSError, ValueError) as error:
            self.receipt = receipts.unreachable(error)
            raise NotTakenError(str(self.receipt)) from None
        if self.receipt.kind not in {"accepted", "partly_accepted"}:
            raise NotTakenError(str(self.receipt))
        return response


class HttpSpans:
    """Sends spans through the standard exporter."""

    def __init__(self, settings: Settings) -> None:
        self._session = Session()
        # Headers, TLS and compression it reads itself; older ones read no timeout that is a fraction of a second.
        self._exporter = OTLPSpanExporter(endpoint=settings.endpoint, timeout=settings.timeout_s, session=self._session)
        self._is_shut = False
        logging.getLogger(_EXPORTER).addFilter(_is_not_ours)

    def send(self, spans: Sequence[ReadableSpan]) -> Receipt:
        """Send *spans* once and say what was answered."""
        self._session.receipt = None
        try:
            result = self._exporter.export(spans)
        except NotTakenError:
            result = SpanExportResult.FAILURE
        receipt = self._session.receipt
        if receipt is None and self._is_shut:
            return Receipt("retryable", "CANCELLED")
        if receipt is None:
            return _NOT_SENT if result is not SpanExportResult.SUCCESS else Receipt("accepted", "unseen")
        return receipt

    def abort(self) -> None:
        """Send nothing any more."""
        self.close()

    def close(self) -> None:
        """Let go of the connections."""
        if not self._is_shut:
            self._is_shut = True
            self._exporter.shutdown()  # type: ignore[no-untyped-call]


class HttpMessages:
    """Sends requests that are built already; what the standard exporters for log records take has no stable form."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._session = Session()
        self._session.verify = settings.certificate or True
        if settings.client_certificate:
            pair = (settings.client_certificate, settings.client_key)
            self._session.cert = pair if settings.client_key else settings.client_certificate
        coding = {} if settings.compression == "none" else {"content-encoding": settings.compression}
        kind = {"content-type": "application/x-protobuf", "user-agent": f"turnscope/{VERSION}"}
        self._headers = kind | settings.headers | coding

    def send(self, message: Message) -> Receipt:
        """Send *message* once and say what was answered."""
        body = _compressed(message.SerializeToString(), self._settings.compression)
        with suppress(NotTakenError):
            self._session.request(
                "POST", self._settings.endpoint, data=body, headers=self._headers, timeout=self._settings.timeout_s
            )
        return self._session.receipt or _NOT_SENT

    def abort(self) -> None:
        """Send nothing any more."""
        self._session.close()


def _rejected(response: requests.Response) -> tuple[int, str]:
    """Return how many items an answer rejects, and why; the answers for spans and log records are built alike."""
    try:
        body = response.raw.read(_LONGEST_ANSWER, decode_content=True)
        partial = ExportTraceServiceResponse.FromString(body).partial_success
    except (OSError, HTTPError, DecodeError):
        # The status is there, and it is the receipt: what was cut off behind it may not have the batch sent again.
        return 0, ""
    return partial.rejected_spans, partial.error_message


def _compressed(body: bytes, how: str) -> bytes:
    if how == "gzip":
        return gzip.compress(body, 6)
    return zlib.compress(body) if how == "deflate" else body


def _is_not_ours(record: logging.LogRecord) -> bool:
    """Keep the exporter from logging each try of ours: the shipper says once that a collector is away, or back."""
    return not str(record.threadName).startswith(THREAD)
