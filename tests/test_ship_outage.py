"""A collector that fails, over real sockets: nothing is lost, nothing is sent again after a receipt, nobody waits."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from collector_kit import RETRY_AFTER_S, GrpcCollector, HttpCollector, doubled, wait_until
from journal_kit import kill, start
from ship_kit import FAST, SPANS_PER_TURN, begin, ids_of, journal, point_at
from turnscope.reading import RawMark, read_segment
from turnscope.ship.shipper import Shipper
from turnscope_analyzer.cli import EXIT_ERROR, EXIT_OK, main

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TURNS = 12
SHUTDOWN_S = 2.0
"""The promise is half a second; the rest is for a busy machine. What hangs here hangs for ten."""

FAULTS = [
    *[(HttpCollector, mode) for mode in ("refused", "hang", "503", "429", "reset", "401", "302", "slow")],
    *[(GrpcCollector, mode) for mode in ("refused", "hang", "503", "429", "reset", "401", "slow")],
]


def heal(collector: HttpCollector | GrpcCollector) -> None:
    collector.released.set()
    plain = isinstance(collector, GrpcCollector) and collector.mode in {"hang", "reset"}
    if plain:
        collector.close()
    before, collector.mode = collector.mode, "ok"
    if plain or before == "refused":
        collector.open()


def was_tried(collector: HttpCollector | GrpcCollector, shipper: Shipper) -> bool:
    if collector.asked:
        return True
    receipts = [standing.receipt for standing in shipper.standings()]
    return bool(receipts) and all(receipts)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return journal(tmp_path / "traces", TURNS)


@pytest.mark.parametrize(("kind", "mode"), FAULTS, ids=lambda value: getattr(value, "protocol", value))
def test_an_outage_loses_no_span_and_sends_none_twice(
    folder: Path, monkeypatch: pytest.MonkeyPatch, kind: type[HttpCollector], mode: str
) -> None:
    collector = begin(kind, mode)
    # Shorter than the outage: a request that hangs must end by itself, and be tried again.
    point_at(collector, monkeypatch, timeout_s=0.4)
    shipper = Shipper(folder, pace=FAST)
    shipper.start()
    try:
        assert wait_until(lambda: was_tried(collector, shipper))
        if mode != "slow":
            time.sleep(0.2)
            assert collector.spans == []
            assert shipper.standings()[0].sent == 0
        heal(collector)
        assert wait_until(lambda: shipper.standings()[0].sent == len(ids_of(folder)))
    finally:
        shipper.stop()
        collector.close()

    assert sorted(collector.ids()) == ids_of(folder)
    assert doubled(collector.ids()) == []


@pytest.mark.parametrize(("kind", "mode"), FAULTS, ids=lambda value: getattr(value, "protocol", value))
def test_shutdown_does_not_wait_and_the_next_one_sends_the_rest(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    kind: type[HttpCollector],
    mode: str,
) -> None:
    collector = begin(kind, mode)
    point_at(collector, monkeypatch)
    first = Shipper(folder, pace=FAST)
    first.start()
    try:
        assert wait_until(lambda: was_tried(collector, first))

        began = time.monotonic()
        first.stop()
        took = time.monotonic() - began

        heal(collector)
        # Seen from a later process: what the first one had under way is over.
        assert wait_until(lambda: not first.is_running)
        second = Shipper(folder, pace=FAST, once=True)
        second.start()
        second.join()
    finally:
        collector.close()

    assert took < SHUTDOWN_S
    assert "CANCELLED" not in caplog.text
    assert not second.failure
    assert sorted(collector.ids()) == ids_of(folder)
    # Slow: the collector took the batch that was under way, and nobody waited for its receipt.
    assert len(doubled(collector.ids())) <= (FAST.batch + SPANS_PER_TURN if mode == "slow" else 0)


@pytest.mark.parametrize("kind", [HttpCollector, GrpcCollector])
def test_the_collector_decides_when_it_is_asked_again(
    folder: Path, monkeypatch: pytest.MonkeyPatch, kind: type[HttpCollector]
) -> None:
    with begin(kind, "429") as collector:
        collector.logs_mode = "404"
        point_at(collector, monkeypatch)
        shipper = Shipper(folder, pace=FAST)
        shipper.start()
        assert wait_until(lambda: len(collector.asked) >= 3)
        shipper.stop()

    # The three: one of the log records, which nobody takes, and two of the spans.
    assert max(collector.asked) - min(collector.asked) > 0.9 * RETRY_AFTER_S


@pytest.mark.parametrize("kind", [HttpCollector, GrpcCollector])
def test_what_is_rejected_of_a_batch_is_counted_and_never_sent_again(
    folder: Path, monkeypatch: pytest.MonkeyPatch, kind: type[HttpCollector]
) -> None:
    with begin(kind, "partial") as collector:
        point_at(collector, monkeypatch)
        done = CliRunner().invoke(main, ["ship", str(folder)])
        again = CliRunner().invoke(main, ["ship", str(folder)])

    assert (done.exit_code, again.exit_code) == (EXIT_OK, EXIT_OK)
    assert "1 span rejected by the collector in batches that it took in part" in done.output
    assert sorted(collector.ids()) == ids_of(folder)
    assert doubled(collector.ids()) == []


@pytest.mark.parametrize("kind", [HttpCollector, GrpcCollector])
def test_a_batch_that_is_refused_stays_in_the_journal_and_is_named(
    folder: Path, monkeypatch: pytest.MonkeyPatch, kind: type[HttpCollector]
) -> None:
    with begin(kind, "400") as collector:
        point_at(collector, monkeypatch)
        done = CliRunner().invoke(main, ["ship", str(folder)])

    segment = next(folder.glob("*.jsonl"))
    assert done.exit_code == EXIT_OK
    assert f"{len(ids_of(folder))} spans refused; they stay in the journal" in done.output
    assert "segment.jsonl:0-" in done.output
    assert len([entry for entry in read_segment(segment) if isinstance(entry, RawMark)]) == 9 * TURNS


def test_a_batch_that_is_too_large_is_sent_in_parts(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with begin(HttpCollector, "ok") as collector:
        collector.largest = 4000
        point_at(collector, monkeypatch)
        done = CliRunner().invoke(main, ["ship", str(folder)])

    assert done.exit_code == EXIT_OK, done.output
    assert sorted(collector.ids()) == ids_of(folder)
    assert doubled(collector.ids()) == []


@pytest.mark.parametrize(
    ("kind", "mode", "says"),
    [
        (HttpCollector, "401", "refused (401)"),
        (HttpCollector, "302", "redirected (302: http://127.0.0.1"),
        (HttpCollector, "503", "retryable (503)"),
        (GrpcCollector, "401", "refused (UNAUTHENTICATED"),
        (GrpcCollector, "refused", "retryable (UNAVAILABLE"),
    ],
)
def test_the_command_says_what_the_collector_has_against_it(
    folder: Path, monkeypatch: pytest.MonkeyPatch, kind: type[HttpCollector], mode: str, says: str
) -> None:
    collector = begin(kind, mode)
    point_at(collector, monkeypatch)
    try:
        done = CliRunner().invoke(main, ["ship", str(folder), "--patience", "0"])
    finally:
        collector.close()

    assert done.exit_code == EXIT_ERROR
    assert f"traces: 0 spans taken in all, the rest is left for the next time: {says}" in done.output


@pytest.mark.parametrize("kind", [HttpCollector, GrpcCollector])
def test_a_collector_without_log_records_gets_the_spans(
    folder: Path, monkeypatch: pytest.MonkeyPatch, kind: type[HttpCollector]
) -> None:
    with begin(kind, "ok") as collector:
        collector.logs_mode = "404"
        point_at(collector, monkeypatch)
        done = CliRunner().invoke(main, ["ship", str(folder)])

    assert done.exit_code == EXIT_OK
    assert sorted(collector.ids()) == ids_of(folder)
    assert "the collector takes no log records" in done.output


RECORDING = """
import turnscope
turnscope.configure(folder, service="gw", segment_bytes=131072)
number = 0
stuck = turnscope.accept("stuck", turn_id="stuck")
stuck.mark("upstream_sent", "1", model="large")
while True:
    for _ in range(20):
        number += 1
        with turnscope.turn("chat", turn_id=f"t{number}") as turn:
            with turn.upstream(model="large") as upstream:
                upstream.headers(200)
            with turn.tool("shell"):
                pass
    print(number, flush=True)
    sys.stdin.readline()
"""


@pytest.fixture(params=[(HttpCollector, "503"), (HttpCollector, "hang"), (GrpcCollector, "503")])
def killed(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A journal whose process sent it to a collector that failed, and was killed meanwhile."""
    kind, mode = request.param
    collector = begin(kind, mode)
    point_at(collector, monkeypatch)
    process = start(RECORDING, tmp_path)
    assert process.stdin is not None
    assert process.stdout is not None
    for _ in range(3):
        process.stdout.readline()
        process.stdin.write(b"\n")
        process.stdin.flush()
    assert wait_until(lambda: collector.asked)
    kill(process)
    heal(collector)
    yield tmp_path, collector
    collector.close()


def test_what_a_killed_process_has_not_sent_is_sent_after_it(killed: tuple[Path, HttpCollector]) -> None:
    folder, collector = killed

    done = CliRunner().invoke(main, ["ship", str(folder)])

    assert done.exit_code == EXIT_OK, done.output
    assert sorted(collector.ids()) == ids_of(folder)
    assert doubled(collector.ids()) == []
    assert len({span.trace_id for span in collector.spans}) > 60
    lost = {span.name: span for span in collector.spans if span.status.code == 2}
    assert sorted(lost) == ["chat large", "invoke_agent"]
    assert {span.status.message for span in lost.values()} == {"process_lost"}
    assert len({span.end_time_unix_nano for span in lost.values()}) == 1
