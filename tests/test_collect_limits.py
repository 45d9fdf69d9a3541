"""The limits of the collector: bodies, memory, time and the disk, met by real senders; and what no sender can do."""

from __future__ import annotations

import gzip
import http.client
import json
import resource
import socket
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from collect_kit import JSON, PROTOBUF, ask, collecting, span, spans_in, traces
from collector_kit import wait_until
from turnscope_analyzer.collect import http_server, over_http

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from turnscope_analyzer.collect.collector import Collector


@pytest.fixture(scope="module")
def collector(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Collector]:
    with collecting(tmp_path_factory.mktemp("kept"), body_bytes=1 << 20, memory_bytes=2 << 20) as collector:
        yield collector


def head(length: int) -> bytes:
    """Return the head of a request with a body of *length*."""
    named = b"POST /v1/traces HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
    return named + b"content-length: %d\r\n\r\n" % length


def read(connection: socket.socket, end: bytes) -> bytes:
    """Return what comes until it ends with *end*, or nothing comes any more."""
    text = b""
    while not text.endswith(end) and (block := connection.recv(1 << 16)):
        text += block
    return text


def under_way(collector: Collector) -> int:
    told: int = orjson.loads(ask(collector, path="/", by="GET").body)["bytes under way"]
    return told


def refuses(collector: Collector) -> bool:
    try:
        ask(collector, path="/", by="GET")
    except ConnectionRefusedError:
        return True
    return False


@contextmanager
def no_room_beyond(folder: Path) -> Iterator[None]:
    """Let the kernel refuse every write that makes a file longer than those in *folder* are."""
    longest = max(path.stat().st_size for path in folder.iterdir())
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (longest, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("said", [True, False], ids=["says its length", "in chunks"])
def test_a_body_that_is_too_long_is_refused_to_a_sender_that_sends_it_all(collector: Collector, *, said: bool) -> None:
    body = traces(span(name="x" * (3 << 20)))
    connection = http.client.HTTPConnection("127.0.0.1", collector.http.port, timeout=30)
    connection.request("POST", "/v1/traces", body if said else iter([body]), JSON, encode_chunked=not said)

    answer = connection.getresponse()

    assert answer.status == 413
    assert "smaller batches" in orjson.loads(answer.read())["message"]
    connection.close()


def test_a_small_body_with_too_much_in_it_is_refused(collector: Collector) -> None:
    bomb = gzip.compress(b"\0" * (200 << 20))

    answer = ask(collector, bomb, PROTOBUF | {"content-encoding": "gzip"})

    assert len(bomb) < 1 << 20
    assert answer.status == 413


def test_more_than_fits_at_a_time_is_told_to_come_again(tmp_path: Path) -> None:
    body = traces(span(1), span(2, name="x" * 600_000))
    with collecting(tmp_path, body_bytes=1 << 20, memory_bytes=1 << 20) as collector:
        slow = socket.create_connection(("127.0.0.1", collector.http.port))
        slow.sendall(head(len(body)) + body[:-1])
        assert wait_until(lambda: ask(collector, body).status == 429)
        busy = ask(collector, body)
        small = ask(collector, traces(span(3)))
        slow.sendall(body[-1:])
        assert read(slow, b"{}").startswith(b"HTTP/1.1 200")
        slow.close()
        again = ask(collector, body)
        counts = dict(collector.counts)

    assert (busy.status, busy.headers["retry-after"], orjson.loads(busy.body)["code"]) == (429, "1", 8)
    assert (small.status, again.status) == (200, 200)
    assert counts["busy"] >= 2
    assert len(spans_in(tmp_path)) == 3


def test_a_sender_that_goes_in_the_middle_leaves_nothing_behind(tmp_path: Path) -> None:
    body = traces(span(1, name="x" * 500_000))
    with collecting(tmp_path, body_bytes=1 << 20, memory_bytes=1 << 20) as collector:
        for _ in range(5):
            gone = socket.create_connection(("127.0.0.1", collector.http.port))
            gone.sendall(head(len(body)) + body[:-1])
            gone.close()
        assert wait_until(lambda: ask(collector, body).status == 200)
        longer = socket.create_connection(("127.0.0.1", collector.http.port))
        longer.sendall(head(10) + traces(span(2)))
        assert longer.recv(1 << 16).startswith(b"HTTP/1.1 400")
        longer.close()

    assert len(spans_in(tmp_path)) == 1


def test_who_is_slow_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(over_http, "_BODY_S", 0.3)
    monkeypatch.setattr(http_server, "_HEAD_S", 0.3)
    with collecting(tmp_path) as collector:
        silent = socket.create_connection(("127.0.0.1", collector.http.port), timeout=20)
        halting = socket.create_connection(("127.0.0.1", collector.http.port), timeout=20)
        halting.sendall(b"POST /v1/traces HTTP/1.1\r\n")
        slow = socket.create_connection(("127.0.0.1", collector.http.port), timeout=20)
        slow.sendall(head(1000) + b"{")

        assert silent.recv(100) == b""
        assert halting.recv(100) == b""
        answer = read(slow, b"}")

        begun = socket.create_connection(("127.0.0.1", collector.http.port), timeout=20)
        begun.sendall(head(2) + b"{}")
        assert read(begun, b"{}").startswith(b"HTTP/1.1 200")
        begun.sendall(b"POST /v1/tr")
        assert begun.recv(100) == b""
    for connection in (silent, halting, slow, begun):
        connection.close()

    assert answer.startswith(b"HTTP/1.1 429")
    assert b"retry-after: 1" in answer.lower()


def test_a_full_disk_is_never_a_success(tmp_path: Path) -> None:
    with collecting(tmp_path) as collector:
        assert ask(collector, traces(span(1))).status == 200
        with no_room_beyond(tmp_path):
            full_disk = ask(collector, traces(span(2)))
        again = ask(collector, traces(span(2)))
        counts = dict(collector.counts)

    assert (full_disk.status, full_disk.headers["retry-after"]) == (503, "10")
    assert orjson.loads(full_disk.body)["code"] == 14
    assert again.status == 200
    assert len(spans_in(tmp_path)) == 2
    assert (counts["no_room"], counts["traces"]) == (1, 2)


def test_what_is_under_way_at_the_end_is_answered(tmp_path: Path) -> None:
    body = traces(span(1))
    with collecting(tmp_path) as collector:
        late = socket.create_connection(("127.0.0.1", collector.http.port), timeout=20)
        late.sendall(head(len(body)) + body[:-1])
        assert wait_until(lambda: under_way(collector) == len(body) - 1)
        with ThreadPoolExecutor(1) as pool:
            stopping = pool.submit(collector.stop)
            assert wait_until(lambda: refuses(collector))
            late.sendall(body[-1:])
            answer = read(late, b"{}")
            stopping.result(20)
        late.close()

    assert answer.startswith(b"HTTP/1.1 200")
    assert len(spans_in(tmp_path)) == 1


FIELDS = (
    "resourceSpans resource_spans scopeSpans spans spanId traceId startTimeUnixNano attributes key value stringValue "
    "arrayValue values kvlistValue bytesValue intValue doubleValue events status code message name kind flags resource "
    "scope resourceLogs scopeLogs logRecords body eventName resourceMetrics scopeMetrics metrics sum dataPoints"
)
NAMES = st.text(max_size=5) | st.sampled_from(FIELDS.split())
JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=20,
)


def wrapped(junk: Any) -> Any:
    """Put *junk* at each depth of a request."""
    inner: list[Any] = [junk, {"spanId": "1" * 16, "startTimeUnixNano": 5, "attributes": junk, "events": [junk]}]
    inner.append({"attributes": [junk, {"key": "k", "value": junk}], "body": junk, "metrics": junk, "sum": junk})
    scope = {"scope": junk, "spans": inner, "logRecords": inner, "metrics": inner}
    group = {"resource": junk, "scopeSpans": [junk, scope], "scopeLogs": [junk, scope], "scopeMetrics": [junk, scope]}
    return {"resourceSpans": [junk, group], "resourceLogs": [junk, group], "resourceMetrics": [junk, group]}


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(
    body=st.binary(max_size=300)
    | JUNK.map(lambda junk: json.dumps(wrapped(junk)).encode())
    | JUNK.map(lambda junk: json.dumps(junk).encode()),
    signal=st.sampled_from(["traces", "logs", "metrics"]),
    headers=st.sampled_from([JSON, PROTOBUF, JSON | {"content-encoding": "gzip"}]),
)
def test_no_body_ends_the_server(collector: Collector, body: bytes, signal: str, headers: dict[str, str]) -> None:
    answer = ask(collector, body, headers, path=f"/v1/{signal}")

    assert answer.status in {200, 400}
    assert collector.is_alive
