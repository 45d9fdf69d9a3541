"""Codex's own telemetry (OTLP logs and spans of ``codex_exec``, ``codex-app-server`` …) as marks of its turns.

Logs say when headers came and what came after them; that a request was sent shows in spans alone, and of one that
is still open only by its children. So the absence of a request is proof only where spans go on well after it.
"""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Final

from turnscope_analyzer.model import Capture, Process
from turnscope_analyzer.sources.codex.events import Event, conversation_of, event_of_log, events_of_span
from turnscope_analyzer.sources.codex.told import Interrupt, Told
from turnscope_analyzer.sources.codex.traces import Trace, turn_of
from turnscope_analyzer.sources.otlp.records import Span

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from turnscope_analyzer.sources.otlp.records import Attribute, LogRecord

_SOURCE: Final = "codex"
_DETAIL: Final = 1
"""More than a rollout, which shows no headers."""

_IDENTITY: Final = ("service.name", "service.version", "env", "service.instance.id", "process.pid")
"""What tells one exporter's resource from another's; the host is not in it, for spans do not name theirs."""

_ONE_THREAD: Final = "codex_exec"
"""The service of which each process runs one thread: another thread's records are no proof of its life."""


class CodexTelemetry:
    """The dialect of Codex (``otlp.records.Dialect``)."""

    def __init__(self) -> None:
        self._services: dict[tuple[Attribute, ...], _Service] = {}

    def take(self, record: Span | LogRecord) -> bool:
        """Take a record of Codex in; leave all others."""
        name = record.resource.get("service.name")
        if not record.scope.startswith("codex") or not isinstance(name, str) or not name.startswith("codex"):
            return False
        identity = tuple(record.resource.get(name) for name in _IDENTITY)
        service = self._services.get(identity)
        if service is None:
            service = self._services[identity] = _Service(name, len(self._services))
        service.take(record)
        return True

    def captures(self) -> Iterator[Capture]:
        """Give a capture for each thread, by service and in the order in which they were first met."""
        for service in self._services.values():
            yield from service.captures()


class _Thread:
    """One conversation: its events, and how far its records reach."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.last = (0, "")
        self.host: Attribute = None
        self._known: set[tuple[str | int | None, ...]] = set()

    def take(self, event: Event) -> None:
        self.reach(event.until_ns, event.file)
        before = self.events[-1] if self.events else None
        if before is not None and not (before.milestone or event.milestone):
            before.absorb(event)
        elif event.key is None or event.key not in self._known:
            self.events.append(event)
            self._known |= {event.key} if event.key is not None else set()

    def reach(self, at_ns: int, file: str) -> None:
        self.last = max(self.last, (at_ns, file))


class _Service:
    """What one resource exported."""

    def __init__(self, name: str, number: int) -> None:
        self.name = name
        # Another version of Codex may have gone on with the same thread.
        self._view = f"codex-otlp.{number}" if number else "codex-otlp"
        self._threads: dict[str, _Thread] = defaultdict(_Thread)
        self._traces: dict[str, Trace] = defaultdict(Trace)
        self._thread_of: dict[str, str] = {}
        self._interrupts: dict[str, Interrupt] = {}
        self._last: dict[Attribute, tuple[int, str]] = defaultdict(lambda: (0, ""))

    def take(self, record: Span | LogRecord) -> None:
        if isinstance(record, Span):
            events, at_ns = events_of_span(record), record.end_ns or record.start_ns
            if record.trace_id:
                self._span(record)
        else:
            event = event_of_log(record)
            events, at_ns = [event] if event else [], record.at_ns
        host = record.resource.get("host.name")
        self._last[host] = max(self._last[host], (at_ns, record.file))
        inner = (event.attrs for event in record.events) if isinstance(record, Span) else ()
        thread_id = next(filter(None, map(conversation_of, (record.attrs, *inner))), None)
        if thread_id is None:
            return
        thread = self._threads[thread_id]
        thread.reach(at_ns, record.file)
        thread.host = thread.host or host
        if record.trace_id:
            self._thread_of.setdefault(record.trace_id, thread_id)
        for event in events:
            thread.take(event)

    def _span(self, span: Span) -> None:
        turn_id = turn_of(span.attrs)
        if span.name == "turn/interrupt" and turn_id is not None:
            # It has a trace of its own.
            self._interrupts[turn_id] = Interrupt(span.start_ns, span.end_ns or span.start_ns, (span.file, span.offset))
        else:
            self._traces[span.trace_id].take(span)

    def captures(self) -> Iterator[Capture]:
        samples = any(trace.shows_sampling for trace in self._traces.values())
        spans_until_ns = max((trace.until_ns for trace in self._traces.values()), default=0)
        traces: dict[str, dict[str, Trace]] = defaultdict(dict)
        for trace_id, trace in self._traces.items():
            trace.shows_sampling = samples
            if (thread_id := self._thread_of.get(trace_id)) is not None:
                traces[thread_id][trace_id] = trace
                self._threads[thread_id].reach(trace.until_ns, trace.record[0])
        untraced = sum(not any(event.trace_id for event in thread.events) for thread in self._threads.values())
        if untraced:
            yield Capture(left_alone=Counter({"threads whose records name no trace": untraced}))
        for thread_id, thread in self._threads.items():
            turns = [turn for turn in self._turns(thread_id, thread, traces[thread_id]) if turn.marks]
            if turns:
                yield self._capture(thread_id, thread, turns, _names(traces[thread_id]), spans_until_ns)

    def _turns(self, thread_id: str, thread: _Thread, traces: Mapping[str, Trace]) -> Iterator[Told]:
        """Yield the thread's turns; *traces* are its own, by their ids."""
        main = _main_traces(traces.values())
        events: dict[str, list[Event]] = {turn_id: [] for turn_id in main}
        outside: set[str] = set()
        trace_id, limit = "", None
        for event in sorted(thread.events, key=lambda event: event.at_ns):
            limit = event.number("auto_compact_token_limit") or limit
            if event.name == "conversation_starts":
                outside.add(event.trace_id)
                continue
            # A stream's events have no trace: they belong to the request before them. One thread runs one turn.
            trace_id = event.trace_id or trace_id
            events.setdefault(self._turn_id(thread_id, trace_id, event.at_ns), []).append(event)
        for turn_id, told in events.items():
            # What is asked for while a thread starts is no turn's.
            if turn_id and (turn_id not in outside or any(event.name == "user_prompt" for event in told)):
                yield Told(
                    turn_id,
                    thread_id,
                    trace=main.get(turn_id) or traces.get(turn_id),
                    events=told,
                    limit=limit,
                    interrupt=self._interrupts.get(turn_id),
                )

    def _turn_id(self, thread_id: str, trace_id: str, at_ns: int) -> str:
        """Return the turn that a thread was in; named after the trace where no span names it."""
        if self._thread_of.get(trace_id, thread_id) != thread_id:
            # A thread that another one's turn started, within the same trace.
            return f"{thread_id}/{trace_id}"
        trace = self._traces.get(trace_id)
        return (trace.turn_at(at_ns) if trace else None) or trace_id

    def _capture(
        self, thread_id: str, thread: _Thread, turns: list[Told], names: dict[str, str], spans_until_ns: int
    ) -> Capture:
        turns.sort(key=lambda turn: turn.since_ns)
        for turn, after in itertools.pairwise(turns):
            turn.end_before(after, spans=spans_until_ns > 0)
        capture = Capture(names=names)
        for settled in (True, False):
            told = [turn for turn in turns if turn.settled(spans_until_ns) is settled]
            if not told:
                continue
            process = self._process(thread_id, thread, settled=settled, shows_ends=spans_until_ns > 0)
            marks = sorted(itertools.chain.from_iterable(turn.marks for turn in told), key=lambda mark: mark.at_ns)
            capture.processes.append(process)
            capture.marks += (m._replace(process_id=process.process_id, seq=seq) for seq, m in enumerate(marks))
        return capture

    def _process(self, thread_id: str, thread: _Thread, *, settled: bool, shows_ends: bool) -> Process:
        """Return what is known of the thread's process, for the turns that are *settled* or for those that are not."""
        # A service that runs many threads in one process lives as long as any of them says something.
        lives_by_all = len(self._threads) == 1 or self.name != _ONE_THREAD
        horizon_ns, file = max(thread.last, self._last[thread.host]) if lives_by_all else thread.last
        return Process(
            process_id=f"{self._view}:{thread_id}" + ("" if settled else ":open"),
            source=_SOURCE,
            fate="unknown",
            horizon_ns=horizon_ns,
            horizon_why=f"the last record that {self.name} exported",
            file=file,
            shows_requests=settled,
            shows_ends=shows_ends,
            detail=_DETAIL,
        )


def _main_traces(traces: Iterable[Trace]) -> dict[str, Trace]:
    """Return the turns that spans name, each with its trace: some of its tools have others."""
    ranked = sorted(traces, key=lambda trace: bool(trace.ended or trace.accepted))
    return {turn_id: trace for trace in ranked for turn_id in trace.turns}


def _names(traces: Mapping[str, Trace]) -> dict[str, str]:
    """Return the traces that hold one turn, each with that turn."""
    return {known: next(iter(trace.turns)) for known, trace in traces.items() if len(trace.turns) == 1}
