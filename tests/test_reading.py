"""Reading a segment back: everything whole is found, everything damaged is put aside, nothing fails."""

from __future__ import annotations

import tempfile
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from journal_kit import SMALL_BYTES, line, marks, segments, stepped
from turnscope.errors import JournalFormatError
from turnscope.reading import Note, RawMark, Reject, Torn, is_segment, read_end, read_header, read_segment
from turnscope.segment import LONGEST_LINE

HEADER = b'{"turnscope":"journal","version":1,"proc":"feedfacecafe"}\n'
TEXT = st.text(st.characters(codec="utf-8"), max_size=40)


def read(tmp_path: Path, content: bytes) -> list[RawMark | Note | Reject | Torn]:
    path = tmp_path / "segment"
    path.write_bytes(content)
    return list(read_segment(path))


def kinds(entries: list[RawMark | Note | Reject | Torn]) -> list[str]:
    return [type(entry).__name__ for entry in entries]


def test_marks_and_notes_come_in_order_with_their_offsets(tmp_path: Path) -> None:
    first, second = line(1), line(2)

    entries = read(tmp_path, HEADER + first + second)

    assert kinds(entries) == ["Note", "RawMark", "RawMark"]
    assert [entry.offset for entry in entries] == [0, len(HEADER), len(HEADER + first)]
    assert [entry.fields()["seq"] for entry in entries if isinstance(entry, RawMark)] == [1, 2]


def test_the_text_ends_at_the_first_nul_byte(tmp_path: Path) -> None:
    entries = read(tmp_path, HEADER + line(1) + bytes(9 << 20) + line(2))

    assert kinds(entries) == ["Note", "RawMark"]


def test_a_file_cut_at_any_byte_of_its_last_mark_loses_only_that_mark(tmp_path: Path) -> None:
    whole, last = HEADER + line(1) + line(2), line(3)

    for cut in range(len(last)):
        for padding in (b"", bytes(5000)):
            entries = read(tmp_path, whole + last[:cut] + padding)

            assert kinds(entries) == ["Note", "RawMark", "RawMark"] + ["Torn"] * (cut > 0)
    assert kinds(read(tmp_path, whole + last)) == ["Note", "RawMark", "RawMark", "RawMark"]


def test_a_last_line_that_is_garbled_is_torn_and_an_earlier_one_put_aside(tmp_path: Path) -> None:
    entries = read(tmp_path, HEADER + b"garbage\n" + line(1) + b'{"turn":"t1","se\xff\n')

    assert kinds(entries) == ["Note", "Reject", "RawMark", "Torn"]
    assert entries[1] == Reject(len(HEADER), "not_json")
    assert entries[3] == Torn(len(HEADER) + 8 + len(line(1)), 18)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b"", "not_json"),
        (b"[1]", "not_json"),
        (b'"turn"', "not_json"),
        (b"\xff\xfe", "not_json"),
        (b'{"other":1}', "unknown"),
        (b'{"turn":1}', "unknown"),
        (b"x" * LONGEST_LINE, "too_long"),
        (b'{"turn":"' + b"x" * (3 << 20) + b'"}', "too_long"),
    ],
)
def test_what_is_no_record_is_put_aside_and_the_rest_read_on(tmp_path: Path, text: bytes, reason: str) -> None:
    entries = read(tmp_path, HEADER + text + b"\n" + line(1))

    assert entries[1] == Reject(len(HEADER), reason)
    assert entries[2] == RawMark(len(HEADER) + len(text) + 1, line(1)[:-1])


def test_the_longest_line_is_read(tmp_path: Path) -> None:
    longest = b'{"turn":"' + b"x" * (LONGEST_LINE - 12) + b'"}\n'

    assert kinds(read(tmp_path, longest + line(1))) == ["RawMark", "RawMark"]


def test_a_mark_in_another_spelling_is_read(tmp_path: Path) -> None:
    (entry,) = read(tmp_path, line(1).replace(b'":', b'": ').replace(b"t1", b"t\\u0031"))

    assert isinstance(entry, RawMark)
    assert entry.fields()["turn"] == "t1"


@pytest.mark.parametrize("text", [b'{"turn":"t1"}', b'{"turn":"t1",}', line(1)[:-1].replace(b'"seq":1', b'"seq":"1"')])
def test_a_mark_that_lacks_something_says_so_when_it_is_parsed(text: bytes) -> None:
    with pytest.raises(JournalFormatError):
        RawMark(0, text).fields()


@pytest.mark.parametrize("content", [b"", bytes(9000), b"\n", HEADER[:20]])
def test_a_file_without_a_header_has_none(tmp_path: Path, content: bytes) -> None:
    read(tmp_path, content)

    assert read_header(tmp_path / "segment") is None
    assert not is_segment(tmp_path / "segment")
    assert read_end(tmp_path / "segment") is None


@pytest.mark.parametrize("content", [HEADER, HEADER + bytes(9000), line(1), b'{ "turnscope": "end" }\n'])
def test_a_segment_is_known_by_its_first_line(tmp_path: Path, content: bytes) -> None:
    read(tmp_path, content)

    assert is_segment(tmp_path / "segment")


@pytest.mark.parametrize("content", [b'{"type":"session_meta"}\n', b"\x89PNG", b'{"turn":"t1"}\n'])
def test_another_kind_of_file_is_not_taken_for_a_segment(tmp_path: Path, content: bytes) -> None:
    read(tmp_path, content)

    assert not is_segment(tmp_path / "segment")


def test_a_long_line_is_not_held_in_memory(tmp_path: Path) -> None:
    path = tmp_path / "segment"
    with path.open("wb") as file:
        for _ in range(64):
            file.write(b"x" * (1 << 20))

    tracemalloc.start()
    entries = list(read_segment(path))
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert entries == [Torn(0, 64 << 20)]
    assert peak_bytes < 8 << 20


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=3000))
def test_any_bytes_can_be_read(content: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        entries = read(Path(folder), HEADER + content)

    text = content.partition(b"\0")[0]
    assert len(entries) == 1 + text.count(b"\n") + (not text.endswith(b"\n") and text != b"")


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(TEXT, TEXT, TEXT), min_size=1, max_size=60), st.data())
def test_what_was_appended_is_read_back_and_a_cut_loses_the_last_mark_at_most(
    said: list[tuple[str, str, str]], data: st.DataObject
) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        journal = stepped(folder, segment_bytes=SMALL_BYTES)
        for seq, (turn, session, kind) in enumerate(said, start=1):
            journal.append(line(seq, turn, session=session, attrs={"kind": kind}))
        (path,) = segments(folder)
        text = path.read_bytes().rstrip(b"\0")
        assert [(mark["turn"], mark["session"], mark["attrs"]["kind"]) for mark in marks(folder)] == said

        start = text[:-1].rindex(b"\n") + 1
        cut = folder / "cut"
        cut.mkdir()
        (cut / path.name).write_bytes(text[: data.draw(st.integers(start, len(text) - 1))] + bytes(100))

        assert [mark["turn"] for mark in marks(cut)] == [turn for turn, _, _ in said[:-1]]
