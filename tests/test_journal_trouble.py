"""The journal on a disk that is full, read-only, limited or gone: the turn goes on, the loss is counted."""

from __future__ import annotations

import logging
import os
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from journal_kit import (
    SMALL_BYTES,
    line,
    lives,
    mounted,
    notes,
    padded,
    run,
    segments,
    seqs,
    stepped,
)
from turnscope.life import read_life

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


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
