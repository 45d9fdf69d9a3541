"""A small sample of every kind of file that can be read, for the fuzzer.

A sample is a folder of units, each a file or a folder that one run of a program left.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Final

from bench.accuracy.labels import unwrap
from bench.generate import write_process
from codex_home_kit import recorded_home
from openclaw_kit import laid_out
from otlp_kit import Program, frame, line
from turnscope_analyzer.discover import JOURNAL

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

DATA: Final = Path(__file__).parent / "data"


def copied(name: str) -> Callable[[Path], None]:
    """Return what copies the captures in tests/data under *name*, each of them a unit."""

    def make(folder: Path) -> None:
        shutil.copytree(DATA / name, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("README.md"))

    return make


def telemetry(folder: Path) -> None:
    """Write what a program exported, in three encodings, one unit each, and what Codex did."""
    for number, name in enumerate(("spans.jsonl", "spans.binpb", "more.jsonl")):
        program = Program(first_id=0xA1 + number)
        turn = program.span("invoke_agent", 0, 9, gen_ai__operation__name="invoke_agent", gen_ai__conversation__id="c")
        program.span("chat", 1, 3, turn, gen_ai__operation__name="chat", gen_ai__request__model="m")
        program.span("execute_tool", 3, 4, turn, gen_ai__operation__name="execute_tool", gen_ai__tool__call__id="1")
        program.span("chat", 5, 8, turn, gen_ai__operation__name="chat", error="overloaded")
        program.log("gen_ai.choice", 3, turn)
        requests = (program.spans(), program.logs())
        lines = [frame(r.SerializeToString()) if name.endswith("binpb") else line(r) for r in requests]
        (folder / name).write_bytes(b"".join(lines))
    for packed in sorted(DATA.glob("accuracy/codex-lab/*/*_exec/otlp.jsonl.gz"))[:2]:
        unwrap(packed, folder / packed.parent.name)


def journals(folder: Path) -> None:
    """Write the journals of four processes, one of them killed, each in a folder of its own."""
    for process in range(4):
        (folder / f"process-{process}").mkdir()
        write_process(folder / f"process-{process}", "chat", 16 << 10, process, 12)


def codex_homes(folder: Path) -> None:
    """Write rollouts that lie alone, and whole homes with their log database."""
    copied("codex")(folder)
    shutil.rmtree(folder / "homes")
    for name in ("0.142-cut-off", "0.169-compaction-hangs", "0.169-retried", "0.169-unsubscribed"):
        recorded_home(name, folder / f"home-{name}")


def state_folders(folder: Path) -> None:
    """Write state folders of three generations of OpenClaw, the older ones in files, the last in SQLite."""
    for case in ("2026.4.2/killed", "2026.5.22/compaction_silent_drop", "2026.9.6/killed", "2026.9.6/timeline"):
        laid_out(case, folder)


SAMPLES: Final[Mapping[str, Callable[[Path], None]]] = {
    JOURNAL: journals,
    "codex": codex_homes,
    "claude-code": copied("claude"),
    "openclaw": state_folders,
    "otlp": telemetry,
}
"""By kind of source, what writes its sample into an empty folder: two units or more."""
