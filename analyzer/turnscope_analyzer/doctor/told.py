"""What the sources have found in the stores, under the codes of the doctor: one table, and what each case adds."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Final

from turnscope_analyzer.doctor.diagnosis import Lost, Standing, diagnose
from turnscope_analyzer.model import Evidence
from turnscope_analyzer.sources.openclaw.findings import row_proof
from turnscope_analyzer.sources.openclaw.places import canonical_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from turnscope_analyzer.doctor.codes import Severity
    from turnscope_analyzer.doctor.diagnosis import Diagnosis, Store
    from turnscope_analyzer.model import Finding, Verdict
    from turnscope_analyzer.sources.openclaw.database import Pending
    from turnscope_analyzer.sources.openclaw.rows import Row

CODE_OF: Final[Mapping[str, str]] = {
    "archived_elsewhere": "INDEX_FILE_MISMATCH",
    "missing_rollout": "INDEX_FILE_MISMATCH",
    "restart_recovery_pending": "RECOVERY_PENDING",
    "row_needs_repair": "ROW_REFUSED",
    "shadow_store": "SHADOW_STORE",
    "silent_drop": "SILENT_DROP",
    "stale_turn_row": "TERMINAL_BUT_STREAMING",
    "turn_row_differs": "INDEX_FILE_MISMATCH",
    "zombie_row": "ZOMBIE_RUNNING",
}
"""A source's finding -> the code that a person is given; a shadow store that disagrees becomes a SPLIT_BRAIN."""

_FULL: Final = 0.6
"""A thread that takes so much of its window and was never compacted drops messages. Source: openclaw#86963."""

_RUNS_AGAIN: Final = "The next start takes the row for an interrupted turn, and runs the turn again."
_STAYS: Final = "A restart changes nothing about the row."


def of_finding(finding: Finding, verdict: Verdict | None, stores: Sequence[Store] = ()) -> Diagnosis:
    """Return what *finding* means.

    Args:
        finding: What a source has found.
        verdict: That on its turn, None where it is about none.
        stores: Those of the home, so that it can be said which one is in use.
    """
    what = finding.what
    code = CODE_OF[finding.name]
    severity: Severity | None = None
    restart = None
    session_id = verdict.session_id if verdict is not None else ""
    records = finding.proofs or (Evidence(finding.file, finding.offset, finding.what),)
    match finding.name:
        case "zombie_row":
            again = finding.file.endswith(".sqlite")
            restart = Standing("unsafe", _RUNS_AGAIN) if again else Standing("safe", _STAYS)
        case "restart_recovery_pending" if "twice" in finding.what:
            severity = "error"
        case "shadow_store":
            records = (Evidence(finding.file, finding.offset, "it lies in the agent's own home"), *finding.proofs)
            code = "SPLIT_BRAIN" if finding.proofs else code
            severity = "error" if "store beside" in finding.what else "warning"
            what += _live(finding, stores)
        case "stale_turn_row" if verdict is not None and verdict.state == "orphaned":
            code = "ORPHAN_TURN"
        case _:
            pass
    return diagnose(
        code,
        what,
        records,
        severity=severity,
        session_id=session_id,
        turn_id=finding.turn_id,
        restart=restart,
    )


def _live(finding: Finding, stores: Sequence[Store]) -> str:
    """Say which of the two stores of a shadow is in use, with the sign that joins it."""
    canonical = canonical_of(Path(finding.file))
    store = next((store for store in stores if store.path == canonical), None)
    if store is None:
        return ""
    if store.live:
        return f"; live is {store.real}: {store.why}"
    return f"; a gateway uses {store.real}, never one inside of an agent's home ({store.why})"


def dropped(
    findings: Iterable[tuple[Finding, Verdict]],
    verdicts: Iterable[Verdict],
    rows: Mapping[str, Row],
    pending: Mapping[str, Pending],
) -> Iterator[Diagnosis]:
    """Yield a diagnosis for each session that has lost messages.

    Args:
        findings: The drops that are proven, each with the verdict on its turn.
        verdicts: All others.
        rows: The sessions' rows by their keys.
        pending: The queued inputs by their runs.
    """
    lost: dict[str, dict[str, Lost]] = defaultdict(dict)
    records: dict[str, list[Evidence]] = defaultdict(list)
    proven: set[str] = set()
    for finding, verdict in sorted(findings, key=lambda pair: pair[1].accepted_ns or 0):
        lost[verdict.session_id][verdict.turn_id] = _lost(verdict, pending)
        records[verdict.session_id].append(Evidence(finding.file, finding.offset, finding.what))
        proven.add(verdict.session_id)
    for verdict in verdicts:
        queued = pending.get(verdict.turn_id)
        discarded = queued is not None and queued.state == "interrupted"
        if (verdict.cause == "silent_drop" or discarded) and verdict.turn_id not in lost[verdict.session_id]:
            lost[verdict.session_id][verdict.turn_id] = _lost(verdict, pending)
            records[verdict.session_id] += verdict.evidence[:1]
    for session_id, messages in lost.items():
        if not messages:
            continue
        row = rows.get(session_id)
        full = _share(row) >= _FULL and row is not None and not row.compactions
        own = [row_proof(row)] if row is not None else []
        yield diagnose(
            "SILENT_DROP",
            _what(len(messages), row, proven=session_id in proven, full=full),
            [*own, *records[session_id]],
            severity="error" if session_id in proven or full else "warning",
            session_id=session_id,
            lost=sorted(messages.values()),
        )


def _what(count: int, row: Row | None, *, proven: bool, full: bool) -> str:
    said = f"{count} message{'s' if count != 1 else ''} accepted and never run"
    if not proven:
        said += ", as far as the store shows: it ends with the message"
    if full and row is not None:
        said += f"; the thread takes {row.tokens:,} of {row.window:,} tokens and was never compacted"
    return said


def _share(row: Row | None) -> float:
    return row.tokens / row.window if row is not None and row.tokens and row.window else 0.0


def _lost(verdict: Verdict, pending: Mapping[str, Pending]) -> Lost:
    queued = pending.get(verdict.turn_id)
    sha256 = queued.sha256 if queued is not None else None
    return Lost(verdict.accepted_ns or 0, verdict.session_id, verdict.turn_id, sha256)
