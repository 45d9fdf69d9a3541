"""SIGKILL, a hundred times, over eight threads that record as fast as they can."""

from __future__ import annotations

import os
import random
import signal
import struct
from typing import IO, TYPE_CHECKING

from journal_kit import kill, run, segments, start
from turnscope.life import RUNNING, read_life
from turnscope.reading import RawMark, Reject, Torn, read_header, read_segment

if TYPE_CHECKING:
    from pathlib import Path

KILLS = 100
DONE = 2**64 - 1

WRITERS = """
import itertools, struct, threading

OPEN = [line(1, "stuck"), line(2, "stuck", "upstream_sent", "upstream:1")]

def acknowledge(number):
    os.write(1, struct.pack("<Q", number))

def record(folder):
    journal = Journal(folder, segment_bytes=SMALL_BYTES, carry=lambda: OPEN)
    for mark in OPEN:
        journal.append(mark)
    acknowledge(os.getpid())
    numbers = itertools.count(3)
    def fill():
        for number in numbers:
            journal.append(line(number, "busy", "first_item", "upstream:1"))
            acknowledge(number)
    for _ in range(8):
        threading.Thread(target=fill).start()

for name in sys.stdin:
    child = os.fork()
    if child == 0:
        record(Path(name.strip()))
        break
    os.waitpid(child, 0)
    acknowledge(2**64 - 1)
"""


def next_number(pipe: IO[bytes]) -> int:
    (number,) = struct.unpack("<Q", pipe.read(8))
    return int(number)


def test_a_hundred_kills_lose_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    chance = random.Random(7)
    writers = start(WRITERS, tmp_path)
    assert writers.stdin is not None
    assert writers.stdout is not None
    try:
        for number in range(KILLS):
            folder = tmp_path / str(number)
            writers.stdin.write(f"{folder}\n".encode())
            writers.stdin.flush()
            pid = next_number(writers.stdout)
            acknowledged = {next_number(writers.stdout) for _ in range(chance.randint(0, 3000))}
            os.kill(pid, signal.SIGKILL)
            while (last := next_number(writers.stdout)) != DONE:
                acknowledged.add(last)

            check_what_is_left(folder, acknowledged)
    finally:
        kill(writers)


def check_what_is_left(folder: Path, acknowledged: set[int]) -> None:
    found: dict[object, set[object]] = {}
    torn = 0
    for path in segments(folder):
        for entry in read_segment(path):
            assert not isinstance(entry, Reject)
            torn += isinstance(entry, Torn)
            if isinstance(entry, RawMark):
                mark = entry.fields()
                found.setdefault(path, set()).add(mark["seq"])
    assert torn <= 1
    assert acknowledged <= set.union(*found.values())
    # What is open can be told from the last segment that has marks; only the kill in the middle of a carry needs two.
    assert {1, 2} <= set.union(*list(found.values())[-2:])


def test_the_last_pulse_and_the_progress_of_a_stream_outlive_the_kill(tmp_path: Path) -> None:
    writer = start(
        """
journal = Journal(folder, pulse_s=0.02)
journal.append(line(1))
slot = journal.slot(2)
for size in (10, 20, 30):
    slot.progress(size)
slot.keepalive()
os.write(1, b".")
sys.stdin.read()
""",
        tmp_path,
    )
    assert writer.stdout is not None
    writer.stdout.read(1)
    (path,) = tmp_path.glob("*.life")
    while read_life(path).pulses < 3:
        pass
    kill(writer)

    life = read_life(path)

    (slot,) = life.slots.values()
    assert (slot.seq, slot.chunks, slot.bytes, slot.keepalives) == (2, 3, 60, 1)
    assert slot.progress_at is not None
    assert life.pulse_mono_ns is not None
    assert life.fate == RUNNING


def test_a_killed_process_is_told_from_a_running_one_by_its_header(tmp_path: Path) -> None:
    writer = start("Journal(folder).append(line(1)); os.write(1, b'.'); sys.stdin.read()", tmp_path)
    assert writer.stdout is not None
    writer.stdout.read(1)
    (path,) = segments(tmp_path)[:1]
    header = read_header(path)

    fates = "from turnscope.process import fate_of; from turnscope.reading import read_header;"
    fates += "print(fate_of(read_header(segments(folder)[0])))"
    before = run(fates, tmp_path)
    kill(writer)
    after = run(fates, tmp_path)

    assert header is not None
    assert (before, after) == ("running\n", "killed\n")
