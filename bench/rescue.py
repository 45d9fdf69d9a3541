"""What `turnscope rescue` takes: for a thread of 611 MB, most of it images, and for one line of 300 MB.

Beside it what nobody can undercut (reading the file and computing its SHA-256) and what a script would do: parse every
line, replace, write it again. Each candidate runs in a process of its own on a file that is in the page cache. After
each the thread is as it was; that is not timed, but held to the SHA-256 of the file.
"""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from bench.analyze import timed
from bench.measure import DATA, Figures, child_environment, in_child, interleaved, middle, ratio
from bench.table import Row, Target
from bench.threads import large_thread, one_line

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

CONTROL = "floor"
PART_BYTES = 64 << 20
"""How much of the thread the parsers are given; their time grows with it."""

OLD_NS = 1_700_000_000_000_000_000
COMMAND = """
import sys
from pathlib import Path
from turnscope_analyzer.cli import main

sys.argv[0] = "turnscope"
try:
    main()
finally:
    status = Path("/proc/self/status").read_text()
    print(status.split("VmHWM:")[1].split()[0], file=sys.stderr)
"""
BLOCK = b"data:image/"


def floor(*, path: str) -> Figures:
    """Read the file and compute its SHA-256."""
    digest_of = importlib.import_module("turnscope_analyzer.repair.writing").digest_of
    return per_gb(timed(lambda: digest_of(Path(path))), path)


def dry(*, path: str) -> Figures:
    """Look for all that can be taken out, with the SHA-256 of each and of the file."""
    survey = importlib.import_module("turnscope_analyzer.rescue.survey").survey
    return per_gb(timed(lambda: survey(Path(path))), path)


def applied(*, path: str) -> Figures:
    """Rescue the thread: survey, backup, assets, new file, verification, all of it on disk."""
    command = importlib.import_module("turnscope_analyzer.rescue.command")
    writing = importlib.import_module("turnscope_analyzer.repair.writing")
    before = writing.digest_of(Path(path))
    gigabytes = Path(path).stat().st_size / 1e9

    def work(**wanted: bool) -> None:
        chosen = {"apply": False, "fork": False, "undo": False, "force": False} | wanted
        command.answer(command.Request(path, None, None, 65_536, **chosen))

    figures = timed(lambda: work(apply=True))
    after = what_is_left(path)
    work(undo=True)
    changed = writing.digest_of(Path(path)) != before
    return {**figures, **after, "s_per_gb": figures["wall_s"] / gigabytes, "not_restored": float(changed)}


def as_command(*, path: str) -> Figures:
    """Run the command, from the start of the interpreter on."""
    gigabytes = Path(path).stat().st_size / 1e9
    began = time.perf_counter()
    rss_mib = run_command(path, "--apply")
    wall_s = time.perf_counter() - began
    run_command(path, "--undo")
    return {"wall_s": wall_s, "cpu_s": wall_s, "rss_mib": rss_mib, "s_per_gb": wall_s / gigabytes}


def run_command(path: str, option: str) -> float:
    """Run the command and return its peak memory in MiB."""
    done = subprocess.run(
        [sys.executable, "-c", COMMAND, "rescue", path, option],
        env=child_environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    return int(done.stderr.split()[-1]) / 1024


def what_is_left(path: str) -> Figures:
    """Return of a rescued thread its megabytes, its payloads, and the lines that do not parse."""
    payloads = errors = 0
    with Path(path).open("rb") as file:
        for line in file:
            payloads += sum(len(piece.partition(b'"')[0]) > 1_024 for piece in line.split(BLOCK)[1:])
            try:
                orjson.loads(line)
            except orjson.JSONDecodeError:
                errors += 1
    return {"left_mb": Path(path).stat().st_size / 1e6, "payloads": payloads, "parse_errors": errors}


def with_json(*, path: str) -> Figures:
    """Parse, replace and write a part of the thread with the standard library."""
    return reparsed(path, json.loads, lambda record: json.dumps(record, separators=(",", ":")).encode())


def with_orjson(*, path: str) -> Figures:
    """Parse, replace and write a part of the thread with orjson."""
    return reparsed(path, orjson.loads, orjson.dumps)


def reparsed(path: str, parse: Callable[[bytes], Any], write: Callable[[Any], bytes]) -> Figures:
    """Do to a part of the thread what a script would do, into a temporary file."""
    done_bytes = 0

    def work() -> None:
        nonlocal done_bytes
        with Path(path).open("rb") as file, tempfile.TemporaryFile(dir=DATA) as out:
            for line in file:
                if done_bytes > PART_BYTES:
                    break
                done_bytes += len(line)
                out.write(write(without_images(parse(line))) + b"\n")

    figures = timed(work)
    return {**figures, "s_per_gb": figures["wall_s"] / done_bytes * 1e9}


def without_images(value: Any) -> Any:
    """Return *value* with a short text for each image in it."""
    if isinstance(value, dict):
        return {name: without_images(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [without_images(inner) for inner in value]
    return "image" if isinstance(value, str) and value.startswith("data:image/") else value


def per_gb(figures: Figures, path: str) -> Figures:
    """Return *figures* with the seconds that a gigabyte takes."""
    return {**figures, "s_per_gb": figures["wall_s"] / Path(path).stat().st_size * 1e9}


CANDIDATES: dict[str, Callable[..., Figures]] = {
    "floor": floor,
    "dry": dry,
    "applied": applied,
    "command": as_command,
    "orjson": with_orjson,
    "json": with_json,
}
NAMES: Mapping[str, str] = {
    "floor": "read() and SHA-256",
    "dry": "rescue, dry run",
    "applied": "rescue --apply",
    "command": "rescue --apply, as a command",
    "orjson": "orjson loop, on a part",
    "json": "json loop, on a part",
}
LARGE = "611 MB"
LONG_LINE = ("floor", "applied", "command")
"""What is measured on the one line; a script would hold it several times over."""


def run(*, quick: bool) -> list[Row]:
    """Measure both threads in folders that are taken away again."""
    DATA.mkdir(exist_ok=True)
    rounds = 3 if quick else 5
    rows = []
    with tempfile.TemporaryDirectory(dir=DATA) as folder:
        large_thread(Path(folder))
        rows += rows_of(LARGE, folder, tuple(NAMES), rounds)
    with tempfile.TemporaryDirectory(dir=DATA) as folder:
        one_line(Path(folder))
        rows += rows_of("line of 300 MB", folder, LONG_LINE, rounds)
    return rows


def rows_of(size: str, folder: str, names: Sequence[str], rounds: int) -> list[Row]:
    """Measure the candidates on the one thread in *folder*: time, memory, and what is left."""
    [path] = map(str, Path(folder).rglob("*.jsonl"))
    os.utime(path, ns=(OLD_NS, OLD_NS))
    taken = interleaved(names, rounds, lambda name: in_child("rescue", name, path=path))
    rows = [time_row(size, name, taken) for name in taken]
    rows += [
        Row(
            what=f"{size}, peak memory: {NAMES[name]}",
            figure=max(one["rss_mib"] for one in figures),
            unit="MiB",
            target=Target("figure", 40e6 / 2**20) if name == "command" else None,
        )
        for name, figures in taken.items()
    ]
    ours = taken["applied"]
    rows.append(Row(f"{size}, left of it", ours[0]["left_mb"], "MB", target=Target("figure", 41)))
    for what, figure in (
        ("payloads left", "payloads"),
        ("lines that do not parse", "parse_errors"),
        ("not the same file after --undo", "not_restored"),
    ):
        rows.append(Row(f"{size}, {what}", max(one[figure] for one in ours), "", target=Target("figure", 0)))
    return rows


def time_row(size: str, name: str, taken: Mapping[str, Sequence[Figures]]) -> Row:
    """Return the row of one candidate's time."""
    s_per_gb = middle(taken[name], "s_per_gb")
    return Row(
        what=f"{size}, time: {NAMES[name]}",
        figure=s_per_gb,
        unit="s/GB",
        ratio=ratio(taken[name], taken[CONTROL], "s_per_gb"),
        against=NAMES[CONTROL],
        target=Target("figure", 1 / 0.6) if name == "applied" and size == LARGE else None,
        beside={"GB/s": 1 / s_per_gb, "cpu": middle(taken[name], "cpu_s")},
    )
