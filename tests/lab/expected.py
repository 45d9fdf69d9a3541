"""What must be told of each case at each level of evidence: the injected truth, as far as the level can show it.

A cause that no record of a level points to is never accepted there; ``unknown`` is, where the level cannot know.
"""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING, Final, NamedTuple

from lab.binary import is_new

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lab.home import Level
    from lab.scenarios import Case
    from lab.stage import Moment
    from turnscope.phases import Cause, State

Answers = frozenset[tuple[str, str | None]]
"""The (state, cause) pairs that are right."""

Causes = tuple["Cause", ...]


class Stall(NamedTuple):
    """The causes that may be named for a turn that hangs, by what is read."""

    rollout: Causes
    logdb: Causes
    otlp: Causes


def _pairs(states: Sequence[State], causes: Sequence[Cause | None]) -> Answers:
    return frozenset(product(states, causes))


HEALTHY: Final = _pairs(["healthy"], [None])
_CANCELLED: Final = _pairs(["cancelled"], [None])
_WAITING: Final = _pairs(["waiting"], [None])
_LOST: Final = _pairs(["orphaned"], ["process_lost"])

_UNTOLD: Final[Causes] = ("unknown", "model_stall", "transport")
_AFTER_TOOL: Final[Causes] = (*_UNTOLD, "continuation_loss")
_COMPACTION: Final[Causes] = ("compaction",)
_MODEL: Final[Causes] = ("model_stall",)
_PATH_OR_MODEL: Final[Causes] = ("model_stall", "transport")
"""Without headers nobody on this side can tell them apart."""

# fmt: off
STALLS: Final[Mapping[str, Stall]] = {
    #                                        rollout alone                log database    OTLP
    "refused for ever":           Stall(_UNTOLD,                      ("transport",), ("transport",)),
    "no headers":                 Stall(_UNTOLD,                      _PATH_OR_MODEL, _UNTOLD),
    "headers only":               Stall(_UNTOLD,                      _MODEL,         _MODEL),
    "first event only":           Stall(_UNTOLD,                      _MODEL,         _MODEL),
    "stalled in mid-text":        Stall(_UNTOLD,                      _MODEL,         _MODEL),
    "no headers after a tool":    Stall(_AFTER_TOOL,                  _PATH_OR_MODEL, _AFTER_TOOL),
    "stalled after a tool":       Stall(_AFTER_TOOL,                  _MODEL,         _MODEL),
    "compaction without headers": Stall((*_AFTER_TOOL, "compaction"), _COMPACTION,    (*_AFTER_TOOL, "compaction")),
    "compaction hangs":           Stall(_COMPACTION,                  _COMPACTION,    (*_MODEL, "compaction")),
    "manual compaction hangs":    Stall(_COMPACTION,                  _COMPACTION,    _COMPACTION),
}
"""Turns that hang until Codex is killed."""

FAILURES: Final[Mapping[str, Cause]] = {
    "refused": "transport",
    "reset": "transport",
    "server error": "transport",
    "cut": "transport",
    "rate limit": "quota_or_auth",
    "wrong key": "quota_or_auth",
    "too long": "context_length",
    "too long in the stream": "context_length",
    "idle timeout": "model_stall",
    "compaction fails": "compaction",
}
"""Turns that Codex gave up."""
# fmt: on

TOLD_BY_FIGURES: Final = frozenset({"too long in the stream", "compaction fails"})
"""Failures whose reason is on file in every version; before 0.169 all others end without one."""


_ANYHOW: Final[Mapping[str, list[Answers]]] = {
    "interrupted": [_CANCELLED],
    "client gone": [_CANCELLED],
    # The wait of the first turn was young when it died: not that wait is its cause.
    "killed and resumed": [_LOST, HEALTHY],
}
"""Turns that are the same at every level."""


def expected(case: Case, moment: Moment, level: Level) -> list[Answers]:
    """Return the right answers for each turn of *case*, the oldest turn first."""
    name = case.scenario.name
    if name in FAILURES:
        return [_failed(case, level)]
    if name in STALLS:
        hangs = _stuck(case, level) if moment == "alive" else _killed(case, level)
        return [HEALTHY, hangs] if case.scenario.act == "compact" else [hangs]
    if name in {"tool runs", "approval"}:
        return [_WAITING if moment == "alive" else _WAITING | _LOST]
    if name == "terminated":
        return [_terminated(case, level)]
    return _ANYHOW.get(name, [HEALTHY])


def _failed(case: Case, level: Level) -> Answers:
    told = _pairs(["failed"], [FAILURES[case.scenario.name]])
    # The older one writes the reason into no rollout; its OTLP has it, if it is not lost: exec does not flush. Of a
    # window that is exceeded, it exports no more than the status 400.
    exported = level == "otlp" and case.driver == "app-server" and case.scenario.name != "too long"
    if is_new(case.version) or exported or case.scenario.name in TOLD_BY_FIGURES:
        return told
    return told | _pairs(["failed"], ["unknown"])


def _stuck(case: Case, level: Level) -> Answers:
    return _pairs(["stuck"], _causes(case, level))


def _killed(case: Case, level: Level) -> Answers:
    causes = _causes(case, level)
    killed = _pairs(["orphaned"], [*causes, "process_lost"])
    if level == "logdb" and is_new(case.version):
        # The lock that was left behind proves that the process is gone.
        return killed
    return killed | _pairs(["not_determinable", "stuck"], causes)


def _terminated(case: Case, level: Level) -> Answers:
    if is_new(case.version) and case.driver == "app-server":
        # It ends its turns when it is told to go; all others just go.
        return _CANCELLED
    gone = _LOST | _pairs(["not_determinable"], _UNTOLD)
    return _LOST if level == "logdb" and is_new(case.version) else gone


def _causes(case: Case, level: Level) -> Causes:
    stall = STALLS[case.scenario.name]
    if level == "logdb" and case.driver == "exec":
        # It writes no log rows.
        return (*stall.rollout, *stall.logdb)
    told: Causes = getattr(stall, level)
    return told
