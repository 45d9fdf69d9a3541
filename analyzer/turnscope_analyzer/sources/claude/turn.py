"""One Claude Code turn: its responses, its tools and its end, told from its records in file order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from turnscope_analyzer.sources.claude.errors import failure_of
from turnscope_analyzer.sources.drafts import Draft, Drafts
from turnscope_analyzer.sources.objects import COUNT_END, part, word

if TYPE_CHECKING:
    from collections.abc import Mapping

    from turnscope_analyzer.model import Value
    from turnscope_analyzer.sources.claude.records import Record

_ASKS_ITSELF = frozenset({"AskUserQuestion", "ExitPlanMode"})
"""Tools that wait for the user's answer by nature, whatever is allowed."""

_GOES_ON = frozenset({"tool_use", "pause_turn"})
"""Why a response stopped that is not the turn's last one."""

_FAILED_STOPS = {"refusal": "other", "model_context_window_exceeded": "context_length_exceeded"}
_COUNTED = ("input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens", "output_tokens")


class Turn:
    """The marks of one turn, and what its records leave open.

    ``told``: its own records say when a response is over. ``left``: the user went on to another turn, and nothing
    says what became of this one. ``last`` is the record that was read last of it.
    """

    def __init__(self, turn_id: str, session_id: str, first: Record) -> None:
        self.turn_id = turn_id
        self.session_id = session_id
        self.last = first
        self.told = False
        self.left = False
        self.marks = Drafts()
        self._end: Draft | None = None
        self._final = False
        self._response: str | None = None
        self._request = 0
        self._step = 1
        self._attempt = 1
        self._answering = False
        self._results_in = False
        self._calls_tools = False
        self._model: str | None = None
        self._calls: dict[str, bool] = {}

    @property
    def ended(self) -> bool:
        """Whether its end is on file; a later response still takes back an end that only a response told."""
        return self._end is not None

    @property
    def over(self) -> bool:
        """Whether nothing can follow any more."""
        return self._final

    def start(self, record: Record) -> None:
        """Mark the turn accepted and started; a transcript has one record for both."""
        self.marks.mark(record, "turn", "accepted")
        self.marks.mark(record, "turn", "started")

    def answer(self, record: Record, *, asks_people: bool) -> None:
        """Take in one part of a response; its parts are records of their own with the response's id."""
        message = record.message
        name = word(message, "id")
        if self._end is not None:
            # A hook sent the model back to work, or the part that said so was not the last one.
            self.marks.remove(self._end)
            self._end = None
        self._model = word(message, "model") or self._model
        if name is None or name != self._response:
            self._complete(record, late=True)
            self._response = name
            self._begin(record)
        blocks = record.blocks()
        for block in blocks:
            if block.get("type") == "tool_use":
                self._call(record, block, asks_people=asks_people)
        stop = word(message, "stop_reason")
        if stop is None:
            return
        self.told = True
        self._complete(record, tokens=_tokens(message))
        if stop not in _GOES_ON and not self._calls_tools:
            if failed := _FAILED_STOPS.get(stop):
                self._close(record, "failed", error_type=failed, error_class=stop)
            else:
                self._close(record, "completed", kind=None if stop == "end_turn" else stop)

    def result(self, record: Record, block: Mapping[str, Any]) -> None:
        """Take in a tool's output, also one whose call is not on file."""
        call_id = word(block, "tool_use_id")
        lane = f"tool:{call_id}" if call_id else self._oldest_call_without_id()
        if lane is None or self._calls.get(lane) is False or self._final:
            return
        self._complete(record, late=True)
        self._calls[lane] = False
        self._results_in = True
        self.marks.mark(record, lane, "tool_result", bytes=record.length)

    def failed_attempt(self, record: Record) -> None:
        """Take in that a request failed and will be tried again."""
        if self._end is not None:
            return
        failure = failure_of(record)
        if not self._answering:
            self._start_request(record)
        self._upstream(record, "upstream_failed", **failure._asdict())
        self._answering = False
        self._response = None
        self._attempt += 1

    def fail(self, record: Record) -> None:
        """End the turn with the error that the user was shown."""
        if self._final:
            return
        failure = failure_of(record)
        tried = bool(self.marks) and self.marks[-1].phase == "upstream_failed"
        if failure.error_type != "compaction_failed" and not tried:
            self.failed_attempt(record)
        self._close(record, "failed", **failure._asdict())
        self._final = True

    def interrupt(self, record: Record) -> None:
        """End the turn as the user's interrupt says."""
        self._end_for_good(record, "interrupted")

    def complete(self, record: Record) -> None:
        """End the turn as its last record says, which gives how long it took."""
        self._complete(record, late=True)
        self._end_for_good(record, "completed")

    def compacted(self, record: Record, trigger: str | None, tokens: int | None, took_ms: int | None) -> None:
        """Take in that the conversation was summarised; newer versions say how long that took."""
        self._complete(record, late=True)
        if took_ms is not None:
            begun = self.marks.mark(record, "compaction", "compaction_started", trigger=trigger, tokens=tokens)
            begun.move(record.wall_ns // 1_000_000 - took_ms, self.marks[0].at_ns)
        self.marks.mark(record, "compaction", "compaction_completed", trigger=trigger, late=True)
        self._results_in = False

    def leave(self) -> None:
        """Take in that the user went on to another turn.

        The versions that do not say how a response stopped leave nothing else behind a turn that went well. Where a
        tool or its follow-up is open, it may have been steered, killed or lost: that cannot be told.
        """
        if self._end is not None:
            return
        open_calls = any(self._calls.values())
        if self._request and not (self.told or open_calls or self._results_in or self._calls_tools) and self._answering:
            self._complete(self.last, late=True)
            self._end_for_good(self.last, "completed", kind="next_prompt")
        else:
            self.left = True

    def _call(self, record: Record, block: Mapping[str, Any], *, asks_people: bool) -> None:
        self._calls_tools = True
        lane = f"tool:{word(block, 'id') or f'@{record.offset}'}"
        if self._calls.get(lane):
            return
        name = word(block, "name")
        self._calls[lane] = True
        self.marks.mark(record, lane, "tool_call", name=name, kind="tool_use", escalated=asks_people or None)
        if name in _ASKS_ITSELF:
            self.marks.mark(record, lane, "awaiting_approval")

    def _begin(self, record: Record) -> None:
        self._start_request(record)
        kinds = (block.get("type") for block in record.blocks())
        kind = next((kind for kind in kinds if isinstance(kind, str)), None)
        self._upstream(record, "first_item", late=True, kind=kind)
        self._answering = True
        self._calls_tools = False

    def _start_request(self, record: Record) -> None:
        if self._results_in:
            self.marks.mark(record, "continuation", "continuation", late=True)
            self._results_in = False
            self._step += 1
            self._attempt = 1
        self._request += 1

    def _complete(self, record: Record, *, late: bool | None = None, tokens: int | None = None) -> None:
        if self._answering:
            self._upstream(record, "upstream_completed", late=late, tokens=tokens)
            self._answering = False
            self._attempt = 1

    def _end_for_good(self, record: Record, phase: str, **attrs: Value) -> None:
        if self._end is None:
            self._close(record, phase, **attrs)
        self._final = True

    def _close(self, record: Record, phase: str, **attrs: Value) -> None:
        self._end = self.marks.mark(record, "turn", phase, **attrs)

    def _upstream(self, record: Record, phase: str, **attrs: Value) -> None:
        own: dict[str, Value] = {"step": self._step, "attempt": self._attempt, "model": self._model}
        self.marks.mark(record, f"upstream:{self._request}", phase, **own, **attrs)

    def _oldest_call_without_id(self) -> str | None:
        return next((lane for lane, is_open in self._calls.items() if is_open and lane.startswith("tool:@")), None)


def _tokens(message: Mapping[str, Any]) -> int | None:
    """Return the tokens in the context after a response, None where they are not counted."""
    usage = part(message, "usage")
    counts = [usage.get(name) for name in _COUNTED]
    known = [count for count in counts if type(count) is int and 0 <= count < COUNT_END // len(_COUNTED)]
    return sum(known) if known else None
