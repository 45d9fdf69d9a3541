"""What a collector answered to a batch, as far as it decides what becomes of that batch.

The rules are those of OTLP: 429, 502, 503 and 504 are tried again, a partial success never is, everything else is
refused. A refusal of the batch itself passes it by; one of the endpoint (who sends, or where to) does not: nothing
that was recorded is lost because a token had expired.
"""

from __future__ import annotations

import re
import ssl
import time
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

Kind = Literal["accepted", "partly_accepted", "retryable", "redirected", "refused"]

_RETRYABLE_STATUS: Final = frozenset({429, 502, 503, 504})
_BATCH_STATUS: Final = frozenset({400, 406, 409, 411, 413, 414, 415, 422, 431})
_TOO_LARGE_STATUS: Final = 413
_RETRYABLE_CODES: Final = frozenset(
    {"CANCELLED", "DEADLINE_EXCEEDED", "ABORTED", "OUT_OF_RANGE", "UNAVAILABLE", "DATA_LOSS"}
)
_BATCH_CODES: Final = frozenset({"INVALID_ARGUMENT", "FAILED_PRECONDITION", "ALREADY_EXISTS"})
_NO_SUCH_SIGNAL: Final = frozenset({"404", "405", "501", "UNIMPLEMENTED", "NOT_FOUND"})
_TOO_LARGE: Final = re.compile(r"larger than max|too large|message size", re.IGNORECASE)
_DISTRUST: Final = re.compile(r"CERTIFICATE_VERIFY_FAILED:? ?([^;:,}]*)")
_LONGEST_ABOUT: Final = 200
_LONGEST_WAIT_S: Final = 3600.0
_DEEPEST: Final = 8


class Receipt(NamedTuple):
    """The answer to one batch.

    ``code`` is the HTTP status, the gRPC code or the class of the error. ``rejected`` of the batch's items were not
    taken. ``of_batch`` tells a refusal of what was sent from one of who sends it, or where to.
    """

    kind: Kind
    code: str
    about: str = ""
    rejected: int = 0
    retry_after_s: float | None = None
    of_batch: bool = False
    too_large: bool = False

    @property
    def settles(self) -> bool:
        """Whether the batch is done with: it will not be sent again."""
        return self.kind in {"accepted", "partly_accepted"} or (self.kind == "refused" and self.of_batch)

    @property
    def holds(self) -> bool:
        """Whether nothing will be taken until somebody changes the endpoint or the credentials."""
        return self.kind in {"redirected", "refused"} and not self.of_batch

    @property
    def lacks_signal(self) -> bool:
        """Whether the endpoint says that it does not take this kind of telemetry at all."""
        return self.kind == "refused" and self.code in _NO_SUCH_SIGNAL

    def __str__(self) -> str:
        return f"{self.kind} ({self.code}{': ' if self.about else ''}{self.about})"


def of_http(status: int, headers: Mapping[str, str], rejected: tuple[int, str]) -> Receipt:
    """Return what a response means; *rejected* is its partial success: how many, and why."""
    code = str(status)
    if 200 <= status < 300:
        return of_success(code, rejected)
    if 300 <= status < 400:
        return Receipt("redirected", code, about_of(headers.get("location", "").partition("?")[0]))
    if status in _RETRYABLE_STATUS:
        return Receipt("retryable", code, retry_after_s=retry_after_s(headers.get("retry-after")))
    return Receipt("refused", code, of_batch=status in _BATCH_STATUS, too_large=status == _TOO_LARGE_STATUS)


def of_grpc(code: str, details: str, retry_delay_s: float | None) -> Receipt:
    """Return what a status means; *retry_delay_s* is from its RetryInfo, None where it has none."""
    if code in _RETRYABLE_CODES or (code == "RESOURCE_EXHAUSTED" and retry_delay_s is not None):
        distrust = _DISTRUST.search(details)  # stands at the end of a long story about the connection
        about = about_of(f"certificate verify failed: {distrust[1]}" if distrust else details)
        return Receipt("retryable", code, about, retry_after_s=_capped(retry_delay_s))
    # The same code stands for a message that is too large and for a quota: one is the batch's, the other is not.
    too_large = code == "RESOURCE_EXHAUSTED" and _TOO_LARGE.search(details) is not None
    return Receipt("refused", code, about_of(details), of_batch=code in _BATCH_CODES or too_large, too_large=too_large)


def of_success(code: str, rejected: tuple[int, str]) -> Receipt:
    """Return the receipt of a batch that was taken, up to *rejected* items; a count of 0 is only a warning."""
    count, about = rejected
    return Receipt("partly_accepted" if count > 0 else "accepted", code, about_of(about), max(0, count))


def unreachable(error: BaseException) -> Receipt:
    """Return the receipt of a batch that got no answer: it may be tried again."""
    return Receipt("retryable", type(error).__name__, about_of(_tls_words(error)))


def _tls_words(error: BaseException) -> str:
    """Return what TLS has against the other side, "" where it is not about that; nobody waits that out."""
    seen = 0
    cause: BaseException | None = error
    while cause is not None and seen < _DEEPEST:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"certificate verify failed: {cause.verify_message}"
        if isinstance(cause, ssl.SSLError):
            return str(cause.reason or "")
        # Libraries hand the first error on as an argument, as a reason or as a cause.
        inner = [*cause.args, getattr(cause, "reason", None), cause.__cause__, cause.__context__]
        cause = next((one for one in inner if isinstance(one, BaseException)), None)
        seen += 1
    return ""


def retry_after_s(value: str | None) -> float | None:
    """Return how long to wait by a ``Retry-After`` header, in seconds or as a date; None when it says nothing."""
    if value is None:
        return None
    try:
        return _capped(float(value))
    except ValueError:
        pass
    try:
        return _capped(parsedate_to_datetime(value).timestamp() - time.time())
    except (TypeError, ValueError, OverflowError):
        return None


def about_of(text: str) -> str:
    """Return a message of the collector's, printable and cut."""
    return "".join(letter if letter.isprintable() else " " for letter in text[:_LONGEST_ABOUT]).strip()


def _capped(seconds: float | None) -> float | None:
    # Not a number, or endless: the header says nothing that one could do.
    return None if seconds is None or seconds != seconds else min(max(0.0, seconds), _LONGEST_WAIT_S)  # noqa: PLR0124
