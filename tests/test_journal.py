"""The journal: what was appended is there, whatever happens to the disk, the folder, the clock or the process."""

from __future__ import annotations

import re
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import orjson

from journal_kit import (
    SMALL_BYTES,
    Clocks,
    line,
    lives,
    notes,
    padded,
    run,
    segments,
    seqs,
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
