"""The metrics of every process of a journal, seen from beside: dead ones, hanging ones, ones that go on elsewhere."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from helpers import run_python
from journal_kit import SECOND_NS, environment, line
from metrics_kit import KILLED, LOST, Meters
from segment_kit import header, write
from ship_kit import turn_lines
from turnscope.life import LifeFile
from turnscope.metrics import names
from turnscope.metrics.beside import JournalTurns

if TYPE_CHECKING:
    from pathlib import Path

    from metrics_kit import Figures


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
    assert 0.5 < age_s < 10
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


def test_a_process_elsewhere_that_falls_silent_is_shown_as_lost_until_it_comes_back(tmp_path: Path) -> None:
    write(tmp_path, header(), turn_lines(0, ends=False))
    life = LifeFile("feedfacecafe", 1, time.monotonic_ns)
    life.create(tmp_path)
    beside = Beside(tmp_path)

    def gauges_after(silent_s: float) -> Figures:
        life.pulse(time.time_ns() - round(silent_s * SECOND_NS), 400 * SECOND_NS)
        return beside.look().look().figures(names.TURNS_STUCK)

    assert gauges_after(1) == {("model_stall", "response_headers"): 1}
    assert gauges_after(61) == {("process_lost", "response_headers"): 1}
    assert gauges_after(1) == {("model_stall", "response_headers"): 1}
    assert seconds(beside) == {("model_stall", "response_headers"): 346}
    assert beside.figures(names.TURNS) == {}


def test_time_in_which_the_process_did_not_run_is_not_held_against_its_turns(tmp_path: Path) -> None:
    write(tmp_path, header(), turn_lines(0, ends=False))
    life = LifeFile("feedfacecafe", 1, time.monotonic_ns)
    life.create(tmp_path)
    beside = Beside(tmp_path)

    def age_after(*pulses_s: float) -> float:
        for at_s in pulses_s:
            life.pulse(time.time_ns(), round((54 + at_s) * SECOND_NS))
        return seconds(beside.look())["model_stall", "response_headers"]

    assert [age_after(1), age_after(2), age_after(100), age_after(101)] == [1, 2, 2, 3]
    assert age_after(*range(102, 151)) == 3 + 49


def test_a_client_that_falls_behind_is_seen_from_beside(tmp_path: Path) -> None:
    accepted = line(1, "t", at_s=0)
    sent = line(2, "t", "upstream_sent", "upstream:1", attrs={"slot": 0})
    shown = line(3, "t", "renderer_attached", "renderer:web", attrs={"slot": 1})
    write(tmp_path, header(), accepted, sent, shown)
    life = LifeFile("feedfacecafe", 1, time.monotonic_ns)
    life.create(tmp_path)
    upstream, client = life.lend(2), life.lend(3)
    assert upstream is not None
    assert client is not None
    beside = Beside(tmp_path)

    def behind_after(at_s: float) -> float:
        life.pulse(time.time_ns(), round((50 + at_s) * SECOND_NS))
        return seconds(beside.look())["detachment", "renderer_attached"]

    keeps_up = behind_after(1)
    upstream.cursor = 9
    lags = [behind_after(at_s) for at_s in (2, 4, 6)]
    client.cursor = 9

    assert (keeps_up, lags, behind_after(8)) == (0, [0, 2, 4], 0)


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
