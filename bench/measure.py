"""How every figure is taken: each candidate in a process of its own, rounds interleaved, medians reported.

A ratio is the median of the ratios within each round, so that a busy minute on the machine weighs on a
candidate and on its control alike.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import orjson

ROOT = Path(__file__).resolve().parent.parent
"""The checkout that is measured."""

DATA = ROOT / "bench" / "data"
"""What the bench generates: never committed, and on the checkout's own disk, as a journal would be."""

Figures = Mapping[str, float]
"""What one run of one candidate gave: figure by name."""

CHILD_LIMIT_S = 600

LEFT_OUT: list[str] = []
"""Candidates that failed in this run, each with the reason; they have no row."""


class ChildError(RuntimeError):
    """A measuring process failed; the suite goes on without that candidate."""


def child_environment() -> dict[str, str]:
    """Return this environment with the checkout importable and no setting that would change what is measured."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "TURNSCOPE_"))}
    roots = [str(ROOT), str(ROOT / "tracer"), str(ROOT / "analyzer")]
    return {**kept, "PYTHONPATH": os.pathsep.join(roots)}


def in_child(
    suite: str, candidate: str, *, environment: Mapping[str, str] | None = None, **arguments: object
) -> Figures:
    """Run *candidate* of *suite* in a fresh interpreter, with *environment* on top, and return its figures.

    Raises:
        ChildError: It ended with an error; the message is the last line that it wrote.
    """
    command = [sys.executable, "-m", "bench.child", suite, candidate, orjson.dumps(arguments).decode()]
    env = {**child_environment(), **(environment or {})}
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, timeout=CHILD_LIMIT_S, check=False)
    if done.returncode:
        raise ChildError(f"{suite}/{candidate}: {last_words(done.stderr)}")
    figures: dict[str, float] = orjson.loads(done.stdout.splitlines()[-1])
    return figures


def last_words(stderr: bytes) -> str:
    """Return the last line that a process wrote before it failed; of a traceback that is the error."""
    return next(reversed(stderr.decode(errors="replace").strip().splitlines()), "without a word")


def interleaved(candidates: Iterable[str], rounds: int, run: Callable[[str], Figures]) -> dict[str, list[Figures]]:
    """Run every candidate once a round, *rounds* times; one that fails is left out, and named in ``LEFT_OUT``."""
    taken: dict[str, list[Figures]] = {name: [] for name in candidates}
    for _ in range(rounds):
        for name in tuple(taken):
            figures = or_none(run, name)
            if figures is None:
                del taken[name]
            else:
                taken[name].append(figures)
    return taken


def or_none(run: Callable[[str], Figures], name: str) -> Figures | None:
    """Return the figures of one run, or None and the reason in ``LEFT_OUT``."""
    try:
        return run(name)
    except (ChildError, subprocess.TimeoutExpired) as error:
        LEFT_OUT.append(str(error))
        return None


def middle(rounds: Sequence[Figures], figure: str) -> float:
    """Return the median of *figure* over *rounds*."""
    return statistics.median(one[figure] for one in rounds)


def ratio(ours: Sequence[Figures], control: Sequence[Figures], figure: str) -> float:
    """Return the median over rounds of our figure by the control's of the same round."""
    return statistics.median(mine[figure] / theirs[figure] for mine, theirs in zip(ours, control, strict=True))


def percentile(ordered: Sequence[int], per_mille: int) -> float:
    """Return the value below which *per_mille* thousandths of the *ordered* values lie."""
    return float(ordered[min(len(ordered) - 1, len(ordered) * per_mille // 1000)])


def peak_rss_bytes() -> int:
    """Return the most memory that this process has held at once.

    Not ``ru_maxrss``: a child starts with its parent's value there.
    """
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise LookupError("/proc/self/status has no VmHWM; the bench needs Linux")


class Others:
    """Watches how much of the machine other programs take while the bench runs: their time spoils the tails."""

    def __init__(self) -> None:
        self._before = self._read()

    def share(self) -> float:
        """Return the share of all processors, 0 to 1, that others had since this was made."""
        all_s, idle_s, own_s = (now - then for now, then in zip(self._read(), self._before, strict=True))
        return max(0.0, (all_s - idle_s - own_s) / all_s) if all_s else 0.0

    @staticmethod
    def _read() -> tuple[float, float, float]:
        """Return seconds since the boot: of all processors, idle ones, and ours with those of children that ended."""
        ticks = [int(text) for text in Path("/proc/stat").read_text(encoding="ascii").split(maxsplit=9)[1:9]]
        per_s = os.sysconf("SC_CLK_TCK")
        return sum(ticks) / per_s, (ticks[3] + ticks[4]) / per_s, sum(os.times()[:4])
