"""What the doctor says of one home: its stores, its turns, and what is wrong with them.

No text of a conversation gets in here: ids, kinds, times, sizes and hashes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from turnscope_analyzer.doctor.codes import CODE, CODES, SEVERITIES

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from turnscope_analyzer.doctor.codes import Restart, Severity
    from turnscope_analyzer.model import Evidence, Reject, Value
    from turnscope_analyzer.sources.openclaw.rows import Row


class Lost(NamedTuple):
    """A message that nobody will answer: when it was accepted, its run, and the SHA-256 of its text if that is kept."""

    at_ns: int
    session_id: str
    run_id: str
    sha256: str | None


class Standing(NamedTuple):
    """Whether a restart is safe now, and why."""

    safety: Restart
    why: str


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """One finding: its code, what is the case here, and the records that prove it, the first one above all."""

    code: str
    severity: Severity
    what: str
    records: tuple[Evidence, ...]
    session_id: str
    turn_id: str | None
    restart: Standing
    repair: str
    lost: tuple[Lost, ...] = ()
    figures: Mapping[str, Value] = field(default_factory=lambda: MappingProxyType({}))


def diagnose(
    code: str,
    what: str,
    records: Iterable[Evidence],
    *,
    severity: Severity | None = None,
    session_id: str = "",
    turn_id: str | None = None,
    restart: Standing | None = None,
    repair: str | None = None,
    lost: Iterable[Lost] = (),
    figures: Mapping[str, Value] | None = None,
) -> Diagnosis:
    """Return a finding of *code*; what is not given is as the table of codes has it."""
    known = CODE[code]
    return Diagnosis(
        code=code,
        severity=severity or known.severity,
        what=what,
        records=tuple(records),
        session_id=session_id,
        turn_id=turn_id,
        restart=restart or Standing(known.restart, known.why),
        repair=repair or known.repair,
        lost=tuple(lost),
        figures=figures or {},
    )


_PLACE = {code.name: number for number, code in enumerate(CODES)}


def urgency(diagnosis: Diagnosis) -> tuple[int, int, str, str]:
    """Return a sort key: the worst first, then in the order of the codes."""
    place = _PLACE[diagnosis.code]
    return SEVERITIES.index(diagnosis.severity), place, diagnosis.session_id, diagnosis.turn_id or ""


@dataclass(frozen=True, slots=True)
class Store:
    """A folder with records: what kind, where it was asked for and where it really is, and who uses it.

    ``live`` is None where that cannot be told; ``why`` says by what it is told.
    """

    kind: str
    path: Path
    real: str
    files: int
    bytes: int
    changed_ns: int | None
    live: bool | None
    why: str


@dataclass(frozen=True, slots=True)
class Messages:
    """What became of the messages that a gateway has accepted; nothing is missing where ``lost`` is 0."""

    accepted: int
    started: int
    queued: int
    refused: int
    lost: int


@dataclass(frozen=True, slots=True)
class Checkup:
    """The answer for one home. ``turns`` counts them by state; ``rejects`` could not be read, and are in a finding.

    ``rows`` are the sessions of a gateway as its own store tells them.
    """

    path: Path
    why: str
    stores: tuple[Store, ...]
    horizon_ns: int | None
    turns: Mapping[str, int]
    messages: Messages | None
    restart: Standing
    diagnoses: tuple[Diagnosis, ...]
    rejects: tuple[Reject, ...]
    rows: tuple[Row, ...] = ()
    notes: tuple[str, ...] = ()
