"""Telemetry of Codex for tests: made by hand, or as it was captured."""

from __future__ import annotations

import random
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.accuracy.labels import unwrap
from turnscope_analyzer.sources.codex.telemetry import CodexTelemetry
from turnscope_analyzer.sources.otlp.records import LogRecord, Span, SpanEvent
from turnscope_analyzer.sources.otlp.source import read_otlp

if TYPE_CHECKING:
    from collections.abc import Iterable

    from turnscope_analyzer.model import Capture, Mark

LABELLED = Path(__file__).parent / "data" / "accuracy"
S = 1_000_000_000
MS = 1_000_000
THREAD = "01a1fba8-4282-74c1-b0b8-ea566f728517"
TRACE = "ab" * 16


def captured(case: str, folder: Path) -> list[Capture]:
    """Return the captures that hold turns of what *case* exported."""
    unwrap(LABELLED / "codex-lab" / case / "otlp.jsonl.gz", folder)
    return [capture for capture in read_otlp(sorted(folder.glob("*.jsonl")), lambda _bytes: None) if capture.marks]


def told(records: Iterable[Span | LogRecord]) -> list[Capture]:
    """Return what the dialect makes of *records*, all of which it takes."""
    dialect = CodexTelemetry()
    taken = [dialect.take(record) for record in records]
    assert all(taken)
    return list(dialect.captures())


def story(captures: Iterable[Capture]) -> list[str]:
    """Return the phases of the last turn in order, with the lanes of those that there may be many of."""
    marks = last_turn(captures)
    return [f"{mark.phase} {mark.lane.partition(':')[2]}".rstrip() for mark in marks]


def last_turn(captures: Iterable[Capture]) -> list[Mark]:
    turns: dict[str, list[Mark]] = defaultdict(list)
    for mark in sorted((m for capture in captures for m in capture.marks), key=lambda m: (m.at_ns, m.seq)):
        turns[mark.turn_id].append(mark)
    return turns[max(turns, key=lambda turn: turns[turn][0].at_ns)]


def find(marks: list[Mark], phase: str) -> Mark:
    return [mark for mark in marks if mark.phase == phase][-1]


class Exported:
    """What a Codex process exported, made by hand. Times are seconds; a turn is one trace."""

    def __init__(self, service: str = "codex-app-server", thread: str = THREAD, trace: str = TRACE) -> None:
        self.records: list[Span | LogRecord] = []
        self._resource = {"service.name": service, "service.version": "0.169.0"}
        self._thread = thread
        self._trace = trace

    def log(self, at_s: float, event: str, *, trace: str | None = None, **attrs: Any) -> Exported:
        """Add a log record; ``_`` in the name of an attribute stands for a dot."""
        named = {name.replace("__", "."): value for name, value in attrs.items()}
        named |= {"event.name": f"codex.{event}", "conversation.id": self._thread}
        self.records.append(
            LogRecord(
                trace_id="" if event == "sse_event" else trace or self._trace,
                span_id=f"{len(self.records):016x}",
                at_ns=int(at_s * S),
                event=f"event otel/src/events/session_telemetry.rs:{len(self.records)}",
                attrs=named,
                scope="codex_otel.log_only",
                resource=self._resource,
                file="logs.jsonl",
                offset=len(self.records),
            )
        )
        return self

    def span(
        self,
        name: str,
        from_s: float,
        until_s: float,
        *,
        id: str = "",  # noqa: A002 -- as it is called on a span
        parent: str = "",
        trace: str | None = None,
        events: tuple[SpanEvent, ...] = (),
        **attrs: Any,
    ) -> Exported:
        self.records.append(
            Span(
                trace_id=trace or self._trace,
                span_id=id or f"{len(self.records):016x}",
                parent_id=parent,
                name=name,
                kind=1,
                start_ns=int(from_s * S),
                end_ns=int(until_s * S),
                failed=False,
                status_message="",
                attrs={key.replace("__", "."): value for key, value in attrs.items()},
                events=events,
                scope=str(self._resource["service.name"]),
                resource=self._resource,
                file="traces.jsonl",
                offset=len(self.records),
            )
        )
        return self

    def started(self, limit: int | None = None, at_s: float = 1) -> Exported:
        limits = {} if limit is None else {"auto_compact_token_limit": str(limit)}
        return self.log(at_s, "conversation_starts", trace="cd" * 16, **limits)

    def prompt(self, at_s: float = 2) -> Exported:
        return self.log(at_s, "user_prompt", prompt_length="20", prompt="[REDACTED]")

    def answered(self, at_s: float, status: str = "200", took_s: float = 0.5, **attrs: Any) -> Exported:
        """Add the record of a request's headers, or of its failure."""
        told = {"duration_ms": str(int(took_s * 1000)), "attempt": "0", "endpoint": "/responses", **attrs}
        return self.log(at_s, "api_request", **({"http__response__status_code": status} if status else {}), **told)

    def sse(self, at_s: float, kind: str | None, **attrs: Any) -> Exported:
        return self.log(at_s, "sse_event", **({"event__kind": f"response.{kind}"} if kind else {}), **attrs)

    def response(self, at_s: float, tokens: int = 110) -> Exported:
        """Add a whole response, from its headers to its end, within half a second."""
        self.answered(at_s).sse(at_s + 0.1, "created").sse(at_s + 0.2, "output_item.added")
        self.sse(at_s + 0.4, "output_item.done").sse(at_s + 0.5, "completed", duration_ms="0")
        return self.sse(at_s + 0.501, "completed", input_token_count=str(tokens), output_token_count="0")

    def tool(self, at_s: float, call: str = "c1", took_s: float = 1, source: str = "Config") -> Exported:
        """Add a tool call that was decided at *at_s* and has come back."""
        self.log(at_s, "tool_decision", call_id=call, decision="approved", source=source, tool_name="exec_command")
        done = {
            "call_id": call,
            "duration_ms": str(int(took_s * 1000)),
            "arguments": "rm -rf secret",
            "output": "secret",
        }
        return self.log(at_s + took_s, "tool_result", **done)

    def ended(self, at_s: float, turn: str = "turn-1") -> Exported:
        return self.span("session_task.turn", 2, at_s, id="5e" * 8, turn__id=turn)

    def captures(self, *, shuffled: int | None = None) -> list[Capture]:
        records = list(self.records)
        if shuffled is not None:
            random.Random(shuffled).shuffle(records)
        return told(records)
