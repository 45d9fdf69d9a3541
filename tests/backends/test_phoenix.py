"""A backend that others have written: what it is sent over OTLP is what its API and its pages give back."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from backends.server import Row
from collector_kit import wait_until
from ship_kit import spans_of
from turnscope.life import read_life
from turnscope_analyzer.cli import main

if TYPE_CHECKING:
    from collections.abc import Iterable

    from opentelemetry.sdk.trace import ReadableSpan

    from backends.server import Browser, Phoenix

pytestmark = pytest.mark.backend

MOST_PICTURE_BYTES = 250_000
PATIENCE_S = 120
"""A machine that is busy with other things is slow, and not wrong."""

KINDS = {"invoke_agent": "AGENT", "chat": "LLM", "execute_tool": "TOOL"}
"""What Phoenix makes of the conventions' operations; it has no kind for the others."""

BESIDE = {"turnscope.cancel", "turnscope.renderer"}
"""Spans that may outlive their turn."""

HANGS = """
import sys, time, turnscope
turnscope.configure(sys.argv[1], service="support-desk", otlp=False)
with turnscope.turn("chat-17", kind="webhook") as turn:
    with turnscope.hydration(bytes=48_000) as hydration:
        time.sleep(0.05)
        hydration.done(records=120)
    with turnscope.upstream(model="large") as upstream:
        time.sleep(0.1)
        upstream.headers(200)
        time.sleep(0.05)
        upstream.item("tool_call")
        upstream.complete(provider="openai", input_tokens=18_213, output_tokens=164)
    with turnscope.tool("search", call_id="call_1"):
        time.sleep(0.2)
    turnscope.continuation()
    with turnscope.upstream(model="large") as upstream:
        time.sleep(0.15)
        upstream.headers(200)
        upstream.item("tool_call")
        upstream.complete(provider="openai", input_tokens=18_902, output_tokens=71)
    with turnscope.tool("run_tests", call_id="call_2"):
        print(turn.trace_id, flush=True)
        time.sleep(60)
"""


def ship(folder: Path, phoenix: Phoenix, protocol: str, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", phoenix.endpoints[protocol])
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", protocol)
    result = CliRunner().invoke(main, ["ship", str(folder)])
    assert result.exit_code == 0, result.output
    return result.output


def rows_of(spans: Iterable[ReadableSpan]) -> dict[str, Row]:
    """Return what a backend that keeps everything has of *spans*, as far as its API can tell it."""
    return {
        f"{span.context.span_id:016x}": Row(
            name=span.name,
            kind=KINDS.get(span.name.partition(" ")[0], "UNKNOWN"),
            trace_id=f"{span.context.trace_id:032x}",
            parent_id="" if span.parent is None else f"{span.parent.span_id:016x}",
            start_us=(span.start_time or 0) // 1000,
            end_us=(span.end_time or 0) // 1000,
            status=span.status.status_code.name,
            message=span.status.description or "",
            attributes=dict(span.attributes or {}),
            events=[(event.name, event.timestamp // 1000, dict(event.attributes or {})) for event in span.events],
        )
        for span in spans
    }


def as_sent(row: Row, sent: Row) -> Row:
    """Return *row* without the attributes that Phoenix adds of its own; it counts time in floats, to a microsecond."""
    return row._replace(
        attributes={name: row.attributes.get(name) for name in sent.attributes},
        start_us=nearest(row.start_us, sent.start_us),
        end_us=nearest(row.end_us, sent.end_us),
        events=[
            (name, nearest(at_us, sent_us), attributes)
            for (name, at_us, attributes), (_, sent_us, _) in zip(row.events, sent.events, strict=True)
        ],
    )


def nearest(read_us: int, sent_us: int) -> int:
    return sent_us if abs(read_us - sent_us) <= 1 else read_us


@pytest.mark.parametrize("protocol", ["http/protobuf", "grpc"])
def test_every_span_of_the_demo_is_read_back_as_it_was_sent(
    demo: Path, tmp_path: Path, phoenix: Phoenix, protocol: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "traces"
    shutil.copytree(demo, folder)
    sent = rows_of(spans_of(folder))

    said = ship(folder, phoenix, protocol, monkeypatch)

    assert wait_until(lambda: len(phoenix.rows()) == len(sent), PATIENCE_S)
    read = phoenix.rows()
    assert {span: as_sent(row, sent[span]) for span, row in read.items()} == sent
    assert f"traces: {len(sent)} spans taken in all, nothing is left" in said
    # The fixture is worth something: every lane, and every way in which one ends, is among them.
    assert {row.name.partition(" ")[0] for row in sent.values()} >= {*KINDS, *BESIDE} | {
        f"turnscope.{lane}" for lane in ("compaction", "hydration", "continuation", "quota.wait", "queue.wait")
    }
    assert {row.attributes["turnscope.turn.outcome"] for row in sent.values() if row.name == "invoke_agent"} == {
        *("completed", "failed", "cancelled", "interrupted"),
    }
    check_the_trees(read)
    check_the_sessions(phoenix.sessions(), sent)


def check_the_trees(read: dict[str, Row]) -> None:
    """Hold each span to its parent: in the same trace, and within its time."""
    for row in read.values():
        assert (row.parent_id in read) == (row.name != "invoke_agent"), row
        above = read.get(row.parent_id)
        if above is not None:
            assert row.trace_id == above.trace_id
            assert row.start_us >= above.start_us
            assert row.end_us <= above.end_us or row.name in BESIDE
    for trace in {row.trace_id for row in read.values()}:
        phases = [row for row in read.values() if row.trace_id == trace and row.name.startswith("turnscope.upstream.")]
        for request in {row.parent_id for row in phases}:
            own = sorted((row for row in phases if row.parent_id == request), key=lambda row: row.start_us)
            # One phase ends where the next begins, and the last with the request.
            assert [row.end_us for row in own] == [*(row.start_us for row in own[1:]), read[request].end_us]


def check_the_sessions(sessions: dict[str, set[str]], sent: dict[str, Row]) -> None:
    expected: dict[str, set[str]] = {}
    for row in sent.values():
        expected.setdefault(row.attributes["session.id"], set()).add(row.trace_id)
    assert sessions == expected
    assert max(map(len, expected.values())) > 1


def test_a_turn_that_hangs_is_no_span_until_its_process_is_gone(
    tmp_path: Path, phoenix: Phoenix, browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "traces"
    environment = {"PYTHONPATH": ":".join(path for path in sys.path if path)}
    gateway = subprocess.Popen(
        [sys.executable, "-c", HANGS, str(folder)], env=environment, stdout=subprocess.PIPE, text=True
    )
    try:
        assert gateway.stdout is not None
        trace_id = gateway.stdout.readline().strip()
        (life,) = folder.glob("*.life")
        pulses = read_life(life).pulses
        ship(folder, phoenix, "http/protobuf", monkeypatch)
        ended = {"execute_tool search", "chat large", "turnscope.hydration", "turnscope.continuation"}
        assert wait_until(lambda: ended <= names_of(phoenix), PATIENCE_S)
        before = names_of(phoenix)
        assert wait_until(lambda: read_life(life).pulses >= pulses + 3, PATIENCE_S)
    finally:
        gateway.kill()
        gateway.communicate()

    ship(folder, phoenix, "http/protobuf", monkeypatch)
    assert wait_until(lambda: "invoke_agent" in names_of(phoenix), PATIENCE_S)

    assert not before & {"invoke_agent", "execute_tool run_tests"}
    read = phoenix.rows()
    sent = rows_of(spans_of(folder))
    assert {span: as_sent(row, sent[span]) for span, row in read.items()} == sent
    lost = {row.name: row for row in read.values() if row.attributes.get("turnscope.turn.recovered")}
    assert sorted(lost) == ["execute_tool run_tests", "invoke_agent"]
    assert {(row.status, row.message) for row in lost.values()} == {("ERROR", "process_lost")}
    assert lost["execute_tool run_tests"].end_us > lost["execute_tool run_tests"].start_us
    requests = [row.attributes for row in read.values() if row.name == "chat large"]
    assert {attributes["gen_ai.usage.input_tokens"] for attributes in requests} == {18_213, 18_902}

    check_the_page(phoenix.trace_page(trace_id), browser, tmp_path / "phoenix.png")


def names_of(phoenix: Phoenix) -> set[str]:
    return {row.name for row in phoenix.rows().values()}


def check_the_page(page: str, browser: Browser, picture: Path) -> None:
    """Look at the tree as a person does."""
    if browser.program is None:
        pytest.skip("no chromium here (Debian: apt-get install chromium): all but the page was checked")
    wanted = ("invoke_agent", "chat large", "execute_tool run_tests")
    assert wait_until(lambda: all(map(browser.text_of(page).__contains__, wanted)), PATIENCE_S)
    browser.picture_of(page, picture)
    data = picture.read_bytes()
    assert data.startswith(b"\x89PNG")
    assert 20_000 < len(data) < MOST_PICTURE_BYTES
    if keep := os.environ.get("TURNSCOPE_PICTURE"):
        Path(keep).write_bytes(data)
