"""What goes when the folder holds too much: the oldest whose turns have ended, and never what is still needed."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest

from journal_kit import SMALL_BYTES, Clocks, kill, line, lives, marks, padded, run, segments, start, stepped

if TYPE_CHECKING:
    from pathlib import Path

    from turnscope.journal import Journal

DAY_S = 86_400


def fill(journal: Journal, numbers: range, turn: str | None = None, per_turn: int = 50) -> None:
    """Append marks of a kilobyte: *per_turn* of them make a turn that ends, or all are of *turn*, which does not."""
    for number in numbers:
        name = turn or f"turn-{number // per_turn}"
        journal.append(padded(number, name))
        if turn is None and number % per_turn == per_turn - 1:
            journal.append(line(100_000 + number, name, "completed"))


def numbers_of(paths: list[Path]) -> list[str]:
    return [path.stem[-6:] for path in paths]


def test_a_folder_within_its_cap_keeps_everything(tmp_path: Path) -> None:
    journal = stepped(tmp_path, segment_bytes=SMALL_BYTES)

    fill(journal, range(1000))
    journal.pulse()

    assert numbers_of(segments(tmp_path))[0] == "000001"
    assert len({mark["seq"] for mark in marks(tmp_path)}) == 1020


def test_the_oldest_closed_segments_go_until_the_cap_holds(tmp_path: Path) -> None:
    journal = stepped(tmp_path, segment_bytes=SMALL_BYTES, cap_bytes=5 * SMALL_BYTES)

    fill(journal, range(1000))
    journal.pulse()

    kept = segments(tmp_path)
    assert sum(path.stat().st_size for path in kept) <= 5 * SMALL_BYTES
    assert numbers_of(kept) == ["000006", "000007", "000008", "000009", "000010"]
    assert {mark["seq"] for mark in marks(tmp_path)} >= set(range(620, 1000))
    assert journal.drops() == {}


def test_a_segment_with_a_turn_that_has_not_ended_is_kept_before_a_newer_settled_one(tmp_path: Path) -> None:
    journal = stepped(tmp_path, segment_bytes=SMALL_BYTES, cap_bytes=5 * SMALL_BYTES)
    journal.append(line(500_000, "stuck"))

    fill(journal, range(1000))
    journal.pulse()

    assert numbers_of(segments(tmp_path))[0] == "000001"
    assert marks(tmp_path)[0]["turn"] == "stuck"
    assert journal.drops() == {}


def test_it_goes_once_the_turn_has_ended_in_a_later_segment(tmp_path: Path) -> None:
    journal = stepped(tmp_path, segment_bytes=SMALL_BYTES, cap_bytes=5 * SMALL_BYTES)
    journal.append(line(500_000, "long"))
    fill(journal, range(1000))
    journal.pulse()

    journal.append(line(500_001, "long", "completed"))
    fill(journal, range(1000, 1200))
    journal.pulse()

    assert "000001" not in numbers_of(segments(tmp_path))


def test_only_when_all_others_went_is_what_is_needed_given_up_and_counted(tmp_path: Path, caplog: Any) -> None:
    journal = stepped(tmp_path, segment_bytes=SMALL_BYTES, cap_bytes=4 * SMALL_BYTES)

    for part in range(10):
        journal.append(line(500_000 + part, f"stuck-{part}"))
        fill(journal, range(part * 100, part * 100 + 100))
    journal.pulse()

    kept = segments(tmp_path)
    assert sum(path.stat().st_size for path in kept) <= 4 * SMALL_BYTES
    assert journal.drops()["retention"] >= 4
    assert len([record for record in caplog.records if "cap of" in record.message]) == 1


def test_an_open_turn_never_outlives_its_accepted(tmp_path: Path) -> None:
    accepted = line(500_000, "stuck")
    waits = line(500_001, "stuck", "upstream_sent", "upstream:1")
    journal = stepped(tmp_path, segment_bytes=SMALL_BYTES, cap_bytes=3 * SMALL_BYTES, carry=lambda: [accepted, waits])
    journal.append(accepted)
    journal.append(waits)

    for begin in range(0, 3000, 200):
        fill(journal, range(begin, begin + 200))
        journal.pulse()

        found = [mark["phase"] for mark in marks(tmp_path) if mark["turn"] == "stuck"]
        assert found[:2] == ["accepted", "upstream_sent"]
    assert "000001" not in numbers_of(segments(tmp_path))


def test_settled_segments_go_by_age_and_those_still_needed_do_not(tmp_path: Path) -> None:
    clocks = Clocks()
    journal = stepped(tmp_path, clocks, segment_bytes=SMALL_BYTES, keep_s=14 * DAY_S)
    fill(journal, range(300))
    journal.append(line(500_000, "stuck"))
    fill(journal, range(300, 600))
    closed = segments(tmp_path)[:-1]
    assert numbers_of(closed) == ["000001", "000002", "000003", "000004"]
    for path, days in zip(closed, (15, 13, 15, 15), strict=True):
        os.utime(path, ns=(0, clocks.wall - days * DAY_S * 10**9))

    journal.pulse()

    # The second is too young, the turn stuck is in the third, the fifth is in use.
    assert numbers_of(segments(tmp_path))[:3] == ["000002", "000003", "000005"]


def test_what_a_gone_process_left_goes_with_its_life_file(tmp_path: Path) -> None:
    run(
        """
journal = Journal(folder, segment_bytes=SMALL_BYTES)
for seq in range(400):
    journal.append(padded(seq, "done"))
journal.append(line(400, "done", "completed"))
journal.close([])
""",
        tmp_path,
    )
    (dead_life,) = lives(tmp_path)
    dead = segments(tmp_path)
    journal = stepped(tmp_path, segment_bytes=SMALL_BYTES, cap_bytes=2 * SMALL_BYTES)

    journal.append(line(1))
    journal.pulse()

    assert len(dead) > 3
    assert len(segments(tmp_path)) == 2
    assert dead_life.exists()

    fill(journal, range(200))
    journal.pulse()
    assert not dead_life.exists()
    assert not any(path.exists() for path in dead)


def test_files_of_a_live_process_and_of_another_host_are_never_touched(tmp_path: Path) -> None:
    other = start(
        """
journal = Journal(folder, segment_bytes=SMALL_BYTES, pulse_s=None)
for seq in range(400):
    journal.append(padded(seq, "done"))
journal.append(line(400, "done", "completed"))
os.write(1, b".")
sys.stdin.read()
""",
        tmp_path,
    )
    assert other.stdout is not None
    other.stdout.read(1)
    foreign = tmp_path / "foreign.jsonl"
    foreign.write_bytes(b'{"turnscope":"journal","proc":"f0f0f0f0f0f0","host":"elsewhere","pid":1,"pid_start":"1"}\n')
    notes_of_a_user = tmp_path / "notes.jsonl"
    notes_of_a_user.write_bytes(b'{"my":"notes"}\n')
    theirs = {*segments(tmp_path), foreign, notes_of_a_user}
    journal = stepped(tmp_path, segment_bytes=SMALL_BYTES, cap_bytes=2 * SMALL_BYTES)

    fill(journal, range(500))
    journal.pulse()
    left = set(segments(tmp_path))
    kill(other)

    assert theirs <= left
    assert len(left - theirs) == 2  # the one in use and the one that is prepared


def test_whoever_still_needs_a_segment_can_hold_it(tmp_path: Path) -> None:
    def is_held(path: Path) -> bool:
        return path.stem.endswith("000002")

    journal = stepped(tmp_path, segment_bytes=SMALL_BYTES, cap_bytes=4 * SMALL_BYTES, is_held=is_held)

    fill(journal, range(1000))
    journal.pulse()

    assert numbers_of(segments(tmp_path))[0] == "000002"


@pytest.mark.parametrize(("at_byte", "goes"), [(0, False), (9000, True)])
def test_a_damaged_segment_holds_nobody_up_and_one_that_nobody_claims_stays(
    tmp_path: Path, at_byte: int, *, goes: bool
) -> None:
    journal = stepped(tmp_path, segment_bytes=SMALL_BYTES, cap_bytes=4 * SMALL_BYTES)
    fill(journal, range(1000))
    second = segments(tmp_path)[1]
    content = second.read_bytes()
    second.write_bytes(content[:at_byte] + b"\xff\n" + content[at_byte:])
    os.utime(second, (0, 0))
    (tmp_path / "folder.jsonl").mkdir()

    journal.pulse()

    assert second.exists() != goes
    assert "000003" not in numbers_of(segments(tmp_path))
