"""Closing the turns of lost processes: each once, at the last proof of life, and none that somebody else has."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from journal_kit import SMALL_BYTES, START_NS, kill, line, lives, marks, notes, run, segments, start, stepped
from turnscope.life import ENDED, RECOVERED, read_life
from turnscope.recover import Orphan, recover

if TYPE_CHECKING:
    from pathlib import Path

    from turnscope.journal import Journal


def lose(folder: Path, code: str, *args: object) -> str:
    """Run *code* in a process that is killed when it has recorded; return its process id."""
    ending = "\njournal.pulse()\nprint(journal.process_id, flush=True)\nsys.stdin.read()\n"
    head = "journal = Journal(folder, segment_bytes=SMALL_BYTES, pulse_s=None)\nproc = journal.process_id\n"
    process = start(head + code + ending, folder, *args)
    assert process.stdout is not None
    process_id = process.stdout.readline().decode().strip()
    kill(process)
    return process_id


def finder(folder: Path) -> Journal:
    return stepped(folder, segment_bytes=SMALL_BYTES)


def interruptions(folder: Path) -> list[dict[str, Any]]:
    return [mark for mark in marks(folder) if mark["phase"] == "interrupted"]


OPEN_TURN = """
journal.append(line(1, "open", "accepted", proc=proc, session="chat"))
journal.append(line(2, "open", "started", proc=proc, session="chat", at_s=1))
journal.append(line(3, "open", "upstream_sent", "upstream:1", proc=proc, session="chat", at_s=2))
journal.append(line(4, "ended", "accepted", proc=proc))
journal.append(line(5, "ended", "completed", proc=proc))
"""


def test_a_killed_processes_open_turn_ends_at_its_last_pulse(tmp_path: Path) -> None:
    process_id = lose(tmp_path, OPEN_TURN)
    pulse = read_life(tmp_path / f"{process_id}.life")

    found = recover(tmp_path, finder(tmp_path))

    assert found == [
        Orphan("open", "chat", "upstream_sent", "upstream:1", START_NS + 2 * 10**9, pulse.pulse_wall_ns or 0)
    ]
    (mark,) = interruptions(tmp_path)
    assert mark == {
        "turn": "open",
        "session": "chat",
        "lane": "turn",
        "phase": "interrupted",
        "t": pulse.pulse_wall_ns,
        "m": pulse.pulse_mono_ns,
        "seq": 6,
        "proc": process_id,
        "attrs": {"recovered": True, "error_type": "process_lost"},
    }
    assert read_life(tmp_path / f"{process_id}.life").fate == RECOVERED


def test_a_mark_after_the_last_pulse_is_the_last_proof_of_life(tmp_path: Path) -> None:
    lose(tmp_path, "journal.append(line(1, proc=proc, at_s=10**7))")

    (orphan,) = recover(tmp_path, finder(tmp_path))

    assert orphan.last_life_ns == START_NS + 10**16
    assert interruptions(tmp_path)[0]["m"] == 50 * 10**9 + 10**16


def test_what_was_recovered_is_not_found_again(tmp_path: Path) -> None:
    process_id = lose(tmp_path, OPEN_TURN)
    recover(tmp_path, finder(tmp_path))
    again = recover(tmp_path, finder(tmp_path))
    (tmp_path / f"{process_id}.life").unlink()

    without_life = recover(tmp_path, finder(tmp_path))

    assert (again, without_life) == ([], [])
    assert len(interruptions(tmp_path)) == 1


def test_a_process_that_is_running_keeps_its_turns(tmp_path: Path) -> None:
    other = start("Journal(folder).append(line(1)); os.write(1, b'.'); sys.stdin.read()", tmp_path)
    assert other.stdout is not None
    other.stdout.read(1)

    found = recover(tmp_path, finder(tmp_path))
    kill(other)

    assert found == []


def test_a_process_of_another_host_is_left_alone(tmp_path: Path) -> None:
    header = b'{"turnscope":"journal","proc":"feedfacecafe","segment":1,"host":"elsewhere","pid":1,"pid_start":"1"}\n'
    (tmp_path / "other.jsonl").write_bytes(header + line(1))

    assert recover(tmp_path, finder(tmp_path)) == []


def test_a_turn_that_was_open_when_its_process_said_goodbye_is_an_orphan(tmp_path: Path) -> None:
    goodbye = "journal = Journal(folder); journal.append(line(1, proc=journal.process_id)); journal.close({})"
    run(goodbye.format('["t1"]'), tmp_path)
    (path,) = lives(tmp_path)
    assert read_life(path).fate == ENDED

    found = recover(tmp_path, finder(tmp_path))

    assert [(orphan.turn_id, orphan.phase, orphan.lane) for orphan in found] == [("t1", "accepted", "turn")]
    assert read_life(path).fate == RECOVERED


def test_a_process_that_ended_with_nothing_open_stays_ended(tmp_path: Path) -> None:
    run("journal = Journal(folder); journal.append(line(1, phase='completed')); journal.close([])", tmp_path)

    assert recover(tmp_path, finder(tmp_path)) == []
    assert read_life(lives(tmp_path)[0]).fate == ENDED


@pytest.mark.parametrize("phase", ["started", "completed"])
def test_a_turn_that_another_process_took_over_is_no_orphan(tmp_path: Path, phase: str) -> None:
    lose(tmp_path, OPEN_TURN)
    journal = finder(tmp_path)
    journal.append(line(1, "open", phase, proc=journal.process_id, at_s=60))

    found = recover(tmp_path, journal)

    assert found == []
    assert interruptions(tmp_path) == []


def test_a_turn_that_was_resumed_and_lost_again_is_the_second_processes_orphan(tmp_path: Path) -> None:
    lose(tmp_path, OPEN_TURN)
    recover(tmp_path, finder(tmp_path))
    resumed = 'journal.append(line(1, "open", "started", proc=proc, session="chat", at_s=10**7))'
    second = lose(tmp_path, resumed)

    found = recover(tmp_path, finder(tmp_path))

    assert [orphan.turn_id for orphan in found] == ["open"]
    assert [mark["proc"] for mark in interruptions(tmp_path) if mark["t"] > START_NS + 10**15] == [second]


def test_two_lost_processes_that_shared_a_turn_leave_one_orphan(tmp_path: Path) -> None:
    lose(tmp_path, OPEN_TURN)
    second = lose(tmp_path, 'journal.append(line(1, "open", "started", proc=proc, at_s=60))')

    found = recover(tmp_path, finder(tmp_path))

    assert [orphan.turn_id for orphan in found] == ["open"]
    assert [mark["proc"] for mark in interruptions(tmp_path)] == [second]


def test_turns_opened_many_segments_ago_are_found_through_the_carry(tmp_path: Path) -> None:
    code = """
opened = [line(1, "open", proc=proc), line(2, "open", "tool_call", "tool:a", proc=proc)]
journal = Journal(folder, segment_bytes=SMALL_BYTES, pulse_s=None, carry=lambda: opened)
proc = journal.process_id
opened[:] = [line(1, "open", proc=proc), line(2, "open", "tool_call", "tool:a", proc=proc)]
for mark in opened:
    journal.append(mark)
for seq in range(3, 600):
    journal.append(padded(seq, "busy", proc=proc))
journal.append(line(600, "busy", "completed", proc=proc))
"""
    lose(tmp_path, code)
    for path in segments(tmp_path)[:-2]:
        path.unlink()

    found = recover(tmp_path, finder(tmp_path))

    assert [(orphan.turn_id, orphan.phase) for orphan in found] == [("open", "tool_call")]
    assert interruptions(tmp_path)[0]["seq"] == 601


def test_a_segment_cut_within_its_carry_does_not_hide_the_rest_of_it(tmp_path: Path) -> None:
    code = """
opened = [line(seq, f"t{seq}", proc=proc) for seq in range(1, 10)]
for mark in opened:
    journal.append(mark)
"""
    process_id = lose(tmp_path, code)
    (path,) = segments(tmp_path)
    header = path.read_bytes().partition(b"\n")[0].replace(b'"segment":1', b'"segment":2') + b"\n"
    carried = line(1, "t1", proc=process_id)
    (tmp_path / "second.jsonl").write_bytes(header + carried + line(2, "t2")[:50] + bytes(1000))
    (tmp_path / "third.jsonl").write_bytes(header.replace(b'"segment":2', b'"segment":3') + bytes(1000))

    found = recover(tmp_path, finder(tmp_path))

    assert [orphan.turn_id for orphan in found] == [f"t{seq}" for seq in range(1, 10)]


@pytest.mark.parametrize(
    ("recorded", "waited_in"),
    [
        (
            [("started", "turn"), ("upstream_sent", "upstream:1"), ("renderer_attached", "renderer:web")],
            "upstream_sent",
        ),
        ([("tool_call", "tool:a"), ("tool_call", "tool:b"), ("tool_result", "tool:b")], "tool_call"),
        ([("upstream_sent", "upstream:1"), ("upstream_completed", "upstream:1")], "upstream_completed"),
        ([("started", "turn"), ("cancel_requested", "cancel")], "started"),
        (
            [("upstream_sent", "upstream:1"), ("upstream_failed", "upstream:1"), ("never_heard_of", "odd")],
            "never_heard_of",
        ),
    ],
)
def test_an_orphan_says_what_its_turn_waited_in(
    tmp_path: Path, recorded: list[tuple[str, str]], waited_in: str
) -> None:
    code = """
journal.append(line(1, proc=proc))
for seq, (phase, lane) in enumerate(__import__("json").loads(sys.argv[2]), start=2):
    journal.append(line(seq, "t1", phase, lane, proc=proc))
"""
    lose(tmp_path, code, json.dumps(recorded))

    (orphan,) = recover(tmp_path, finder(tmp_path))

    assert orphan.phase == waited_in


def test_two_processes_that_recover_at_once_share_the_orphans_without_overlap(tmp_path: Path) -> None:
    for _ in range(3):
        lose(tmp_path, "for seq in range(1, 40): journal.append(line(seq, f'{proc}-{seq}', proc=proc))")
    code = """
from turnscope.recover import recover
journal = Journal(folder, segment_bytes=SMALL_BYTES)
sys.stdin.readline()
found = recover(folder, journal)
print(len(found))
journal.close([])
"""
    claimants = [start(code, tmp_path) for _ in range(3)]
    for claimant in claimants:
        assert claimant.stdin is not None
        claimant.stdin.write(b"\n")
        claimant.stdin.flush()

    found = [int(claimant.communicate()[0]) for claimant in claimants]

    assert sum(found) == 3 * 39
    assert len({mark["turn"] for mark in interruptions(tmp_path)}) == len(interruptions(tmp_path)) == 3 * 39


def test_damaged_and_foreign_files_do_not_keep_the_rest_from_being_recovered(tmp_path: Path) -> None:
    process_id = lose(tmp_path, OPEN_TURN)
    (tmp_path / f"{process_id}.life").write_bytes(b"nonsense")
    (tmp_path / "empty.jsonl").write_bytes(b"")
    (tmp_path / "folder.jsonl").mkdir()
    (tmp_path / "random.jsonl").write_bytes(b"\x01\xff" * 4000)

    (orphan,) = recover(tmp_path, finder(tmp_path))

    assert orphan.turn_id == "open"
    assert orphan.last_life_ns == START_NS + 2 * 10**9


def test_a_folder_that_is_not_there_has_no_orphans(tmp_path: Path) -> None:
    assert recover(tmp_path / "none", finder(tmp_path)) == []
    assert notes(tmp_path, "journal") == []
