"""The spans that are parts of a turn, each with the marks that it writes when it begins and when it ends."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Final

from opentelemetry.trace import StatusCode

from turnscope import failures
from turnscope.conventions import CALLS, MODELS, SESSIONS, TOOLS, first_text
from turnscope.current import current_scope
from turnscope.phases import LANE, lane_kind
from turnscope.recorder import active
from turnscope.turn import Turn

if TYPE_CHECKING:
    from collections.abc import Mapping

    from opentelemetry.sdk.trace import ReadableSpan, Span

    from turnscope.conventions import Role

_LANES: Final = {"model": "upstream", "tool": "tool", "compaction": "compaction", "hydration": "hydration"}
_ENDS: Final = {str(lane.kind): (lane.opens, lane.succeeds, lane.fails) for lane in LANE.values()}
_STATUS: Final = ("http.response.status_code", "http.status_code", "error.type")


class Part:
    """A span that is a lane of a turn.

    What was being handled when it began is not what it ends with.
    """

    __slots__ = ("_handled", "_process_id", "attrs", "lane", "purpose", "role", "span_id", "turn")

    def __init__(self, span: Span, role: Role, turn: Turn, above: Part | None, purpose: str = "turn") -> None:
        self.span_id = span_id = span.context.span_id
        self.role, self.turn, self.purpose, self.lane = role, turn, purpose, _LANES.get(role, "")
        self._process_id = turn.recording_process_id
        self._handled = sys.exc_info()[1]
        # Numbers, and not the 16 digits that people write: a string that was never seen is looked at for secrets.
        self.attrs: dict[str, object] = {"span": signed(span_id)}
        parent = span.parent
        # Of what is right below the turn's own span, that needs no saying.
        if parent is not None and (above is None or above.role != "agent" or above.span_id != parent.span_id):
            self.attrs["span_above"] = signed(parent.span_id)

    def is_ours(self) -> bool:
        """Tell whether this process began it."""
        return self._process_id == self.turn.recording_process_id

    def open(self) -> None:
        """Mark that it has begun."""
        self.turn.record(_ENDS[lane_kind(self.lane)][0], self.lane, self.attrs)

    def end(self, span: ReadableSpan) -> None:
        """Mark that it has ended."""
        kind = lane_kind(self.lane)
        own = f"{kind}_error" if kind == "tool" else f"{kind}_failed"
        error = self.error(span, otherwise=own)
        if error and kind == "tool" and error["error_type"] != "cancelled":
            error["error_type"] = own  # a tool that could not connect is no failure of the turn's own transport
        self.turn.record(_ENDS[kind][2 if error else 1], self.lane, error)

    def error(self, span: ReadableSpan, *, phase: str = "", otherwise: str = "other") -> dict[str, object]:
        """Return what a mark says of the failure of *span*, nothing where it did not fail."""
        error = sys.exc_info()[1]
        if error is self._handled:
            error = None
        if error is not None and not isinstance(error, Exception):
            # The SDK says nothing of a cancellation, and ends the span as if it had gone well.
            return {"error_type": "cancelled", "error_class": type(error).__name__}
        if span.status.status_code is not StatusCode.ERROR:
            return {}
        if error is not None:
            return failures.attributes_of(error, phase=phase, otherwise=otherwise)
        attrs: Mapping[str, Any] = span.attributes or {}
        named, status = attrs.get("error.type"), _status(attrs)
        for event in () if named is not None else span.events:
            named = (event.attributes or {}).get("exception.type", named)
        name = "" if named is None or str(named).isdigit() else str(named)
        kind = failures.kind_of_class(name, phase=phase, otherwise=otherwise)
        if kind in {"other", otherwise} and status is not None:
            kind = failures.kind_of_status(status) or kind
        said: dict[str, object] = {"error_type": kind, "error_class": name[:64], "status": status}
        return {what: value for what, value in said.items() if value not in {None, ""}}


class Agent(Part):
    """The span that a turn is."""

    __slots__ = ()

    def open(self) -> None:
        """Mark that the turn was accepted, and that it runs."""
        self.turn.accept(None, self.attrs | {"traced": True})
        self.turn.start()

    def end(self, span: ReadableSpan) -> None:
        """Mark what the turn has come to."""
        error = self.error(span)
        if not error:
            self.turn.complete()
        elif error["error_type"] != "cancelled":
            self.turn.record("failed", None, error)
        elif self.turn.is_cancel_asked:
            self.turn.cancelled()
        else:
            self.turn.interrupted(error_class=error["error_class"])


class Request(Part):
    """A call to a model. Where HTTP is traced below it, each HTTP request is an attempt, and its end the headers."""

    __slots__ = ("_attempt", "_phase")

    def __init__(self, span: Span, role: Role, turn: Turn, above: Part | None, purpose: str) -> None:
        super().__init__(span, role, turn, above, purpose)
        self._phase = ""
        self._attempt = 0

    def open(self) -> None:
        """Mark that an attempt is sent."""
        after_tool = self.purpose != "compaction" and self.turn.take_after_tool()
        number, step, self._attempt = self.turn.requests.begin(self.purpose, after_tool=after_tool)
        self.lane, self._phase = f"upstream:{number}", "upstream_sent"
        said = {"step": step, "attempt": self._attempt, "purpose": self.purpose, "traced": True, **self.attrs}
        self.turn.record("upstream_sent", self.lane, said)

    def sent(self) -> None:
        """Take note of an HTTP request: after one that failed it is another attempt."""
        if not self._phase:
            self.open()

    def answered(self, status: int | None) -> None:
        """Mark that headers are here."""
        if self._phase == "upstream_sent":
            self._phase = "response_headers"
            self.turn.record(self._phase, self.lane, {} if status is None else {"status": status})

    def fail(self, error: dict[str, object]) -> None:
        """Mark that the attempt failed."""
        if self._phase:
            self._phase = ""
            self.turn.record("upstream_failed", self.lane, error)
            self.turn.requests.failed(self.purpose, self._attempt)

    def end(self, span: ReadableSpan) -> None:
        """Mark that the attempt that is open has ended."""
        error = self.error(span, phase=self._phase if self._phase == "response_headers" else "")
        if not error:
            if self._phase:
                self.turn.record("upstream_completed", self.lane, {})
                self.turn.requests.completed(self.purpose)
            return
        if error["error_type"] == "idle_timeout" and self._phase == "upstream_sent":
            error["error_type"] = "answer_timeout"  # whether the headers had come is not known
        self.fail(error)


class Answer(Part):
    """The HTTP request below a call to a model: its span ends when the headers are here."""

    __slots__ = ("_request",)

    def __init__(self, span: Span, request: Request) -> None:
        super().__init__(span, "request", request.turn, request)
        self._request = request
        request.sent()

    def end(self, span: ReadableSpan) -> None:
        """Mark that the headers are here, or that the attempt failed."""
        error = self.error(span, phase="upstream_sent")
        if error:
            self._request.fail(error)
        else:
            self._request.answered(_status(span.attributes or {}))


def outermost(span: Span, attrs: Mapping[str, Any], role: Role) -> Part | None:
    """Return the part of a span that has none of a turn's above it: in a turn that the program records, or of its own.

    Inside of a lane that the program has marked itself, the span is that lane.
    """
    scope = current_scope()
    turn = None if scope is None else scope.turn
    if scope is not None and turn is not None:
        if role == "agent" or lane_kind(scope.lane) == _LANES.get(role):
            return None
        purpose = "compaction" if scope.lane == "compaction" else "turn"
        return part_of(span, attrs, role, turn, None, purpose=purpose)
    recorder = active()
    if role != "agent" or not recorder.enabled:
        return None
    trace = (f"{span.context.trace_id:032x}", "")
    turn = Turn(recorder, first_text(attrs, SESSIONS), first_text(attrs, ("turnscope.turn.id",)) or None, trace)
    part = Agent(span, role, turn, None)
    part.open()
    return part


def part_of(
    span: Span, attrs: Mapping[str, Any], role: Role, turn: Turn, above: Part | None, *, purpose: str = "turn"
) -> Part:
    """Return the part of a span in *turn*, with its begin marked; its *purpose* is that of the part *above* it."""
    part: Part
    if above is not None:
        purpose = above.purpose
    if role == "model":
        part = Request(span, role, turn, above, purpose)
        if model := first_text(attrs, MODELS) or span.name.partition(" ")[2]:
            part.attrs["model"] = model
    else:
        part = Part(span, role, turn, above, "compaction" if role == "compaction" else purpose)
    if role == "tool":
        part.lane = f"tool:{turn.safe_id(first_text(attrs, CALLS)) or f'{part.span_id:016x}'}"
        part.attrs["name"] = first_text(attrs, TOOLS) or span.name.partition(" ")[2] or span.name
    part.open()
    return part


def signed(span_id: int) -> int:
    """Return the id of a span as a number that has room in 64 bits with a sign."""
    return span_id - (1 << 64) if span_id >> 63 else span_id


def _status(attrs: Mapping[str, Any]) -> int | None:
    """Return the HTTP status of a span, None where it has none."""
    for name in _STATUS:
        value = attrs.get(name)
        status = value if isinstance(value, int) else int(value) if isinstance(value, str) and value.isdigit() else 0
        if 100 <= status <= 599:
            return status
    return None
