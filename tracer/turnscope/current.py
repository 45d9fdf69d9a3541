"""Knows which turn and which lane the running code belongs to.

Tasks inherit it, as they inherit every context variable. Threads do not: run their function through
``contextvars.copy_context().run``, or hand them the turn. A generator has it between its steps only: each step
finds what the step before left, and the code that drives the generator never sees it.

Leaving a scope puts back what was there, and only where the scope is still current: a generator that is closed from
another task must not change that task's context.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from types import ModuleType
    from typing import ParamSpec, TypeVar

    from turnscope.turn import Turn

    P = ParamSpec("P")
    T = TypeVar("T")

_scope: ContextVar[Scope | None] = ContextVar("turnscope_scope", default=None)

_otel: ModuleType | None = None


class Scope:
    """A turn or a lane that code can run inside of."""

    __slots__ = ("_otel_inside", "_otel_outside", "first_seq", "is_closed", "lane", "outer")

    def __init__(self, lane: str) -> None:
        self.lane = lane
        self.outer: Scope | None = None
        self.is_closed = False
        self.first_seq = 0
        self._otel_inside: object = None
        self._otel_outside: object = None

    @property
    def turn(self) -> Turn | None:
        """The turn that the scope belongs to."""
        raise NotImplementedError

    def _enter(self, turn: Turn) -> None:
        """Make this the current scope; `first_seq` is the mark that opened it."""
        self.outer = _scope.get()
        _scope.set(self)
        # The span of a turn says for itself which lane is current; only code that made a span of its own inside of
        # the turn hides it, and then the lane has to be put over that one.
        if _otel is not None and (outside := _otel.get()) is not turn._otel_inside:
            self._otel_outside = outside
            self._otel_inside = _otel.context_of(self)
            _otel.put(self._otel_inside)

    def _leave(self) -> None:
        """Put back the scope around this one that is still open."""
        self.is_closed = True
        if _scope.get() is self:
            outer = self.outer
            while outer is not None and outer.is_closed:
                outer = outer.outer
            _scope.set(outer)
        if self._otel_inside is not None:
            if _otel is not None and _otel.get() is self._otel_inside:
                _otel.put(self._otel_outside)
            self._otel_inside = self._otel_outside = None


class Steps:
    """Runs the steps of one generator in the generator's own scope, and keeps that scope between the steps."""

    __slots__ = ("_kept", "_kept_otel")

    def __init__(self) -> None:
        self._kept, self._kept_otel = _take()

    def run(self, step: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call *step* inside."""
        outside = _take()
        _put(self._kept, self._kept_otel)
        try:
            return step(*args, **kwargs)
        finally:
            self._kept, self._kept_otel = _take()
            _put(*outside)

    async def run_async(self, step: Callable[..., Awaitable[T]], *args: object) -> T:
        """Await *step* inside. Nothing else of the same task runs meanwhile, so nobody sees the scope."""
        outside = _take()
        _put(self._kept, self._kept_otel)
        try:
            return await step(*args)
        finally:
            self._kept, self._kept_otel = _take()
            _put(*outside)


current_scope = _scope.get
"""Returns the turn or the lane that the running code belongs to, ``None`` outside of one."""


def current_turn() -> Turn | None:
    """Return the turn that the running code belongs to, ``None`` outside of one."""
    scope = _scope.get()
    return None if scope is None else scope.turn


def use_opentelemetry(module: ModuleType | None) -> ModuleType | None:
    """Carry OpenTelemetry's context along through *module*, or do not; return what did before."""
    global _otel
    before, _otel = _otel, module
    return before


def incoming_trace() -> tuple[str, str] | None:
    """Return the trace id and span id that the running code is already part of, as hex."""
    incoming: tuple[str, str] | None = None if _otel is None else _otel.incoming()
    return incoming


def _take() -> tuple[Scope | None, Any]:
    return _scope.get(), None if _otel is None else _otel.get()


def _put(scope: Scope | None, otel_context: Any) -> None:
    _scope.set(scope)
    if _otel is not None and otel_context is not None:
        _otel.put(otel_context)
