"""The journal: what was appended is there, whatever happens to the disk, the folder, the clock or the process."""

from __future__ import annotations

import logging
import os
import re
import signal
import subprocess
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson
import pytest

from journal_kit import (
    SECOND_NS,
    SMALL_BYTES,
    Clocks,
    kill,
    line,
    lives,
    marks,
    mounted,
    notes,
    padded,
    run,
    segments,
    seqs,
    start,
    stepped,
)
from turnscope.header import note_line
from turnscope.journal import Journal
from turnscope.life import ENDED, RUNNING, SLOTS, read_life
from turnscope.process import VERSION
from turnscope.reading import RawMark, read_header, read_segment
from turnscope.segment import LONGEST_LINE

if TYPE_CHECKING:
    from collections.abc import Iterator


def test_a_mark_is_on_disk_when_append_returns(tmp_path: Path) -> None:
    journal = stepped(tmp_path)

    journal.append(line(1))

    assert run("print(seqs(folder))", tmp_path) == "[1]\n"


def test_nothing_is_made_before_the_first_append(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "traces")
    journal.drop("no_turn")
    journal.pulse()
    journal.close([])

    assert not (tmp_path / "traces").exists()


def test_the_header_names_the_process_and_pairs_its_clocks(tmp_path: Path) -> None:
    journal = stepped(tmp_path, service="gw", budgets={"queued": (5.0, 9.0)})
    journal.append(line(1))

    header = read_header(segments(tmp_path)[0])

    assert header is not None
    assert {key: header[key] for key in ("turnscope", "version", "proc", "segment", "service", "sdk", "budgets")} == {
        "turnscope": "journal",
        "version": 1,
        "proc": journal.process_id,
        "segment": 1,
        "service": "gw",
        "sdk": VERSION,
        "budgets": {"queued": [5.0, 9.0]},
    }
    assert (header["t"], header["m"]) == (Clocks().wall, Clocks().mono)


def test_the_recorders_version_is_the_packages() -> None:
    project = (Path(__file__).parents[1] / "pyproject.toml").read_text()

    assert re.findall(r'^version = "(.+)"', project, re.MULTILINE) == [VERSION]


def test_closing_says_what_is_open_and_leaves_only_what_was_written(tmp_path: Path) -> None:
    journal = stepped(tmp_path)
    journal.append(line(1))
    journal.drop("redacted", 2)

    journal.close(["t1"])

    (end,) = notes(tmp_path, "end")
    (path,) = segments(tmp_path)
    assert (end["open"], end["drops"]) == (["t1"], {"redacted": 2})
    assert path.read_bytes().endswith(b"}\n")
    assert read_life(lives(tmp_path)[0]).fate == ENDED


def test_an_end_with_more_open_turns_than_a_line_holds_names_the_first(tmp_path: Path) -> None:
    journal = stepped(tmp_path)
    journal.append(line(1))

    journal.close([f"turn-{number:0100d}" for number in range(2000)])

    (end,) = notes(tmp_path, "end")
    assert end["open"] == [f"turn-{number:0100d}" for number in range(500)]


def test_an_append_after_close_opens_the_journal_again(tmp_path: Path) -> None:
    journal = stepped(tmp_path)
    journal.append(line(1))
    journal.close([])

    journal.append(line(2))

    assert seqs(tmp_path) == [1, 2]
    assert read_life(lives(tmp_path)[0]).fate == RUNNING


def test_every_later_segment_begins_with_its_header_and_what_is_open(tmp_path: Path) -> None:
    clocks = Clocks()
    opened = [line(1), line(2, phase="upstream_sent", lane="upstream:1")]
    journal = stepped(tmp_path, clocks, segment_bytes=SMALL_BYTES, carry=lambda: opened)
    for mark in opened:
        journal.append(mark)

    for seq in range(3, 300):
        clocks.run(1)
        journal.append(padded(seq, "other"))
        journal.pulse()

    headers = [read_header(path) for path in segments(tmp_path)]
    used = [path.read_bytes().splitlines(keepends=True) for path in segments(tmp_path)[1:-1]]
    carried = note_line({"turnscope": "carried", "proc": journal.process_id, "lines": 2})
    assert len(used) > 1
    assert [lines[1:4] for lines in used] == [[*opened, carried]] * len(used)
    assert {(header["t"], header["m"]) for header in headers if header} == {(Clocks().wall, Clocks().mono)}
    assert sorted(set(seqs(tmp_path))) == list(range(1, 300))


def test_the_next_segment_is_ready_before_it_is_needed(tmp_path: Path) -> None:
    journal = stepped(tmp_path, segment_bytes=SMALL_BYTES)
    for seq in range(1, 60):
        journal.append(padded(seq))
    before = segments(tmp_path)
    journal.pulse()
    ready = segments(tmp_path)

    for seq in range(60, 140):
        journal.append(padded(seq))

    assert (len(before), len(ready)) == (1, 2)
    assert segments(tmp_path) == ready
    assert seqs(tmp_path) == list(range(1, 140))


def test_a_carry_that_fails_costs_no_mark(tmp_path: Path) -> None:
    def fail() -> Iterator[bytes]:
        raise RuntimeError

    journal = stepped(tmp_path, segment_bytes=SMALL_BYTES, carry=fail)

    for seq in range(1, 300):
        journal.append(padded(seq))

    assert seqs(tmp_path) == list(range(1, 300))


def test_a_carry_larger_than_a_segment_gets_a_larger_one(tmp_path: Path) -> None:
    opened = [padded(seq, f"t{seq}") for seq in range(1, 400)]
    journal = stepped(tmp_path, segment_bytes=SMALL_BYTES, carry=lambda: opened)

    for seq in range(400, 530):
        journal.append(padded(seq, "other"))

    first, second = segments(tmp_path)
    assert [entry.fields()["seq"] for entry in read_segment(second) if isinstance(entry, RawMark)][:399] == list(
        range(1, 400)
    )
    assert len(first.read_bytes()) <= SMALL_BYTES


def test_a_line_over_the_limit_is_counted_and_not_written(tmp_path: Path) -> None:
    journal = stepped(tmp_path)
    longest = b'{"turn":"' + b"x" * (LONGEST_LINE - 12) + b'"}\n'

    journal.append(longest)
    journal.append(b" " + longest)

    assert len(segments(tmp_path)[0].read_bytes().rstrip(b"\0").split(b"\n")[1]) == LONGEST_LINE - 1
    assert journal.drops() == {"too_large": 1}


def test_eight_threads_lose_nothing_while_segments_roll(tmp_path: Path) -> None:
    journal = Journal(tmp_path, segment_bytes=SMALL_BYTES, pulse_s=0.005)

    def record(first: int) -> None:
        for seq in range(first, 4000, 8):
            journal.append(line(seq))

    threads = [threading.Thread(target=record, args=(first,)) for first in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    journal.close([])

    assert sorted(seqs(tmp_path)) == list(range(4000))
    assert journal.drops() == {}


def test_a_signal_handler_that_records_never_tears_a_line(tmp_path: Path) -> None:
    out = run(
        """
import itertools, signal
journal = Journal(folder, segment_bytes=SMALL_BYTES, pulse_s=None, carry=lambda: [line(0)])
numbers = itertools.count(1)
handled = []
def handle(*_):
    handled.append(next(numbers))
    journal.append(line(handled[-1], "handler"))
signal.signal(signal.SIGALRM, handle)
signal.setitimer(signal.ITIMER_REAL, 0.0002, 0.0002)
while len(handled) < 300:
    journal.append(line(next(numbers)))
signal.setitimer(signal.ITIMER_REAL, 0)
print(next(numbers))
""",
        tmp_path,
    )

    assert sorted(set(seqs(tmp_path)) - {0}) == list(range(1, int(out)))


def test_a_forked_child_records_into_files_of_its_own(tmp_path: Path) -> None:
    out = run(
        """
journal = Journal(folder, segment_bytes=SMALL_BYTES, pulse_s=0.01)
journal.append(line(1, "parent"))
slot = journal.slot(1)
parent = journal.process_id
before = segments(folder)[0].read_bytes(), lives(folder)[0].stat().st_ino
child = os.fork()
if child == 0:
    slot.progress(5)
    untouched = (segments(folder)[0].read_bytes()) == before[0] and len(segments(folder)) == 1
    for seq in range(1, 400):
        journal.append(padded(seq, "child"))
    slot.release()
    journal.close([])
    os._exit(0 if untouched else 1)
print(os.waitpid(child, 0)[1])
slot.progress(7)
journal.append(line(2, "parent"))
print(parent, slot.figures()["bytes"], len(segments(folder)))
os._exit(0)
""",
        tmp_path,
    )

    status, parent, figure, files = out.split()
    turns: dict[bool, set[tuple[object, object]]] = {True: set(), False: set()}
    for path in segments(tmp_path):
        own = (read_header(path) or {})["proc"] == parent
        turns[own] |= {
            (entry.fields()["turn"], entry.fields()["seq"])
            for entry in read_segment(path)
            if isinstance(entry, RawMark)
        }
    assert (status, figure) == ("0", "7")
    assert int(files) > 3
    assert turns == {True: {("parent", 1), ("parent", 2)}, False: {("child", seq) for seq in range(1, 400)}}
    (slot,) = read_life(tmp_path / f"{parent}.life").slots.values()
    assert (slot.chunks, slot.bytes) == (1, 7)


def test_two_processes_write_side_by_side(tmp_path: Path) -> None:
    code = """
journal = Journal(folder)
for seq in range(1, 2000):
    journal.append(line(seq, proc=journal.process_id))
journal.close([])
"""
    writers = [start(code, tmp_path) for _ in range(2)]
    for writer in writers:
        assert writer.wait() == 0
        kill(writer)

    found: dict[str, list[int]] = {}
    for mark in marks(tmp_path):
        found.setdefault(mark["proc"], []).append(mark["seq"])
    assert list(found.values()) == [list(range(1, 2000))] * 2
    assert len(lives(tmp_path)) == 2


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 1 MiB."""
    for folder in mounted(tmp_path / "disk", "-t", "tmpfs", "-o", "size=1m", "tmpfs"):
        yield folder
        return
    pytest.skip("mounting a small disk needs root")


def test_a_full_disk_is_counted_and_recording_resumes_when_there_is_room(disk: Path, caplog: Any) -> None:
    open_turn = line(1, "open")
    journal = stepped(disk / "traces", segment_bytes=SMALL_BYTES, carry=lambda: [open_turn])
    journal.append(open_turn)
    filler = disk / "filler"
    filler.write_bytes(bytes(700 << 10))
    for seq in range(2, 500):
        journal.append(padded(seq))
    lost = journal.drops()["no_space"]

    filler.unlink()
    journal.pulse()
    journal.append(line(500))

    kept = seqs(disk / "traces")
    assert 0 < lost < 498
    assert len(set(kept)) == 500 - lost
    assert kept[-2:] == [1, 500]
    assert read_life(lives(disk / "traces")[0]).drops == {"no_space": lost}
    assert len([record for record in caplog.records if "no_space" in record.message]) == 1


def test_a_nearly_full_disk_gets_a_smaller_segment(disk: Path) -> None:
    (disk / "filler").write_bytes(bytes(300 << 10))
    journal = stepped(disk / "traces", segment_bytes=8 << 20)

    journal.append(line(1))

    assert segments(disk / "traces")[0].stat().st_size == 512 << 10
    assert seqs(disk / "traces") == [1]


def test_a_disk_that_turns_read_only_is_counted_until_it_can_be_written_again(disk: Path) -> None:
    # In a process of its own: a file that is mapped here would keep the disk from turning read-only.
    run(
        "journal = Journal(folder, segment_bytes=SMALL_BYTES); journal.append(line(1)); journal.close([])",
        disk / "traces",
    )
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    fresh = stepped(disk / "traces", segment_bytes=SMALL_BYTES)
    for seq in range(2, 5):
        fresh.append(line(seq))
    lost = fresh.drops()
    subprocess.run(["mount", "-o", "remount,rw", str(disk)], check=True)
    fresh.pulse()
    fresh.append(line(5))

    assert lost == {"read_only": 3}
    assert sorted(seqs(disk / "traces")) == [1, 5]


def test_a_folder_that_cannot_be_made_costs_the_turn_nothing(tmp_path: Path, caplog: Any) -> None:
    (tmp_path / "file").write_bytes(b"")
    journal = stepped(tmp_path / "file" / "traces")

    with caplog.at_level(logging.WARNING, "turnscope"):
        for seq in range(3):
            journal.append(line(seq))
        journal.pulse()
        journal.close([])

    assert journal.drops() == {"io_error": 3}
    assert len(caplog.records) == 1


@pytest.mark.parametrize(("limit", "size", "found"), [(300 << 10, 256 << 10, "1 2"), (1000, 0, "")])
def test_a_file_size_limit_leads_to_a_smaller_segment_or_is_counted(
    tmp_path: Path, limit: int, size: int, found: str
) -> None:
    out = run(
        """
import resource
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]),) * 2)
journal = Journal(folder)
journal.append(line(1)); journal.append(line(2))
print(journal.drops().get("file_limit", 0), sum(path.stat().st_size for path in segments(folder)), *seqs(folder))
os._exit(0)
""",
        tmp_path,
        limit,
    )

    assert out.strip() == f"{0 if found else 2} {size} {found}".strip()


def test_without_memory_for_a_map_each_line_is_written(tmp_path: Path) -> None:
    out = run(
        """
import resource
journal = Journal(folder, segment_bytes=1 << 30, pulse_s=None)
used = int(Path("/proc/self/statm").read_text().split()[0]) * 4096
resource.setrlimit(resource.RLIMIT_AS, (used + (64 << 20),) * 2)
for seq in range(1, 100):
    journal.append(line(seq))
(path,) = segments(folder)
print(path.stat().st_size == len(path.read_bytes().rstrip(bytes(1))), journal.drops())
journal.close(["t1"])
""",
        tmp_path,
    )

    assert out == "True {}\n"
    assert seqs(tmp_path) == list(range(1, 100))
    assert notes(tmp_path, "end")[0]["open"] == ["t1"]


@pytest.mark.parametrize("notice", ["pulse", "roll", "close"])
def test_a_vanished_folder_is_made_again_with_all_that_the_segment_held(tmp_path: Path, notice: str) -> None:
    folder = tmp_path / "traces"
    journal = stepped(folder, segment_bytes=SMALL_BYTES)
    for seq in range(1, 100):
        journal.append(padded(seq))
    subprocess.run(["rm", "-r", str(folder)], check=True)

    if notice == "pulse":
        journal.pulse()
    elif notice == "roll":
        for seq in range(100, 180):
            journal.append(padded(seq))
    else:
        journal.close([])

    expected = list(range(1, 180 if notice == "roll" else 100))
    assert seqs(folder) == expected
    assert journal.drops() == {"folder_vanished": 1}
    journal.pulse()
    assert seqs(folder) == expected


@pytest.mark.parametrize("room_bytes", [0, 160 << 10])
def test_a_vanished_segment_that_finds_too_little_room_is_kept_until_there_is_more(disk: Path, room_bytes: int) -> None:
    folder = disk / "traces"
    journal = stepped(folder, segment_bytes=256 << 10)
    for seq in range(1, 150):
        journal.append(padded(seq))
    subprocess.run(["rm", "-r", str(folder)], check=True)
    filler = disk / "filler"
    with pytest.raises(OSError, match="No space"):
        filler.write_bytes(bytes(1 << 20))
    os.truncate(filler, filler.stat().st_size - room_bytes)

    journal.pulse()
    journal.append(padded(150))
    filler.unlink()
    journal.pulse()
    journal.append(padded(151))

    assert seqs(folder) == list(range(1, 152))
    assert journal.drops() == {"folder_vanished": 1}


def test_a_prepared_segment_that_vanished_is_not_used(tmp_path: Path) -> None:
    journal = stepped(tmp_path, segment_bytes=SMALL_BYTES)
    for seq in range(1, 60):
        journal.append(padded(seq))
    journal.pulse()
    segments(tmp_path)[1].unlink()

    for seq in range(60, 140):
        journal.append(padded(seq))

    assert seqs(tmp_path) == list(range(1, 140))


def test_a_vanished_life_file_is_made_again_with_its_figures(tmp_path: Path) -> None:
    journal = stepped(tmp_path)
    journal.append(line(1))
    journal.drop("capped", 3)
    slot = journal.slot(7)
    assert slot is not None
    slot.progress(10)
    lives(tmp_path)[0].unlink()

    journal.pulse()
    slot.progress(10)

    life = read_life(lives(tmp_path)[0])
    assert life.drops == {"capped": 3}
    assert [(figures.seq, figures.bytes) for figures in life.slots.values()] == [(7, 20)]


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


def test_more_streams_than_slots_are_counted(tmp_path: Path) -> None:
    journal = stepped(tmp_path)
    slots = [journal.slot(seq) for seq in range(1, SLOTS + 3)]

    assert slots.count(None) == 2
    assert journal.drops() == {"slots_full": 2}


def test_sync_leaves_no_descriptor_behind(tmp_path: Path) -> None:
    out = run(
        """
def descriptors():
    return len(list(Path("/proc/self/fd").iterdir()))
journal = Journal(folder, pulse_s=None, sync_accepted=True)
journal.sync()
journal.append(line(1))
before = descriptors()
journal.sync()
journal.pulse()
print(descriptors() - before, journal.drops())
""",
        tmp_path,
    )

    assert out == "0 {}\n"


def test_notes_and_marks_are_all_json_objects(tmp_path: Path) -> None:
    clocks = Clocks()
    journal = stepped(tmp_path, clocks)
    journal.append(line(1))
    clocks.run(60)
    journal.pulse()
    journal.close([])

    lines = segments(tmp_path)[0].read_bytes().splitlines()

    assert [type(orjson.loads(text)) for text in lines] == [dict] * 4
