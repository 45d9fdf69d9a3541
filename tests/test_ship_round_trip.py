"""What was sent is read back by the analyzer as what was recorded; and the command beside a gateway that runs."""

from __future__ import annotations

import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from collector_kit import HttpCollector, wait_until
from journal_kit import SECOND_NS, START_NS, environment, line
from otlp_kit import line as otlp_line
from segment_kit import header, write
from ship_kit import FAST, ids_of, journal, point_at, turn_lines
from turnscope.ship.shipper import Shipper
from turnscope_analyzer.analyze import analyze

if TYPE_CHECKING:
    from pathlib import Path

NOW_NS = START_NS + 7200 * SECOND_NS


def turns() -> list[bytes]:
    """Return turns that went well, were refused, were stopped, and hang."""
    failed = {"error_type": "connection_refused"}
    return [
        turn_lines(0),
        *(line(101, "refused"), line(102, "refused", "started")),
        line(103, "refused", "upstream_sent", "upstream:1", at_s=1),
        line(104, "refused", "upstream_failed", "upstream:1", at_s=2, attrs=dict(failed)),
        line(105, "refused", "failed", at_s=2, attrs=dict(failed)),
        *(line(201, "stopped"), line(202, "stopped", "cancel_requested", "cancel", at_s=3)),
        *(line(203, "stopped", "cancel_result", "cancel", at_s=4, attrs={"result": "cancelled"}),),
        line(204, "stopped", "cancelled", at_s=4),
        *(line(301, "hangs", at_s=5), line(302, "hangs", "started", at_s=5)),
        line(303, "hangs", "upstream_sent", "upstream:1", at_s=6, attrs={"model": "large"}),
        line(304, "hangs", "response_headers", "upstream:1", at_s=7, attrs={"status": 200}),
        # The process goes on for an hour: that is how long the turn is known to hang.
        *(line(401, "late", at_s=3600), line(402, "late", "completed", at_s=3601)),
    ]


@pytest.mark.parametrize("signals", [("logs",), ("traces", "logs")])
def test_the_analyzer_gives_the_same_verdicts_on_what_was_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, signals: tuple[str, ...]
) -> None:
    folder, sent = tmp_path / "traces", tmp_path / "sent"
    write(folder, header(), *turns())
    sent.mkdir()
    with HttpCollector().open() as collector:
        point_at(collector, monkeypatch)
        shipper = Shipper(folder, pace=FAST, once=True)
        shipper.start()
        shipper.join()
    kinds = {"traces": "resource_spans", "logs": "resource_logs"}
    for name in signals:
        requests = [request for request in collector.requests if hasattr(request, kinds[name])]
        (sent / f"{name}.jsonl").write_bytes(b"".join(map(otlp_line, requests)))

    def told(where: Path) -> dict[str, tuple[str, str | None, str, str]]:
        report = analyze([where], now_ns=NOW_NS, everything=True)
        assert report.rejects == ()
        return {turn.turn_id: (turn.state, turn.cause, turn.rule, turn.phase or "") for turn in report.turns}

    recorded = told(folder)
    assert told(sent) == recorded
    assert {turn: verdict[:2] for turn, verdict in recorded.items()} == {
        "turn0": ("healthy", None),
        "refused": ("failed", "transport"),
        "stopped": ("cancelled", None),
        "hangs": ("stuck", "model_stall"),
        "late": ("healthy", None),
    }


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_command_follows_a_journal_until_it_is_interrupted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    folder = journal(tmp_path / "traces", 1)
    with HttpCollector().open() as collector:
        point_at(collector, monkeypatch)
        program = "import sys; from turnscope_analyzer.cli import main; main(sys.argv[1:])"
        paths = environment()["PYTHONPATH"]
        command = subprocess.Popen(
            [sys.executable, "-c", program, "ship", str(folder), "--follow"],
            env=environment() | {"PYTHONPATH": ":".join([paths, *filter(None, sys.path)])},
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            assert wait_until(lambda: sorted(collector.ids()) == ids_of(folder))
            with next(folder.glob("*.jsonl")).open("ab") as segment:
                segment.write(turn_lines(7))
            assert wait_until(lambda: sorted(collector.ids()) == ids_of(folder))
            command.send_signal(number)
            output, _ = command.communicate(timeout=20)
        finally:
            command.kill()
            command.wait()

    assert command.returncode == 0
    assert "traces: 16 spans taken in all, nothing is left" in output
