"""One turn as the log database tells it: its requests, its compactions, and who looked on.

The log shows when a request was sent, when its headers came or why it failed. It does not show the bytes of a
stream, and a tool call carries no id in it: tools are told by the rollout.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from turnscope.attributes import ERROR_KIND
from turnscope.failures import kind_of_status
from turnscope_analyzer.sources.codex.errors import failure_of
from turnscope_analyzer.sources.drafts import Drafts

if TYPE_CHECKING:
    from turnscope.phases import Purpose
    from turnscope_analyzer.model import Value
    from turnscope_analyzer.sources.codex.logrows import Row
    from turnscope_analyzer.sources.drafts import Draft
    from turnscope_analyzer.sources.failures import Failure

CLIENT_LANE: Final = "renderer:app-server"

_STREAM: Final = ("upstream_sent", "response_headers", "first_event", "first_item", "upstream_completed")
"""How far a request has come; what was reached later is not reached again."""


class LogTurn:
    """The marks of one turn, fed with what its rows mean.

    ``over``: the program has told its clients of the end. ``detached``: its client no longer wants to hear of it.
    ``loads`` is no turn but a thread that a client waits for.
    """

    def __init__(self, turn_id: str, thread_id: str) -> None:
        self.turn_id = turn_id
        self.thread_id = thread_id
        self.marks = Drafts()
        self.loads = False
        self.over = False
        self.detached = False
        self._asked: Row | None = None
        self._compacting = False
        self._request = 0
        self._step = 1
        self._attempt = 1
        self._tools_used = False
        self._reached: str | None = None
        self._sent: Draft | None = None
        self._phase: Draft | None = None
        self._chunks = 0
        self._chunk_ns = 0
        self._max_gap_ns = 0
        self._failed: Draft | None = None
        self._error: Failure | None = None
        self._stopped = False

    def begin(self, first: Row, asked: Row | None) -> None:
        """Take in the first row of the turn, and the request for it where that is known."""
        self._asked = asked or first
        if asked is not None:
            self.marks.mark(asked, "turn", "accepted")
        self.marks.mark(first, "turn", "started", late=True)

    def load(self, first: Row, asked: Row) -> None:
        """Take in that the history of the thread is being read for a client that *asked* for it."""
        self.loads = True
        self.marks.mark(asked, "turn", "accepted")
        self.marks.mark(first, "hydration", "hydration_started")

    @property
    def streams(self) -> bool:
        """Whether a response has begun and has not ended: what comes on a stream may belong to it."""
        return self._reached not in (None, "upstream_sent")

    def sent(self, row: Row, *, compacts: bool = False) -> None:
        """Take in that a request is about to be sent."""
        self._finish_unseen(row)
        if self._compacting and not compacts:
            self._compacting = False
            self.marks.mark(row, "compaction", "compaction_completed", late=True)
        if self._tools_used and not compacts:
            self._tools_used = False
            self._step += 1
            self._attempt = 1
            self.marks.mark(row, "continuation", "continuation", late=True)
        self._begin()
        self._sent = self._reach(row, "upstream_sent")

    def posted(self, row: Row, *, compacts: bool) -> None:
        """Take in the very request, which older versions log as well; the first one was told a moment before."""
        if self._reached == "upstream_sent" and self._sent is not None:
            self._sent.at_ns, self._sent.wall_ns, self._sent.offset = row.at_ns, row.wall_ns, row.offset
            self._sent = None
        else:
            self.sent(row, compacts=compacts)
            self._sent = None

    def answered(self, row: Row, status: int) -> None:
        """Take in the response's status; a try of its own where the request before it had already failed."""
        if status >= 400:
            self._fail(row, kind_of_status(status) or "other", status=status)
        else:
            self._advance(row, "response_headers", status=status)

    def refused(self, row: Row, error_type: str) -> None:
        """Take in that a request failed before any headers."""
        self._fail(row, error_type)

    def event(self, row: Row) -> None:
        """Take in that the stream has begun."""
        self._advance(row, "first_event")

    def progress(self, row: Row) -> None:
        """Take in that more of the stream has come; it is counted in the phase that the request is in."""
        if self.streams:
            self._chunks += 1
            self._max_gap_ns = max(self._max_gap_ns, row.at_ns - self._chunk_ns)
            self._chunk_ns = row.at_ns

    def heard_from(self, row: Row) -> None:
        """Take in the first row by which progress could be told: until then it is not known how silent it was."""
        if self.streams:
            self._chunks += 1
            self._chunk_ns = row.at_ns

    def item(self, row: Row, kind: str | None) -> None:
        """Take in an item of the response; only the first is a mark."""
        if self._reached is None and self._request and self._failed is None:
            # An item that is complete is logged once more, after its response has ended.
            return
        self._advance(row, "first_item", kind=kind)

    def completed(self, row: Row, *, late: bool = False, **attrs: Value) -> None:
        """Take in that the response has ended well."""
        if self._reached is None:
            return
        self._reach(row, "upstream_completed", late=late or None, **attrs)
        self._reached = None
        self._attempt = 1

    def used_tool(self) -> None:
        """Take in that a tool was called: the next request is the one after it."""
        self._tools_used = True

    def retries(self, row: Row, text: str) -> None:
        """Take in that the attempt has failed and another one follows; *text* is the reason, "" where none is told."""
        self._explain(row, failure_of({"message": text}) if text else None)

    def compacts(self, row: Row, trigger: str | None) -> None:
        """Take in a row that was logged inside a compaction."""
        if not self._compacting:
            self._finish_unseen(row)
            self._compacting = True
            self.marks.mark(row, "compaction", "compaction_started", trigger=trigger)

    def compaction_failed(self, row: Row, text: str) -> None:
        """Take in why the compaction that is under way, or its last request, failed."""
        self._explain(row, failure_of({"message": text}))

    def fails(self, row: Row, text: str) -> None:
        """Take in the error that ends the turn."""
        self._error = failure_of({"message": text})
        self._explain(row, self._error)
        error_type = "compaction_failed" if self._compacting else self._error.error_type
        self.marks.mark(row, "turn", "failed", error_type=error_type, status=self._error.status)

    def stopped(self, asked: Row | None) -> None:
        """Take in that somebody has asked to stop the turn."""
        self._stopped = True
        if asked is not None:
            self.marks.mark(asked, "cancel", "cancel_requested")

    def told_end(self, row: Row) -> None:
        """Take in that the clients were told of the turn's end, which is not said to be a good one."""
        self.over = True
        if self._error is None and not self._compacting and self._reached is None and self._failed is None:
            self.marks.mark(row, "turn", "interrupted" if self._stopped else "completed", late=True)
        elif self._stopped:
            self.marks.mark(row, "turn", "interrupted", late=True)

    def detach(self, row: Row) -> None:
        """Take in that the client no longer wants to hear of the turn; it had asked for it."""
        if self._asked is not None and not (self.over or self.detached):
            self.detached = True
            self.marks.mark(self._asked, CLIENT_LANE, "renderer_attached")
            self.marks.mark(row, CLIENT_LANE, "renderer_detached")

    def attach(self, row: Row) -> None:
        """Take in that the client looks at the turn's thread again."""
        if self.detached:
            self.detached = False
            self.marks.mark(row, CLIENT_LANE, "renderer_attached")

    def finish(self, last_ns: int, *, heard: bool) -> None:
        """Say of the phase that is open when the rows end, at *last_ns*, what came in it as far as it was *heard*."""
        if not self.streams or self._phase is None:
            return
        if self.detached or not heard:
            # Nobody is told of the stream any more, or the rows are gone: whether it goes on is not on file.
            self._phase.tell(live_chunks=max(self._chunks, 1), live_progress_at=last_ns)
        elif self._chunks:
            self._phase.tell(live_chunks=self._chunks, live_progress_at=self._chunk_ns)

    def _begin(self) -> None:
        self._request += 1
        self._reached = None
        self._sent = None
        self._failed = None

    def _advance(self, row: Row, phase: str, **attrs: Value) -> None:
        if self._reached is None:
            self._begin()
        elif _STREAM.index(self._reached) >= _STREAM.index(phase):
            return
        self._reach(row, phase, **attrs)

    def _reach(self, row: Row, phase: str, **attrs: Value) -> Draft:
        purpose: Purpose | None = "compaction" if self._compacting else None
        self._reached = phase
        attrs |= {"step": self._step, "attempt": self._attempt, "purpose": purpose}
        if self._chunks:
            attrs |= {"chunks": self._chunks, "max_gap": self._max_gap_ns, "progress_at": self._chunk_ns}
        self._phase = self.marks.mark(row, f"upstream:{self._request}", phase, **attrs)
        self._chunks, self._max_gap_ns, self._chunk_ns = 0, 0, row.at_ns
        return self._phase

    def _fail(self, row: Row, error_type: str | None, **attrs: Value) -> None:
        if self._reached is None:
            self._begin()
        self._failed = self._reach(row, "upstream_failed", error_type=error_type, **attrs)
        self._reached = None
        self._attempt += 1

    def _explain(self, row: Row, failure: Failure | None) -> None:
        """Say why the last request failed, unless it is known better: a status and a refusal say more than a text."""
        if self._reached is not None:
            self._fail(row, failure.error_type if failure else None, status=failure.status if failure else None)
        elif self._failed is not None and failure is not None and failure.error_type != "other":
            known = ERROR_KIND.get(str(self._failed.attrs.get("error_type")))
            if known is None or known.cause != ERROR_KIND[failure.error_type].cause:
                self._failed.tell(error_type=failure.error_type)

    def _finish_unseen(self, row: Row) -> None:
        """Close a request whose end left no row: the program has gone on."""
        if self.streams:
            self.completed(row, late=True)
        elif self._reached is not None:
            self._fail(row, None, late=True)
