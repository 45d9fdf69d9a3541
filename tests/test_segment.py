"""One segment: what fits is stored whole, what does not is refused, and nothing of it shows."""

from __future__ import annotations

import errno
import os
import sys
import threading
from typing import TYPE_CHECKING

import pytest

from journal_kit import SMALL_BYTES, run
from turnscope.segment import Segment

if TYPE_CHECKING:
    from pathlib import Path


def unmapped(path: Path, capacity: int = SMALL_BYTES) -> Segment:
    """Return a segment as it is where no memory map can be had."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND)
    return Segment(path, 1, fd, None, capacity)


def test_a_new_segment_has_all_its_blocks(tmp_path: Path) -> None:
    segment = Segment.create(tmp_path / "s", 1, SMALL_BYTES)

    stat = segment.path.stat()

    assert (stat.st_size, stat.st_blocks * 512 >= SMALL_BYTES) == (SMALL_BYTES, True)


def test_lines_are_stored_until_they_do_not_fit(tmp_path: Path) -> None:
    segment = Segment.create(tmp_path / "s", 1, SMALL_BYTES)
    line = b"x" * 60_000 + b"\n"

    assert [segment.put(line), segment.put(line), segment.put(line), segment.put(b"short\n")] == [
        True,
        True,
        False,
        True,
    ]

    segment.close()
    assert segment.path.read_bytes() == line * 2 + b"short\n"


@pytest.mark.parametrize("kind", ["mapped", "written"])
def test_the_last_byte_can_be_used_and_no_further_one(tmp_path: Path, kind: str) -> None:
    segment = Segment.create(tmp_path / "s", 1, 100) if kind == "mapped" else unmapped(tmp_path / "s", 100)

    assert segment.write(b"x" * 99 + b"\n")
    assert not segment.write(b"\n")

    segment.close()
    assert segment.path.stat().st_size == 100


def test_a_closed_segment_takes_nothing(tmp_path: Path) -> None:
    segment = Segment.create(tmp_path / "s", 1, SMALL_BYTES)
    segment.put(b"one\n")
    segment.close()
    segment.close()

    assert not segment.put(b"two\n")
    assert segment.path.read_bytes() == b"one\n"


def test_sealing_loses_no_line_of_a_thread_that_is_on_its_way(tmp_path: Path) -> None:
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for number in range(150):
            segment = Segment.create(tmp_path / str(number), 1, SMALL_BYTES)
            begun = threading.Event()
            stored: list[int] = []
            thread = threading.Thread(target=put_until_sealed, args=(segment, begun, stored))
            thread.start()
            begun.wait()
            segment.seal()
            thread.join()

            assert segment.content().count(b"\n") == sum(stored)
            segment.close()
    finally:
        sys.setswitchinterval(interval)


def put_until_sealed(segment: Segment, begun: threading.Event, stored: list[int]) -> None:
    while segment.put(b"line\n"):
        stored.append(1)
        begun.set()


def test_what_is_no_line_leaves_no_hole(tmp_path: Path) -> None:
    segment = Segment.create(tmp_path / "s", 1, SMALL_BYTES)

    with pytest.raises(TypeError):
        segment.put("text")  # type: ignore[arg-type]
    segment.put(b"line\n")

    segment.close()
    assert segment.path.read_bytes() == b"line\n"


@pytest.mark.parametrize("kind", ["mapped", "written"])
def test_the_content_outlives_the_file(tmp_path: Path, kind: str) -> None:
    segment = Segment.create(tmp_path / "s", 1, SMALL_BYTES) if kind == "mapped" else unmapped(tmp_path / "s")
    segment.write(b"line\n")

    segment.path.unlink()
    segment.seal()

    assert not segment.in_place()
    assert segment.content() == b"line\n"


def test_another_file_under_the_same_name_is_not_taken_for_the_segment(tmp_path: Path) -> None:
    segment = Segment.create(tmp_path / "s", 1, SMALL_BYTES)
    other = tmp_path / "other"
    other.write_bytes(b"")

    other.rename(segment.path)

    assert not segment.in_place()


def test_a_segment_never_takes_over_a_file_that_is_there(tmp_path: Path) -> None:
    (tmp_path / "s").write_bytes(b"somebody's")

    with pytest.raises(FileExistsError):
        Segment.create(tmp_path / "s", 1, SMALL_BYTES)

    assert (tmp_path / "s").read_bytes() == b"somebody's"


def test_a_write_that_fails_half_way_leaves_whole_lines(tmp_path: Path) -> None:
    out = run(
        """
import resource
from turnscope.segment import Segment
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
fd = os.open(folder / "s", os.O_RDWR | os.O_CREAT | os.O_APPEND)
segment = Segment(folder / "s", 1, fd, None, SMALL_BYTES)
kept = 0
try:
    while segment.write(b"x" * 299 + bytes([10])):
        kept += 1
except OSError as error:
    print(kept, error.errno, segment.length, (folder / "s").stat().st_size)
""",
        tmp_path,
    )

    assert out.split() == ["3", str(errno.EFBIG), "900", "900"]
