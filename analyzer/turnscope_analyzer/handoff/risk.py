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

_TOO_LARGE: Final = 413
"""The status of a request that was refused for its bytes: the next one of the thread will not be smaller."""


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
    report, gathered = examine(found, Question(everything=True), progress)
    last = set(turns.latest(report.turns).values())
    ends = [verdict for verdict in report.turns if verdict.turn_id in last]
    sizes = []
    # A packed thread has been put away: nobody goes on in it as it is.
    for path in (path for path in found.of("codex") if is_rollout_file(path) and path.suffix == ".jsonl"):
        # What cannot be opened is in nobody's reach; the doctor lists it.
        with suppress(OSError):
            sizes.append(measure(path))
    in_trouble = {verdict.session_id for verdict in ends if verdict.state in ("failed", "stuck", "orphaned")}
    failed = [verdict for verdict in ends if verdict.cause == "compaction"]
    why: dict[str | None, str] = {}
    for verdict in ends:
        if verdict.rule == "context_length.exceeded":
            why[verdict.session_id] = "CONTEXT_LENGTH"
        elif any(mark.attrs.get("status") == _TOO_LARGE for mark in gathered.marks_of(verdict.turn_id)):
            why.setdefault(verdict.session_id, "REQUEST_TOO_LARGE")
    for one in threads.examine(sizes, failed):
        # Up to 0.142 it is not on file why a turn failed; in a thread full of pictures it is worth a handoff.
        if one.code in CODES or (one.code == "INLINE_IMAGES" and one.session_id in in_trouble):
            why.setdefault(one.session_id, one.code)
    # A thread and its copies, archived or kept: the largest has all of it.
    largest = {size.thread_id: size for size in sorted(sizes, key=lambda size: (size.bytes, size.path))}
    return [
        Risk(size.path, thread_id, why[thread_id])
        for size in largest.values()
        if (thread_id := size.thread_id or "") in why
    ]
