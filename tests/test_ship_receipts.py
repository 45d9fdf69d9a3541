"""What a collector's answer means for the batch that it answers."""

from __future__ import annotations

import pytest

from turnscope.ship.receipt import of_grpc, of_http, retry_after_s


@pytest.mark.parametrize(
    ("status", "kind", "settles", "holds"),
    [
        (200, "accepted", True, False),
        (204, "accepted", True, False),
        (301, "redirected", False, True),
        (400, "refused", True, False),
        (401, "refused", False, True),
        (404, "refused", False, True),
        (413, "refused", True, False),
        (429, "retryable", False, False),
        (500, "refused", False, True),
        (502, "retryable", False, False),
        (503, "retryable", False, False),
        (504, "retryable", False, False),
    ],
)
def test_what_a_status_means(status: int, kind: str, *, settles: bool, holds: bool) -> None:
    receipt = of_http(status, {}, (0, ""))

    assert (receipt.kind, receipt.settles, receipt.holds) == (kind, settles, holds)


@pytest.mark.parametrize(
    ("code", "details", "delay_s", "kind", "settles"),
    [
        ("UNAVAILABLE", "", None, "retryable", False),
        ("DEADLINE_EXCEEDED", "", None, "retryable", False),
        ("RESOURCE_EXHAUSTED", "", 2.0, "retryable", False),
        ("RESOURCE_EXHAUSTED", "quota", None, "refused", False),
        ("RESOURCE_EXHAUSTED", "Received message larger than max (9 vs. 4)", None, "refused", True),
        ("INVALID_ARGUMENT", "", None, "refused", True),
        ("PERMISSION_DENIED", "", None, "refused", False),
    ],
)
def test_what_a_code_means(code: str, details: str, delay_s: float | None, kind: str, *, settles: bool) -> None:
    receipt = of_grpc(code, details, delay_s)

    assert (receipt.kind, receipt.settles, receipt.retry_after_s) == (kind, settles, delay_s)


def test_retry_after_is_seconds_or_a_date_or_nothing() -> None:
    assert [retry_after_s(value) for value in ("7", "-1", "nan", "soon", None, "1e9")] == [7, 0, None, None, None, 3600]
    assert retry_after_s("Wed, 21 Oct 2015 07:28:00 GMT") == 0
