"""From a judgement to a verdict that a person can check: the sentence, the records behind it, and what was not seen.

Only what is on file is said. Evidence points at the file and the byte; what the source cannot show is listed,
so that a verdict never looks surer than it is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from turnscope.phases import PHASE, lane_kind
from turnscope_analyzer.describe import attr_words, duration_words, instant_words, mark_words
from turnscope_analyzer.model import Evidence, Stretch, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from turnscope_analyzer.classify import Facts, Judgement
    from turnscope_analyzer.model import Finding, Mark, Process


class Explainer:
    """Words for one judgement.

    *marks* are those of its turn, *processes* all that wrote any; *holder* is the turn that its session is busy with,
    *findings* are what its store says against its records.
    """

    def __init__(
        self,
        judgement: Judgement,
        marks: Iterable[Mark],
        processes: Mapping[str, Process],
        holder: Judgement | None = None,
        findings: tuple[Finding, ...] = (),
    ) -> None:
        self.facts: Facts = judgement.facts
        self.judgement = judgement
        self.holder = holder
        self.findings = findings
        self.marks: Sequence[Mark] = sorted(marks, key=lambda mark: (mark.at_ns, mark.seq, mark.process_id))
        self.processes = processes
        self.process = processes[self.facts.process_id]
        self.decisive = self._mark(self.facts.seq)

    def verdict(self, *, with_stretches: bool = True) -> Verdict:
        """Put the verdict into words; where the turn's time went only if asked for."""
        facts, rule = self.facts, self.judgement.rule
        return Verdict(
            turn_id=facts.turn_id,
            session_id=facts.session_id or "",
            source=facts.source,
            state=facts.state,
            cause=self.judgement.cause,
            phase=facts.phase,
            lane=self.decisive.lane if self.decisive else facts.lane,
            since_ns=self.decisive.wall_ns if self.decisive else facts.since_ns,
            age_ms=None if facts.age_ns is None else facts.age_ns // 1_000_000,
            confidence=self.judgement.confidence,
            rule=rule.name,
            summary=self._summary(),
            cancel=facts.cancel,
            evidence=tuple(self._evidence()),
            counter_evidence=tuple(self._counter_evidence()),
            findings=self.findings,
            ruled_out=rule.ruled_out,
            not_seen=tuple(self._not_seen()),
            next_step=rule.next_step,
            stretches=stretches(self.marks, facts) if with_stretches else (),
            accepted_ns=self.marks[0].wall_ns if self.marks else facts.accepted_ns,
            horizon_ns=facts.horizon_ns,
        )

    def _mark(self, seq: int | None) -> Mark | None:
        """Return the mark *seq* of the turn; where two processes used the number, the one on the lane that decides."""
        if seq is None or not self.marks:
            return None
        found = [mark for mark in self.marks if mark.seq == seq]
        return next((mark for mark in found if mark.phase == self.facts.phase), found[0] if found else None)

    def _summary(self) -> str:
        facts = self.facts
        phase = PHASE.get(facts.phase or "")
        failed = facts.failed_attempts or 0
        return self.judgement.rule.sentence.format(
            waits_on=phase.waits_on if phase and phase.waits_on else "nothing",
            phase=facts.phase,
            error=self._error(),
            step=facts.wait_step,
            attempts="a request" if failed <= 1 else f"{failed} requests",
            detail=self._detail(),
        )

    def _error(self) -> str:
        kind = self.facts.error_type or self.facts.failure_error or "no reason on file"
        failure = self._mark(self.facts.failure_seq) or self.decisive
        status = failure.attrs.get("status") if failure else None
        return kind if status is None else f"{kind}, HTTP {status}"

    def _detail(self) -> str:
        """Return what the records add to the rule's sentence, with the sign that joins it."""
        if self.facts.recovered_ns is not None:
            return f" ({instant_words(self.facts.recovered_ns)})"
        attrs = self.decisive.attrs if self.decisive else {}
        said = ""
        match self.facts.phase:
            case "queued" if self.holder is not None:
                held = self.holder.facts
                said = f"; turn {held.turn_id} of the same session is {held.state} in {held.phase}"
            case "queued" if attrs.get("ahead") is not None:
                said = f" behind {attrs['ahead']} other" + ("s" if attrs["ahead"] != 1 else "")
            case "tool_call" | "approved" | "awaiting_approval" if name := self._tool_name():
                said = f": {name}"
            case "started" if attrs.get("doing"):
                said = f": busy with {attrs['doing']}"
            case "first_item" if attrs.get("live_chunks"):
                said = f", after {attrs['live_chunks']} chunks"
            case "awaiting_quota" if isinstance(resets_at := attrs.get("resets_at"), int):
                said = f", at {instant_words(resets_at)}"
            case "renderer_attached" | "renderer_detached" if self.facts.sent is not None:
                said = f": it saw {self.facts.seen or 0} of {self.facts.sent} events"
        return said

    def _tool_name(self) -> str:
        lane = self.decisive.lane if self.decisive else None
        names = (mark.attrs.get("name") for mark in self.marks if mark.lane == lane)
        return next((str(name) for name in names if name), "")

    def _evidence(self) -> Iterable[Evidence]:
        """Yield what proves the verdict: the decisive record first."""
        if self.decisive:
            yield _of(self.decisive)
            yield from self._live_figures(self.decisive)
        for seq in (self.facts.ended_seq, self.facts.failure_seq):
            mark = self._mark(seq)
            if mark and mark is not self.decisive:
                yield _of(mark)
        for mark in self.marks:
            if mark.lane == "cancel" or mark.attrs.get("recovered"):
                yield _of(mark)
        if self.facts.ended_phase is None:
            yield Evidence(self.process.file, None, self.process.horizon_why)

    def _live_figures(self, mark: Mark) -> Iterable[Evidence]:
        life = mark.attrs.get("life_file")
        if not isinstance(life, str):
            return
        chunks, keepalives = mark.attrs.get("live_chunks") or "no", mark.attrs.get("live_keepalives") or "no"
        what = f"{chunks} chunks and {keepalives} keepalives since then"
        if (silent_ns := self.facts.wait_silent_ns) and chunks != "no":
            what += f", the last chunk {duration_words(self.facts.horizon_ns - silent_ns)} before the horizon"
        offset = mark.attrs.get("life_offset")
        yield Evidence(life, offset if isinstance(offset, int) else None, what)

    def _counter_evidence(self) -> Iterable[Evidence]:
        """Yield what speaks against the verdict, or makes it less sure."""
        if self.decisive and self.decisive.attrs.get("late"):
            bound = "the time is an upper bound: it had happened by then"
            yield Evidence(self.decisive.file, self.decisive.offset, bound)
        if self.facts.cancel == "still_running":
            said = [mark for mark in self.marks if mark.attrs.get("result") == "cancelled"]
            yield from (Evidence(m.file, m.offset, "the stop was reported as done, and the turn went on") for m in said)
        for gap in self.process.gaps:
            if self.facts.wait_silent_ns and gap.until_ns > self.facts.wait_silent_ns:
                lost = duration_words(gap.until_ns - gap.from_ns)
                yield Evidence(self.process.file, None, f"the process did not run for {lost} ({gap.kind}); not counted")
        if self.process.clock_steps:
            yield Evidence(
                self.process.file, None, f"the wall clock was set {self.process.clock_steps} times; not counted"
            )

    def _not_seen(self) -> Iterable[str]:
        """Yield what the source could not show of this turn."""
        facts = self.facts
        if not self.process.shows_ends:
            yield "ends of turns are not on file: a turn that never ended looks like one that did"
        if any(mark.attrs.get("traced") for mark in self.marks):
            yield (
                "told by OpenTelemetry spans: headers are on file only where HTTP is traced, too; streams, and requests"
                " without a span, are not"
            )
        if not self.process.shows_requests:
            yield self._requests_not_seen()
        if facts.attached is None and facts.state not in {"healthy", "cancelled"}:
            yield "no renderer marks: detachment cannot be ruled out"
        if facts.fate == "unknown" and facts.ended_phase is None:
            yield "whether its process still lives"
        if self.process.drops:
            lost = ", ".join(f"{reason} {count}" for reason, count in sorted(self.process.drops.items()))
            yield f"the recorder counted losses: {lost}"
        if facts.accepted_ns is None:
            yield "no record of its acceptance: the begin of the turn is lost"

    def _requests_not_seen(self) -> str:
        if any(mark.phase in {"upstream_sent", "response_headers"} for mark in self.marks):
            return "a request is on file once it is answered or has failed: one more may have been sent"
        return "requests, headers and streams are not on file: a model stall and transport look alike"


def _of(mark: Mark) -> Evidence:
    return Evidence(mark.file, mark.offset, f"{instant_words(mark.wall_ns)} {mark_words(mark)}")


def stretches(marks: Sequence[Mark], facts: Facts) -> tuple[Stretch, ...]:
    """Return where the turn's time went: one stretch per phase that took some, in order of their begins."""
    over_ns = facts.recovered_ns if facts.ended_ns is None else facts.ended_ns
    next_on: dict[str, int] = {}
    found = []
    for mark in reversed([mark for mark in marks if not mark.attrs.get("recovered")]):
        until_ns = next_on.get(mark.lane)
        if until_ns is None and over_ns is not None and lane_kind(mark.lane) != "renderer":
            until_ns = max(over_ns, mark.at_ns)
        # A phase that ends its lane takes no time, unless it is what the turn waits in.
        if not PHASE[mark.phase].terminal or (mark.seq, mark.phase) == (facts.wait_seq, facts.wait_phase):
            found.append(Stretch(mark.lane, mark.phase, mark.at_ns, until_ns, attr_words(mark)))
        next_on[mark.lane] = mark.at_ns
    return tuple(reversed(found))
