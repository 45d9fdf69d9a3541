"""What it takes to break the context of one thread of 611 MB down, and to write its handoff, as a user has both.

Beside it what nobody can undercut: counting the lines. The thread is in the page cache.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from bench.measure import DATA, Figures, in_child, interleaved, middle, ratio
from bench.rollout import program
from bench.table import Row, Target
from bench.threads import large_thread

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

CONTROL = "lines"
COMMAND = "import sys; sys.argv[0] = 'turnscope'; from turnscope_analyzer.cli import main; main()"


def lines(*, path: str) -> Figures:
    """Count the lines."""
    return program("wc", "-l", path)


def context(*, path: str) -> Figures:
    """Break the context down."""
    return program(sys.executable, "-c", COMMAND, "context", path)


def handoff(*, path: str) -> Figures:
    """Write the handoff to stdout."""
    return program(sys.executable, "-c", COMMAND, "handoff", path, "--out", "-")


CANDIDATES: dict[str, Callable[..., Figures]] = {"lines": lines, "context": context, "handoff": handoff}
NAMES: Mapping[str, str] = {"lines": "wc -l", "context": "turnscope context", "handoff": "turnscope handoff"}


def run(*, quick: bool) -> list[Row]:
    """Measure the thread in a folder that is taken away again."""
    DATA.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=DATA) as folder:
        large_thread(Path(folder))
        [path] = map(str, Path(folder).rglob("*.jsonl"))
        n_bytes = Path(path).stat().st_size
        taken = interleaved(NAMES, 3 if quick else 5, lambda name: in_child("context", name, path=path))
    rows = [
        Row(
            what=f"611 MB, wall: {NAMES[name]}",
            figure=middle(figures, "wall_s"),
            unit="s",
            ratio=ratio(figures, taken[CONTROL], "wall_s"),
            against=NAMES[CONTROL],
            beside={"MB/s": n_bytes / middle(figures, "wall_s") / 1e6, "cpu": middle(figures, "cpu_s")},
        )
        for name, figures in taken.items()
    ]
    return rows + [
        Row(
            what=f"611 MB, peak memory: {NAMES[name]}",
            figure=max(one["rss_mib"] for one in figures),
            unit="MiB",
            target=Target("figure", 60),
        )
        for name, figures in taken.items()
        if name != CONTROL
    ]
