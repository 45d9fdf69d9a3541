"""The repairs that are certain: a row that says running although its turn has ended, and a lock without an owner.

A repair changes the fewest bytes that make the store right, while its gateway is stopped, and can be undone. What is
not proven by a record is not repaired.
"""

from __future__ import annotations

import os
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from turnscope_analyzer.doctor.fields import with_fields
from turnscope_analyzer.doctor.homes import open_stores
from turnscope_analyzer.repair.errors import ChangedError, NotVerifiedError, RepairError
from turnscope_analyzer.repair.plan import BACKUPS, Plan, Removal, Rewrite, Rows, Statement, stamp_of
from turnscope_analyzer.sources.objects import parse_object
from turnscope_analyzer.sources.openclaw.gateway import fate_of_lock, read_lock
from turnscope_analyzer.sources.openclaw.places import root_of
from turnscope_analyzer.sources.openclaw.rows import row_spans
from turnscope_analyzer.sources.snapshot import UNREADABLE, snapshot, why

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from typing import BinaryIO

    from turnscope_analyzer.doctor.diagnosis import Checkup, Diagnosis
    from turnscope_analyzer.repair.plan import Step
    from turnscope_analyzer.repair.writing import Aside
    from turnscope_analyzer.sources.openclaw.rows import Row

_STATUS: Final = {"completed": "done", "failed": "failed", "cancelled": "killed", "interrupted": "failed"}
"""The terminal phase that is on file -> what the gateway itself calls such a row."""

_NODE: Final = "SELECT entry_json, entry_valid, status FROM session_nodes WHERE rowid = ?"
_WINDOW: Final = "SELECT status, ended_at FROM session_windows WHERE session_id = ?"
_SET_NODE: Final = "UPDATE session_nodes SET entry_json = ?, status = ? WHERE rowid = ? AND entry_json = ?"
_SET_VALID: Final = "UPDATE session_nodes SET entry_valid = ? WHERE rowid = ? AND entry_json = ?"
_SET_WINDOW: Final = "UPDATE session_windows SET status = ?, ended_at = ? WHERE session_id = ? AND status IS ?"
_STILL: Final = "SELECT 1 FROM session_nodes WHERE rowid = ? AND status = 'running'"


class Refused(NamedTuple):
    """A finding that no repair is offered for, and why."""

    diagnosis: Diagnosis
    why: str


class Change(NamedTuple):
    """What is done to one row."""

    row: Row
    fields: Mapping[str, str | int]
    says: str


def plans_of(code: str, checkups: Iterable[Checkup]) -> tuple[list[Plan], list[Refused]]:
    """Return what would repair the findings of *code*, one plan a state folder, and those that are left.

    Raises:
        OSError: A file that is to be changed cannot be read.
        RepairError: It is not what it was, or damaged.
    """
    steps: dict[Path, list[Step]] = defaultdict(list)
    refused: list[Refused] = []
    for checkup in checkups:
        found = [one for one in checkup.diagnoses if one.code == code and one.severity != "note"]
        make = _zombies if code == "ZOMBIE_RUNNING" else _locks
        for step in make(found, checkup.rows, refused):
            root = root_of(step.path)
            assert root is not None
            steps[root].append(step)
    plans = [
        Plan(code, own, Path(os.path.realpath(root)) / BACKUPS, busy=lambda root=root: why_in_use(root))  # type: ignore[misc]
        for root, own in steps.items()
    ]
    return plans, refused


def why_in_use(root: Path) -> str:
    """Say which process uses the state folder at *root*, "" if none is seen to."""
    owners = open_stores().get(os.path.realpath(root), set())
    for path in root.glob("agents/*/sessions/*.jsonl.lock"):
        lock = read_lock(path)
        if lock is not None and fate_of_lock(lock, in_place=False) == "running":
            owners.add(lock.pid)
    return f"process {', '.join(map(str, sorted(owners)))} uses the store; stop the gateway first" if owners else ""


def _zombies(found: Sequence[Diagnosis], rows: Iterable[Row], refused: list[Refused]) -> Iterator[Step]:
    at = {row.where: row for row in rows}
    changes: dict[str, list[Change]] = defaultdict(list)
    for one in found:
        row = at.get((one.records[0].file, one.records[0].offset))  # type: ignore[call-overload]
        change = None if row is None or row.recovering else _change(row, one)
        if row is not None and change is not None:
            changes[os.path.realpath(row.where.file)].append(change)
        else:
            reason = "the gateway is about to run the turn again" if row is not None and row.recovering else _NO_END
            refused.append(Refused(one, reason))
    for file, own in sorted(changes.items()):
        path = Path(file)
        yield from [_rewrite(path, own)] if path.suffix == ".json" else (_rows(path, change) for change in own)


_NO_END: Final = "no record says how the turn ended; send the session a message, or reset it"


def _change(row: Row, one: Diagnosis) -> Change | None:
    """Return how *row* is made right, None where no record says how its turn ended."""
    end = next((record for record in one.records if "phase" in record.values), None)
    if end is not None:
        status, ended_ms = _STATUS[str(end.values["phase"])], int(end.values["at_ms"] or 0)
    elif row.ended_ns is not None and row.started_ns is not None and row.ended_ns >= row.started_ns:
        status, ended_ms = "done" if row.error is None else "failed", row.ended_ns // 1_000_000
    else:
        return None
    fields: dict[str, str | int] = {"status": status}
    if row.ended_ns is None or (row.started_ns is not None and row.ended_ns < row.started_ns):
        fields["endedAt"] = ended_ms
    return Change(row, fields, f"{row.key}: " + ", ".join(f"{name} becomes {value}" for name, value in fields.items()))


def _rewrite(path: Path, changes: Sequence[Change]) -> Rewrite:
    keys = {change.row.key: change for change in changes}

    def make(old: BinaryIO, new: BinaryIO, _aside: Aside) -> None:
        text = old.read()
        done = 0
        for key, start, end in row_spans(text):
            if key in keys:
                new.write(text[done:start])
                new.write(_with_fields(path, text[start:end].decode(), keys[key].fields).encode())
                done = end
        new.write(text[done:])

    def check(old: BinaryIO, new: BinaryIO) -> None:
        before, after = parse_object(old.read()), parse_object(new.read())
        wanted = {key: _with(key, content, keys) for key, content in (before or {}).items()}
        if before is None or after != wanted or set(keys) - set(wanted):
            raise NotVerifiedError(path, "a row differs that was not to be changed")

    says = "; ".join(change.says for change in changes)
    return Rewrite(path, says, stamp_of(path), make, check)


def _with_fields(path: Path, text: str, fields: Mapping[str, str | int]) -> str:
    try:
        return with_fields(text, fields)
    except ValueError as error:
        raise NotVerifiedError(path, f"its row is damaged, {error}") from error


def _with(key: str, content: Any, keys: Mapping[str, Change]) -> Any:
    return {**content, **keys[key].fields} if key in keys and isinstance(content, dict) else content


def _rows(path: Path, change: Change) -> Rows:
    """Change a row of 2026.9 in both of its tables.

    A trigger takes a change by anybody else for damage and has the gateway refuse the row. It was valid before, and
    nothing but the fields that the gateway itself would have set is changed, so it stays as valid as it was.
    """
    row, number = change.row, change.row.where.offset
    try:
        with snapshot(path) as store:
            text, valid, status = store.execute(_NODE, (number,)).fetchone() or (None, None, None)
            window = store.execute(_WINDOW, (row.session_id,)).fetchone()
    except UNREADABLE as error:
        raise RepairError(f"{path} {why(error)}. It was left as it is.") from error
    if text is None:
        raise ChangedError(path, f"has no row {number} any more")
    content = parse_object(text) or {}
    fields = dict(change.fields)
    if run_id := content.get("activeWriterRunId"):
        # As the gateway leaves it: a row that is at rest names the run that wrote last.
        fields["lastRunId"] = run_id
    new = _with_fields(path, text, fields)
    ended_ms = fields.get("endedAt", content.get("endedAt"))
    do = [
        Statement(_SET_NODE, (new, fields["status"], number, text)),
        Statement(_SET_VALID, (valid, number, new)),
    ]
    undo = [Statement(_SET_NODE, (text, status, number, new)), Statement(_SET_VALID, (valid, number, text))]
    if window is not None and window[0] == "running":
        do.append(Statement(_SET_WINDOW, (fields["status"], ended_ms, row.session_id, window[0])))
        undo.append(Statement(_SET_WINDOW, (*window, row.session_id, fields["status"])))
    return Rows(path, change.says, do, undo, [Statement(_STILL, (number,))])


def _locks(found: Sequence[Diagnosis], _rows: Iterable[Row], _refused: list[Refused]) -> Iterator[Step]:
    for one in found:
        path = Path(os.path.realpath(one.records[0].file))
        yield Removal(path, f"the lock of process {one.records[0].values['pid']}, which is gone", stamp_of(path))
