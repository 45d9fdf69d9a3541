"""What a collector refused is named where the journal is analysed: how much, where it stands, and what to do."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson
import pytest
from click.testing import CliRunner

from collector_kit import HttpCollector
from ship_kit import ids_of, journal, point_at
from turnscope.ship.cursor import Cursor, path_of, save
from turnscope_analyzer.analyze import analyze as analysed
from turnscope_analyzer.cli import analyze, main

if TYPE_CHECKING:
    from pathlib import Path

PLACE = "segment.jsonl:0-"


@pytest.fixture
def refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A journal of which a collector has refused everything."""
    folder = journal(tmp_path / "traces", 3)
    with HttpCollector() as collector:
        collector.mode = "400"
        collector.open()
        point_at(collector, monkeypatch)
        CliRunner().invoke(main, ["ship", str(folder)])
    return folder


def flat(text: str) -> str:
    return " ".join(text.split())


def test_a_refused_batch_is_named_with_its_place_and_the_next_step(refused: Path) -> None:
    traces, logs = analysed([refused]).notes

    assert f"refused {len(ids_of(refused))} spans" in traces
    assert "refused 27 log records" in logs
    assert f"{refused}/{PLACE}{(refused / 'segment.jsonl').stat().st_size}" in traces
    assert "with refused (400)" in traces
    assert f"remove {refused}/ship/traces.cursor: then all is sent again" in traces


@pytest.mark.parametrize("options", [[], ["--markdown"], ["--json"]])
def test_every_report_says_so(refused: Path, options: list[str]) -> None:
    done = CliRunner().invoke(analyze, [*options, str(refused)])

    assert f"refused {len(ids_of(refused))} spans" in flat(done.output)
    assert PLACE in done.output
    if options == ["--json"]:
        assert len(orjson.loads(done.output)["notes"]) == 2


def test_doing_what_the_note_says_has_everything_sent(refused: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for signal in ("traces", "logs"):
        (refused / "ship" / f"{signal}.cursor").unlink()
    with HttpCollector().open() as collector:
        point_at(collector, monkeypatch)
        CliRunner().invoke(main, ["ship", str(refused)])

    assert sorted(collector.ids()) == ids_of(refused)
    assert analysed([refused]).notes == ()


def test_what_was_rejected_in_part_is_counted(tmp_path: Path) -> None:
    folder = journal(tmp_path, 1)
    (folder / "ship").mkdir()
    save(path_of(folder, "traces"), Cursor(sent=7, rejected=1))

    (note,) = analysed([folder]).notes

    assert note.startswith("the collector rejected 1 span in batches that it took in part")


def test_only_the_first_places_are_spelt_out(tmp_path: Path) -> None:
    folder = journal(tmp_path, 1)
    (folder / "ship").mkdir()
    batches = [{"t": 1, "items": 2, "receipt": "refused (400)", "read": {"a": [n, n + 1]}} for n in range(9)]
    save(path_of(folder, "traces"), Cursor(refused_items=18, refused=batches))

    (note,) = analysed([folder]).notes

    assert f"{folder}/a:8-9, {folder}/a:7-8, {folder}/a:6-7 and 6 more." in note


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"[]",
        b"{}",
        b'{"refused_items":"x","rejected":0}',
        b'{"refused_items":1,"rejected":0,"refused":[]}',
        b'{"refused_items":1,"rejected":0,"refused":[{"t":9e99,"receipt":1,"read":{}}]}',
        b'{"refused_items":1,"rejected":0,"refused":[{"t":1,"receipt":"","read":{"a":[1]}}]}',
        b"\xff\x00",
    ],
)
def test_a_damaged_cursor_is_named_and_the_turns_are_judged(tmp_path: Path, text: bytes) -> None:
    folder = journal(tmp_path, 2)
    (folder / "ship").mkdir()
    path_of(folder, "traces").write_bytes(text)

    report = analysed([folder])

    (reject,) = report.rejects
    assert (reject.file, reject.offset) == (str(path_of(folder, "traces")), 0)
    assert report.healthy == 2
