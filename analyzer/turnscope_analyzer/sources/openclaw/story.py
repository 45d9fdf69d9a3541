"""The marks of one turn of OpenClaw, from its entries in the order of their times.

Where neither the log's level nor the timeline shows requests, they are told by their answers: the times are upper
bounds then, and nothing is concluded from a request that is not on file.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from turnscope_analyzer.sources.openclaw.ending import was_dropped

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from turnscope_analyzer.model import Value
    from turnscope_analyzer.sources.openclaw.ending import Ending
    from turnscope_analyzer.sources.openclaw.records import Entry, Where
    from turnscope_analyzer.sources.openclaw.turns import Turn

_SAME_NS: Final = 1_500_000_000
"""Two stores write the same failure down so far apart; a gateway waits longer before it tries again."""


class Draft(NamedTuple):
    """A mark without what all marks of its turn share."""

    lane: str
    phase: str
    at_ns: int
    where: Where
    attrs: Mapping[str, Value]


def story_of(turn: Turn, ending: Ending | None) -> list[Draft]:
    """Return the marks of *turn* in order, its end last."""
    story = _Story(turn)
    for entry in story.entries:
        if ending is None or entry.at_ns <= ending.at_ns:
            story.tell(entry)
    if ending is not None:
        story.end(ending)
    return story.drafts


def shows_requests(turn: Turn) -> bool:
    """Tell whether each request of the turn is on file when it is sent, and when it is over.

    A log alone does not say when a stream ends, nor which tools run then.
    """
    stores = {entry.store for entry in turn.entries if entry.what == "sent"}
    return "timeline" in stores or ("log" in stores and turn.has("transcript"))


class _Story:
    """Requests are numbered in the order of their begins; ``_results_in``: tools have answered, nothing followed."""

    def __init__(self, turn: Turn) -> None:
        self.drafts: list[Draft] = []
        self.entries = _chosen(turn)
        self._dropped = was_dropped(turn)
        self._request = 0
        self._open = False
        self._step = 1
        self._attempt = 1
        self._results_in = False
        self._calls: dict[str, bool] = {}
        self._hydrated = False
        self._compacted = False
        self._overflowed: Entry | None = None
        self._last_failure_ns = 0
        self._own_calls = any(entry.what == "call" for entry in self.entries)
        accepted = turn.accepted()
        first = accepted or (self.entries or turn.entries)[0]
        self._mark(first, "turn", "accepted", late=None if accepted else True)
        self._started = False
        if turn.behind:
            self._mark(first, "turn", "queued")

    def tell(self, entry: Entry) -> None:
        """Take the next entry in."""
        if act := _ACTS.get(entry.what):
            act(self, entry)

    def end(self, ending: Ending) -> None:
        """Mark the turn's end."""
        at_ns = max(ending.at_ns, self.drafts[-1].at_ns)
        attrs = ending.attrs
        if attrs.get("error_type") == "answer_timeout" and self._open and self._last_upstream() == "response_headers":
            attrs = {**attrs, "error_type": "idle_timeout"}
        overflow = self._overflowed
        if overflow is not None and self._compacted and ending.attrs.get("error_type") == "context_length_exceeded":
            # It was summarised, and the window is exceeded all the same: the compaction did not help.
            self.drafts.append(
                Draft("compaction", "compaction_failed", at_ns, overflow.where, {"error_type": "compaction_failed"})
            )
        self.drafts.append(Draft("turn", ending.phase, at_ns, ending.where, attrs))

    def _last_upstream(self) -> str:
        return next(draft.phase for draft in reversed(self.drafts) if draft.lane == f"upstream:{self._request}")

    def _queue(self, entry: Entry) -> None:
        if entry.attrs["state"] == "queued" and self.drafts[-1].phase == "accepted":
            self._mark(entry, "turn", "queued")

    def _start(self, entry: Entry) -> None:
        if not self._started:
            self._started = True
            at_ns = max(entry.at_ns, entry.attrs.get("written_ns", 0))
            self._mark(entry, "turn", "started", at_ns=at_ns)

    def _hydrate(self, entry: Entry) -> None:
        self._start(entry)
        if not self._hydrated:
            self._hydrated = True
            self._mark(entry, "hydration", "hydration_completed")

    def _send(self, entry: Entry) -> None:
        self._start(entry)
        self._begin(entry)
        self._upstream(entry, "upstream_sent")

    def _head(self, entry: Entry) -> None:
        if self._open:
            self._upstream(entry, "response_headers", status=entry.attrs.get("status"))

    def _respond(self, entry: Entry) -> None:
        self._start(entry)
        if not self._open:
            self._begin(entry)
        self._upstream(entry, "upstream_completed", model=entry.attrs.get("model"))
        self._open = False
        self._attempt = 1
        if entry.attrs["asks"] and not self._own_calls:
            # The timeline alone shows no tools: that one was asked for is all that is known of it.
            self._mark(entry, f"tool:{self._request}", "tool_call")
            self._calls[f"tool:{self._request}"] = True

    def _answer(self, entry: Entry) -> None:
        self._start(entry)
        done = self.drafts[-1]
        if not self._open and done.phase == "upstream_completed" and entry.at_ns - done.at_ns < _SAME_NS:
            return
        if not self._open:
            self._begin(entry)
        model = entry.attrs.get("model")
        if not entry.attrs["empty"]:
            began_ns = min(entry.at_ns, max(entry.attrs["began_ns"], done.at_ns))
            self._upstream(entry, "first_item", at_ns=began_ns, late=True, model=model)
        self._upstream(entry, "upstream_completed", late=True, model=model)
        self._open = False
        self._attempt = 1

    def _fail(self, entry: Entry) -> None:
        self._start(entry)
        kind = entry.attrs["error_type"]
        if kind == "context_length_exceeded":
            self._overflowed = entry
        if not self._open and entry.at_ns - self._last_failure_ns < _SAME_NS:
            self._tell_more(entry)
            return
        self._last_failure_ns = entry.at_ns
        if not self._open:
            self._begin(entry)
        self._upstream(entry, "upstream_failed", late=True, error_type=kind, status=entry.attrs.get("status"))
        self._open = False
        self._attempt += 1

    def _tell_more(self, entry: Entry) -> None:
        """Let *entry* name the reason of the failure before it, where that one could not."""
        last = self.drafts[-1]
        if last.phase == "upstream_failed" and last.attrs["error_type"] == "other":
            told = {name: entry.attrs[name] for name in ("error_type", "status") if entry.attrs.get(name) is not None}
            self.drafts[-1] = last._replace(attrs={**last.attrs, **told})

    def _call(self, entry: Entry) -> None:
        self._start(entry)
        lane = f"tool:{entry.attrs['id'] or entry.where.offset}"
        if lane in self._calls:
            return
        self._calls[lane] = True
        self._mark(entry, lane, "tool_call", name=entry.attrs.get("name"))

    def _result(self, entry: Entry) -> None:
        lane = f"tool:{entry.attrs['id'] or entry.where.offset}"
        if not self._calls.get(lane):
            return
        self._calls[lane] = False
        self._mark(entry, lane, "tool_result")
        self._results_in = not any(self._calls.values())

    def _compact(self, entry: Entry) -> None:
        self._start(entry)
        phase = {"compacting": "compaction_started", "compacted": "compaction_completed"}.get(entry.what, entry.what)
        if phase == self.drafts[-1].phase:
            return
        if phase == "compaction_completed":
            self._compacted = True
        late = True if entry.store == "transcript" else None
        # Where the turn was dropped that is what is wrong with it: the compaction says no more than why.
        kind = entry.attrs.get("error_type") if not self._dropped else "other"
        kind = "compaction_failed" if phase == "compaction_failed" and not self._dropped else kind
        kind = kind if phase == "compaction_failed" else None
        self._mark(entry, "compaction", phase, late=late, tokens=entry.attrs.get("tokens"), error_type=kind)

    def _begin(self, entry: Entry) -> None:
        """Begin a request; the post-tool one of a step whose tools have answered."""
        made = [lane for lane, is_open in self._calls.items() if is_open and not self._own_calls]
        for lane in made:
            self._calls[lane] = False
            self._mark(entry, lane, "tool_result", late=True)
            self._results_in = True
        if self._results_in:
            late = None if entry.what == "sent" else True
            self._mark(entry, "continuation", "continuation", late=late)
            self._results_in = False
            self._step += 1
            self._attempt = 1
        self._request += 1
        self._open = True

    def _upstream(self, entry: Entry, phase: str, at_ns: int | None = None, **attrs: Any) -> None:
        attrs |= {"step": self._step, "attempt": self._attempt}
        self._mark(entry, f"upstream:{self._request}", phase, at_ns=at_ns, **attrs)

    def _mark(self, entry: Entry, lane: str, phase: str, *, at_ns: int | None = None, **attrs: Any) -> None:
        told = {name: value for name, value in attrs.items() if value is not None}
        self.drafts.append(Draft(lane, phase, entry.at_ns if at_ns is None else at_ns, entry.where, told))


_ACTS: Final[Mapping[str, Callable[[_Story, Entry], None]]] = {
    "answer": _Story._answer,
    "call": _Story._call,
    "compacted": _Story._compact,
    "compacting": _Story._compact,
    "compaction_failed": _Story._compact,
    "headers": _Story._head,
    "hydrated": _Story._hydrate,
    "prompted": _Story._send,
    "queued": _Story._queue,
    "request_failed": _Story._fail,
    "responded": _Story._respond,
    "result": _Story._result,
    "sent": _Story._send,
    "started": _Story._start,
    "user": _Story._start,
}


def _chosen(turn: Turn) -> list[Entry]:
    """Return the entries in order, each thing once: of two stores that tell the same, the one that tells it better."""
    strong = shows_requests(turn)
    timeline = any(entry.what == "sent" and entry.store == "timeline" for entry in turn.entries)
    told = any(entry.what == "request_failed" and entry.store in ("transcript", "trajectory") for entry in turn.entries)
    ids = {_hashed(entry.attrs["id"]): entry.attrs["id"] for entry in turn.entries if entry.what == "call"}

    def better_told(entry: Entry) -> bool:
        if entry.what in ("prompted", "headers"):
            return strong == (entry.what == "prompted")
        if entry.store != "log" or entry.what not in ("sent", "headers", "request_failed"):
            return False
        return timeline or (entry.what == "request_failed" and told and not strong)

    def named(entry: Entry) -> Entry:
        # The audit knows a call by a digest of its id only.
        call_id = ids.get(entry.attrs["id"]) if entry.store == "audit" and entry.attrs.get("id") else None
        return entry if call_id is None else entry._replace(attrs={**entry.attrs, "id": call_id})

    chosen = [named(entry) for entry in turn.entries if not better_told(entry)]
    # What was written at once stays in the order on file: an answer stands before its calls.
    return sorted(chosen, key=lambda entry: (entry.at_ns, entry.what in ("call", "result")))


def _hashed(call_id: str | None) -> str:
    return f"sha256:{hashlib.sha256((call_id or '').encode()).hexdigest()}"
