"""The bench measures the analyzer on generated journals: its figures say something only if those are real ones."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import orjson
import pytest

from bench.threads import large_thread, many_threads
from turnscope.life import ENDED, read_life
from turnscope.phases import PHASE, lane_kind
from turnscope.process import fate_of
from turnscope.reading import Note, RawMark, read_header, read_segment
from turnscope_analyzer.analyze import analyze

ROOT = Path(__file__).parent.parent
SEGMENT_BYTES = 65_536
PROCESSES = 4


@pytest.fixture(scope="module")
def journal(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bench") / "journal"
    subprocess.run(
        [
            *(sys.executable, "-m", "bench.generate", str(folder)),
            *("--marks=4000", f"--processes={PROCESSES}", f"--segment-bytes={SEGMENT_BYTES}"),
        ],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        check=True,
    )
    return folder


def segments(journal: Path) -> list[Path]:
    return sorted(journal.glob("*.jsonl"))


def marks(segment: Path) -> list[dict[str, Any]]:
    return [entry.fields() for entry in read_segment(segment) if isinstance(entry, RawMark)]


def test_every_line_is_read_as_a_mark_or_a_note(journal: Path) -> None:
    others = [
        entry for path in segments(journal) for entry in read_segment(path) if not isinstance(entry, RawMark | Note)
    ]

    assert others == []


def test_the_manifest_counts_what_is_read(journal: Path) -> None:
    manifest = orjson.loads((journal / "manifest.json").read_bytes())

    read = [mark for path in segments(journal) for mark in marks(path)]

    assert len({(mark["proc"], mark["seq"]) for mark in read}) == manifest["marks"]
    assert len({mark["turn"] for mark in read}) == manifest["turns"] == sum(manifest["states"].values())


def test_every_phase_stands_on_its_own_lane(journal: Path) -> None:
    strayed = {
        (mark["lane"], mark["phase"])
        for path in segments(journal)
        for mark in marks(path)
        if PHASE[mark["phase"]].lane != lane_kind(mark["lane"])
    }

    assert strayed == set()


def test_every_segment_tells_when_its_turns_were_accepted(journal: Path) -> None:
    unexplained = defaultdict(list)
    for path in segments(journal):
        read = marks(path)
        accepted = {mark["turn"] for mark in read if mark["phase"] == "accepted"}
        ended = {mark["turn"] for mark in read if mark["lane"] == "turn" and PHASE[mark["phase"]].terminal}
        # A renderer may detach after its turn has ended, in the next segment: that turn is not open any more.
        unexplained[path] = [
            mark for mark in read if mark["turn"] not in accepted | ended and lane_kind(mark["lane"]) != "renderer"
        ]

    assert len(unexplained) > PROCESSES
    assert not any(unexplained.values())


def test_every_process_is_gone_and_one_in_four_was_killed(journal: Path) -> None:
    headers = [read_header(path) or {} for path in segments(journal)]
    notes = [entry.kind for path in segments(journal) for entry in read_segment(path) if isinstance(entry, Note)]
    lives = [read_life(path) for path in journal.glob("*.life")]

    assert {fate_of(header) for header in headers} == {"killed"}
    assert notes.count("journal") == len(headers)
    assert notes.count("end") == PROCESSES - 1
    assert sorted(life.fate == ENDED for life in lives) == [False, True, True, True]


def test_a_killed_process_leaves_a_whole_segment_of_which_the_rest_is_nul(journal: Path) -> None:
    torn = [path for path in segments(journal) if path.read_bytes().endswith(b"\0")]

    assert [path.stat().st_size for path in torn] == [SEGMENT_BYTES]


def test_every_life_file_reaches_beyond_the_last_mark(journal: Path) -> None:
    last: dict[str, int] = defaultdict(int)
    for path in segments(journal):
        for mark in marks(path):
            last[mark["proc"]] = max(last[mark["proc"]], mark["m"])

    pulses = {life.process_id: life.pulse_mono_ns or 0 for life in map(read_life, journal.glob("*.life"))}

    assert pulses.keys() == last.keys()
    assert all(pulses[process] > at for process, at in last.items())


def test_every_generated_turn_of_codex_but_the_last_of_a_thread_ends_well(tmp_path: Path) -> None:
    turns = large_thread(tmp_path, turns=14, image_bytes=2_000) + many_threads(tmp_path / "more", threads=3)

    report = analyze([tmp_path], everything=True)

    states = Counter(verdict.state for verdict in report.turns)
    assert (len(report.turns), states["healthy"], report.rejects) == (turns, turns - 4, ())


def test_generated_threads_are_the_same_bytes_each_time(tmp_path: Path) -> None:
    for name in ("a", "b"):
        many_threads(tmp_path / name, threads=2)

    one, other = ([path.read_bytes() for path in sorted((tmp_path / name).rglob("*.jsonl"))] for name in ("a", "b"))

    assert one == other
