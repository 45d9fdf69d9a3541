"""The life file: whole words that others can read at any moment, also when their process was killed."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from journal_kit import SECOND_NS, Clocks
from turnscope.drops import DROPS
from turnscope.errors import JournalFormatError
from turnscope.life import LIFE_BYTES, RECOVERED, RUNNING, SLOTS, LifeFile, SlotFigures, read_life, write_fate


def life_file(clocks: Clocks | None = None) -> LifeFile:
    ticks = clocks or Clocks()
    return LifeFile("a1b2c3d4e5f6", 4711, lambda: ticks.mono)


def test_the_file_says_what_was_counted_before_and_after_it_was_made(tmp_path: Path) -> None:
    life = life_file()
    life.drop("no_space")
    life.create(tmp_path)
    life.drop("no_space", 2)
    life.drop("never heard of")
    life.pulse(10, 20)
    life.pulse(30, 40)

    read = read_life(tmp_path / "a1b2c3d4e5f6.life")

    assert (read.process_id, read.pid, read.pulses, read.fate) == ("a1b2c3d4e5f6", 4711, 2, RUNNING)
    assert (read.pulse_wall_ns, read.pulse_mono_ns) == (30, 40)
    assert read.drops == life.drops() == {"no_space": 3, "guard": 1}
    assert read.slots == {}


def test_a_slot_counts_chunks_apart_from_keepalives_and_keeps_the_longest_silence(tmp_path: Path) -> None:
    clocks = Clocks()
    life = life_file(clocks)
    life.create(tmp_path)
    slot = life.lend(7)
    assert slot is not None

    for seconds, size in ((1, 10), (5, 20), (2, 30)):
        clocks.run(seconds)
        slot.progress(size)
    clocks.run(9)
    slot.keepalive()
    slot.cursor = 12

    last = Clocks().mono + 8 * SECOND_NS
    assert slot.cursor == 12
    assert slot.figures() == {
        "chunks": 3,
        "bytes": 60,
        "keepalives": 1,
        "progress_at": last,
        "max_gap": 5 * SECOND_NS,
        "keepalive_at": last + 9 * SECOND_NS,
    }
    assert read_life(tmp_path / "a1b2c3d4e5f6.life").slots == {
        slot.index: SlotFigures(7, 3, 60, last, 1, last + 9 * SECOND_NS, 5 * SECOND_NS, 12)
    }


def test_figures_that_there_were_not_are_missing() -> None:
    slot = life_file().lend(7)
    assert slot is not None

    assert slot.figures() == {"chunks": 0, "bytes": 0, "keepalives": 0}


def test_a_slot_that_was_given_back_is_clean_for_the_next_and_deaf_to_the_last(tmp_path: Path) -> None:
    life = life_file()
    life.create(tmp_path)
    slots = [life.lend(seq) for seq in range(1, SLOTS + 1)]
    old = slots[0]
    assert old is not None
    old.progress(100)

    old.release()
    old.release()
    new = life.lend(9999)
    old.progress(100)

    assert new is not None
    assert life.lend(10_000) is None
    read = read_life(tmp_path / "a1b2c3d4e5f6.life")
    assert (read.slots[new.index].seq, read.slots[new.index].chunks) == (9999, 0)
    assert len(read.slots) == SLOTS


def test_progress_goes_on_in_a_file_that_is_made_later(tmp_path: Path) -> None:
    life = life_file()
    slot = life.lend(7)
    assert slot is not None
    slot.progress(10)
    life.create(tmp_path)
    slot.progress(10)

    assert read_life(tmp_path / "a1b2c3d4e5f6.life").slots[slot.index].bytes == 20


def test_a_fate_is_set_in_the_file_of_another_process(tmp_path: Path) -> None:
    life_file().create(tmp_path)
    path = tmp_path / "a1b2c3d4e5f6.life"

    write_fate(path, RECOVERED)

    assert read_life(path).fate == RECOVERED
    assert path.stat().st_size == LIFE_BYTES


@pytest.mark.parametrize("content", [b"", b"TSLIFE01", bytes(LIFE_BYTES), b"TSLIFE02" + bytes(LIFE_BYTES - 8)])
def test_a_file_that_is_none_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.life"
    path.write_bytes(content)

    with pytest.raises(JournalFormatError):
        read_life(path)


def test_any_bytes_behind_the_magic_can_be_read(tmp_path: Path) -> None:
    path = tmp_path / "x.life"
    path.write_bytes(b"TSLIFE01" + b"\xff" * (LIFE_BYTES - 8))

    assert len(read_life(path).slots) == SLOTS


def test_the_counters_stand_in_the_order_of_the_format_page() -> None:
    page = (Path(__file__).parents[1] / "docs" / "journal-format.md").read_text(encoding="utf-8")
    listed = page[page.index("`DROPS`:") : page.index("the rest is 0")]

    assert re.findall(r"(\d+) `(\w+)`", listed) == [(str(place), reason) for place, reason in enumerate(DROPS)]
