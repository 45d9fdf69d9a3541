"""Where OpenClaw's stores contradict each other or themselves.

A contradiction that is normal for a moment, while a turn starts or ends, holds only from some time on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from turnscope_analyzer.describe import instant_words
from turnscope_analyzer.model import Evidence, Finding
from turnscope_analyzer.sources.openclaw.ending import was_dropped

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from turnscope_analyzer.sources.openclaw.ending import Ending
    from turnscope_analyzer.sources.openclaw.folder import Folder
    from turnscope_analyzer.sources.openclaw.rows import Row
    from turnscope_analyzer.sources.openclaw.turns import Turn

_ENDING_NS: Final = 30_000_000_000
"""After an error the gateway may try the run again without a lock; it was seen to wait for 8 s."""

_STARTING_NS: Final = 60_000_000_000
"""Between a message's acceptance and the start of its run, 35 s were seen at cold starts."""


def of_turn(turn: Turn, ending: Ending | None, *, locked: bool, restarted: bool, gone: bool) -> Iterator[Finding]:
    """Yield what the stores say against each other about *turn*.

    Args:
        turn: The turn.
        ending: How it ended, None where it has not.
        locked: A lock says that a run writes to its session.
        restarted: A later gateway has started since.
        gone: Its gateway does not live any more, so nothing that the stores say will change by itself.
    """
    ends = () if ending is None else (_end_proof(ending),)
    for finding in _of_turn(turn, ending, locked=locked, restarted=restarted, gone=gone):
        proofs = (*finding.proofs, *(end for end in ends if (end.file, end.offset) != (finding.file, finding.offset)))
        yield finding._replace(due_ns=None if gone else finding.due_ns, proofs=proofs)


def _of_turn(turn: Turn, ending: Ending | None, *, locked: bool, restarted: bool, gone: bool) -> Iterator[Finding]:
    row = turn.row
    if row is not None and row.running:
        yield from _zombie(turn, row, ending, locked=locked, restarted=restarted, gone=gone)
        if row.recovering:
            what = "a restarted gateway will run this turn again"
            if ending is not None:
                what += ", though it has ended: its side effects will happen twice"
            yield _found("restart_recovery_pending", turn, row, what)
    if was_dropped(turn) and ending is not None and ending.phase == "failed":
        what = "the run ended before its prompt was submitted; the transcript has no word of it"
        yield Finding("silent_drop", turn.turn_id, ending.where.file, ending.where.offset, what)
    only = turn.entries[0]
    if len(turn.entries) == 1 and (only.what, only.store) == ("accepted", "row"):
        what = "the row saw a message come in after its last run had ended, and there is no record of a run for it"
        due_ns = only.at_ns + _STARTING_NS
        yield Finding("silent_drop", turn.turn_id, only.where.file, only.where.offset, what, due_ns)


def _zombie(
    turn: Turn, row: Row, ending: Ending | None, *, locked: bool, restarted: bool, gone: bool
) -> Iterator[Finding]:
    again = (
        "; at its next start the gateway will run the turn again" if turn.has("audit") and not row.recovering else ""
    )
    if row.ended_ns is not None and row.started_ns is not None and row.ended_ns >= row.started_ns:
        yield _found("zombie_row", turn, row, f"the row says running, and when its run ended{again}")
    elif locked:
        if gone:
            yield _found("zombie_row", turn, row, "the row says running, and the owner of its lock is gone")
    elif ending is not None and (row.started_ns is None or ending.at_ns >= row.started_ns):
        what = f"the row says running, and the records show the run's end ({ending.phase}){again}"
        yield _found("zombie_row", turn, row, what, ending.at_ns + _ENDING_NS)
    elif restarted and not row.recovering:
        yield _found("zombie_row", turn, row, "the row says running, and the gateway has been restarted since")
    elif ending is None and not turn.has("audit") and row.updated_ns is not None:
        what = "the row says running, and no lock is held: nothing writes to the session"
        yield _found("zombie_row", turn, row, what, row.updated_ns + _STARTING_NS)


def _found(name: str, turn: Turn, row: Row, what: str, due_ns: int | None = None) -> Finding:
    return Finding(name, turn.turn_id, *row.where, what, due_ns, (row_proof(row),))


def _end_proof(ending: Ending) -> Evidence:
    said = f"{instant_words(ending.at_ns)} the turn ended: {ending.phase}"
    return Evidence(*ending.where, said, {"phase": ending.phase, "at_ms": ending.at_ns // 1_000_000})


def row_proof(row: Row) -> Evidence:
    """Return what *row* says of its session's last run."""
    return Evidence(*row.where, f"the row of {row.key}: {row.status or 'no status'}", row.values())


def of_rows(rows: Sequence[Row]) -> Iterator[Finding]:
    """Yield the rows that the gateway itself will refuse."""
    for row in rows:
        if not row.valid:
            what = f"the row of {row.key} was changed by another program; the gateway refuses it until it is repaired"
            yield Finding("row_needs_repair", None, *row.where, what, proofs=(row_proof(row),))


def of_shadow(shadow: Folder, canonical: Folder, files: Sequence[Path]) -> Iterator[Finding]:
    """Yield what a state folder inside a Codex home says against the one that it shadows.

    Source: openclaw#82318; tools that ran there see an empty store, and write to it.
    """
    ours = {row.key: row for row in canonical.rows}
    stores = [path for path in files if path.name in ("sessions.json", "openclaw-agent.sqlite")]
    if not stores:
        what = f"a tool ran with its home inside of {canonical.root}; it saw this empty folder in its place"
        yield Finding("shadow_store", None, str(files[0]), None, what)
        return
    differing = [
        row
        for row in sorted(shadow.rows, key=lambda row: row.key)
        if row.key in ours and (row.session_id, row.status) != (ours[row.key].session_id, ours[row.key].status)
    ]
    what = f"a second store beside the one in {canonical.root}: what is changed here does not reach the gateway"
    if differing:
        said = (
            f"{row.key} ({ours[row.key].status or 'no status'} there, {row.status or 'no status'} here)"
            for row in differing
        )
        what += f"; they differ on {', '.join(said)}"
    proofs = tuple(row_proof(one) for row in differing for one in (ours[row.key], row))
    yield Finding("shadow_store", None, str(stores[0]), None, what, proofs=proofs)
