"""``turnscope ship --follow --prometheus``: the metrics of a journal, served by a process of their own."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from collector_kit import HttpCollector, wait_until
from helpers import run_python
from metrics_kit import KILLED, LOST, Scrape
from segment_kit import header, write
from ship_kit import point_at
from turnscope_analyzer.cli import EXIT_OK, EXIT_USAGE, main

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    """An environment that says nothing about telemetry."""
    for name in [name for name in os.environ if name.startswith("OTEL_")]:
        monkeypatch.delenv(name)


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """A `ship --follow --prometheus` beside a journal that is still empty, and where it serves."""
    with HttpCollector().open() as collector:
        point_at(collector, monkeypatch)
        words = ["ship", str(tmp_path), "--follow", "--prometheus", "127.0.0.1:0"]
        program = f"from turnscope_analyzer.cli import main; main({words!r})"
        roots = os.pathsep.join(filter(None, sys.path))
        process = subprocess.Popen(
            [sys.executable, "-c", program], env=os.environ | {"PYTHONPATH": roots}, stderr=subprocess.PIPE
        )
        assert process.stderr is not None
        said = b""
        while (found := re.search(rb"http://([\d.:]+)/metrics", said)) is None:
            new = process.stderr.readline()
            assert new, said
            said += new
        yield process, found[1].decode()
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        process.wait(10)
        process.stderr.close()


def test_the_command_serves_what_a_killed_gateway_left_open(
    command: tuple[subprocess.Popen[bytes], str], tmp_path: Path
) -> None:
    process, address = command
    assert wait_until(lambda: Scrape(address).series("turnscope_turns_open") == {(): 0})

    run_python(KILLED, tmp_path)

    assert wait_until(lambda: Scrape(address).series("turnscope_turns_stuck") == {LOST: 1})
    ended = {("process_lost", "large", "interrupted"): 1}
    assert wait_until(lambda: Scrape(address).series("turnscope_turns_total") == ended)
    items = {("accepted", "traces"), ("accepted", "logs")}
    assert wait_until(
        lambda: items <= {key for key, n in Scrape(address).series("turnscope_delivery_items_total").items() if n}
    )
    process.send_signal(signal.SIGTERM)
    assert process.wait(10) == EXIT_OK


def test_the_command_serves_also_while_the_gateway_sends_the_journal_itself(
    command: tuple[subprocess.Popen[bytes], str], tmp_path: Path
) -> None:
    _, address = command
    second = ["ship", str(tmp_path), "--follow", "--prometheus", "127.0.0.1:0"]
    program = (
        "import os, signal, threading\n"
        "from turnscope_analyzer.cli import main\n"
        "threading.Timer(2, os.kill, (os.getpid(), signal.SIGTERM)).start()\n"
        f"main({second!r})\n"
    )

    stood_by = run_python(program, tmp_path)

    assert stood_by.returncode == EXIT_OK, stood_by.stderr
    assert "serving the metrics of" in stood_by.stderr
    assert Scrape(address).series("turnscope_turns_open") == {(): 0}


def test_prometheus_without_follow_is_wrong_usage(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["ship", str(tmp_path), "--prometheus", "127.0.0.1:0"])

    assert result.exit_code == EXIT_USAGE
    assert "--prometheus goes with --follow" in result.output


def test_an_address_that_cannot_be_served_at_is_said(tmp_path: Path) -> None:
    write(tmp_path, header())

    result = CliRunner().invoke(main, ["ship", str(tmp_path), "--follow", "--prometheus", "nonsense"])

    assert result.exit_code == 1
    assert "give HOST:PORT" in result.output
