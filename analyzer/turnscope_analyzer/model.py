"""What the analyzer passes from hand to hand: marks from a source, verdicts to a report.

Times are integer nanoseconds. ``at_ns`` lies on the timeline of its process, which does not step when the
wall clock is set: wall clock at the process's start plus monotonic time since. ``wall_ns`` is what the
clock on the wall said; people are shown that one.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from turnscope.phases import Cause, Confidence, State

Fate = Literal["running", "ended", "killed", "unknown"]
"""``ended`` said goodbye, ``killed`` is gone without one, ``unknown`` cannot be told from here."""

STATE_ORDER: Final[tuple[State, ...]] = (
    "stuck",
    "orphaned",
    "waiting",
    "failed",
    "slow",
    "cancelled",
    "not_determinable",
    "healthy",
)
"""What a reader has to look at first stands first."""

Value = str | int | float | bool | None


class Mark(NamedTuple):
    """Turn T reached phase P on lane L at time t, read from *file* at byte *offset*, in a database from that row."""

    turn_id: str
    session_id: str
    lane: str
    phase: str
    at_ns: int
    wall_ns: int
    seq: int
    process_id: str
    file: str
    offset: int
    attrs: Mapping[str, Value]


class Reject(NamedTuple):
    """A record that could not be read: put aside and counted, the rest is read. At 0 it may be the whole file."""

    file: str
    offset: int
    reason: str


class Evidence(NamedTuple):
    """A record and what it says. ``offset`` is as in a mark, None where the whole file is the record.

    ``values`` are fields of the record as they stand on file, never text of a conversation.
    """

    file: str
    offset: int | None
    what: str
    values: Mapping[str, Value] = MappingProxyType({})


class Finding(NamedTuple):
    """A store that contradicts itself or its records, told by the record at *offset* of *file*.

    ``name`` is the kind, such as ``zombie_row``. ``turn_id`` is None where it is about no turn in particular;
    ``offset`` is None where the whole file is the record, and a row's number in a database. ``due_ns`` is the time
    from which on it is one, None where it always was: what is normal for a moment is a contradiction when it stays.
    ``proofs`` are the records that contradict each other, with what they say, where more is known than that one.
    """

    name: str
    turn_id: str | None
    file: str
    offset: int | None
    what: str
    due_ns: int | None = None
    proofs: tuple[Evidence, ...] = ()


class Gap(NamedTuple):
    """A time in which a process did not run; it is nobody's wait."""

    from_ns: int
    until_ns: int
    kind: str


@dataclass(frozen=True, slots=True)
class Process:
    """One run of a program that left marks, and how far its records reach.

    ``horizon_ns`` is the last proof of life, or now if the same process is alive on this host. ``shows_requests``
    and ``shows_ends`` say whether this kind of source writes down when a request is sent and when a turn ends;
    where it does not, nothing is concluded from their absence. ``detail`` orders the views of one turn: where two
    show its requests, the one with more detail is believed.
    """

    process_id: str
    source: str
    fate: Fate
    horizon_ns: int
    horizon_why: str
    file: str
    shows_requests: bool = True
    shows_ends: bool = True
    detail: int = 0
    budgets: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    gaps: Sequence[Gap] = ()
    clock_steps: int = 0
    drops: Mapping[str, int] = field(default_factory=dict)


@dataclass(slots=True)
class Capture:
    """What one source gave: its processes, its marks in any order, and what it could not read.

    ``names`` are other names of turns, such as a trace's id, each with the turn's id: another source may know
    the turn only by such a name. ``windows`` are turns of which only the session and a time are sure: another source
    that has one turn of that session begin between these times (ns) means the same. ``left_alone`` counts what was
    read and is no turn's, by what it is.
    """

    processes: list[Process] = field(default_factory=list)
    marks: list[Mark] = field(default_factory=list)
    rejects: list[Reject] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    names: dict[str, str] = field(default_factory=dict)
    windows: dict[str, tuple[int, int]] = field(default_factory=dict)
    left_alone: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True)
class SourceRead:
    """One line of a report's list of sources."""

    kind: str
    path: str
    files: int
    bytes: int
    turns: int


class Stretch(NamedTuple):
    """A stretch of a turn's time spent in one phase; ``until_ns`` is None while it is open."""

    lane: str
    phase: str
    from_ns: int
    until_ns: int | None
    detail: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of one turn, on what grounds.

    ``phase``, ``lane`` and ``since_ns`` (wall clock) name the open phase, or for an ended turn the one that
    decided. ``age_ms`` is its length at the horizon without the gaps in which the process did not run.
    ``cancel`` is the result of a stop that somebody asked for, None where nobody did.
    """

    turn_id: str
    session_id: str
    source: str
    state: State
    cause: Cause | None
    phase: str | None
    lane: str | None
    since_ns: int | None
    age_ms: int | None
    confidence: Confidence
    rule: str
    summary: str
    cancel: str | None = None
    evidence: tuple[Evidence, ...] = ()
    counter_evidence: tuple[Evidence, ...] = ()
    findings: tuple[Finding, ...] = ()
    ruled_out: tuple[str, ...] = ()
    not_seen: tuple[str, ...] = ()
    next_step: str = ""
    stretches: tuple[Stretch, ...] = ()
    accepted_ns: int | None = None
    horizon_ns: int | None = None


@dataclass(frozen=True, slots=True)
class Report:
    """The whole answer: stuck turns first, oldest wait first.

    ``healthy`` counts the turns that plainly went well and were not looked at one by one. ``unlisted`` counts those
    that were judged and are not in ``turns``, by state and cause, because only the first of each state were asked for.
    ``findings`` are those about no turn in particular.
    """

    sources: tuple[SourceRead, ...]
    horizon_ns: int | None
    turns: tuple[Verdict, ...]
    healthy: int
    rejects: tuple[Reject, ...]
    drops: Mapping[str, int]
    findings: tuple[Finding, ...] = ()
    notes: tuple[str, ...] = ()
    unlisted: Mapping[tuple[State, Cause | None], int] = field(default_factory=dict)
