"""What it takes to start: the command's help, and the import that every gateway pays."""

from __future__ import annotations

import subprocess
import sys
import time
from typing import TYPE_CHECKING

from bench.measure import ROOT, ChildError, Figures, child_environment, interleaved, last_words, middle, ratio
from bench.table import Row, Target

if TYPE_CHECKING:
    from collections.abc import Mapping

CONTROL = "bare"
CODE: Mapping[str, str] = {
    "bare": "pass",
    "import": "import turnscope",
    "sdk": "import opentelemetry.sdk.trace",
    "duckdb": "import duckdb",
    "help": "import sys; sys.argv = ['analyze', '--help']; from turnscope_analyzer.cli import analyze; analyze()",
}
NAMES = {
    "bare": "python -c pass",
    "import": "import turnscope",
    "sdk": "import opentelemetry.sdk.trace",
    "duckdb": "import duckdb",
    "help": "analyze --help",
}
TARGETS = {"help": (Target("figure", 60), Target("ratio", 5))}


def start(name: str) -> Figures:
    """Return how long an interpreter takes to start, run the code called *name*, and end."""
    command = [sys.executable, "-c", CODE[name]]
    began = time.perf_counter_ns()
    done = subprocess.run(command, cwd=ROOT, env=child_environment(), capture_output=True, check=False)
    taken = time.perf_counter_ns() - began
    if done.returncode:
        raise ChildError(f"startup/{name}: {last_words(done.stderr)}")
    return {"ns": taken}


def run(*, quick: bool) -> list[Row]:
    """Start each of them over and over, interleaved, and return their rows, one for each target."""
    taken = interleaved(NAMES, 9 if quick else 31, start)
    return [
        Row(
            what=NAMES[name],
            figure=middle(figures, "ns") / 1e6,
            unit="ms",
            ratio=ratio(figures, taken[CONTROL], "ns"),
            against="bare",
            target=target,
        )
        for name, figures in taken.items()
        for target in TARGETS.get(name, (None,))
    ]
