"""The pulse: the proof of life of a process, and what finds frozen processes, suspended hosts and set clocks."""

from __future__ import annotations

import signal
import threading
import time
from typing import TYPE_CHECKING

from journal_kit import (
    SECOND_NS,
    Clocks,
    line,
    lives,
    notes,
    segments,
    start,
    stepped,
)
from turnscope.journal import Journal
from turnscope.life import read_life

if TYPE_CHECKING:
    from pathlib import Path


def test_a_stopped_process_leaves_a_gap_that_was_frozen(tmp_path: Path) -> None:
    writer = start(
        "journal = Journal(folder, pulse_s=0.02, gap_s=0.3); journal.append(line(1));"
        "os.write(1, b'.'); sys.stdin.readline(); journal.close([])",
        tmp_path,
    )
    assert writer.stdout is not None
    assert writer.stdin is not None
    writer.stdout.read(1)
    writer.send_signal(signal.SIGSTOP)
    time.sleep(0.5)  # the process's own clocks have to go on; there is none to step
    pulses = read_life(lives(tmp_path)[0]).pulses
    writer.send_signal(signal.SIGCONT)
    while read_life(lives(tmp_path)[0]).pulses == pulses:
        pass
    writer.communicate(b"\n")

    gap = max(notes(tmp_path, "gap"), key=lambda gap: int(gap["until_m"]) - int(gap["from_m"]))
    assert gap["kind"] == "frozen"
    assert gap["until_m"] - gap["from_m"] > 300_000_000


def test_pulses_tell_a_freeze_a_suspension_and_a_clock_that_was_set_apart(tmp_path: Path) -> None:
    clocks = Clocks()
    journal = stepped(tmp_path, clocks)
    journal.append(line(1))

    clocks.run(7)
    journal.pulse()
    clocks.run(1)
    clocks.suspend(3600)
    journal.pulse()
    clocks.set_wall(-2)
    journal.pulse()

    gaps = [(gap["kind"], gap["until_m"] - gap["from_m"], gap.get("slept")) for gap in notes(tmp_path, "gap")]
    assert gaps == [("frozen", 7 * SECOND_NS, None), ("suspended", SECOND_NS, 3600 * SECOND_NS)]
    assert [step["by"] for step in notes(tmp_path, "step")] == [-2 * SECOND_NS]


def test_pulses_just_within_the_limits_leave_no_note(tmp_path: Path) -> None:
    clocks = Clocks()
    journal = stepped(tmp_path, clocks)
    journal.append(line(1))

    clocks.run(5)
    journal.pulse()
    clocks.suspend(5)
    journal.pulse()
    clocks.set_wall(0.25)
    journal.pulse()

    assert notes(tmp_path, "gap") + notes(tmp_path, "step") == []


def test_without_a_boot_clock_a_long_jump_ahead_counts_as_a_suspension(tmp_path: Path) -> None:
    clocks = Clocks()
    journal = Journal(
        tmp_path, wall_ns=lambda: clocks.wall, mono_ns=lambda: clocks.mono, boot_ns=lambda: None, pulse_s=None
    )
    journal.append(line(1))

    clocks.set_wall(3600)
    journal.pulse()
    clocks.set_wall(1)
    journal.pulse()

    assert [gap["slept"] for gap in notes(tmp_path, "gap")] == [3600 * SECOND_NS]
    assert [step["by"] for step in notes(tmp_path, "step")] == [SECOND_NS]


def test_a_hook_that_fails_does_not_keep_the_others_from_their_pulse(tmp_path: Path) -> None:
    journal = stepped(tmp_path)
    called = []

    def fail() -> None:
        raise RuntimeError

    journal.on_pulse += [fail, lambda: called.append("second")]
    journal.append(line(1))

    journal.pulse()

    assert called == ["second"]


def test_the_keeper_pulses_by_itself_and_ends_with_close(tmp_path: Path) -> None:
    pulsed = threading.Event()
    journal = Journal(tmp_path, pulse_s=0.01)
    journal.on_pulse.append(pulsed.set)
    journal.append(line(1))
    assert pulsed.wait(10)

    (keeper,) = [thread for thread in threading.enumerate() if thread.name == "turnscope-keeper"]
    journal.close([])
    keeper.join(10)

    assert not keeper.is_alive()
    assert len(segments(tmp_path)) == 1
