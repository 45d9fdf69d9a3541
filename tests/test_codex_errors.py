from __future__ import annotations

import pytest

from turnscope_analyzer.sources.codex.errors import ends_a_turn, failure_of
from turnscope_analyzer.sources.failures import Failure

CONTEXT = "Codex ran out of room in the model's context window. Start a new thread or clear earlier history."
HTTP = "http_connection_failed"
STREAM = "stream disconnected before completion: "


@pytest.mark.parametrize(
    ("message", "info", "failure"),
    [
        (STREAM + "idle timeout waiting for SSE", "other", Failure("idle_timeout", "other", None)),
        (STREAM + "error sending request", "other", Failure("connection_failed", "other", None)),
        (STREAM + "stream closed before response.completed", None, Failure("stream_cut", None, None)),
        (STREAM + "Transport error: error decoding response body", None, Failure("stream_cut", None, None)),
        (STREAM + "Operation timed out (os error 60)", None, Failure("connect_timeout", None, None)),
        ("failed to send websocket request: (os error 10054)", None, Failure("connection_reset", None, None)),
        ("tcp connect error: Connection refused (os error 111)", None, Failure("connection_refused", None, None)),
        ("unexpected status 503 Service Unavailable", None, Failure("server_error", None, 503)),
        ("unexpected status 403 Forbidden: <html>", None, Failure("forbidden", None, 403)),
        ("unexpected status 404 Not Found", None, Failure("bad_request", None, 404)),
        ("exceeded retry limit, last status: 429 Too Many Requests", None, Failure("rate_limited", None, 429)),
        ("unexpected status 402 Payment Required", None, Failure("rate_limited", None, 402)),
        ("exceeded retry limit, last status: 401 Unauthorized", None, Failure("unauthorized", None, 401)),
        ("You've hit your usage limit. Try again in 5 min.", None, Failure("rate_limited", None, None)),
        (CONTEXT, "context_window_exceeded", Failure("context_length_exceeded", "context_window_exceeded", None)),
        ("Error running remote compact task: " + CONTEXT, None, Failure("compaction_failed", None, None)),
        ("Error running remote compact task: unexpected status 503", None, Failure("compaction_failed", None, 503)),
        ("remote compaction v2 expected exactly one item, got 0", None, Failure("compaction_failed", None, None)),
        ("?", {HTTP: {"http_status_code": 500}}, Failure("server_error", HTTP, 500)),
        ("?", {HTTP: {"http_status_code": None}}, Failure("connection_failed", HTTP, None)),
        ("?", "usage_limit_exceeded", Failure("rate_limited", "usage_limit_exceeded", None)),
        ("?", "something_new", Failure("other", "something_new", None)),
        ("?", ["a list"], Failure("other", None, None)),
        (None, None, Failure("other", None, None)),
    ],
)  # fmt: skip
def test_a_failure_is_told_by_its_text_then_its_status_then_its_info(
    message: object, info: object, failure: Failure
) -> None:
    assert failure_of({"message": message, "codex_error_info": info}) == failure


@pytest.mark.parametrize(
    ("info", "ends"),
    [
        ({"active_turn_not_steerable": {"turn_kind": "review"}}, False),
        ("thread_rollback_failed", False),
        ("other", True),
        (None, True),
    ],
)
def test_an_error_about_a_refused_request_ends_no_turn(info: object, ends: object) -> None:
    assert ends_a_turn({"message": "x", "codex_error_info": info}) is ends
