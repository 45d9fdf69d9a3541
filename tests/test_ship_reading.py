"""Reading a journal behind a cursor: damage, ends that are being written, segments that went; and who holds them."""

from __future__ import annotations

import os
import re
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans

from journal_kit import SMALL_BYTES, line, padded, segments, stepped
from segment_kit import header, write
from ship_kit import FAST, SPANS_PER_TURN, ids_of, journal, records_of, sent_once, spans_of, turn_lines
from turnscope.ship.cursor import Cursor, Lock, is_unsent, load, path_of, save
from turnscope.ship.reader import Reader
from turnscope.ship.shipper import Shipper

DAY_NS = 86_400 * 10**9


def seqs(reader: Reader) -> list[int]:
    reader.look()
    return [step.seq for _, step in reader.steps()]


def test_only_what_was_added_is_read(tmp_path: Path) -> None:
    path = write(tmp_path, header(), line(1))
    reader = Reader(tmp_path)
    assert seqs(reader) == [1]
    assert seqs(reader) == []

    with path.open("ab") as file:
        file.write(line(2))

    assert seqs(reader) == [2]


def test_a_line_counts_once_it_stands_there_whole(tmp_path: Path) -> None:
    mark = line(2)
    path = write(tmp_path, header(), line(1), mark[:40], b"\0" * 500)
    reader = Reader(tmp_path)
    assert seqs(reader) == [1]

    write(tmp_path, header(), line(1), mark, b"\0" * 500, name=path.name)

    assert seqs(reader) == [2]
    assert reader.damaged == 0


def test_damaged_lines_are_counted_and_the_rest_is_read(tmp_path: Path) -> None:
    damaged = (b"no json\n", b'{"turn":"t","seq":"x"}\n', b'{"turn":"' + b"x" * 700_000 + b"\n", b"[1]\n")
    write(tmp_path, header(), line(1), *damaged, line(2), b'{"turnscope":"gap","proc":"p"}\n', line(3))
    reader = Reader(tmp_path)

    assert seqs(reader) == [1, 2, 3]
    assert reader.damaged >= len(damaged)


def test_files_that_are_no_segments_are_left_alone(tmp_path: Path) -> None:
    write(tmp_path, line(1), name="no-header.jsonl")
    write(tmp_path, b'{"resourceSpans":[]}\n', name="otlp.jsonl")

    assert seqs(Reader(tmp_path)) == []


def test_a_segment_that_went_before_it_was_read_is_counted(tmp_path: Path) -> None:
    write(tmp_path, header(segment=1), line(1), name="a-000001.jsonl")
    reader = Reader(tmp_path)
    assert seqs(reader) == [1]

    write(tmp_path, header(segment=4), line(9), name="a-000004.jsonl")

    assert seqs(reader) == [9]
    assert reader.missed == 2


def test_a_cursor_is_kept_whole_or_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "traces.cursor"
    save(path, Cursor(at={"a": 7}, sent=3))

    assert load(path) == Cursor(at={"a": 7}, sent=3)
    assert [entry.name for entry in tmp_path.iterdir()] == ["traces.cursor"]
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b"{}", b'{"version":9}', b'{"version":1,"unheard":1}'])
def test_a_damaged_cursor_is_said_and_begun_anew(tmp_path: Path, text: bytes, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "traces.cursor"
    path.write_bytes(text)

    assert load(path) == Cursor()
    assert "is damaged" in caplog.text


def test_a_second_shipper_says_who_is_the_first(tmp_path: Path) -> None:
    folder = journal(tmp_path / "traces", 1)
    first = Lock(folder)
    assert first.take()

    second = Shipper(folder, once=True, standby=False)
    second.start()
    second.join()

    assert second.failure == f"process {os.getpid()} already sends {folder}; nothing was sent here"
    first.release()
    assert len(sent_once(folder)) == SPANS_PER_TURN


def test_a_shipper_that_stands_by_takes_over(tmp_path: Path) -> None:
    folder = journal(tmp_path / "traces", 1)
    first = Lock(folder)
    assert first.take()
    exporter = _Memory()
    second = Shipper(folder, exporter=exporter, pace=FAST, once=True)  # type: ignore[arg-type]
    second.start()
    assert exporter.ids == []

    first.release()
    second.join()

    assert sorted(exporter.ids) == ids_of(folder)


class _Memory:
    """As little of an exporter as there can be."""

    def __init__(self) -> None:
        self.ids: list[str] = []

    def export(self, spans: list[object]) -> object:
        from opentelemetry.sdk.trace.export import SpanExportResult  # noqa: PLC0415

        self.ids += [f"{span.context.span_id:016x}" for span in spans]  # type: ignore[attr-defined]
        return SpanExportResult.SUCCESS

    def shutdown(self) -> None:
        """Have nothing to shut down."""


def test_an_exporter_that_fails_and_raises_gets_each_span_in_the_end(tmp_path: Path) -> None:
    class Failing(_Memory):
        tries = 0

        def export(self, spans: list[object]) -> object:
            from opentelemetry.sdk.trace.export import SpanExportResult  # noqa: PLC0415

            self.tries += 1
            if self.tries % 3 == 1:
                raise OSError("broken")
            return SpanExportResult.FAILURE if self.tries % 3 == 2 else super().export(spans)

    folder = journal(tmp_path / "traces", 10)
    exporter = Failing()

    shipper = Shipper(folder, exporter=exporter, pace=FAST, once=True)  # type: ignore[arg-type]
    shipper.start()
    shipper.join()

    assert sorted(exporter.ids) == ids_of(folder)


def test_a_segment_is_held_until_it_was_sent_while_somebody_sends(tmp_path: Path) -> None:
    segment = write(tmp_path, header(), turn_lines(0))
    assert not is_unsent(segment, DAY_NS), "nobody sends this journal"

    cursor = path_of(tmp_path, "traces")
    cursor.parent.mkdir()
    save(cursor, Cursor(at={segment.name: 100}))
    assert is_unsent(segment, DAY_NS)

    save(cursor, Cursor(at={segment.name: segment.stat().st_size}))
    assert not is_unsent(segment, DAY_NS)

    save(cursor, Cursor())
    os.utime(cursor, ns=(0, cursor.stat().st_mtime_ns - 2 * DAY_NS))
    assert not is_unsent(segment, DAY_NS), "whoever sent it has stopped"


def test_unsent_segments_go_last_and_are_counted(tmp_path: Path) -> None:
    recorded = stepped(tmp_path, segment_bytes=SMALL_BYTES, cap_bytes=5 * SMALL_BYTES)
    for number in range(600):
        recorded.append(padded(2 * number, f"t{number}", "accepted", "turn"))
        recorded.append(line(2 * number + 1, f"t{number}", "completed"))
    early = segments(tmp_path)
    cursor = path_of(tmp_path, "traces")
    cursor.parent.mkdir()
    # The first segment is what the shipper hangs in; those after it were sent, as far as this test is concerned.
    save(cursor, Cursor(at={path.name: path.stat().st_size for path in early[1:]}))

    for number in range(600, 750):
        recorded.append(padded(2 * number, f"t{number}", "accepted", "turn"))
        recorded.append(line(2 * number + 1, f"t{number}", "completed"))
    recorded.pulse()

    left = segments(tmp_path)
    assert early[0] in left
    assert early[1] not in left
    assert recorded.drops() == {}


def test_the_folder_of_the_cursors_is_nothing_to_the_analyzer(tmp_path: Path) -> None:
    from turnscope_analyzer.analyze import analyze  # noqa: PLC0415

    folder = journal(tmp_path / "traces", 2)
    before = analyze([folder], everything=True)
    sent_once(folder)

    after = analyze([folder], everything=True)

    assert (folder / "ship" / "traces.cursor").exists()
    assert after.turns == before.turns
    assert after.rejects == before.rejects
    assert len(spans_of(folder)) == 2 * SPANS_PER_TURN


MARKS = b"".join(turn_lines(number, ends=number % 2 == 0) for number in range(4)).splitlines(keepends=True)
ODD = (b"-1", b"0", b"18446744073709551615", b"1e400", b"null", b'"x"', b"[]", b"{}", b"true", b'"\xf0\x9f\x92\xa5"')


@given(st.data())
@settings(max_examples=60)
def test_whatever_stands_in_a_journal_the_rest_of_it_is_sent(data: st.DataObject) -> None:
    lines = list(MARKS)
    for _ in range(data.draw(st.integers(1, 6))):
        place = data.draw(st.integers(0, len(lines) - 1))
        value = data.draw(st.sampled_from(ODD))
        key = data.draw(
            st.sampled_from([b"turn", b"session", b"lane", b"phase", b"t", b"m", b"seq", b"proc", b"model"])
        )
        lines[place] = re.sub(b'"' + key + rb'":("[^"]*"|[^,}]+)', lambda _: b'"' + key + b'":' + value, lines[place])  # noqa: B023
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write(folder, header(), *lines, turn_lines(9))
        spans, records = spans_of(folder), records_of(folder)

        assert encode_spans(spans).SerializeToString()
        assert records.SerializeToString()
        whole = [span for span in spans if (span.attributes or {}).get("turnscope.turn.id") == "turn9"]
        assert len(whole) == SPANS_PER_TURN
