"""One lane of a turn while code runs inside it: marks its opening phase on entering and its end on leaving."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any, ClassVar, Final, TypeVar

from turnscope import failures
from turnscope._guard import guard
from turnscope.current import Scope, current_turn
from turnscope.decorate import decorate
from turnscope.phases import LANE, PHASE
from turnscope.recorder import active

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from typing_extensions import Self

    from turnscope.turn import Turn

F = TypeVar("F", bound="Callable[..., Any]")

_LANE_OF: Final = {phase.name: LANE[phase.lane] for phase in PHASE.values()}
_SUCCEEDS: Final = {name: lane.succeeds for name, lane in _LANE_OF.items()}
_ONE_LANE: Final = {name: lane.kind for name, lane in _LANE_OF.items() if not lane.many}

# What an error means on a lane whose work is not a request of its own.
_OWN_KIND: Final = {"tool": "tool_error", "hydration": "hydration_failed", "compaction": "compaction_failed"}


class PhaseHandle(Scope):
    """A lane of a turn; a context manager and a decorator, outside of a turn without effect.

    Left without an error it marks the phase that ends its lane well, with one the phase that ends it badly. It may
    be used as a decorator of any number of functions: each call opens a lane of its own.
    """

    __slots__ = ("_attrs", "_given", "_is_done", "_opening", "_phase", "_suffix", "_turn")

    _is_plain: ClassVar[bool] = True
    """Whether it opens and ends as this class does, which most do."""

    def __init_subclass__(cls) -> None:
        cls._is_plain = (cls._open, cls._end, cls._finish) == (PhaseHandle._open, PhaseHandle._end, PhaseHandle._finish)

    def __init__(self, given: Turn | None, opening: str, attrs: dict[str, Any], suffix: object = None) -> None:
        # Not through Scope.__init__: a lane is opened on the path of a mark, where that call is 5 % of it.
        self.lane = ""
        self.outer: Scope | None = None
        self.is_closed = self._is_done = False
        self._otel_inside = self._otel_outside = None
        self._given = given
        self._opening = self._phase = opening
        self._attrs = attrs
        self._suffix = suffix
        self._turn: Turn | None = None

    @property
    def turn(self) -> Turn | None:
        """The turn that the lane belongs to; ``None`` outside of one."""
        return self._turn

    def __enter__(self) -> Self:
        try:  # not `with guard`, here and below, which costs 0.08 us more
            turn = self._given
            if turn is None:
                turn = current_turn()
            if turn is None:
                active().journal.drop("no_turn")
            else:
                self._turn = turn
                lane = _ONE_LANE.get(self._opening) if self._is_plain else None
                if lane is None:
                    self._open(turn)
                else:  # what _open does, without a call that is 3 % of a phase
                    self.lane = lane
                    self.first_seq = turn.record(self._opening, lane, self._attrs)
                    self._enter(turn)
        except Exception as fault:  # noqa: BLE001 - the guard's own rule, spelled out
            guard.swallow(fault)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._turn is None:
            return
        try:
            try:
                if self._is_done:
                    pass
                elif error is None and self._is_plain and self._opening in _SUCCEEDS:
                    self._is_done = True
                    self._turn.record(_SUCCEEDS[self._opening], self.lane, {})
                else:
                    self._end(error)
            finally:
                self._leave()
        except Exception as fault:  # noqa: BLE001 - as above
            guard.swallow(fault)

    def __call__(self, function: F) -> F:
        """Open the lane around each call of *function*."""
        return decorate(function, lambda _args, _kwargs: self._again())

    def _again(self) -> Self:
        return type(self)(self._given, self._opening, self._attrs.copy(), self._suffix)

    def _open(self, turn: Turn) -> None:
        """Mark the opening phase and make the lane the current scope."""
        lane = _LANE_OF.get(self._opening)
        if lane is not None:
            self.lane = self._lane_name(turn, lane.kind) if lane.many else lane.kind
        self.first_seq = turn.record(self._opening, self.lane, self._attrs)
        self._enter(turn)

    def _lane_name(self, turn: Turn, kind: str) -> str:
        suffix = None if self._suffix is None else turn.safe_id(self._suffix)
        return f"{kind}:{suffix or next(turn.numbers.get(kind) or turn.numbers.setdefault(kind, itertools.count(1)))}"

    def _end(self, error: BaseException | None) -> None:
        """Mark the phase that ends the lane."""
        lane = _LANE_OF.get(self._opening)
        if lane is None:
            self._is_done = True
        elif error is None:
            self._finish(lane.succeeds, {})
        else:
            self._finish(lane.fails, self._error_attrs(error, lane.kind))

    def _finish(self, phase: str, attrs: dict[str, Any]) -> None:
        """Mark *phase* as the end of the lane; only the first end counts."""
        if self._turn is not None and not self._is_done:
            self._is_done = True
            self._turn.record(phase, self.lane, attrs)

    def _mark(self, phase: str, attrs: dict[str, Any]) -> None:
        """Mark a phase of the lane that does not end it."""
        if self._turn is not None and not self._is_done:
            self._phase = phase
            self._turn.record(phase, self.lane, attrs)

    def _error_attrs(self, error: BaseException, kind: str) -> dict[str, Any]:
        """Return what a mark says about *error*, and let the turn know it when it comes by there."""
        if not isinstance(error, Exception):
            return {"error_type": "cancelled", "error_class": type(error).__name__}
        own = _OWN_KIND.get(kind, "other")
        attrs = failures.attributes_of(error, phase=self._phase, otherwise=own)
        if kind == "tool":
            attrs["error_type"] = own  # a tool that could not connect is no failure of the turn's own transport
        if self._turn is not None:
            self._turn.failure = (id(error), str(attrs["error_type"]))
        return attrs


def without_none(attrs: dict[str, Any], **more: object) -> dict[str, Any]:
    """Return *attrs* with those of *more* that are known."""
    return attrs | {name: value for name, value in more.items() if value is not None}
