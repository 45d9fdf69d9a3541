"""One request attempt to the model, and the progress of its stream.

A chunk costs three stores into memory that outlives the process and no line: the figures of a stream that hangs are
there after a kill. Phases that were skipped are not invented, and none goes back.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any, Final

from turnscope import failures
from turnscope._guard import guard
from turnscope.handle import PhaseHandle, without_none

if TYPE_CHECKING:
    from turnscope.life import Slot
    from turnscope.turn import Turn

_RANK: Final = {
    "upstream_sent": 0,
    "response_headers": 1,
    "first_byte": 2,
    "first_event": 3,
    "first_item": 4,
}

_STREAMING: Final = _RANK["first_byte"]


class Requests:
    """Numbers the requests of a turn: which step each one belongs to, and which try of that step it is.

    A request after a tool's result is the next step. One after a failed one is the same step, tried again.
    """

    __slots__ = ("_attempts", "_numbers", "_step")

    def __init__(self) -> None:
        self._numbers = itertools.count(1)
        self._step = 0
        self._attempts: dict[str, int] = {}

    def begin(self, purpose: str, *, after_tool: bool) -> tuple[int, int, int]:
        """Return the request's number in the turn, its step and its attempt, each from 1."""
        if purpose != "compaction" and (after_tool or self._step == 0):
            self._step += 1
            self._attempts.pop(purpose, None)
        return next(self._numbers), self._step or 1, self._attempts.get(purpose, 1)

    def failed(self, purpose: str, attempt: int) -> None:
        """Let the next request of the same step be another try."""
        self._attempts[purpose] = attempt + 1

    def completed(self, purpose: str) -> None:
        """Let the next request be a first try."""
        self._attempts.pop(purpose, None)


class Upstream(PhaseHandle):
    """A request attempt. Left without an error it marks ``upstream_completed``, with one ``upstream_failed``."""

    __slots__ = ("_attempt", "_purpose", "_slot", "_stream")

    def __init__(self, given: Turn | None, opening: str, attrs: dict[str, Any], suffix: object = None) -> None:
        super().__init__(given, opening, attrs, suffix)
        self._slot: Slot | None = None
        self._stream: Slot | None = None  # the slot, once bytes flow: what progress() asks for on each chunk
        self._purpose = ""
        self._attempt = 0

    def headers(self, status: int | None = None) -> None:
        """Mark that the response's headers are here."""
        with guard:
            self._advance("response_headers", without_none({}, status=status))

    def first_byte(self) -> None:
        """Mark that the first byte of the body is here."""
        with guard:
            self._advance("first_byte", {})

    def event(self, kind: str | None = None) -> None:
        """Say that an event was parsed: the first is a mark, the later ones are progress."""
        with guard:
            if not self._advance("first_event", without_none({}, kind=kind)):
                self.progress()

    def item(self, kind: str | None = None) -> None:
        """Say that an item (text, reasoning, a tool call) is here: the first is a mark, the later ones are progress."""
        with guard:
            if not self._advance("first_item", without_none({}, kind=kind)):
                self.progress()

    def progress(self, n_bytes: int = 0) -> None:
        """Count a chunk of the stream; the first one is also the first byte."""
        stream = self._stream
        if stream is None:
            self._first_progress(n_bytes)
            return
        # Not under the guard: it would cost as much as the count itself. These two are what a wrong argument raises.
        try:
            stream.progress(n_bytes)
        except (TypeError, ValueError):
            self._miscounted()

    def keepalive(self) -> None:
        """Count a keepalive; it says that the connection lives, and is not progress."""
        with guard:
            if self._slot is not None:
                self._slot.keepalive()

    def complete(self, **attrs: object) -> None:
        """Mark that the response is complete."""
        with guard:
            self._finish("upstream_completed", attrs)

    def fail(self, error: BaseException | str | None = None, status: int | None = None) -> None:
        """Mark that the attempt failed.

        Args:
            error: The exception, an error kind or the server's error code.
            status: Of the response, if there was one.
        """
        with guard:
            if isinstance(error, BaseException):
                attrs = self._error_attrs(error, "upstream")
            else:
                attrs = failures.attributes_of_name(error, status)
            self._finish("upstream_failed", without_none(attrs, status=status))

    def show_cursor(self, cursor: int) -> None:
        """Keep how many events the turn has sent where it outlives the process."""
        if self._slot is not None:
            self._slot.cursor = cursor

    def _open(self, turn: Turn) -> None:
        self._purpose = str(self._attrs.get("purpose", "turn"))
        after_tool = self._purpose != "compaction" and turn.take_after_tool()
        number, step, self._attempt = turn.requests.begin(self._purpose, after_tool=after_tool)
        self._suffix = str(number)
        self._attrs = {"step": step, "attempt": self._attempt, **self._attrs}
        super()._open(turn)
        turn.upstream_lane = self

    def _lane_name(self, turn: Turn, kind: str) -> str:  # noqa: ARG002 - numbered by the turn's requests
        return f"{kind}:{self._suffix}"

    def _again(self) -> Upstream:
        return Upstream(self._given, self._opening, self._attrs.copy())

    def _advance(self, phase: str, attrs: dict[str, Any]) -> bool:
        """Mark *phase* with a slot of its own for what streams in it; ``False`` when the lane is past it."""
        turn = self._turn
        if turn is None or self._is_done or _RANK[phase] <= _RANK[self._phase]:
            return False
        self._phase = phase
        seq = turn.next_seq()
        before, slot = self._slot, turn.slot(seq)
        if slot is not None:
            attrs["slot"] = slot.index
            if turn.cursor is not None:
                slot.cursor = turn.cursor
        self._slot = slot
        self._stream = slot if _RANK[phase] >= _STREAMING else None
        if before is not None:
            attrs = before.figures() | attrs
        turn.record(phase, self.lane, attrs, seq, slot)
        if before is not None:
            before.release()
        return True

    def _first_progress(self, n_bytes: int) -> None:
        with guard:
            self._advance("first_byte", {})
            if self._stream is not None:
                self._stream.progress(n_bytes)

    def _finish(self, phase: str, attrs: dict[str, Any]) -> None:
        turn, slot = self._turn, self._slot
        if turn is None or self._is_done:
            return
        self._slot = self._stream = None
        if slot is not None:
            attrs = slot.figures() | attrs
        if turn.cursor is not None:
            attrs.setdefault("cursor", turn.cursor)
        super()._finish(phase, attrs)
        if slot is not None:
            slot.release()
        if turn.upstream_lane is self:
            turn.upstream_lane = None
        if phase == "upstream_failed":
            turn.requests.failed(self._purpose, self._attempt)
        else:
            turn.requests.completed(self._purpose)

    def _miscounted(self) -> None:
        if self._turn is not None:
            self._turn.drop("guard")
