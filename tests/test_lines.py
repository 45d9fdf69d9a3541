from __future__ import annotations

import gzip
import os
import random
import sys
import tracemalloc
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from turnscope_analyzer.sources import lines
from turnscope_analyzer.sources.lines import BLOCK_BYTES, CAP_BYTES, TAIL_BYTES, Line, iter_lines
from turnscope_analyzer.sources.opened import DamagedError, head_of

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

if TYPE_CHECKING:
    from pathlib import Path


def write(folder: Path, content: bytes) -> Path:
    path = folder / "a.jsonl"
    path.write_bytes(content)
    return path


def test_every_line_is_given_with_its_offset(tmp_path: Path) -> None:
    path = write(tmp_path, b"one\n\nthree\n")

    assert list(iter_lines(path)) == [
        Line(0, b"one", 3, whole=True),
        Line(4, b"", 0, whole=True),
        Line(5, b"three", 5, whole=True),
    ]


def test_a_last_line_without_its_newline_is_given(tmp_path: Path) -> None:
    path = write(tmp_path, b"one\ntw")

    assert [line.head for line in iter_lines(path)] == [b"one", b"tw"]


def test_an_empty_file_has_no_lines(tmp_path: Path) -> None:
    assert list(iter_lines(write(tmp_path, b""))) == []


def test_carriage_returns_and_nul_bytes_do_not_end_a_line(tmp_path: Path) -> None:
    path = write(tmp_path, b"a\rb\0c\x85d\r\ne")

    assert [line.head for line in iter_lines(path)] == [b"a\rb\0c\x85d\r", b"e"]


def test_a_line_of_exactly_the_cap_is_whole_and_one_byte_more_is_not(tmp_path: Path) -> None:
    path = write(tmp_path, b"12345678\n123456789\n")

    assert list(iter_lines(path, cap_bytes=8)) == [
        Line(0, b"12345678", 8, whole=True),
        Line(9, b"12345678", 9, whole=False, tail=b"123456789"),
    ]


def test_a_missing_file_is_the_callers_matter(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        list(iter_lines(tmp_path / "gone.jsonl"))


def test_a_line_longer_than_a_block_keeps_its_two_ends(tmp_path: Path) -> None:
    middle = b"x" * (2 * BLOCK_BYTES)
    path = write(tmp_path, b"first\n" + b"<" + middle + b">" + b"\nlast\n")

    first, long, final = iter_lines(path)

    assert (first.head, final.head) == (b"first", b"last")
    assert (long.offset, long.length, long.whole) == (6, len(middle) + 2, False)
    assert long.head.startswith(b"<x")
    assert len(long.tail) == TAIL_BYTES
    assert long.tail.endswith(b"x>")
    assert final.offset == 6 + long.length + 1


def test_memory_does_not_grow_with_a_lines_length(tmp_path: Path) -> None:
    path = write(tmp_path, b"x" * (5 * BLOCK_BYTES))
    tracemalloc.start()

    lengths = [line.length for line in iter_lines(path)]
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert lengths == [5 * BLOCK_BYTES]
    assert peak_bytes < BLOCK_BYTES + (1 << 20)


def test_lines_written_while_the_file_is_read_are_given_too(tmp_path: Path) -> None:
    path = write(tmp_path, b"one\n" * 3)
    reading = iter_lines(path)

    first = next(reading)
    with path.open("ab") as file:
        file.write(b"late\n" * 100_000)

    assert first.head == b"one"
    assert sum(1 for _ in reading) == 2 + 100_000


@given(content=st.lists(st.sampled_from([b"\n", b"a", b"bb", b"\r", b"\0", b"ccccccccccc"]), max_size=60).map(b"".join))
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_lines_of_any_content_and_any_block_size_join_to_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes
) -> None:
    # Blocks of a few bytes, so that lines cross them in every way.
    monkeypatch.setattr(lines, "BLOCK_BYTES", 5)
    monkeypatch.setattr(lines, "CAP_BYTES", 5)

    found = list(iter_lines(write(tmp_path, content), cap_bytes=1_000))

    assert b"\n".join(line.head for line in found) == content.removesuffix(b"\n")
    assert [line.offset for line in found] == [0, *(line.offset + line.length + 1 for line in found)][: len(found)]
    assert all(line.whole for line in found)


MANY = [b'{"n":%d,"noise":"%d"}' % (n, n**3 % 999_983) for n in range(40_000)]
CONTENT = b"".join(line + b"\n" for line in MANY)


def packed_with(packer: str) -> bytes:
    return gzip.compress(CONTENT, mtime=0) if packer == "gzip" else zstd.compress(CONTENT)


@pytest.mark.parametrize("packer", ["gzip", "zstd"])
def test_a_packed_file_gives_the_lines_and_offsets_that_it_holds_unpacked(tmp_path: Path, packer: str) -> None:
    plain = list(iter_lines(write(tmp_path, CONTENT)))

    assert list(iter_lines(write(tmp_path, packed_with(packer)))) == plain


@pytest.mark.parametrize("packer", ["gzip", "zstd"])
def test_a_packed_file_in_several_pieces_is_read_whole(tmp_path: Path, packer: str) -> None:
    path = write(tmp_path, packed_with(packer) * 2)

    assert [line.head for line in iter_lines(path)] == MANY * 2


@pytest.mark.parametrize("packer", ["gzip", "zstd"])
def test_a_packed_file_that_is_cut_gives_its_whole_lines_and_says_where_it_ends(tmp_path: Path, packer: str) -> None:
    packed = packed_with(packer)
    found: list[Line] = []

    with pytest.raises(DamagedError) as raised:
        for line in iter_lines(write(tmp_path, packed[: len(packed) * 3 // 4])):
            found.append(line)  # noqa: PERF402 -- those before the error are kept

    assert len(found) > len(MANY) // 2
    assert [line.head for line in found] == MANY[: len(found)]
    assert raised.value.offset == found[-1].offset + found[-1].length + 1


@pytest.mark.parametrize("packer", ["gzip", "zstd"])
def test_no_damage_to_packed_data_raises_anything_else(tmp_path: Path, packer: str) -> None:
    packed, chance = packed_with(packer), random.Random(7)
    noticed = 0
    for _ in range(60):
        damaged = bytearray(packed)
        damaged[chance.randrange(len(packed))] ^= 1 << chance.randrange(8)
        try:
            list(iter_lines(write(tmp_path, bytes(damaged))))
        except DamagedError as error:
            assert error.offset >= 0
            noticed += 1

    assert noticed


def test_a_damaged_error_is_an_os_error_that_names_the_file_and_none_of_its_content(tmp_path: Path) -> None:
    path = write(tmp_path, packed_with("zstd")[:-9])

    with pytest.raises(OSError, match="damaged or cut off") as raised:
        list(iter_lines(path))

    assert raised.value.filename == str(path)


@pytest.mark.parametrize("content", [CONTENT, packed_with("gzip"), packed_with("zstd")], ids=["plain", "gzip", "zstd"])
def test_progress_moves_within_one_file_and_adds_up_to_its_size_on_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes
) -> None:
    monkeypatch.setattr(lines, "BLOCK_BYTES", CAP_BYTES)
    path, steps = write(tmp_path, content), list[int]()

    for _ in iter_lines(path, progress=steps.append):
        pass

    assert len(list(filter(None, steps))) >= 2
    assert sum(steps) == path.stat().st_size


@pytest.mark.parametrize("packer", ["gzip", "zstd"])
def test_the_head_of_a_damaged_packed_file_is_what_came_before_the_damage(tmp_path: Path, packer: str) -> None:
    packed, chance = packed_with(packer), random.Random(11)
    for _ in range(60):
        damaged = bytearray(packed)
        damaged[chance.randrange(20, len(packed))] ^= 1 << chance.randrange(8)
        head = head_of(write(tmp_path, bytes(damaged)))

        assert head[:1] in (b"{", b"")


def test_a_pipe_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    os.mkfifo(path)

    with pytest.raises(OSError, match="not a regular file"):
        list(iter_lines(path))
