"""Sends over HTTP, one request a batch, and keeps what was answered.

Not through the standard exporters: they follow a redirect and try again by themselves, and both would hide what became
of the batch; and they take only objects that they encode themselves.
"""

from __future__ import annotations

import gzip
import os
import zlib
from typing import TYPE_CHECKING, Final

import requests
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse
from urllib3.exceptions import HTTPError

from turnscope.errors import ConfigurationError
from turnscope.process import VERSION
from turnscope.ship import receipt as receipts
from turnscope.ship.receipt import Receipt

if TYPE_CHECKING:
    from turnscope.ship.settings import Settings

_LONGEST_ANSWER: Final = 4 << 20


class HttpMessages:
    """Sends requests that are encoded already.

    Raises:
        ConfigurationError: A certificate or a key cannot be read.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._session = requests.Session()
        self._is_shut = False
        for name in (settings.certificate, settings.client_certificate, settings.client_key):
            _check_readable(name)
        pair = (settings.client_certificate, settings.client_key)
        # Given with each request: of a session's own, `requests` lets REQUESTS_CA_BUNDLE take the place.
        self._verify: str | bool = settings.certificate or True
        self._certificate = (pair if settings.client_key else settings.client_certificate) or None
        coding = {} if settings.compression == "none" else {"content-encoding": settings.compression}
        kind = {"content-type": "application/x-protobuf", "user-agent": f"turnscope/{VERSION}"}
        self._headers = kind | settings.headers | coding

    def send(self, body: bytes) -> Receipt:
        """Send *body* once and say what was answered; never raises."""
        if self._is_shut:
            return Receipt("retryable", "CANCELLED")
        try:
            with self._session.post(
                self._settings.endpoint,
                data=_compressed(body, self._settings.compression),
                headers=self._headers,
                timeout=self._settings.timeout_s,
                verify=self._verify,
                cert=self._certificate,
                allow_redirects=False,
                stream=True,
            ) as response:
                return receipts.of_http(response.status_code, response.headers, _rejected(response))
        except (OSError, ValueError) as error:
            return receipts.unreachable(error)

    def abort(self) -> None:
        """Send nothing any more."""
        self._is_shut = True
        self._session.close()


def _check_readable(name: str) -> None:
    try:
        if name:
            os.close(os.open(name, os.O_RDONLY | os.O_CLOEXEC))
    except OSError as error:
        raise ConfigurationError(f"cannot read {name}: {error.strerror}; nothing is sent") from error


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
