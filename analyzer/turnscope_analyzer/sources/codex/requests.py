"""The requests of one Codex turn, compaction among them, as far as a rollout lets them be told apart.

A rollout never shows that a request was sent. Items are written when they are complete, so their times are
upper bounds (``late``). What only follows from the state of the thread is taken back when a later record
speaks against it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from turnscope_analyzer.model import Value
    from turnscope_analyzer.sources.codex.records import Record
    from turnscope_analyzer.sources.codex.settings import Settings
    from turnscope_analyzer.sources.codex.tokens import Reading
    from turnscope_analyzer.sources.drafts import Draft, Drafts

Copies = Literal["headers", "failed", "unknown"]
"""What an uncounted ``token_count`` says: that response headers came, where it is written as they come, or that
an attempt failed after them, where it is written after the tools."""


class Requests:
    """The upstream, continuation and compaction lanes of one turn.

    ``results_in``: a tool's result is in and nothing of the next response is. ``_fresh``: a new response may
    begin; where not, what comes still belongs to the completed one (0.47 writes its items after its count).
    """

    def __init__(self, marks: Drafts, settings: Settings) -> None:
        self.copies: Copies = "unknown"
        self.exceeded = False
        self.results_in = False
        self.compaction: Draft | None = None
        self.compacted: Draft | None = None
        self._marks = marks
        self._settings = settings
        self._request = 0
        self._step = 1
        self._attempt = 1
        self._answering = False
        self._fresh = True
        self._items: set[str] = set()
        self._uncounted: Draft | None = None
        self._unpaired = False

    def item(self, record: Record, kind: str, started_ms: int | None = None) -> None:
        """Take in a finished item of a response; only a response's first one is a mark."""
        if not (self._answering or self._fresh):
            return
        known = len(self._marks)
        if not self._answering:
            self._begin(record)
        if not self._items:
            self._upstream(record, "first_item", late=True, kind=kind)
        self._items.add(kind)
        for draft in self._marks[known:]:
            draft.move(started_ms, self._marks[0].at_ns, late=draft.phase != "first_item")

    def usage(self, record: Record) -> None:
        """Take in the record of a completed response; a ``token_count`` for it is still to come."""
        self._uncounted = self._complete(record)

    def result(self, record: Record) -> None:
        """Take in that a tool's result is on file: a new response may follow, the one that asked is over."""
        if self._answering:
            # Outputs are written when the response has come to its end; 0.142 counts it only after them.
            self._uncounted = self._complete(record, late=True)
        self.results_in = True
        self._fresh = True

    def renew(self) -> None:
        """Take in a user's message: no compaction is under way, a new response may follow."""
        self.take_back_compaction()
        self._fresh = True

    def count(self, record: Record, reading: Reading, *, before_prompt: bool) -> None:
        """Take in a ``token_count`` that the thread's meter has read."""
        meter = self._settings.meter
        if reading == "grown":
            draft = self._uncounted or self._complete(record)
            self._uncounted = None
            draft.tell(tokens=meter.tokens, context_window=meter.window)
        elif reading == "estimate" and self.compacted is not None:
            self.compacted.tell(tokens=meter.tokens)
        elif reading == "exceeded":
            self.exceeded = True
        elif reading in ("same", "absent"):
            self._not_counted(record, compacts=reading == "same" and (before_prompt or self.must_compact()))

    def compacted_history(self, record: Record) -> None:
        """Take in the thread's new history: its compaction has succeeded."""
        if self.compaction is not None:
            self.compaction.attrs.pop("kind", None)
        if self._answering:
            self._complete(record, late=True)
        self.compacted = self._marks.mark(record, "compaction", "compaction_completed", late=True, bytes=record.length)
        self.compaction = None
        self._fresh = True
        self._unpaired = True

    def compaction_item(self, record: Record, started_ms: int | None) -> None:
        """Take in the second record of a compaction; newer versions say in it when it started."""
        if self.compacted is None or not self._unpaired:
            self.compacted_history(record)
        self._unpaired = False
        done = self.compacted
        if done is None or started_ms is None:
            return
        before = self._marks.index(done)
        begun = next((draft for draft in self._marks[:before][::-1] if draft.lane == "compaction"), None)
        if begun is None or begun.phase != "compaction_started":
            begun = self._marks.mark(record, "compaction", "compaction_started", late=True)
            self._marks.insert(before, self._marks.pop())
        begun.move(started_ms, self._marks[0].at_ns)

    def must_compact(self) -> bool:
        """Tell whether compaction is the only thing that Codex can be at: results are in, the window is full."""
        return self.results_in and not self._answering and self._settings.meter.at_limit()

    def take_back_compaction(self) -> None:
        """Drop a compaction that was only inferred: what has come now does not come inside one."""
        if self.compaction is None:
            return
        self._marks.remove(self.compaction)
        self.compaction = None
        for draft in self._marks:
            if draft.lane == f"upstream:{self._request}" and draft.attrs.pop("purpose", None):
                self.results_in = False

    def ended_well(self) -> bool:
        """Tell whether the last response came to its end and asked for nothing that is still missing."""
        return self._request > 0 and not (self._answering or self._fresh or self.results_in)

    def forget_last_failure(self) -> None:
        """Drop a failed attempt that is the newest mark: an interrupt leaves the same record just before it."""
        if self._marks and self._marks[-1].phase == "upstream_failed":
            self._marks.pop()

    def _not_counted(self, record: Record, *, compacts: bool) -> None:
        if self._uncounted is not None:
            # A provider that reports no usage: this stands for the response that is already complete.
            self._uncounted = None
        elif self.compaction is not None:
            return
        elif compacts:
            self._compact(record)
        elif self._items - {"reasoning"}:
            self._complete(record)
        elif self.copies == "failed":
            self._fail(record)
        elif self.copies == "headers":
            if self._answering:
                self._fail(record)
            self._begin(record)
            self._upstream(record, "response_headers")

    def _compact(self, record: Record) -> None:
        """Mark the compaction that an uncounted record means here: its request has been answered by then."""
        if self.copies == "headers":
            self._begin(record, compacts=True)
            self._upstream(record, "response_headers", purpose="compaction")
        meter = self._settings.meter
        self.compaction = self._marks.mark(
            record,
            "compaction",
            "compaction_started",
            late=True,
            # After a result it rests on how full the window is; before the prompt it is all that can be.
            kind="likely" if self.results_in else None,
            tokens=meter.tokens,
            context_window=meter.window,
        )

    def _begin(self, record: Record, *, compacts: bool = False) -> None:
        if self.results_in and not compacts and self.compaction is None:
            self._marks.mark(record, "continuation", "continuation", late=True)
            self.results_in = False
            self._step += 1
            self._attempt = 1
        self._request += 1
        self._answering = True
        self._items.clear()
        self._uncounted = None

    def _complete(self, record: Record, *, late: bool = False) -> Draft:
        if not self._answering:
            self._begin(record)
        draft = self._upstream(record, "upstream_completed", late=late)
        self._close(fresh=False)
        self._attempt = 1
        return draft

    def _fail(self, record: Record) -> None:
        if not self._answering:
            self._begin(record)
        self._upstream(record, "upstream_failed", late=True)
        self._close(fresh=True)
        self._attempt += 1

    def _close(self, *, fresh: bool) -> None:
        self._answering = False
        self._items.clear()
        self._fresh = fresh

    def _upstream(self, record: Record, phase: str, *, late: bool = False, **attrs: Value) -> Draft:
        attrs |= {"step": self._step, "attempt": self._attempt, "model": self._settings.model}
        if self.compaction is not None:
            attrs["purpose"] = "compaction"
        return self._marks.mark(record, f"upstream:{self._request}", phase, late=late or None, **attrs)
