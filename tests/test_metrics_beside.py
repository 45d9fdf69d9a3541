"""The metrics of every process of a journal, seen from beside: dead ones, hanging ones, ones that go on elsewhere."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from collector_kit import HttpCollector, wait_until
from helpers import run_python
from journal_kit import SECOND_NS, environment, line
from metrics_kit import Meters, Scrape
from segment_kit import header, write
from ship_kit import point_at, turn_lines
from turnscope.metrics import names
from turnscope.metrics.beside import JournalTurns
from turnscope_analyzer.cli import EXIT_OK, EXIT_USAGE, main

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from metrics_kit import Figures

KILLED = (
    "import os, signal, time, turnscope\n"
    "turnscope.configure('.', otlp=False)\n"
    "turn = turnscope.accept('s', turn_id='t')\n"
    "turn.mark('started')\n"
    "turn.mark('upstream_sent', '1', model='large')\n"
    "time.sleep(1.2)\n"
    "os.kill(os.getpid(), signal.SIGKILL)\n"
)
LOST = ("process_lost", "upstream_sent")


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    """An environment that says nothing about telemetry."""
    for name in [name for name in os.environ if name.startswith("OTEL_")]:
        monkeypatch.delenv(name)


class Beside(Meters):
    """The metrics of a folder, looked at when the test says so."""

    def __init__(self, folder: Path) -> None:
        self.source: JournalTurns = JournalTurns(folder)
        super().__init__(self.source)

    def look(self) -> Beside:
        self.source.look(self.instruments.record)
        return self

    def gauges(self) -> tuple[Figures, Figures, Figures]:
        wanted = (names.TURNS_OPEN, names.PHASES_OPEN, names.TURNS_STUCK)
        turns, phases, stuck = (self.figures(name) for name in wanted)
        return turns, phases, stuck


def seconds(beside: Beside) -> Figures:
    return beside.figures(names.PHASES_OLDEST)


def test_what_a_dead_gateway_left_open_is_stuck_at_once_and_as_old_as_when_it_died(tmp_path: Path) -> None:
    beside = Beside(tmp_path).look()
    assert run_python(KILLED, tmp_path).returncode == -signal.SIGKILL

    beside.look().look()

    assert beside.gauges() == ({(): 1}, {LOST: 1}, {LOST: 1})
    age_s = seconds(beside)[LOST]
    assert 0.9 <= age_s < 10
    beside.look()
    assert seconds(beside)[LOST] == age_s
    assert beside.figures(names.TURNS) == {("process_lost", "large", "interrupted"): 1}
    (lasted,) = [p.sum for p in beside.points(names.PHASE_DURATION) if p.attributes["phase"] == "upstream_sent"]
    assert lasted == pytest.approx(age_s)


def test_it_is_gone_when_somebody_recovers_it_and_does_not_count_again(tmp_path: Path) -> None:
    beside = Beside(tmp_path).look()
    run_python(KILLED, tmp_path)
    beside.look().look()

    run_python("import turnscope; turnscope.configure('.', otlp=False); turnscope.recover()", tmp_path)
    beside.look()

    assert beside.gauges() == ({(): 0}, {}, {})
    assert sum(beside.figures(names.TURNS).values()) == 1


def test_it_is_another_process_turn_when_that_one_resumes_it(tmp_path: Path) -> None:
    beside = Beside(tmp_path).look()
    run_python(KILLED, tmp_path)
    beside.look().look()
    program = (
        "import turnscope\n"
        "turnscope.configure('.', otlp=False)\n"
        "with turnscope.resume('t', 's'):\n"
        "    print('on', flush=True)\n"
        "    input()\n"
    )
    other = subprocess.Popen(
        [sys.executable, "-c", program], cwd=tmp_path, env=environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert other.stdin is not None
    assert other.stdout is not None
    with other:
        other.stdout.readline()
        resumed = beside.look().gauges()
        other.stdin.write(b"\n")
        other.stdin.close()
        other.wait()
    beside.look()

    assert resumed == ({(): 1}, {("pre_start", "started"): 1}, {})
    assert beside.gauges() == ({(): 0}, {}, {})
    assert beside.figures(names.TURNS) == {
        ("process_lost", "large", "interrupted"): 1,
        ("none", "none", "completed"): 1,
    }


def test_a_process_in_a_turn_that_hangs_is_seen_with_its_own_budgets(tmp_path: Path) -> None:
    program = (
        "import turnscope\n"
        "turnscope.configure('.', otlp=False, budgets={'first_event': (0.1, 0.2)})\n"
        "with turnscope.turn('s') as turn, turn.upstream(model='large') as upstream:\n"
        "    upstream.headers(200)\n"
        "    upstream.event()\n"
        "    print('on', flush=True)\n"
        "    input()\n"
        "    upstream.progress(1)\n"
        "    print('on', flush=True)\n"
        "    input()\n"
    )
    beside = Beside(tmp_path)
    gateway = subprocess.Popen(
        [sys.executable, "-c", program], cwd=tmp_path, env=environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert gateway.stdin is not None
    assert gateway.stdout is not None
    with gateway:
        gateway.stdout.readline()
        began_s = time.monotonic()
        time.sleep(0.5)
        silent_s = time.monotonic() - began_s
        hanging, before = beside.look().gauges(), seconds(beside)
        gateway.stdin.write(b"\n")
        gateway.stdin.flush()
        gateway.stdout.readline()
        went_on_s = time.monotonic()
        after = seconds(beside.look())
        since_s = time.monotonic() - went_on_s
        gateway.stdin.write(b"\n")
        gateway.stdin.close()

    label = ("model_stall", "first_event")
    assert hanging == ({(): 1}, {label: 1}, {label: 1})
    assert before[label] >= silent_s
    assert after[label] <= since_s + 0.1


def test_turns_that_were_over_before_anybody_looked_are_not_counted(tmp_path: Path) -> None:
    write(tmp_path, header(), turn_lines(1), turn_lines(2))
    run_python(KILLED, tmp_path)
    beside = Beside(tmp_path).look()

    with (tmp_path / "segment.jsonl").open("ab") as file:
        file.write(turn_lines(3))
    beside.look()

    assert beside.gauges() == ({(): 1}, {LOST: 1}, {LOST: 1})
    assert beside.figures(names.TURNS) == {("none", "large", "completed"): 1}


def test_before_the_journal_was_read_nothing_is_said_of_what_is_open(tmp_path: Path) -> None:
    write(tmp_path, header(), turn_lines(1, ends=False))

    assert Beside(tmp_path).gauges() == ({}, {}, {})


def test_a_process_of_another_host_is_as_old_as_its_last_sign_of_life(tmp_path: Path) -> None:
    write(tmp_path, header(), turn_lines(0, ends=False))

    assert seconds(Beside(tmp_path).look()) == {("model_stall", "response_headers"): 0}


def test_what_is_left_open_for_longer_than_a_day_is_shown_no_more(tmp_path: Path) -> None:
    here = {"host": os.uname().nodename, "pid": 2**22 + 1, "boot": ""}
    now_s = (time.time_ns() - 1_795_223_156_000_000_000) / SECOND_NS
    young = line(1, "young", at_s=now_s - 3600, proc="a" * 12)
    old = line(1, "old", at_s=now_s - 90_000, proc="b" * 12)
    write(tmp_path, header(proc="a" * 12, **here), young, name="a.jsonl")
    write(tmp_path, header(proc="b" * 12, **here), old, name="b.jsonl")

    assert Beside(tmp_path).look().gauges()[0] == {(): 1}


def test_what_is_damaged_is_passed_over(tmp_path: Path) -> None:
    write(
        tmp_path,
        header(budgets=[1]),
        b"\xff\xfe{\n",
        line(1, "t1", attrs={"trace": "not hex" * 4 + "....", "slot": "x"}),
    )
    (tmp_path / "feedfacecafe.life").write_bytes(b"TSLIFE01 cut")

    assert Beside(tmp_path).look().gauges()[:2] == ({(): 1}, {("silent_drop", "accepted"): 1})


def test_drops_of_all_processes_add_up_and_stay_when_their_files_go(tmp_path: Path) -> None:
    program = (
        "import turnscope\n"
        "turnscope.configure('.', otlp=False)\n"
        "with turnscope.turn('s') as turn:\n"
        "    turn.mark('no_such_phase')\n"
    )
    run_python(program, tmp_path)
    beside = Beside(tmp_path).look()
    assert beside.figures(names.DROPPED)["unknown_phase",] == 0

    for _ in range(2):
        run_python(program, tmp_path)
    beside.look()
    for path in tmp_path.glob("*.life"):
        path.unlink()
    beside.look()

    assert beside.figures(names.DROPPED)["unknown_phase",] == 2


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
