"""One verdict against one label: right, honest, undecided, or wrong."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from turnscope.phases import PHASES
from turnscope_analyzer.analyze import analyze
from turnscope_analyzer.errors import NothingFoundError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from bench.accuracy.labels import Label, Labelled
    from turnscope_analyzer.model import Report, Verdict

Outcome = Literal["correct", "honest", "undecided", "wrong"]
"""``honest``: an answer that the label accepts at this level of evidence. ``undecided``: another one, and it says
itself that it is only possible. ``wrong``: another one, certain or likely."""

SCALE: Final = 150
"""The captures' stalls last 4 to 45 seconds, for a run has to end: they are judged with the default limits divided
by this."""

BUDGETS: Final = {phase.name: phase.stuck_after_s / SCALE for phase in PHASES if phase.stuck_after_s is not None}
"""Seconds until a phase is stuck, by phase."""

_TOLERANCE_NS: Final = 5_000_000_000
"""A record of a turn may bear a time so much before the one at which its client says that it was accepted."""

NOTHING: Final = "nothing"
"""What is said where there is no verdict."""


class Graded(NamedTuple):
    """What was said of one labelled turn, in the words of its label, and what that is worth."""

    labelled: Labelled
    label: Label
    said: str
    rule: str
    confidence: str
    outcome: Outcome


class Result(NamedTuple):
    """All about one capture. ``known`` is whether any source knows one of its files."""

    known: bool
    graded: tuple[Graded, ...]
    findings: frozenset[str]


def grade(labelled: Labelled) -> Result:
    """Judge a capture and grade each of its labels."""
    with tempfile.TemporaryDirectory(prefix="turnscope-accuracy-") as name:
        labelled.lay_out(Path(name))
        try:
            report = analyze([Path(name)], budgets=BUDGETS, now_ns=labelled.now_ns, everything=True)
        except NothingFoundError:
            nothing = (_grade(labelled, label, None) for label in labelled.labels)
            return Result(known=False, graded=tuple(nothing), findings=frozenset())
    verdicts = _assign(labelled.labels, report.turns)
    graded = (_grade(labelled, label, verdicts.get(label)) for label in labelled.labels)
    return Result(known=True, graded=tuple(graded), findings=frozenset(_findings(report)))


def said(verdict: Verdict) -> str:
    """Return a verdict in one word: its cause, or its state where that says all.

    A turn that goes on for an unknown reason is as good as not determinable; a failed one has failed at least.
    """
    if verdict.cause is None or verdict.state in {"cancelled", "slow", "not_determinable"}:
        return verdict.state
    return "not_determinable" if verdict.cause == "unknown" and verdict.state != "failed" else verdict.cause


def _assign(labels: Sequence[Label], verdicts: Sequence[Verdict]) -> dict[Label, Verdict]:
    """Return the verdict on the turn that each label is for; a label without one is not in it."""
    found: dict[Label, Verdict] = {}
    for label in labels:
        of_session = sorted((v for v in verdicts if v.session_id == label.session_id), key=_begin)
        if label.turn_id is None and of_session:
            found[label] = of_session[label.number]
        elif named := [
            verdict for verdict in verdicts if label.turn_id is not None and label.turn_id in verdict.turn_id
        ]:
            found[label] = named[0]
    # The rest by time: a verdict is on the last message that was accepted before its turn is on file.
    named_ids = {verdict.turn_id for verdict in found.values()}
    rest = sorted((verdict for verdict in verdicts if verdict.turn_id not in named_ids), key=_begin, reverse=True)
    open_labels = sorted((label for label in labels if label not in found), key=lambda label: -label.accepted_ns)
    for verdict in rest:
        since_ns = (verdict.accepted_ns or 0) + _TOLERANCE_NS
        before = (label for label in open_labels if label.turn_id is not None and label.accepted_ns <= since_ns)
        told = next((label for label in before if label.session_id == verdict.session_id), None)
        if told is not None:
            found[told] = verdict
            open_labels.remove(told)
    return found


def _begin(verdict: Verdict) -> tuple[int, str]:
    return verdict.accepted_ns or 0, verdict.turn_id


def _grade(labelled: Labelled, label: Label, verdict: Verdict | None) -> Graded:
    if verdict is None:
        outcome: Outcome = "honest" if "not_determinable" in label.accept else "undecided"
        return Graded(labelled, label, NOTHING, "", "", outcome)
    word = said(verdict)
    answers = {word, verdict.state, verdict.cause}
    # A turn that was slow and came to its end is a healthy one, too.
    if verdict.state == "slow":
        answers.add("healthy")
    if label.expected == word or (verdict.state == "slow" and label.expected in answers):
        outcome = "correct"
    elif answers & label.accept:
        outcome = "honest"
    elif verdict.state == "not_determinable" or verdict.confidence == "possible":
        outcome = "undecided"
    else:
        outcome = "wrong"
    return Graded(labelled, label, word, verdict.rule, verdict.confidence, outcome)


def _findings(report: Report) -> Iterator[str]:
    yield from (finding.name for finding in report.findings)
    for verdict in report.turns:
        yield from (finding.name for finding in verdict.findings)
