"""Names the reason of a failure without importing a client library, and without keeping what the error says.

An exception is known by its classes' names and its status, along the chain of its causes: the same for httpx,
aiohttp, requests, the vendors' clients and the standard library. Messages are looked at for the few phrases that
tell a full context window, and never recorded.
"""

from __future__ import annotations

import errno
import re
from typing import TYPE_CHECKING, Final

from turnscope.attributes import ERROR_KIND

if TYPE_CHECKING:
    from collections.abc import Iterator

_LONGEST_CHAIN: Final = 16

# Which class, anywhere in the chain and in its bases, means which kind. The first row that fits wins.
_CLASSES: Final = (
    ("connect_timeout", "ConnectTimeout ConnectTimeoutError ConnectionTimeoutError PoolTimeout"),
    ("connection_refused", "ConnectionRefusedError"),
    ("idle_timeout", "ReadTimeout ReadTimeoutError SocketTimeoutError ServerTimeoutError WriteTimeout"),
    ("idle_timeout", "APITimeoutError TimeoutException TimeoutError Timeout DeadlineExceeded"),
    ("stream_cut", "RemoteProtocolError IncompleteRead ClientPayloadError ChunkedEncodingError"),
    ("stream_cut", "IncompleteReadError ConnectionClosedError"),
    ("connection_reset", "ConnectionResetError ConnectionAbortedError BrokenPipeError RemoteDisconnected"),
    ("connection_reset", "ServerDisconnectedError ReadError WriteError ClosedResourceError BrokenResourceError"),
    ("connection_failed", "ConnectError ClientConnectorError NewConnectionError gaierror SSLError"),
    ("connection_failed", "ConnectionError APIConnectionError NetworkError"),
    ("context_length_exceeded", "ContextLengthExceeded ContextLengthExceededError ContextWindowExceededError"),
    ("rate_limited", "RateLimitError ResourceExhausted TooManyRequests ThrottlingException"),
    ("unauthorized", "AuthenticationError Unauthenticated"),
    ("forbidden", "PermissionDeniedError PermissionDenied"),
    ("server_error", "InternalServerError OverloadedError ServiceUnavailableError ServiceUnavailable"),
    ("bad_request", "BadRequestError UnprocessableEntityError NotFoundError"),
)

_ERRNOS: Final = {
    errno.ECONNREFUSED: "connection_refused",
    errno.ECONNRESET: "connection_reset",
    errno.EPIPE: "connection_reset",
    errno.ETIMEDOUT: "connect_timeout",
}

_CODES: Final = {
    "context_length_exceeded": "context_length_exceeded",
    "string_above_max_length": "context_length_exceeded",
    "rate_limit_exceeded": "rate_limited",
    "insufficient_quota": "rate_limited",
    "usage_limit_reached": "rate_limited",
}

_STATUSES: Final = {
    401: "unauthorized",
    402: "rate_limited",
    403: "forbidden",
    413: "request_too_large",
    429: "rate_limited",
}

_WINDOW_EXCEEDED = re.compile(
    r"context_length_exceeded|prompt is too long|conversation too long|input is too long|maximum context length"
    r"|exceeds? the (?:model'?s )?(?:maximum )?context|room in the model'?s context window",
    re.IGNORECASE,
)


def kind_of(error: BaseException, *, phase: str = "", otherwise: str = "other") -> str:
    """Return the error kind of *error*.

    Args:
        error: What was raised.
        phase: The phase that was open on the lane: before the headers, a timeout is one of the headers and a cut
            connection is a reset.
        otherwise: The kind when nothing is known about the error.
    """
    for link in _chain(error):
        kind = _by_status_or_code(link) if isinstance(link, Exception) else None
        if kind is not None:
            return kind
    names = {base.__name__ for link in _chain(error) for base in type(link).__mro__}
    kind = _by_errno(error) or next((kind for kind, classes in _CLASSES if not names.isdisjoint(classes.split())), None)
    return _before_headers(kind, phase) if kind is not None else otherwise


def kind_of_status(status: int) -> str | None:
    """Return the error kind of an HTTP *status*, ``None`` when it is not an error."""
    if status < 400 or status > 599:
        return None
    if status >= 500:
        return "server_error"
    return _STATUSES.get(status, "bad_request")


def kind_of_name(name: str) -> str:
    """Return *name* if it is an error kind, the kind of a server's error code, else ``other``."""
    return name if name in ERROR_KIND else _CODES.get(name, "other")


def kind_of_class(name: str, *, phase: str = "", otherwise: str = "other") -> str:
    """Return the error kind of an exception of which only the class's *name* is known, with or without its module.

    The other arguments are those of `kind_of`.
    """
    if name in ERROR_KIND or name in _CODES:
        return kind_of_name(name)
    own = name.rpartition(".")[2]
    kind = next((kind for kind, classes in _CLASSES if own in classes.split()), None)
    if kind is None and own in {"CancelledError", "KeyboardInterrupt", "GeneratorExit"}:
        return "cancelled"
    return _before_headers(kind, phase) if kind is not None else otherwise


def status_of(error: BaseException) -> int | None:
    """Return the HTTP status that *error*, or one of its causes, carries."""
    links = (link for link in _chain(error) if isinstance(link, Exception))
    return next((status for link in links if (status := _status(link)) is not None), None)


def chain_ids(error: BaseException) -> set[int]:
    """Return the identities of *error* and of what it came from."""
    return {id(link) for link in _chain(error)}


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Yield *error*, then what it came from. Errors may be chained in a circle."""
    link: BaseException | None = error
    for _ in range(_LONGEST_CHAIN):
        if link is None:
            return
        yield link
        link = link.__cause__ or (None if link.__suppress_context__ else link.__context__) or _wrapped_in(link)


def _wrapped_in(error: BaseException) -> BaseException | None:
    """Return the error that *error* passes on: httpcore and requests as its argument, urllib3 as its reason."""
    for inner in (error.args[0] if error.args else None, getattr(error, "reason", None)):
        if isinstance(inner, BaseException):
            return inner
    return None


def _status(error: Exception) -> int | None:
    response = getattr(error, "response", None)
    for value in (getattr(error, "status_code", None), getattr(response, "status_code", None)):
        if type(value) is int and 100 <= value <= 599:
            return value
    # aiohttp says `status`, urllib says `code`; both words mean other things elsewhere, hence after the others.
    for value in (getattr(error, "status", None), getattr(error, "code", None)):
        if type(value) is int and 400 <= value <= 599:
            return value
    return None


def _by_status_or_code(error: Exception) -> str | None:
    status = _status(error)
    code = getattr(error, "code", None)
    if isinstance(code, str) and code in _CODES:
        return _CODES[code]
    kind = kind_of_status(status) if status is not None else None
    if kind in {None, "bad_request"} and _says_window_exceeded(error):
        return "context_length_exceeded"
    return kind


def _says_window_exceeded(error: Exception) -> bool:
    text = getattr(error, "message", None)
    if not isinstance(text, str):
        text = error.args[0] if error.args and isinstance(error.args[0], str) else ""
    # The phrase stands at the front of a message; a body that was quoted in full is not worth its reading time.
    return _WINDOW_EXCEEDED.search(text, 0, 4096) is not None


def _by_errno(error: BaseException) -> str | None:
    numbers = (link.errno for link in _chain(error) if isinstance(link, OSError))
    return next((_ERRNOS[number] for number in numbers if number in _ERRNOS), None)


def _before_headers(kind: str, phase: str) -> str:
    if phase == "upstream_sent":
        return {"idle_timeout": "headers_timeout", "stream_cut": "connection_reset"}.get(kind, kind)
    return kind


def attributes_of(error: BaseException, *, phase: str = "", otherwise: str = "other") -> dict[str, object]:
    """Return what a mark says about *error*: its kind, its class and its status; never its message."""
    attrs: dict[str, object] = {
        "error_type": kind_of(error, phase=phase, otherwise=otherwise),
        "error_class": type(error).__name__,
    }
    status = status_of(error)
    if status is not None:
        attrs["status"] = status
    return attrs


def attributes_of_name(name: str | None, status: int | None = None) -> dict[str, object]:
    """Return what a mark says about an error that is known by its kind or its server's code, and by its status."""
    kind = kind_of_name(name) if name is not None else "other"
    if kind == "other" and status is not None:
        kind = kind_of_status(status) or kind
    return {"error_type": kind} if name is None or name == kind else {"error_type": kind, "error_class": name}
