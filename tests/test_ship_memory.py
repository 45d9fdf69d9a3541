"""However long an outage is, it costs a gateway no memory: the journal is the queue."""

from __future__ import annotations

from pathlib import Path

import pytest

from collector_kit import GrpcCollector, HttpCollector, wait_until
from journal_kit import kill, start
from ship_kit import FAST, begin, journal, point_at, spans_of
from turnscope.ship.shipper import Shipper

GROWING = """
import pathlib, turnscope
turnscope.configure(folder, service="gw")
def own_memory():
    status = pathlib.Path("/proc/self/status").read_text()
    return int(status.partition("RssAnon:")[2].split()[0]) * 1024
def turns(count):
    for _ in range(count):
        with turnscope.turn("chat") as turn:
            with turn.upstream(model="large") as upstream:
                upstream.headers(200)
            with turn.tool("shell"):
                pass
while True:
    turns(int(sys.stdin.readline()))
    print(own_memory(), flush=True)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="only Linux says how much memory is no file's")
@pytest.mark.parametrize("kind", [HttpCollector, GrpcCollector])
def test_a_gateway_grows_no_larger_however_much_waits_for_the_collector(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: type[HttpCollector]
) -> None:
    collector = begin(kind, "503")
    point_at(collector, monkeypatch)
    process = start(GROWING, tmp_path)
    assert process.stdin is not None
    assert process.stdout is not None

    def record(turns: int) -> int:
        process.stdin.write(f"{turns}\n".encode())  # type: ignore[union-attr]
        process.stdin.flush()  # type: ignore[union-attr]
        return int(process.stdout.readline())  # type: ignore[union-attr]

    try:
        record(1000)
        assert wait_until(lambda: len(collector.asked) >= 3)
        before = record(1000)
        after = record(15_000)
    finally:
        kill(process)
        collector.close()

    recorded = sum(path.stat().st_size for path in tmp_path.glob("*.jsonl"))
    assert recorded > 20 << 20
    assert after - before < 4 << 20
    assert collector.requests == []


def test_an_endless_outage_costs_no_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with begin(HttpCollector, "503") as collector:
        point_at(collector, monkeypatch)
        folder = journal(tmp_path / "traces", 3000)
        shipper = Shipper(folder, pace=FAST)
        shipper.start()
        assert wait_until(lambda: len(collector.asked) >= 6)
        read = [delivery._batches.reader.at for delivery in shipper._deliveries]
        shipper.stop()

    assert len(spans_of(folder)) > 20_000
    assert all(max(at.values()) < 100_000 for at in read), "no more was read than one batch"
