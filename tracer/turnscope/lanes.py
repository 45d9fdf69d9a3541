"""The lanes of a turn, each as a context manager: as methods of a turn, and as functions of the current turn."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from turnscope._guard import guard
from turnscope.current import current_scope, current_turn
from turnscope.handle import PhaseHandle, without_none
from turnscope.phases import CANCEL_RESULTS
from turnscope.recorder import active
from turnscope.track import Track
from turnscope.upstream import Upstream

if TYPE_CHECKING:
    from typing_extensions import Self

    from turnscope.life import Slot
    from turnscope.turn import Turn

# ruff: noqa: A002 - `bytes` is the name of the attribute that it becomes


class ToolCall(PhaseHandle):
    """A tool call; leaving it marks ``tool_result``, with the kind ``tool_error`` when there was an error."""

    __slots__ = ()

    def awaiting_approval(self) -> None:
        """Mark that a person has to decide; no length of that wait is an error."""
        with guard:
            self._mark("awaiting_approval", {})

    def approved(self) -> None:
        """Mark that the person said yes."""
        with guard:
            self._mark("approved", {})

    def denied(self) -> None:
        """Mark that the person said no."""
        with guard:
            self._mark("denied", {})

    def result(self, *, ok: bool = True, bytes: int | None = None, **attrs: object) -> None:
        """Mark that the tool's result is here."""
        with guard:
            if not ok:
                attrs["error_type"] = "tool_error"
            self._finish("tool_result", without_none(attrs, bytes=bytes))


class Compaction(PhaseHandle):
    """Summarising the thread; leaving it marks ``compaction_completed`` or ``compaction_failed``."""

    __slots__ = ()

    def done(self, tokens: int | None = None, bytes: int | None = None) -> None:
        """Mark that the summary is here, with the thread's size after it."""
        with guard:
            self._finish("compaction_completed", without_none({}, tokens=tokens, bytes=bytes))


class Hydration(PhaseHandle):
    """Loading the thread's history; leaving it marks ``hydration_completed`` or ``hydration_failed``."""

    __slots__ = ()

    def done(self, bytes: int | None = None, records: int | None = None) -> None:
        """Mark that the history is loaded, with its size."""
        with guard:
            self._finish("hydration_completed", without_none({}, bytes=bytes, records=records))


class Quota(PhaseHandle):
    """Waiting for a limit to reset; leaving it marks ``quota_restored``."""

    __slots__ = ()


class Queue(PhaseHandle):
    """Waiting for a place: ``queued`` on entering, ``started`` on leaving.

    A turn whose wait ends in an error and that nobody has entered ends with that error.
    """

    __slots__ = ()

    def _open(self, turn: Turn) -> None:
        self.lane = "turn"
        turn.record("queued", "turn", self._attrs)

    def _end(self, error: BaseException | None) -> None:
        turn = self._turn
        if turn is None:
            return
        if error is None:
            turn.start()
        elif not turn.is_entered:
            turn.end_with(error)


class Renderer(PhaseHandle):
    """One client that shows the turn; leaving it marks ``renderer_detached`` with what the client has seen."""

    __slots__ = ("_seen", "_slot")

    def __init__(self, given: Turn | None, opening: str, attrs: dict[str, Any], suffix: object = None) -> None:
        super().__init__(given, opening, attrs, suffix)
        self._slot: Slot | None = None
        self._seen: int | None = attrs.get("cursor")

    def seen(self, cursor: int) -> None:
        """Say up to which event the client has got."""
        with guard:
            if not self._is_done:
                self._seen = cursor
                if self._slot is not None:
                    self._slot.cursor = cursor

    def _open(self, turn: Turn) -> None:
        self.lane = self._lane_name(turn, "renderer")
        seq = turn.next_seq()
        self._slot = slot = turn.slot(seq)
        attrs = self._attrs.copy()
        if slot is not None:
            attrs["slot"] = slot.index
            if self._seen is not None:
                slot.cursor = self._seen
        # Not made the current scope: a client watches the turn, the work of the turn does not go on inside of it.
        self.first_seq = turn.record("renderer_attached", self.lane, attrs, seq, slot)

    def _end(self, error: BaseException | None) -> None:
        # A client that goes away cancels whatever sends to it: that is no error of its lane.
        super()._end(error if isinstance(error, Exception) else None)

    def _finish(self, phase: str, attrs: dict[str, Any]) -> None:
        # The same client may have come back on a new connection before the old one was noticed to be gone.
        if self._turn is not None and self._turn.is_latest(self.lane, self.first_seq):
            super()._finish(phase, without_none(attrs, cursor=self._seen))
        self._is_done = True
        if self._slot is not None:
            self._slot.release()
            self._slot = None


class Cancel:
    """A stop that somebody asked for: ``cancel_requested`` on entering, ``cancel_result`` on leaving.

    Left without a result, the result is ``unknown``; with an error, ``failed``. Works from any task or thread, also on
    a turn that this process does not know.
    """

    __slots__ = ("_is_done", "_target", "_track")

    def __init__(self, target: Turn | str | None) -> None:
        self._target = target
        self._track: Track | None = None
        self._is_done = False

    def __enter__(self) -> Self:
        with guard:
            self._track = _track_of(self._target)
            if self._track is None:
                active().journal.drop("no_turn")
            else:
                self._track.is_cancel_asked = True
                self._track.record("cancel_requested", "cancel", {})
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        self.result("unknown" if error is None else "failed")

    def result(self, result: str) -> None:
        """Mark what the stop has come to: one of `CANCEL_RESULTS`. Only the first one counts."""
        with guard:
            if self._track is None or self._is_done:
                return
            self._is_done = True
            if result not in CANCEL_RESULTS:
                self._track.drop("capped")
                result = "unknown"
            self._track.record("cancel_result", "cancel", {"result": result})


def _track_of(target: Turn | str | None) -> Track | None:
    if target is None:
        return current_turn()
    if isinstance(target, Track):
        return target
    recorder = active()
    # Somebody else's turn, or one that has ended: the request to stop it is on record all the same.
    return recorder.turns.get(recorder.redactor.identifier(target)) or Track(recorder, "", target)


class Lanes:
    """Opens the lanes of the current turn, or of `_owner` where there is one."""

    __slots__ = ()

    @property
    def _owner(self) -> Turn | None:
        return None

    def phase(self, opening: str, lane: str | None = None, **attrs: object) -> PhaseHandle:
        """Open the lane of the phase *opening*; leaving it marks the phase that ends this lane.

        Args:
            opening: A phase that opens its lane, such as ``hydration_started``.
            lane: Which lane, where there can be several; numbered when left out.
            attrs: Sizes, kinds and counts.
        """
        return PhaseHandle(self._owner, opening, attrs, lane)

    def upstream(self, *, model: str | None = None, purpose: str = "turn", **attrs: object) -> Upstream:
        """Open a request attempt to the model.

        Args:
            model: The model that is asked for.
            purpose: ``turn``, or ``compaction`` for the request that summarises the thread.
            attrs: Sizes, kinds and counts.
        """
        attrs["purpose"] = purpose
        if model is not None:
            attrs["model"] = model
        return Upstream(self._owner, "upstream_sent", attrs)

    def tool(self, name: str, *, call_id: str | None = None, **attrs: object) -> ToolCall:
        """Open the call of the tool *name*; *call_id* is the model's id for it, numbered when left out."""
        attrs["name"] = name
        return ToolCall(self._owner, "tool_call", attrs, call_id)

    def compaction(
        self, *, trigger: str | None = None, tokens: int | None = None, bytes: int | None = None, **attrs: object
    ) -> Compaction:
        """Open the summarising of the thread, with what made it start and the thread's size before it."""
        return Compaction(
            self._owner, "compaction_started", without_none(attrs, trigger=trigger, tokens=tokens, bytes=bytes)
        )

    def hydration(self, *, bytes: int | None = None, records: int | None = None, **attrs: object) -> Hydration:
        """Open the loading of the thread's history, with its size as far as it is known."""
        return Hydration(self._owner, "hydration_started", without_none(attrs, bytes=bytes, records=records))

    def queue(self, *, name: str | None = None, ahead: int | None = None, **attrs: object) -> Queue:
        """Wait in the queue *name* behind *ahead* others; leaving it starts the turn."""
        return Queue(self._owner, "queued", without_none(attrs, name=name, ahead=ahead))

    def renderer(self, client: str, *, cursor: int | None = None, **attrs: object) -> Renderer:
        """Let *client* show the turn, from the event *cursor* on."""
        return Renderer(self._owner, "renderer_attached", without_none(attrs, name=client, cursor=cursor), client)

    def quota(self, *, resets_at: float | None = None, **attrs: object) -> Quota:
        """Wait for a limit that resets at *resets_at*, seconds since the epoch."""
        with guard:
            if resets_at is not None:
                attrs["resets_at"] = int(resets_at * 1_000_000_000)
        return Quota(self._owner, "awaiting_quota", attrs)

    def continuation(self, **attrs: object) -> None:
        """Mark that the request that takes the tools' results back to the model is asked for."""
        self.mark("continuation", None, **attrs)

    def mark(self, phase: str, lane: str | None = None, **attrs: object) -> None:
        """Write that the turn has reached *phase*; see `Turn.mark`."""
        scope = current_scope()
        turn = None if scope is None else scope.turn
        if turn is None:
            with guard:
                active().journal.drop("no_turn")
        else:
            turn.record(phase, lane, attrs, given=True)

    def progress(self, n_bytes: int = 0) -> None:
        """Count a chunk of the stream that the running code reads: of its own lane, else of the turn's open request."""
        scope = current_scope()
        if scope.__class__ is not Upstream:
            turn = None if scope is None else scope.turn
            scope = None if turn is None else turn.upstream_lane
            if turn is None:
                active().journal.drop("no_turn")
        if isinstance(scope, Upstream):
            scope.progress(n_bytes)


def cancel(turn: Turn | str | None = None) -> Cancel:
    """Ask for *turn*, given itself or by its id, to stop; the current one when left out."""
    return Cancel(turn)


_here = Lanes()

phase, mark, progress, continuation = _here.phase, _here.mark, _here.progress, _here.continuation
upstream, tool, compaction, hydration = _here.upstream, _here.tool, _here.compaction, _here.hydration
queue, renderer, quota = _here.queue, _here.renderer, _here.quota
