"""The marks of one Codex turn as its telemetry tells them, event by event.

A response's headers and its stream are events of their own; that a request was sent is told only afterwards, by
how long its headers took. Compaction has no event: it is told by its span, or else by what Codex can be at alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from turnscope_analyzer.sources.codex.ledger import LIKELY, Ledger

if TYPE_CHECKING:
    from collections.abc import Sequence

    from turnscope_analyzer.model import Value
    from turnscope_analyzer.sources.codex.events import Event
    from turnscope_analyzer.sources.codex.ledger import Record, Stay
    from turnscope_analyzer.sources.failures import Failure

_MS: Final = 1_000_000


class Exchange:
    """The requests, tools and compactions of one turn, fed with its events in order of their times.

    ``limit`` is how many tokens the thread may hold before Codex compacts it, None where that is not known. *stays*
    are the compactions by their spans; they are all that there were where *spanned*: the turn's spans are all on file.
    """

    def __init__(self, ledger: Ledger, *, limit: int | None, stays: Sequence[Stay] = (), spanned: bool = False) -> None:
        self.failure: Failure | None = None
        self.results_in = False
        self.answering = False
        self.requests = 0
        self._ledger = ledger
        self._limit = limit
        self._stays = stays
        self._spanned = spanned
        self._prompted = False
        self._inferred = False
        self._step = 1
        self._attempt = 1
        self._tokens: int | None = None
        self._purpose: str | None = None
        self._calls: dict[str, bool] = {}
        self._stream: Event | None = None
        self._items = False

    def feed(self, event: Event) -> None:
        """Take the next event in."""
        match event.name:
            case "user_prompt":
                self._prompt(event)
            case "api_request":
                self._request(event)
            case "sse_event":
                self._stream_event(event)
            case "tool_decision":
                self._decision(event)
            case "tool_result":
                self._result(event)
            case _:
                pass  # what a thread is started with is no turn's

    def sent(self, at_ns: int, record: Record, *, sampling: bool | None) -> None:
        """Take in that a request was sent whose span is still open.

        Args:
            at_ns: When the last thing before it was done.
            record: Where that stands.
            sampling: The request is one of the turn's steps; what is none is a compaction. None: not known.
        """
        compacts = self._compacts(at_ns) if sampling is None else not sampling
        self._begin(at_ns, record, compacts=compacts, surely=sampling is not None)

    def finish(self) -> None:
        """Say how far the open stream has come, and when the compactions that left a span began and ended."""
        last = self._ledger.last(lane=self._lane)
        if self.answering and last is not None and self._stream is not None and self._stream.chunks > 1:
            live_chunks, until_ns = self._stream.chunks - 1, self._stream.until_ns
            self._ledger.tell(last, live_chunks=live_chunks, live_progress_at=until_ns)
        for stay in self._stays:
            self._ledger.stayed(stay)

    @property
    def open_calls(self) -> bool:
        """Whether a tool was called and has not come back."""
        return any(self._calls.values())

    @property
    def _lane(self) -> str:
        return f"upstream:{self.requests}"

    def _prompt(self, event: Event) -> None:
        if self._inferred:
            self._end_inferred(event)
        if not self._prompted:
            self._ledger.add("turn", "started", event.at_ns, _record(event), late=True)
        self._prompted = True

    def _request(self, event: Event) -> None:
        sent_ns = _begin_of(event)
        compacting = event.words.get("endpoint", "").endswith("/compact")
        compacts = compacting or self._compacts(sent_ns)
        self._begin(sent_ns, _record(event), compacts=compacts, surely=compacting, model=event.words.get("model"))
        status = event.number("http.response.status_code")
        if event.failure is not None:
            self._fail(event, status=status)
        elif compacting:
            # This one is answered at once and whole, without a stream.
            self._complete(event)
        else:
            self._upstream("response_headers", event, status=status)

    def _stream_event(self, event: Event) -> None:
        kind = event.words.get("event.kind")
        if not self.answering:
            if event.failure is not None:
                # Codex says a failure twice, and the second time as a completed response.
                self.failure = self.failure or event.failure
                return
            if kind == "response.completed":
                self._count(event)
                return
            self._begin(event.at_ns, _record(event), compacts=self._compacts(event.at_ns), sent=False)
        if event.failure is not None:
            self._fail(event)
            return
        if self._stream is None:
            self._upstream("first_event", event)
            self._stream = event
        elif kind == "response.completed":
            self._complete(event)
        else:
            self._progress(event, first_item=kind == "response.output_item.added")

    def _progress(self, event: Event, *, first_item: bool) -> None:
        stream = self._stream
        if first_item and not self._items:
            self._upstream("first_item", event)
            self._items = True
            self._stream = event
        elif stream is not None and stream is not event:
            stream.max_gap_ns = max(stream.max_gap_ns, event.at_ns - stream.until_ns, event.max_gap_ns)
            stream.chunks += event.chunks
            stream.until_ns = event.until_ns

    def _decision(self, event: Event) -> None:
        lane = self._call(event, event.at_ns)
        if event.words.get("source") == "User":
            denied = event.words.get("decision", "").startswith(("denied", "abort"))
            self._ledger.add(lane, "denied" if denied else "approved", event.at_ns, _record(event))

    def _result(self, event: Event) -> None:
        lane = self._call(event, _begin_of(event))
        self._calls[lane] = False
        self.results_in = True
        self._ledger.add(lane, "tool_result", event.at_ns, _record(event))

    def _call(self, event: Event, at_ns: int) -> str:
        """Return the lane of a tool call; mark the call where it is new."""
        if self._purpose == "compaction":
            # A compaction calls no tools.
            self._ledger.take_back_compaction()
            self._inferred = False
            self._purpose = None
        lane = f"tool:{event.words.get('call_id', event.span_id)}"
        if lane not in self._calls:
            self._calls[lane] = True
            self._ledger.add(lane, "tool_call", at_ns, _record(event), name=event.words.get("tool_name"), late=True)
        return lane

    def _compacts(self, sent_ns: int) -> bool:
        """Tell whether a request that was sent at *sent_ns* is a compaction's."""
        if any(stay.from_ns <= sent_ns <= stay.until_ns for stay in self._stays):
            return True
        if self._spanned:
            return False
        # Codex records the prompt before its first request, unless the thread has to be compacted before. After a
        # tool's result it compacts first where the response has left the thread over its limit.
        over = self.results_in and (self._tokens or 0) >= (self._limit or 1 << 62)
        return self._inferred or not self._prompted or over

    def _begin(
        self,
        sent_ns: int,
        record: Record,
        *,
        compacts: bool,
        surely: bool = False,
        sent: bool = True,
        model: str | None = None,
    ) -> None:
        if self.answering:
            # What became of the attempt before is not on file; it is over, or there would be no new one.
            self._ledger.add(self._lane, "upstream_failed", sent_ns, record, late=True, purpose=self._purpose)
            self._attempt += 1
        known = any(stay.from_ns <= sent_ns <= stay.until_ns for stay in self._stays)
        if compacts and not known and not self._inferred:
            kind = None if surely else LIKELY
            attrs = {"kind": kind, "tokens": self._tokens}
            self._ledger.add("compaction", "compaction_started", sent_ns, record, late=True, **attrs)
            self._inferred = True
        elif self.results_in and not compacts:
            self._ledger.add("continuation", "continuation", sent_ns, record)
            self.results_in = False
            self._step += 1
            self._attempt = 1
        self._purpose = "compaction" if compacts else None
        self.requests += 1
        self.answering = True
        self.failure = None
        self._stream = None
        self._items = False
        if sent:
            attrs = {"step": self._step, "attempt": self._attempt, "purpose": self._purpose, "model": model}
            self._ledger.add(self._lane, "upstream_sent", sent_ns, record, **attrs)

    def _complete(self, event: Event) -> None:
        self._upstream("upstream_completed", event)
        self.answering = False
        self._attempt = 1
        self._count(event)
        if self._purpose == "compaction":
            self._tokens = None
            if self._inferred:
                self._end_inferred(event)

    def _fail(self, event: Event, status: int | None = None) -> None:
        self.failure = event.failure
        error_type = event.failure.error_type if event.failure else None
        self._upstream("upstream_failed", event, error_type=error_type, status=status)
        self.answering = False
        self._attempt += 1

    def _count(self, event: Event) -> None:
        used = [event.number(name) for name in ("input_token_count", "output_token_count")]
        if used[0] is None or self._purpose == "compaction":
            return
        self._tokens = sum(number or 0 for number in used)
        if (completed := self._ledger.last(phase="upstream_completed")) is not None:
            self._ledger.tell(completed, tokens=self._tokens)

    def _upstream(self, phase: str, event: Event, **attrs: Value) -> None:
        """Mark a phase of the open request, with what the stream did since the one before."""
        attrs |= {"step": self._step, "attempt": self._attempt, "purpose": self._purpose}
        if self._stream is not None:
            gap_ns = max(self._stream.max_gap_ns, event.at_ns - self._stream.until_ns)
            attrs |= {"chunks": self._stream.chunks, "progress_at": self._stream.until_ns, "max_gap": gap_ns}
        self._ledger.add(self._lane, phase, event.at_ns, _record(event), **attrs)

    def _end_inferred(self, event: Event) -> None:
        self._ledger.add("compaction", "compaction_completed", event.at_ns, _record(event), late=True)
        self._inferred = False


def _record(event: Event) -> Record:
    return event.file, event.offset


def _begin_of(event: Event) -> int:
    """Return when that began of which the event tells the end; its own time where it names no length that can be."""
    begin_ns = event.at_ns - (event.number("duration_ms") or 0) * _MS
    return begin_ns if begin_ns > 0 else event.at_ns
