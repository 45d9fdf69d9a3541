"""What one recorded phase costs the turn, beside the peers: processor time, latency, latency among 8 threads.

The control is a span of the plain OpenTelemetry SDK without a processor: made, given six attributes, entered
as the current one, given two more, ended, and gone. A phase of ours is on disk at both its ends.
"""

from __future__ import annotations

import tempfile
import threading
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from bench.measure import DATA, Figures, in_child, interleaved, middle, percentile, ratio
from bench.recorders import RECORDERS, Op, Recorder
from bench.table import Row, Target

if TYPE_CHECKING:
    from collections.abc import Callable

CONTROL = "sdk"
THREADS = 8
WARM_UP = 500
TIMED_SHARE_OF_SLOW = {"logfire": 4}
"""Peers that are so slow that a fraction of the operations tells as much."""


def latencies(op: Op, count: int) -> list[int]:
    """Return how long each of *count* calls took, in nanoseconds."""
    clock = time.perf_counter_ns
    taken = [0] * count
    for number in range(count):
        began = clock()
        op()
        taken[number] = clock() - began
    return taken


def clock_cost_ns() -> float:
    """Return what reading the clock twice adds to each latency."""
    return percentile(sorted(latencies(lambda: None, 5000)), 500)


def tail(taken: list[int]) -> Figures:
    """Return the median and the slow end of the latencies *taken*."""
    own = clock_cost_ns()
    ordered = sorted(taken)
    per_mille = {"p50_ns": 500, "p99_ns": 990, "p999_ns": 999}
    return {name: percentile(ordered, share) - own for name, share in per_mille.items()}


def single_thread(recorder: Recorder, folder: Path, count: int) -> Figures:
    """Measure one thread: processor time of the whole process per call, then latencies."""
    with recorder(folder) as per_thread, per_thread() as op:
        latencies(op, WARM_UP)
        began = time.process_time_ns()
        for _ in range(count):
            op()
        cpu_ns = (time.process_time_ns() - began) / count
        taken = latencies(op, count)
    return {"cpu_ns": cpu_ns, **tail(taken)}


def eight_threads(recorder: Recorder, folder: Path, count: int) -> Figures:
    """Measure the latencies of *count* calls spread over eight threads that all run flat out."""
    taken: list[int] = []
    ready = threading.Barrier(THREADS)

    def run() -> None:
        with per_thread() as op:
            latencies(op, WARM_UP // THREADS)
            ready.wait()
            taken.extend(latencies(op, count // THREADS))

    with recorder(folder) as per_thread:
        threads = [threading.Thread(target=run) for _ in range(THREADS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    return tail(taken)


def _candidate(name: str, *, threads: int, count: int) -> Figures:
    measure = single_thread if threads == 1 else eight_threads
    DATA.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=DATA) as folder:
        return measure(RECORDERS[name], Path(folder), count // TIMED_SHARE_OF_SLOW.get(name, 1))


CANDIDATES: dict[str, Callable[..., Figures]] = {name: partial(_candidate, name) for name in RECORDERS}
"""By the name of the recorder, in this process."""

NAMES = {
    "sdk": "SDK span, no processor",
    "sdk_batch": "SDK span + batch processor, exporter that does nothing",
    "journaled": "SDK span + our processor, on disk",
    "logfire": "logfire span, no exporter",
    "eliot": "eliot action to a file",
    "mark": "turn.mark(), 4 attributes",
    "current_mark": "turnscope.mark(), finds the turn itself",
    "two_marks": "two turn.mark(), 6 + 2 attributes",
    "phase": "with turn.phase(), 6 attributes",
    "tool": "with tool(), 6 + 2 attributes",
    "request": "with upstream(), 6 + 2 attributes",
}
OURS = ("mark", "two_marks", "phase")
"""What has a target; the longer-lived handles are shown beside."""

CPU_TARGETS = {"mark": Target("ratio", 0.12), "two_marks": Target("ratio", 0.25), "phase": Target("ratio", 0.25)}
ADDED_TARGET = Target("figure", 8)
"""What our processor may add to a span of the SDK, in us of processor time."""
P50_TARGET = Target("figure", 2.5)
THREADS_TARGET = Target("figure", 500)
TAIL = {"p50_ns": "p50", "p99_ns": "p99", "p999_ns": "p99.9"}


def run(*, quick: bool) -> list[Row]:
    """Measure every recorder and return the rows, the control first."""
    rounds = 3 if quick else 9
    count = 5_000 if quick else 20_000
    one = interleaved(NAMES, rounds, lambda name: in_child("record", name, threads=1, count=count))
    eight = interleaved(NAMES, rounds, lambda name: in_child("record", name, threads=THREADS, count=count))
    rows = [_row(name, one, "cpu_ns", "cpu", CPU_TARGETS.get(name)) for name in one]
    rows += [_added(one)] if "journaled" in one and CONTROL in one else []
    rows += [_row("mark", one, "p50_ns", "p50", P50_TARGET)] if "mark" in one else []
    rows += [
        _row(name, eight, "p999_ns", "8 threads, p99.9", THREADS_TARGET if name in OURS else None) for name in eight
    ]
    return rows


def _added(taken: dict[str, list[Figures]]) -> Row:
    """Return what our processor adds to a span, and how that stands to the span itself."""
    rounds = [
        {"cpu_ns": ours["cpu_ns"] - plain["cpu_ns"]}
        for ours, plain in zip(taken["journaled"], taken[CONTROL], strict=True)
    ]
    return Row(
        what="cpu: our processor, beside the span",
        figure=middle(rounds, "cpu_ns") / 1000,
        unit="us",
        ratio=ratio(rounds, taken[CONTROL], "cpu_ns"),
        against="SDK",
        target=ADDED_TARGET,
    )


def _row(name: str, taken: dict[str, list[Figures]], figure: str, what: str, target: Target | None) -> Row:
    rounds = taken[name]
    return Row(
        what=f"{what}: {NAMES[name]}",
        figure=middle(rounds, figure) / 1000,
        unit="us",
        ratio=ratio(rounds, taken[CONTROL], figure),
        against="SDK",
        target=target,
        beside={short: middle(rounds, long) / 1000 for long, short in TAIL.items() if long != figure},
    )
