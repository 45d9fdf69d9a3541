"""Which threads of a Codex home are about to fail, or have: those that the doctor says so of, by the same measure."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Final, NamedTuple

from turnscope_analyzer.analyze import examine
from turnscope_analyzer.context.measure import measure
from turnscope_analyzer.discover import discover
from turnscope_analyzer.doctor import threads, turns
from turnscope_analyzer.doctor.codex import is_rollout_file
from turnscope_analyzer.question import Question

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

CODES: Final = frozenset({"OVERSIZED_THREAD", "COMPACTION_RISK", "COMPACTION_LOOP"})
"""The findings of the doctor that are the risk line."""


class Risk(NamedTuple):
    """A thread over the risk line."""

    path: Path
    thread_id: str
    why: str


def at_risk(home: Path, progress: Callable[[int, int], None] | None = None) -> list[Risk]:
    """Return the threads of *home* that are too large, about to fail to compact, or whose last turn did not fit.

    Args:
        home: A Codex home.
        progress: Called now and then with bytes done and bytes in all.

    Raises:
        AnalyzeError: It cannot be read, or holds nothing that we know.
    """
    found = discover([home])
    report, _ = examine(found, Question(everything=True), progress)
    last = set(turns.latest(report.turns).values())
    ends = [verdict for verdict in report.turns if verdict.turn_id in last]
    sizes = []
    for path in filter(is_rollout_file, found.of("codex")):
        # What cannot be opened is in nobody's reach; the doctor lists it.
        with suppress(OSError):
            sizes.append(measure(path))
    failed = [verdict for verdict in ends if verdict.cause == "compaction"]
    why = {verdict.session_id: "CONTEXT_LENGTH" for verdict in ends if verdict.cause == "context_length"}
    for one in threads.examine(sizes, failed):
        if one.code in CODES:
            why.setdefault(one.session_id, one.code)
    # A thread and its copies, archived or kept: the largest has all of it.
    largest = {size.thread_id: size for size in sorted(sizes, key=lambda size: (size.bytes, size.path))}
    return [
        Risk(size.path, thread_id, why[thread_id])
        for size in largest.values()
        if (thread_id := size.thread_id or "") in why
    ]
