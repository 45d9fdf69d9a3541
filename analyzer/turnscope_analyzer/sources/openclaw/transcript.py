"""Transcripts: what was said in a session, one segment a user's record.

Before 2026.9 a transcript names no runs, and nothing is written before the first answer. The line's own time is when it
was written, the message's when the message began.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from turnscope_analyzer.sources.objects import count_of, part, word
from turnscope_analyzer.sources.openclaw.errors import failure_of
from turnscope_analyzer.sources.openclaw.records import Entry, Where, ms_ns, time_ns

if TYPE_CHECKING:
    from collections.abc import Mapping

_GATEWAY: Final = "openclaw"
"""The provider of messages that the gateway wrote in the model's place."""


@dataclass(slots=True)
class Segment:
    """A user's record and what follows it until the next one.

    ``name`` is the record's id in its file; ``accepted_as`` is the run's id that the user's record itself carries, in
    the versions where it does, ``run_id`` also one that a later record told.
    """

    name: str
    accepted_as: str | None = None
    run_id: str | None = None
    entries: list[Entry] = field(default_factory=list)


@dataclass(slots=True)
class Transcript:
    """The segments of one session, in file order; ``notes`` are the gateway's own messages, by the run they name."""

    segments: list[Segment] = field(default_factory=list)
    notes: dict[str, Entry] = field(default_factory=dict)

    def feed(self, record: Mapping[str, Any], where: Where, written_ns: int | None = None) -> bool:
        """Take the next record in; *written_ns* is for stores that keep it apart from the record.

        Returns:
            Whether it is one that a transcript holds.
        """
        kind = word(record, "type")
        at_ns = written_ns or time_ns(record.get("timestamp"))
        if kind is None or at_ns is None:
            return False
        if kind == "message":
            return self._message(record, part(record, "message"), at_ns, where)
        if kind == "compaction":
            self._add(Entry(at_ns, "compacted", "transcript", where, {"tokens": count_of(record.get("tokensBefore"))}))
        elif kind == "custom" and record.get("customType") == "openclaw:prompt-error":
            data = part(record, "data")
            self._add(Entry(at_ns, "prompt_error", "transcript", where, failure_of(data.get("error"))))
            self._name_run(word(data, "runId"))
        return True

    def _message(self, record: Mapping[str, Any], message: Mapping[str, Any], at_ns: int, where: Where) -> bool:
        role = message.get("role")
        began_ns = ms_ns(message.get("timestamp")) or at_ns
        if role == "user":
            run_id, _, _ = (word(message, "idempotencyKey") or "").rpartition(":")
            name = word(record, "id") or f"@{where.offset}"
            self.segments.append(Segment(name, run_id or None, run_id or None))
            # The message began when it was accepted; where the clock of the two differs the earlier one is right.
            self._add(Entry(min(began_ns, at_ns), "user", "transcript", where, {"written_ns": at_ns}))
        elif role == "assistant":
            self._assistant(message, began_ns, at_ns, where)
        elif role == "toolResult":
            self._add(Entry(at_ns, "result", "transcript", where, {"id": word(message, "toolCallId")}))
        return role is not None

    def _assistant(self, message: Mapping[str, Any], began_ns: int, at_ns: int, where: Where) -> None:
        owner, _, ending = (word(message, "idempotencyKey") or "").partition(":")
        stop = message.get("stopReason")
        if message.get("provider") == _GATEWAY:
            aborted = bool(part(message, "openclawAbort")) or ending == "assistant"
            note = Entry(at_ns, "note", "transcript", where, {"aborted": aborted})
            self._note(note, owner or None)
        elif stop in ("error", "aborted"):
            what = "request_failed" if stop == "error" else "aborted"
            failure = failure_of(message.get("errorMessage"))
            self._add(Entry(at_ns, what, "transcript", where, {**failure, "final": ending == "terminal-error"}))
        else:
            content = message.get("content")
            pieces = [piece for piece in content if isinstance(piece, dict)] if isinstance(content, list) else []
            empty = not pieces and not isinstance(content, str)
            attrs = {"began_ns": began_ns, "empty": empty, "model": word(message, "model")}
            self._add(Entry(at_ns, "answer", "transcript", where, attrs))
            for piece in pieces:
                if piece.get("type") == "toolCall":
                    call = {"id": word(piece, "id"), "name": word(piece, "name")}
                    self._add(Entry(at_ns, "call", "transcript", where, call))

    def _note(self, note: Entry, run_id: str | None) -> None:
        """Keep a note for the run that it names, which need not be the one whose records stand around it."""
        if run_id is None:
            self._add(note)
        else:
            self.notes[run_id] = note

    def _name_run(self, run_id: str | None) -> None:
        if self.segments and self.segments[-1].run_id is None:
            self.segments[-1].run_id = run_id

    def _add(self, entry: Entry) -> None:
        # What stands before the first user's record belongs to no turn.
        if self.segments:
            self.segments[-1].entries.append(entry)
