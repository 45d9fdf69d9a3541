from __future__ import annotations

import errno
import socket
import urllib.error
from typing import Any

import httpx
import pytest

from turnscope.attributes import ERROR_KIND
from turnscope.failures import attributes_of, attributes_of_name, kind_of, kind_of_status


class APIConnectionError(Exception):
    """As the vendors' clients have it."""


class APITimeoutError(APIConnectionError):
    """As the vendors' clients have it."""


class APIStatusError(Exception):
    """As the vendors' clients have it."""

    def __init__(self, message: str, status_code: int, code: str | None = None) -> None:
        super().__init__(message)
        self.status_code, self.code = status_code, code


class ClientPayloadError(Exception):
    """As aiohttp has it."""


def caused(error: Exception, cause: Exception) -> Exception:
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (ConnectionRefusedError(), "connection_refused"),
        (OSError(errno.ECONNREFUSED, "Connect call failed"), "connection_refused"),
        (caused(APIConnectionError(), ConnectionRefusedError()), "connection_refused"),
        (ConnectionResetError(), "connection_reset"),
        (BrokenPipeError(), "connection_reset"),
        (httpx.ConnectTimeout("t"), "connect_timeout"),
        (httpx.PoolTimeout("t"), "connect_timeout"),
        (httpx.ReadTimeout("t"), "idle_timeout"),
        (TimeoutError(), "idle_timeout"),
        (caused(APITimeoutError(), httpx.ConnectTimeout("t")), "connect_timeout"),
        (httpx.ConnectError("no route"), "connection_failed"),
        (socket.gaierror(-2, "Name or service not known"), "connection_failed"),
        (httpx.RemoteProtocolError("incomplete chunked read"), "stream_cut"),
        (ClientPayloadError(), "stream_cut"),
        (APIStatusError("slow down", 429), "rate_limited"),
        (APIStatusError("pay", 402), "rate_limited"),
        (APIStatusError("who", 401), "unauthorized"),
        (APIStatusError("no", 403), "forbidden"),
        (APIStatusError("oops", 500), "server_error"),
        (APIStatusError("overloaded", 529), "server_error"),
        (APIStatusError("what", 400), "bad_request"),
        (APIStatusError("what", 400, "context_length_exceeded"), "context_length_exceeded"),
        (APIStatusError("prompt is too long: 210000 tokens > 200000", 400), "context_length_exceeded"),
        (APIStatusError("limit", 400, "insufficient_quota"), "rate_limited"),
        (RuntimeError("Your input exceeds the context window of this model."), "context_length_exceeded"),
        (urllib.error.HTTPError("http://h", 503, "busy", None, None), "server_error"),  # type: ignore[arg-type] # no headers
        (ValueError("a bug"), "other"),
        (SystemExit(429), "other"),
    ],
)
def test_an_error_is_known_by_its_classes_and_its_status(error: BaseException, kind: str) -> None:
    assert kind_of(error) == kind
    assert kind in ERROR_KIND


def test_before_the_headers_a_timeout_is_theirs_and_a_cut_is_a_reset() -> None:
    cut = httpx.RemoteProtocolError("Server disconnected without sending a response.")

    assert kind_of(httpx.ReadTimeout("t"), phase="upstream_sent") == "headers_timeout"
    assert kind_of(httpx.ReadTimeout("t"), phase="response_headers") == "idle_timeout"
    assert kind_of(cut, phase="upstream_sent") == "connection_reset"
    assert kind_of(cut, phase="first_byte") == "stream_cut"


def test_the_error_of_a_handled_one_is_not_looked_through() -> None:
    try:
        try:
            raise ConnectionRefusedError
        except ConnectionRefusedError:
            raise ValueError("a bug") from None
    except ValueError as error:
        assert kind_of(error) == "other"


def test_errors_that_are_chained_in_a_circle_come_to_an_end() -> None:
    first, second = ValueError("1"), ValueError("2")
    first.__cause__, second.__cause__ = second, first

    assert kind_of(first) == "other"


def test_the_attributes_hold_kind_class_and_status_and_no_message() -> None:
    attrs = attributes_of(APIStatusError("secret text", 503))

    assert attrs == {"error_type": "server_error", "error_class": "APIStatusError", "status": 503}


@pytest.mark.parametrize(
    ("arguments", "attrs"),
    [
        ((None, None), {"error_type": "other"}),
        (("stream_cut", None), {"error_type": "stream_cut"}),
        (("usage_limit_reached", 429), {"error_type": "rate_limited", "error_class": "usage_limit_reached"}),
        (("odd_code", 500), {"error_type": "server_error", "error_class": "odd_code"}),
    ],
)
def test_an_error_may_be_given_by_name(arguments: tuple[Any, Any], attrs: dict[str, Any]) -> None:
    assert attributes_of_name(*arguments) == attrs


@pytest.mark.parametrize(
    ("status", "kind"),
    [(200, None), (302, None), (399, None), (404, "bad_request"), (413, "request_too_large"), (600, None)],
)
def test_a_status_that_is_no_error_has_no_kind(status: int, kind: str | None) -> None:
    assert kind_of_status(status) == kind


def test_a_real_refusal_is_seen_through_the_client_library() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]

    with pytest.raises(httpx.ConnectError) as caught:
        httpx.get(f"http://127.0.0.1:{port}")

    assert kind_of(caught.value, phase="upstream_sent") == "connection_refused"
