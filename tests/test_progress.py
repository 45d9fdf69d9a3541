from __future__ import annotations

import io
from typing import TYPE_CHECKING

from codex_kit import THREAD, Rollout
from turnscope_analyzer.analyze import analyze
from turnscope_analyzer.progress import Progress

if TYPE_CHECKING:
    from pathlib import Path


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def test_progress_is_shown_after_a_second_at_most_ten_times_a_second_and_wiped() -> None:
    seconds = iter([0.0, 0.9, 1.0, 1.05, 1.1])
    stream = Terminal()
    progress = Progress(stream, clock=seconds.__next__)

    for done in (10, 20, 30, 40):
        progress(done, 100)
    progress.wipe()

    assert stream.getvalue() == "\rreading: 20 %\rreading: 40 %\r\x1b[K"


def test_a_load_that_is_quick_or_not_on_a_terminal_shows_nothing() -> None:
    quick, piped = Terminal(), io.StringIO()

    for stream, seconds in ((quick, iter([0.0, 0.5])), (piped, iter([0.0, 99.0]))):
        progress = Progress(stream, clock=seconds.__next__)
        progress(50, 100)
        progress.wipe()

    assert quick.getvalue() == piped.getvalue() == ""


def test_a_load_of_one_large_file_moves_on_within_it(tmp_path: Path) -> None:
    rollout = Rollout(tmp_path / f"rollout-2026-11-21T01-00-00-{THREAD}.jsonl").meta()
    rollout.started("t1").prompt().raw(b'{"timestamp":"2026-11-21T01:00:30.000Z",' + b" " * 3_000_000 + b"}")
    rollout.read()
    seen: list[tuple[int, int]] = []

    analyze([rollout.path], progress=lambda done, total: seen.append((done, total)))

    size_bytes = rollout.path.stat().st_size
    assert len(seen) > 3
    assert seen == sorted(seen)
    assert seen[-1] == (size_bytes, size_bytes)
