"""Several processes and one journal folder: each writes files of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from journal_kit import (
    kill,
    lives,
    marks,
    run,
    segments,
    start,
)
from turnscope.life import read_life
from turnscope.reading import RawMark, read_header, read_segment

if TYPE_CHECKING:
    from pathlib import Path


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
