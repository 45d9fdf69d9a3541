"""One Codex turn as its telemetry tells it: from its acceptance to its end, as far as both are on file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from turnscope_analyzer.sources.codex.exchange import Exchange
from turnscope_analyzer.sources.codex.ledger import Ledger
from turnscope_analyzer.sources.join import until_ns

if TYPE_CHECKING:
    from collections.abc import Sequence

    from turnscope_analyzer.model import Mark
    from turnscope_analyzer.sources.codex.events import Event
    from turnscope_analyzer.sources.codex.ledger import Record
    from turnscope_analyzer.sources.codex.traces import Trace

_GRACE_NS: Final = 15_000_000_000
"""Spans leave in batches, up to ten seconds after they have ended: what is missing for longer has not happened."""


class Interrupt(NamedTuple):
    """A stop that a client asked for, from its request to its answer."""

    from_ns: int
    until_ns: int
    record: Record


class Told:
    """One turn. *trace* has its spans, *events* are its own in order of their times."""

    def __init__(
        self,
        turn_id: str,
        thread_id: str,
        *,
        trace: Trace | None,
        events: Sequence[Event],
        limit: int | None,
        interrupt: Interrupt | None,
    ) -> None:
        self._turn_id = turn_id
        self._ended = trace is not None and turn_id in trace.ended
        self._sent = False
        stays = trace.stays if trace else ()
        self._ledger = Ledger(turn_id, thread_id)
        self._exchange = Exchange(self._ledger, limit=limit, stays=stays, spanned=self._ended)
        for event in events:
            self._exchange.feed(event)
        if trace is not None and not self._ended:
            self._send(trace, events)
            self._dispatch(trace, events)
        self._exchange.finish()
        self._accept(trace)
        if trace is not None and self._ended:
            self._end(*trace.ended[turn_id])
        if interrupt is not None:
            self._interrupt(interrupt)

    @property
    def marks(self) -> Sequence[Mark]:
        """Its marks; they lack a process and a place in its order. None where its records say nothing of a phase."""
        return self._ledger.marks

    @property
    def since_ns(self) -> int:
        """When the first was heard of it."""
        return min(mark.at_ns for mark in self.marks)

    def settled(self, spans_until_ns: int) -> bool:
        """Tell whether a request that is not on file was not sent, where spans are on file until *spans_until_ns*."""
        return self._ended or self._sent or spans_until_ns >= max(mark.at_ns for mark in self.marks) + _GRACE_NS

    def end_before(self, after: Told, *, spans: bool) -> None:
        """End the turn, if its end is not on file, at the last that is: the thread has gone on to another.

        One that was not done had been stopped, or its process was lost. With *spans* on file it was the process: the
        span of a stopped turn ends. Without them the turn is left as it is.
        """
        if self._ended or after.since_ns <= self.since_ns:
            return
        last = max(self.marks, key=until_ns)
        record = (last.file, last.offset)
        if not self._unfinished:
            self._end(until_ns(last), record)
            self._ended = True
        elif spans:
            self._ledger.add("turn", "interrupted", until_ns(last), record, recovered=True, error_type="process_lost")
            self._ended = True

    @property
    def _unfinished(self) -> bool:
        """Whether its last request, or a tool of it, is still open as far as is on file."""
        exchange = self._exchange
        return exchange.failure is None and (exchange.answering or exchange.open_calls or exchange.results_in)

    def _accept(self, trace: Trace | None) -> None:
        """Mark when the turn was accepted: when a client asked for it, or the first that is heard of it."""
        asked = trace.accepted.get(self._turn_id) if trace else None
        if asked is not None:
            self._ledger.add("turn", "accepted", *asked)
        elif self.marks:
            first = min(self.marks, key=lambda mark: mark.at_ns)
            self._ledger.add("turn", "accepted", first.at_ns, (first.file, first.offset), late=True)
        elif trace is not None:
            since_ns = trace.turns.get(self._turn_id, trace.until_ns)
            self._ledger.add("turn", "accepted", since_ns, trace.record, late=True)
        if self.marks:
            # Of marks at one time it is the first.
            self._ledger.marks.insert(0, self._ledger.marks.pop())

    def _send(self, trace: Trace, events: Sequence[Event]) -> None:
        """Mark the request whose span is open, unless its answer is on file: the span may merely be late."""
        sent = trace.sent()
        if sent is not None and not any(event.name == "api_request" and event.at_ns >= sent.at_ns for event in events):
            self._exchange.sent(sent.at_ns, sent.record, sampling=sent.sampling)
            self._sent = True

    def _dispatch(self, trace: Trace, events: Sequence[Event]) -> None:
        """Mark the call of a tool that no event tells of: those come when somebody has decided, or it has run."""
        found = trace.dispatched()
        if found is not None and not self._exchange.open_calls and not self._exchange.answering:
            span_id, child = found
            # After the response that asked for it; an earlier one has come back, and its span has not yet.
            asked_ns = max((event.at_ns for event in events if event.name == "api_request"), default=0)
            if child.end_ns >= asked_ns and not self._exchange.results_in:
                self._ledger.add(f"tool:{span_id}", "tool_call", child.end_ns, child.record, late=True)

    def _end(self, at_ns: int, record: Record) -> None:
        """End the turn in the way that its last request shows. The program's own record knows better: ``late``."""
        exchange = self._exchange
        if exchange.failure is not None:
            self._ledger.add("turn", "failed", at_ns, record, late=True, error_type=exchange.failure.error_type)
        elif self._unfinished:
            self._ledger.add("turn", "interrupted", at_ns, record, late=True)
        else:
            self._ledger.add("turn", "completed", at_ns, record, late=True)

    def _interrupt(self, interrupt: Interrupt) -> None:
        self._ledger.add("cancel", "cancel_requested", interrupt.from_ns, interrupt.record)
        ends = [mark for mark in self.marks if mark.phase == "interrupted"]
        if ends:
            done_ns = max(interrupt.until_ns, ends[-1].at_ns)
            self._ledger.add("cancel", "cancel_result", done_ns, interrupt.record, result="cancelled")
