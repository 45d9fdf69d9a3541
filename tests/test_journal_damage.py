"""The analyzer on damaged journals: what is whole is judged as ever, what is not is listed with its place."""

from __future__ import annotations

import functools
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from journal_kit import SECOND_NS, line, lives, stepped
from segment_kit import LINES, NOW_NS, TURNS, header, stuck_turn, told, verdicts, whole_turn, write
from turnscope_analyzer.analyze import analyze
from turnscope_analyzer.engine import Engine
from turnscope_analyzer.question import Question
from turnscope_analyzer.sources.journal import Journals

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.mark.parametrize("name", ["traces [old]", "what?*", "~", "a{b,c}", "it's", os.fsdecode(b"\xff")])
def test_a_folder_with_an_odd_name_is_read(tmp_path: Path, name: str) -> None:
    write(tmp_path / name, header(), whole_turn("well", 1, 0), stuck_turn("stuck", 9, 10))

    report = analyze([tmp_path / name], now_ns=NOW_NS)

    assert (list(told(report)), report.healthy, report.rejects) == (["stuck"], 1, ())


def test_a_torn_tail_is_put_aside_and_everything_before_it_read(tmp_path: Path) -> None:
    body = header() + whole_turn("well", 1, 0) + stuck_turn("stuck", 6, 10)
    path = write(tmp_path, body, b'{"turn":"stuck","sess', bytes(9000))

    report = analyze([tmp_path], now_ns=NOW_NS)

    assert list(told(report)) == ["stuck"]
    assert report.healthy == 1
    assert report.rejects == ((str(path), len(body), "torn record of 21 bytes at the end"),)


def test_lines_that_are_no_records_are_listed_and_the_others_read(tmp_path: Path) -> None:
    begin = header() + stuck_turn("stuck", 1, 0)
    foreign = [b"garbage\n", b"[1]\n", b'{"other":1}\n', b'{"turn":"ghost","phase":"completed","m":5}\n',
               line(20, "ghost", "completed").replace(b'"lane":"turn"', b'"lane":null'), b"\xff\xfe\n"]  # fmt: skip
    path = write(tmp_path, begin, *foreign, whole_turn("well", 30, 10))

    report = analyze([tmp_path], now_ns=NOW_NS)

    offsets = [len(begin) + len(b"".join(foreign[:place])) for place in range(len(foreign))]
    assert [(reject.file, reject.offset) for reject in report.rejects] == [(str(path), offset) for offset in offsets]
    assert told(report)["stuck"][1] == "transport.no_headers"
    assert report.healthy == 1


def test_a_damaged_line_of_a_turn_hides_none_of_its_others(tmp_path: Path) -> None:
    marks = whole_turn("well", 1, 0).splitlines(keepends=True)
    marks[2] = marks[2].replace(b'"m":', b'"m"')

    write(tmp_path, header(), *marks, stuck_turn("stuck", 10, 10))
    report = analyze([tmp_path], now_ns=NOW_NS, everything=True)

    assert {turn: (state, rule) for turn, (state, rule, *_) in told(report).items()} == {
        "stuck": ("stuck", "transport.no_headers"),
        "well": ("healthy", "healthy.completed"),
    }
    assert len(report.rejects) == 1


@pytest.mark.parametrize("end", [b"\n", b""])
def test_a_line_of_two_megabytes_is_put_aside(tmp_path: Path, end: bytes) -> None:
    begin = header() + whole_turn("well", 1, 0)
    after = stuck_turn("stuck", 9, 10) if end else b""
    path = write(tmp_path, begin, b"x" * (2 << 20), end, after)
    write(tmp_path, header(proc="feedfacebeef"), stuck_turn("other", 1, 0, proc="feedfacebeef"), name="other.jsonl")

    report = analyze([tmp_path], now_ns=NOW_NS)

    assert set(told(report)) == {"other"} | ({"stuck"} if end else set())
    assert report.healthy == 1
    assert [reject[:2] for reject in report.rejects] == [(str(path), len(begin))]


@pytest.mark.parametrize("n_bytes", [1, 5000, 400_000])
def test_nul_bytes_amid_the_text_cost_no_record(tmp_path: Path, n_bytes: int) -> None:
    begin = header() + stuck_turn("stuck", 1, 0)
    path = write(tmp_path, begin, bytes(n_bytes), b"".join(whole_turn(f"w{n}", 10 * n, n) for n in range(1, 2000)))

    report = analyze([tmp_path], now_ns=NOW_NS)

    assert told(report)["stuck"][0] == "stuck"
    assert report.healthy == 1999
    assert [reject[:2] for reject in report.rejects] == [(str(path), len(begin))]


@pytest.mark.parametrize(
    "damaged",
    [
        b"",
        b"\n",
        header()[:40] + b"\n",
        header().replace(b"journal", b"kournal"),
        header().replace(b"feedfacecafe", b"feedfacecaff"),
        header(t="soon"),
        header(m=1 << 63),
        header(segment="x", budgets=[1], pid="x", host=5),
        header(budgets={"upstream_sent": [1], "queued": ["a", 1], "accepted": 5, "started": [0, 1e300]}),
    ],
)
def test_a_damaged_header_changes_no_verdict(tmp_path: Path, damaged: bytes) -> None:
    write(tmp_path, damaged, whole_turn("well", 1, 0), stuck_turn("stuck", 6, 10))

    report = analyze([tmp_path], now_ns=NOW_NS)

    assert {turn: rule for turn, (_, rule, *_) in told(report).items()} == {"stuck": "transport.no_headers"}
    assert report.healthy == 1


def test_numbers_that_cannot_be_fail_nothing(tmp_path: Path) -> None:
    huge = (1 << 63) - 1
    wild: dict[str, object] = {
        "progress_at": -huge,
        "max_gap": huge,
        "resets_at": huge,
        "chunks": 3,
        "cursor": huge,
        "slot": huge,
    }
    lines = [
        line(7, "wild", "first_item", "upstream:1", at_s=12, attrs=wild),
        line(8, "wild", "upstream_failed", "upstream:1", at_s=13, attrs=wild | {"error_type": 5, "status": "x"}),
        line(9, "wild", "awaiting_quota", "quota", at_s=14, attrs=wild | {"resets_at": huge}),
        line(10, "wild", "tool_call", "tool:a", at_s=1e10),
        line(11, "wild", "tool_call", "tool:b", at_s=-1e6),
    ]
    write(tmp_path, header(), stuck_turn("wild", 1, 0), *lines)

    report = analyze([tmp_path], now_ns=NOW_NS)

    assert told(report)["wild"][0] == "waiting"
    assert len(report.rejects) == 2


def test_a_life_file_of_nonsense_fails_nothing(tmp_path: Path) -> None:
    journal = stepped(tmp_path)
    journal.append(line(1, proc=journal.process_id))
    journal.pulse()
    journal.close(["t1"])
    (life,) = lives(tmp_path)
    life.write_bytes(life.read_bytes()[:20] + b"\xff" * (65_536 - 20))

    assert list(verdicts(tmp_path)) == ["t1"]


def test_a_mark_of_another_implementation_with_other_blanks_is_read(tmp_path: Path) -> None:
    spaced = [line.replace(b'":', b'": ') + b"\n" for line in stuck_turn("stuck", 1, 0).splitlines()]
    path = write(tmp_path, header(), *spaced)

    verdict = verdicts(tmp_path, now_ns=NOW_NS)["stuck"]

    assert verdict.rule == "transport.no_headers"
    assert verdict.evidence[0][:2] == (str(path), len(header()) + len(spaced[0]) + len(spaced[1]))


def test_a_segment_that_lies_there_twice_counts_once(tmp_path: Path) -> None:
    failed = [line(4, "stuck", "upstream_failed", "upstream:1", at_s=4, attrs={"error_type": "stream_cut"}),
              line(5, "stuck", "upstream_sent", "upstream:2", at_s=5)]  # fmt: skip
    for folder in ("a", "b"):
        write(tmp_path / folder, header(), whole_turn("well", 10, 0), stuck_turn("stuck", 1, 0), *failed)

    report = analyze([tmp_path], now_ns=NOW_NS)

    assert report.healthy == 1
    assert report.turns[0].summary == analyze([tmp_path / "a"], now_ns=NOW_NS).turns[0].summary
    assert len(report.turns[0].stretches) == len(analyze([tmp_path / "a"], now_ns=NOW_NS).turns[0].stretches)


def test_an_older_segment_that_is_cut_short_leaves_what_the_next_one_repeats(tmp_path: Path) -> None:
    opened = stuck_turn("stuck", 1, 0)
    carried = b'{"turnscope":"carried","proc":"feedfacecafe","lines":3}\n'
    write(tmp_path, header(), whole_turn("well", 10, 0), name="1.jsonl")
    write(tmp_path, header(segment=2), opened, carried, whole_turn("later", 20, 20), name="2.jsonl")

    report = analyze([tmp_path], now_ns=NOW_NS)

    assert told(report)["stuck"][1] == "transport.no_headers"
    assert report.healthy == 2


def test_a_segment_that_cannot_be_read_is_put_aside(tmp_path: Path) -> None:
    write(tmp_path, header(), whole_turn("well", 1, 0))
    (tmp_path / "gone.jsonl").symlink_to(tmp_path / "nowhere")

    report = analyze([tmp_path], now_ns=NOW_NS)

    assert report.healthy == 1
    assert report.rejects == ((str(tmp_path / "gone.jsonl"), 0, "cannot be read: No such file or directory"),)


def test_a_segment_that_goes_while_it_is_read_is_put_aside(tmp_path: Path) -> None:
    kept = write(tmp_path / "a", header(), whole_turn("well", 1, 0))
    early, late = (write(tmp_path / name, header(), stuck_turn(name, 1, 0)) for name in ("early", "late"))
    early.unlink()
    with Engine() as engine:
        engine.load("capture", [{"plain_below_ns": 60 * SECOND_NS}])
        journals = Journals([kept, early, late], engine.folder)
        late.unlink()

        journals.glance(engine, lambda _bytes: None, Question())

        assert engine.rows("SELECT turn_id, plain FROM glance") == [("well", True)]
    assert {reject.file for reject in journals.rejects} == {str(early), str(late)}


def ends() -> Iterator[tuple[str, int]]:
    """Yield each turn with the offset where its last line ends."""
    for n in range(TURNS):
        name = f"turn{n}"
        last = LINES.rindex(b'{"turn":"%s",' % name.encode())
        yield name, LINES.index(b"\n", last) + 1


def judged(content: bytes) -> dict[str, tuple[object, ...]]:
    with tempfile.TemporaryDirectory() as name:
        write(Path(name), content)
        return told(analyze([Path(name)], now_ns=NOW_NS, everything=True))


@functools.cache
def whole_journal() -> dict[str, tuple[object, ...]]:
    return judged(LINES)


@settings(max_examples=20, deadline=None)
@given(st.integers(len(header()) + 400, len(LINES)), st.booleans())
def test_a_cut_changes_no_verdict_of_a_turn_that_lies_before_it(cut: int, padded: bool) -> None:  # noqa: FBT001
    whole = whole_journal()

    left = judged(LINES[:cut] + bytes(5000 if padded else 0))

    before = {turn for turn, end in ends() if end <= cut}
    assert {turn: left[turn] for turn in before} == {turn: whole[turn] for turn in before}


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(0, len(LINES) - 1), st.integers(0, 255)), min_size=1, max_size=12))
def test_no_flipped_byte_makes_it_fail(flips: list[tuple[int, int]]) -> None:
    damaged = bytearray(LINES)
    for place, value in flips:
        damaged[place] = value

    with tempfile.TemporaryDirectory() as name:
        write(Path(name), bytes(damaged))
        write(Path(name), header(proc="feedfacebeef"), stuck_turn("other", 1, 0, proc="feedfacebeef"), name="2.jsonl")
        report = analyze([Path(name)], now_ns=NOW_NS, everything=True)

    assert told(report)["other"][1] == "transport.no_headers"
