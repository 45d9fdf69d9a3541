"""The log database of a Codex home (``logs_N.sqlite``): the phases of each turn that the app-server ran.

It holds what a rollout does not: requests, their headers and failures, stops and clients. It is written every few
seconds and cut at 1,000 rows a thread, so a row that is missing at either end proves nothing.
"""

from __future__ import annotations

import re
from collections import defaultdict
from typing import TYPE_CHECKING, Final

from turnscope_analyzer.model import Capture, Mark, Process
from turnscope_analyzer.sources.codex.logrows import iter_rows
from turnscope_analyzer.sources.codex.program import Program
from turnscope_analyzer.sources.rejects import Rejects
from turnscope_analyzer.sources.snapshot import UNREADABLE, snapshot, why

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from turnscope_analyzer.sources.codex.logturn import LogTurn

DETAIL: Final = 20
"""More than a rollout has, which shows no request."""

_NAME = re.compile(r"logs_\d+\.sqlite")


def is_log_database(path: Path) -> bool:
    """Tell by the name of a database whether it is Codex's log."""
    return _NAME.fullmatch(path.name) is not None


def read_logs(path: Path) -> Capture:
    """Read a log database into a view of each turn in it, which stands under a process of its own.

    A mark's offset is its row's id. Nothing raises: a database that cannot be read is a reject, and so is the rest
    of a damaged one.
    """
    rejects = Rejects(str(path))
    programs: dict[str, Program] = defaultdict(Program)
    try:
        with snapshot(path) as connection:
            for row in iter_rows(connection, rejects):
                programs[row.program].feed(row)
    except UNREADABLE as error:
        rejects.add(0, why(error))
    capture = Capture(rejects=rejects.all())
    for name, program in programs.items():
        for turn in program.finish():
            process = _process(f"codex-log:{name}:{turn.turn_id}", turn, program, str(path))
            capture.processes.append(process)
            capture.marks.extend(_marks(turn, process))
    return capture


def _process(process_id: str, turn: LogTurn, program: Program, file: str) -> Process:
    return Process(
        process_id=process_id,
        source="codex",
        fate="unknown",
        horizon_ns=program.last_ns,
        horizon_why="the last row of its process in the log database, which is written every few seconds",
        file=file,
        # What is missing there may only not have been written yet; `join` looks how far it reaches.
        shows_requests=True,
        shows_ends=program.shows_end(turn),
        detail=DETAIL,
    )


def _marks(turn: LogTurn, process: Process) -> Iterator[Mark]:
    ordered = sorted(turn.marks, key=lambda draft: draft.at_ns)
    for seq, draft in enumerate(ordered):
        yield Mark(
            turn_id=turn.turn_id,
            session_id=turn.thread_id,
            lane=draft.lane,
            phase=draft.phase,
            at_ns=draft.at_ns,
            wall_ns=draft.wall_ns,
            seq=seq,
            process_id=process.process_id,
            file=process.file,
            offset=draft.offset,
            attrs=draft.attrs,
        )
