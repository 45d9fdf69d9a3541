"""A turn: one user message on its way until its terminal phase.

``accepted`` is on record before anything else happens. The first terminal phase counts; later ones are ignored.
Whatever the body of a turn raises passes through untouched.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from turnscope import failures
from turnscope._guard import guard
from turnscope.current import incoming_trace
from turnscope.lanes import Cancel, Lanes
from turnscope.track import Track
from turnscope.upstream import Requests

if TYPE_CHECKING:
    import itertools
    from types import TracebackType

    from typing_extensions import Self

    from turnscope.recorder import Recorder
    from turnscope.upstream import Upstream


class Turn(Lanes, Track):
    """One user message, from accepted to its terminal phase; a context manager around the work on it.

    Entering marks ``started``. Leaving marks ``completed``; ``failed`` with the kind of the error; ``cancelled`` when
    a cancel was asked for and the body was stopped; ``interrupted`` when it was stopped otherwise. May be used from
    several threads and tasks at once.

    *trace* are the trace it belongs to and the span above it, "" where it is the first; left out, those of the code
    that runs.
    """

    __slots__ = (
        "_is_started", "_parent_id", "_start_attrs", "failure", "is_entered", "numbers", "requests", "trace_id",
        "upstream_lane",
    )  # fmt: skip

    def __init__(
        self, recorder: Recorder, session: object, turn_id: object = None, trace: tuple[str, str] | None = None
    ) -> None:
        super().__init__(recorder, session, turn_id)
        self.requests = Requests()
        self.numbers: dict[str, itertools.count[int]] = {}
        self.upstream_lane: Upstream | None = None
        self.failure: tuple[int, str] | None = None
        self.is_entered = self._is_started = False
        self._start_attrs: dict[str, object] = {}
        self._parent_id: str | None = None
        incoming = incoming_trace() if trace is None else trace
        if incoming is None:
            self.trace_id = trace_id_of(self.id)
        else:
            self.trace_id, self._parent_id = incoming

    @property
    def turn(self) -> Turn:
        """The turn itself."""
        return self

    @property
    def _owner(self) -> Turn:
        return self

    def mark(self, phase: str, lane: str | None = None, **attrs: object) -> None:
        """Write that the turn has reached *phase*.

        Args:
            phase: A phase of the vocabulary; any other is counted and not written.
            lane: Which lane, where the phase can stand on several: ``tool:call_7``, or ``call_7`` for short.
            attrs: Sizes, kinds and counts. Strings are capped, payloads and credentials are replaced.
        """
        self.record(phase, lane, attrs, given=True)

    def progress(self, n_bytes: int = 0) -> None:
        """Count a chunk of the stream of the turn's open request."""
        upstream = self.upstream_lane
        if upstream is not None:
            upstream.progress(n_bytes)

    def cancel(self) -> Cancel:
        """Ask for the turn to stop."""
        return Cancel(self)

    def emitted(self, cursor: int) -> None:
        """Say how many events the turn has sent to its clients so far."""
        with guard:
            self._cursor = cursor
            if self.upstream_lane is not None:
                self.upstream_lane.show_cursor(cursor)

    def complete(self, **attrs: object) -> None:
        """End the turn: it was answered."""
        self.record("completed", None, attrs)

    def fail(self, error: BaseException | str | None = None, **attrs: object) -> None:
        """End the turn with *error*: the exception, an error kind or the server's error code."""
        with guard:
            attrs = self._error_attrs(error) | attrs
        self.record("failed", None, attrs)

    def cancelled(self, **attrs: object) -> None:
        """End the turn: somebody stopped it."""
        self.record("cancelled", None, attrs)

    def interrupted(self, **attrs: object) -> None:
        """End the turn: it was stopped and nobody had asked for it."""
        self.record("interrupted", None, attrs)

    def __enter__(self) -> Self:
        with guard:
            self.is_entered = True
            self.start()
            self._enter(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with guard:
            try:
                self.end_with(error)
            finally:
                self._leave()

    def accept(self, prompt: str | None, attrs: dict[str, object]) -> None:
        """Mark ``accepted``, after the prompt is safe where there is an inbox."""
        recorder = self._recorder
        if not recorder.enabled:
            return
        if prompt is not None:
            with guard:
                text = prompt.encode("utf-8", "replace")
                attrs |= {"prompt_bytes": len(text), "prompt_sha256": hashlib.sha256(text).hexdigest()[:16]}
            self._keep_prompt(prompt)
        attrs["trace"] = self.trace_id
        if self._parent_id:
            attrs["parent"] = self._parent_id
        recorder.turns[self.id] = self
        self.first_seq = self.record("accepted", None, attrs)
        held = self.last_step()
        self._accepted = None if held is None else held.line
        if recorder.sync is not None:
            with guard:
                recorder.sync()

    def resume(self, prompt: str | None, attrs: dict[str, object]) -> None:
        """Let the turn, which another process has accepted, go on in this one when it is entered."""
        if prompt is not None:
            self._keep_prompt(prompt)
        if self._recorder.enabled:
            self._recorder.turns[self.id] = self
        self._start_attrs = attrs | {"resumed": True, "trace": self.trace_id}

    def start(self) -> None:
        """Mark ``started``, once."""
        if not self._is_started:
            self._is_started = True
            seq = self.record("started", None, self._start_attrs)
            self.first_seq = self.first_seq or seq

    def end_with(self, error: BaseException | None) -> None:
        """Mark the terminal phase that *error*, or its absence, means. A forked child leaves that to its parent."""
        if self.process_id != self._recorder.journal.process_id:
            return
        if error is None:
            self.complete()
        elif isinstance(error, Exception):
            self.fail(error)
        elif self.is_cancel_asked and not isinstance(error, (KeyboardInterrupt, SystemExit)):
            self.cancelled()
        else:
            self.interrupted(error_class=type(error).__name__)

    def _keep_prompt(self, prompt: str) -> None:
        with guard:
            if self._recorder.inbox is not None:
                self._recorder.inbox.put(self.id, self.session, self._recorder.wall_ns(), prompt)

    def _error_attrs(self, error: BaseException | str | None) -> dict[str, object]:
        if not isinstance(error, BaseException):
            return failures.attributes_of_name(error)
        attrs = failures.attributes_of(error)
        # The lane that failed knew the phase it was in; the same error, now passing the turn, is of the same kind.
        if self.failure is not None and self.failure[0] in failures.chain_ids(error):
            attrs["error_type"] = self.failure[1]
        return attrs


def trace_id_of(turn_id: str) -> str:
    """Return the trace id, 32 hex digits, of a turn that belongs to no other trace."""
    return hashlib.blake2b(turn_id.encode("utf-8", "replace"), digest_size=16).hexdigest()
