"""One Codex turn: its start, its tools and its end, told from its records in file order."""

from __future__ import annotations

from typing import TYPE_CHECKING

from turnscope_analyzer.sources.codex.errors import failure_of
from turnscope_analyzer.sources.codex.requests import Requests
from turnscope_analyzer.sources.codex.tokens import number
from turnscope_analyzer.sources.drafts import Drafts

if TYPE_CHECKING:
    from turnscope_analyzer.model import Value
    from turnscope_analyzer.sources.codex.records import Record
    from turnscope_analyzer.sources.codex.settings import Settings
    from turnscope_analyzer.sources.codex.tokens import Reading
    from turnscope_analyzer.sources.failures import Failure

_MET_BY_COMPACTION = frozenset({None, "context_length_exceeded"})
"""Failures that are the compaction's where Codex could be at nothing else."""

_OWN_CAUSE = frozenset({"rate_limited", "unauthorized", "forbidden"})
"""Failures that say what to do about them better than 'compaction' does."""


class Turn:
    """The marks of one turn, and what its records leave open.

    ``made`` is a turn of a version that recorded neither start nor end: it begins with its prompt, its id is
    ours. ``other_task`` is one that has no prompt by nature, such as a review. ``below_parent``: the record last
    read that names a thread named another one.
    """

    def __init__(self, turn_id: str, settings: Settings, first: Record, *, made: bool = False) -> None:
        self.turn_id = turn_id
        self.made = made
        self.below_parent = False
        self.last = first
        self.ended = False
        self.prompted = False
        self.other_task = False
        self.trace_id: str | None = None
        self.marks = Drafts()
        self.requests = Requests(self.marks, settings)
        self._settings = settings
        self._error: Failure | None = None
        self._calls: dict[str, bool] = {}
        self._started = False

    def start(self, record: Record) -> None:
        """Mark the turn accepted and started, once; a rollout has one record for both."""
        if self._started or self.ended:
            return
        self._started = True
        # 0.142 writes its counts after the tools and the trace's id into this record, 0.118 neither. For the
        # versions between, which write when they started, it is not known.
        if "trace_id" in record.payload:
            self.requests.copies = "failed"
        elif "started_at" not in record.payload:
            self.requests.copies = "headers"
        trace = record.payload.get("trace_id")
        self.trace_id = trace if isinstance(trace, str) else self.trace_id
        self.marks.mark(
            record,
            "turn",
            "accepted",
            context_window=number(record.payload, "model_context_window"),
            trace=self.trace_id,
        )
        self.marks.mark(record, "turn", "started")

    def only_prompted(self) -> bool:
        """Tell whether nothing but the prompt is on file."""
        return not self.ended and len(self.marks) == 2

    def prompt(self) -> None:
        """Take in that the user's message is on file."""
        self.prompted = True
        self.requests.renew()

    def count(self, record: Record, reading: Reading) -> None:
        """Take in a ``token_count``."""
        before_prompt = not (self.prompted or self.made or self.other_task) and self.requests.compacted is None
        self.requests.count(record, reading, before_prompt=before_prompt)

    def call(self, record: Record, call_id: str | None, name: str | None, kind: str, *, escalated: bool) -> None:
        """Take in a tool call; one without an id gets its place in the file for one."""
        self.requests.take_back_compaction()
        self.requests.item(record, kind)
        lane = f"tool:{call_id or f'@{record.offset}'}"
        if self._calls.get(lane):
            return
        self._calls[lane] = True
        waits = escalated or self._settings.asks_people
        self.marks.mark(record, lane, "tool_call", name=name, kind=kind, escalated=waits or None)

    def result(self, record: Record, call_id: str | None) -> None:
        """Take in a tool's output, also one whose call is not on file."""
        lane = f"tool:{call_id}" if call_id else self._oldest_call_without_id()
        if lane is None or self._calls.get(lane) is False:
            return
        self._calls[lane] = False
        self.requests.result(record)
        self.marks.mark(record, lane, "tool_result", bytes=record.length)

    def complete(self, record: Record) -> None:
        """End the turn as its last record says, or as the records before it tell where that says nothing.

        Up to 0.142 a failed turn is recorded as completed without a message. The versions that write
        ``started_at`` into this record also write the error, so there no message and no error is a good end.
        Before them it is one only if the last response came to its end and asked for nothing, or for a task
        that never has a message (compact, review).
        """
        payload = record.payload
        error = payload.get("error")
        if isinstance(error, dict):
            self._fail(record, failure_of(error) if error else None)
        elif isinstance(payload.get("last_agent_message"), str):
            self.requests.take_back_compaction()
            self._end(record, "completed")
        elif self._error is None and not self.requests.exceeded and ("started_at" in payload or self._ended_well()):
            self._end(record, "completed", kind="no_message")
        else:
            self._fail(record, self._error)

    def abort(self, record: Record, kind: str | None) -> None:
        """End the turn as interrupted; who did it is not on file."""
        self.requests.forget_last_failure()
        self._end(record, "interrupted", kind=kind)

    def error(self, record: Record, failure: Failure) -> None:
        """Take in an error event; it ends a turn of a version that records no other end."""
        self._error = failure
        if self.made:
            self._fail(record, failure)

    def lose(self) -> None:
        """Close the turn at its last record: a later one began without it, so its process is gone."""
        self._end(self.last, "interrupted", recovered=True, error_type="process_lost")

    def _ended_well(self) -> bool:
        if self.prompted:
            return self.requests.ended_well()
        return self.other_task or self.requests.compacted is not None

    def _fail(self, record: Record, failure: Failure | None) -> None:
        error_type = met = failure.error_type if failure else None
        if (
            (self.requests.compaction is not None and met not in _OWN_CAUSE)
            or (self.requests.must_compact() and met in _MET_BY_COMPACTION)
            or met == "compaction_failed"
        ):
            error_type = "compaction_failed"
            # What its request met stays on its own mark; the turn failed because the compaction did.
            inner = met or error_type
            self.marks.mark(
                record, "compaction", "compaction_failed", late=True, error_type=inner, purpose="compaction"
            )
        elif met is None and self.requests.exceeded:
            error_type = "context_length_exceeded"
        error_class, status = (failure.error_class, failure.status) if failure else (None, None)
        self._end(record, "failed", error_type=error_type, error_class=error_class, status=status)

    def _end(self, record: Record, phase: str, **attrs: Value) -> None:
        self.marks.mark(record, "turn", phase, **attrs)
        self.ended = True

    def _oldest_call_without_id(self) -> str | None:
        return next((lane for lane, is_open in self._calls.items() if is_open and lane.startswith("tool:@")), None)
