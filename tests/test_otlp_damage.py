"""Files of spans that are cut, glued, flipped or packed badly: what is whole is read, the rest put aside."""

from __future__ import annotations

import gzip
import json
import sys
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from otlp_kit import as_json, frame, line, read, write
from test_otlp_decode import LOGS, RAW, SPANS
from turnscope_analyzer.sources.otlp import messages
from turnscope_analyzer.sources.otlp.decode import is_otlp

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

if TYPE_CHECKING:
    from pathlib import Path

ANY_EXAMPLE = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def test_a_line_that_was_cut_is_put_aside_and_the_next_is_read(tmp_path: Path) -> None:
    whole = line(SPANS)
    found = read(write(tmp_path, whole + whole[:300] + b"\n" + whole))

    assert len(found.records) == 4
    assert [(reject.offset, reject.reason) for reject in found.rejects] == [(len(whole), "cut off after 300 bytes")]
    assert found.records[2].offset == len(whole) + 301


def test_a_request_that_was_glued_onto_half_of_another_is_saved(tmp_path: Path) -> None:
    whole = line(SPANS)
    found = read(write(tmp_path, whole[:300] + whole))

    assert [record.offset for record in found.records] == [300, 300]
    assert [(reject.offset, reject.reason) for reject in found.rejects] == [(0, "cut off after 300 bytes")]


def test_a_document_that_was_cut_does_not_hide_the_next(tmp_path: Path) -> None:
    pretty = json.dumps(as_json(SPANS), indent=1).encode() + b"\n"
    cut = pretty[: pretty.index(b"\n", 700) + 1]
    found = read(write(tmp_path, pretty + cut + pretty + line(SPANS)))

    assert len(found.records) == 6
    assert [reject.offset for reject in found.rejects] == [len(pretty)]


def test_a_line_that_is_too_long_is_put_aside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(messages, "CAP_BYTES", len(line(SPANS)))
    found = read(write(tmp_path, b'{"x":"' + b"y" * 10_000 + b'"}\n' + line(SPANS)))

    assert len(found.records) == 2
    assert [reject.offset for reject in found.rejects] == [0]
    assert found.records[0].offset == 10_009


@pytest.mark.parametrize("damage", [b"\0\0\0\x10", b"\xff" * 40, frame(RAW)[:200], b"\0" * 5_000], ids=repr)
def test_frames_behind_a_damaged_place_are_read(damage: bytes, tmp_path: Path) -> None:
    whole = frame(RAW)
    found = read(write(tmp_path, whole + damage + whole + whole))

    assert len(found.records) == 6
    assert found.rejects != []
    assert {record.offset for record in found.records} == {0, len(whole + damage), len(whole + damage + whole)}


def test_a_frame_that_was_cut_is_put_aside(tmp_path: Path) -> None:
    whole = frame(RAW)
    found = read(write(tmp_path, whole + whole[:-5]))

    assert len(found.records) == 2
    assert [reject.offset for reject in found.rejects] == [len(whole)]


def test_protobuf_that_was_cut_gives_the_resources_that_are_whole(tmp_path: Path) -> None:
    found = read(write(tmp_path, RAW + RAW[:-5]))

    assert len(found.records) == 2
    assert [reject.offset for reject in found.rejects] == [len(RAW)]


def test_a_packed_file_that_was_cut_gives_what_stands_before(tmp_path: Path) -> None:
    packed = gzip.compress(line(SPANS) * 1_000, 0)
    found = read(write(tmp_path, packed[: len(packed) // 2]))

    assert len(found.records) > 500
    assert "compressed data" in found.rejects[-1].reason


def test_a_small_file_that_unpacks_to_a_huge_request_is_put_aside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(messages, "CAP_BYTES", 10_000)
    found = read(write(tmp_path, frame(zstd.compress(b"\n" * 1_000_000)) + frame(RAW)))

    assert len(found.records) == 2
    assert len(found.rejects) == 1


ALL = [line(SPANS) + line(LOGS), frame(RAW) + frame(LOGS.SerializeToString()), RAW, frame(zstd.compress(RAW)) * 2]
ALL += [json.dumps(as_json(SPANS), indent=1).encode(), gzip.compress(line(SPANS) * 3), zstd.compress(frame(RAW) * 3)]


@ANY_EXAMPLE
@given(st.data())
def test_no_damage_raises(tmp_path: Path, data: st.DataObject) -> None:
    content = bytearray(data.draw(st.sampled_from(ALL)))
    for _ in range(data.draw(st.integers(0, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    begin = data.draw(st.integers(0, len(content) - 1))
    cut = bytes(content[:begin] + content[data.draw(st.integers(begin, len(content))) :])

    path = write(tmp_path, cut)

    is_otlp(path, cut)
    assert len(read(path).records) <= 12


@ANY_EXAMPLE
@given(st.integers(0, len(frame(RAW)) * 3))
def test_frames_cut_at_any_byte_lose_the_last_one_alone(tmp_path: Path, length: int) -> None:
    found = read(write(tmp_path, (frame(RAW) * 3)[:length]))

    assert len(found.records) == length // len(frame(RAW)) * 2


def test_a_document_that_seems_to_end_at_every_line_is_read_in_one_go(tmp_path: Path) -> None:
    seeming = b"{\n" + b'"x": "}}}",\n}\n' * 100_000

    found = read(write(tmp_path, seeming + line(SPANS)))

    assert len(found.records) == 2
    assert len(found.rejects) == 1
