"""What is left after SIGKILL: acknowledged marks against ended spans, and the phase that was open."""

from __future__ import annotations

import random
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from bench.measure import DATA, LEFT_OUT, ROOT, ChildError, child_environment, last_words
from bench.table import Row, Target
from bench.victim import BOARD_BYTES, THREADS, board
from turnscope.reading import RawMark, read_segment

Found = tuple[dict[int, set[int]], bool]
"""The numbers that are on disk, by thread, and whether the open phase is."""


class Killed(NamedTuple):
    """What one kill left."""

    acknowledged: int
    lost: int
    open_found: bool


class Plan(NamedTuple):
    """Whom to kill how often: at what pace it records, how long after its first record, how many at a time."""

    what: str
    recorder: str
    per_second: int
    kills: int
    after_s: tuple[float, float]
    at_a_time: int


def found_in_journal(folder: Path) -> Found:
    """Read the journal with the reader that everybody uses."""
    numbers: dict[int, set[int]] = defaultdict(set)
    open_found = False
    for path in sorted((folder / "traces").glob("*.jsonl")):
        for entry in read_segment(path):
            if not isinstance(entry, RawMark):
                continue
            mark: dict[str, Any] = entry.fields()
            if mark["turn"] == "open":
                open_found |= mark["phase"] == "upstream_sent"
            elif "records" in mark.get("attrs", ()):
                numbers[int(mark["turn"].removeprefix("busy-"))].add(mark["attrs"]["records"])
    return numbers, open_found


def found_in_spans(folder: Path) -> Found:
    """Read the lines of the span exporter; a line that the kill cut off is not one."""
    numbers: dict[int, set[int]] = defaultdict(set)
    for line in (folder / "spans.jsonl").read_bytes().split(b"\n")[:-1]:
        span = orjson.loads(line)
        numbers[span["thread"]].add(span["records"])
    return numbers, -1 in numbers


UNITS = {"turnscope": "marks", "batch": "spans"}
FOUND = {"turnscope": found_in_journal, "batch": found_in_spans}


def kill_one(plan: Plan, seed: int) -> Killed:
    """Start a recorder, kill it at a random moment, and compare what it had acknowledged with what is on disk."""
    wait_s = random.Random(seed).uniform(*plan.after_s)
    with tempfile.TemporaryDirectory(dir=DATA) as name:
        folder = Path(name)
        (folder / "acknowledged").write_bytes(bytes(BOARD_BYTES))
        counters = board(folder)
        command = [sys.executable, "-m", "bench.victim", plan.recorder, name, str(plan.per_second)]
        with subprocess.Popen(command, cwd=ROOT, env=child_environment(), stderr=subprocess.PIPE) as victim:
            try:
                wait_for_all(counters, victim)
                time.sleep(wait_s)
            finally:
                victim.kill()
        acknowledged = [counters[thread] for thread in range(THREADS)]
        numbers, open_found = FOUND[plan.recorder](folder)
    lost = sum(len(set(range(1, count + 1)) - numbers[thread]) for thread, count in enumerate(acknowledged))
    return Killed(sum(acknowledged), lost, open_found)


def wait_for_all(counters: memoryview, victim: subprocess.Popen[bytes]) -> None:
    """Return when every thread has recorded something.

    Raises:
        ChildError: The victim ended by itself.
    """
    while not all(counters[thread] for thread in range(THREADS)):
        if victim.poll() is not None:
            raise ChildError(f"the process to kill ended by itself: {last_words(victim.communicate()[1])}")
        time.sleep(0.005)


def kill_all(plan: Plan) -> list[Killed]:
    """Carry *plan* out."""
    DATA.mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor(plan.at_a_time) as pool:
        return list(pool.map(lambda seed: kill_one(plan, seed), range(plan.kills)))


def plans(*, quick: bool) -> list[Plan]:
    """Return what is killed: us flat out, the batch processor flat out and at a gateway's pace."""
    return [
        Plan("turnscope, 8 threads flat out", "turnscope", 0, 10 if quick else 100, (0.02, 0.15), 1),
        Plan("SDK batch processor, 8 threads flat out", "batch", 0, 3 if quick else 10, (0.2, 1.0), 1),
        Plan("SDK batch processor, 50 spans a second", "batch", 50, 5 if quick else 20, (1.0, 9.0), 10),
    ]


def run(*, quick: bool) -> list[Row]:
    """Kill them all and return two rows for each: what was lost of the acknowledged, and of the open phases."""
    return [row for plan in plans(quick=quick) for row in rows_or_none(plan)]


def rows_or_none(plan: Plan) -> list[Row]:
    """Return the rows of one plan; none, and the reason in ``LEFT_OUT``, when its victim could not record."""
    try:
        return rows_of(plan, kill_all(plan))
    except ChildError as error:
        LEFT_OUT.append(f"kill/{plan.recorder}: {error}")
        return []


def rows_of(plan: Plan, killed: list[Killed]) -> list[Row]:
    """Return the rows of one plan; only we have a target."""
    target = Target("figure", 0) if plan.recorder == "turnscope" else None
    acknowledged = sum(one.acknowledged for one in killed)
    lost = sum(one.lost for one in killed)
    missing = sum(not one.open_found for one in killed)
    beside = {"recorded": acknowledged, "kills": len(killed)}
    return [
        Row(
            f"recorded, then lost: {plan.what}",
            lost,
            UNITS[plan.recorder],
            lost / acknowledged,
            "recorded",
            target,
            beside,
        ),
        Row(f"open phase lost: {plan.what}", missing, "times", missing / len(killed), "kills", target),
    ]
