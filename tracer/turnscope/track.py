"""The marks of one turn: each is in the journal when ``record`` returns, and what is open is known at any time.

No lock is held: a mark is one dictionary, one encoding and one append, and each change to what is open is one store.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Final, NamedTuple

import orjson

from turnscope._guard import guard
from turnscope.attributes import ATTRIBUTES
from turnscope.current import Scope, current_scope
from turnscope.phases import LANES, PHASES
from turnscope.redact import PLAIN
from turnscope.segment import LONGEST_LINE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from turnscope.life import Slot
    from turnscope.recorder import Recorder

_dumps: Final = orjson.dumps
_LINE: Final = orjson.OPT_APPEND_NEWLINE

_TERMINALS: Final = frozenset(phase.name for phase in PHASES if phase.lane == "turn" and phase.terminal)

_KNOWN_ATTRIBUTES: Final = frozenset(attribute.name for attribute in ATTRIBUTES)

# All that a mark needs of the vocabulary in one look-up: the kind of its lane, whether the phase ends its lane,
# whether it changes the turn itself, and whether the turn itself gets on by it.
_RULES: Final = {
    phase.name: (
        phase.lane,
        phase.terminal,
        phase.name in _TERMINALS or phase.name == "tool_result",
        phase.lane not in {"renderer", "cancel"},
    )
    for phase in PHASES
}


_MANY: Final = frozenset(lane.kind for lane in LANES if lane.many)


class Held(NamedTuple):
    """The latest mark of a lane, as it was written."""

    line: bytes
    lane: str
    phase: str
    mono_ns: int
    wall_ns: int
    seq: int
    slot: Slot | None
    kind: str


_Mark = dict[str, object]
_Held = tuple[bytes, str, str, int, int, int, "Slot | None", str]


class Track(Scope):
    """What a turn has reached on each of its lanes."""

    __slots__ = (
        "_accepted", "_after_tool", "_cursor", "_ends", "_last", "_open", "_recorder",
        "has_ended", "id", "is_cancel_asked", "process_id", "session",
    )  # fmt: skip

    def __init__(self, recorder: Recorder, session: object, turn_id: object) -> None:
        super().__init__("turn")
        self._recorder = recorder
        self.process_id = recorder.journal.process_id
        self.id = self.session = ""
        self.has_ended = self.is_cancel_asked = False
        self._accepted: bytes | None = None
        self._open: dict[str, _Held] = {}
        self._last: _Held | None = None
        self._after_tool = False
        self._cursor: int | None = None
        self._ends = itertools.count()
        with guard:
            self.session = recorder.redactor.identifier(session)
            self.id = recorder.redactor.identifier(turn_id)
        with guard:
            self.id = self.id or recorder.new_id()

    # One function, as each further call would be 5 % of a mark.
    def record(  # noqa: PLR0912
        self, phase: str, lane: str | None, attrs: _Mark, seq: int = 0, slot: Slot | None = None, *, given: bool = False
    ) -> int:
        """Write a mark and return its seq, 0 when nothing was written; *attrs* belong to the mark from now on.

        *lane* is ``None`` where its kind has only one; with *given* it is the user's word for it, yet to be checked.
        """
        recorder = self._recorder
        if not recorder.enabled:
            return 0
        try:  # not `with guard`, which costs 0.08 us more
            if phase not in _RULES:
                recorder.journal.drop("unknown_phase")
                return 0
            kind, ends_lane, changes_turn, is_step = _RULES[phase]
            held = self._open
            if lane is None:
                lane = self._lane_of(kind, lane) if given else kind
            elif given and ((before := held.get(lane)) is None or before[7] != kind):
                lane = self._lane_of(kind, lane)
            if changes_turn and not self._change(phase, attrs):
                return 0
            mono_ns, wall_ns = recorder.mono_ns(), recorder.wall_ns()
            seq = seq or recorder.next_seq()
            mark: _Mark = {
                "turn": self.id, "session": self.session, "lane": lane, "phase": phase,
                "t": wall_ns, "m": mono_ns, "seq": seq, "proc": recorder.journal.process_id,
            }  # fmt: skip
            if attrs:
                mark["attrs"] = attrs
                # Names and strings that were passed before, and numbers, stay as they are.
                passed = recorder.plain_texts
                if recorder.plain_names.issuperset(attrs):
                    for value in attrs.values():
                        if value.__class__ not in PLAIN and (value.__class__ is not str or value not in passed):
                            mark["attrs"] = recorder.redactor.attributes(attrs)
                            break
                else:
                    mark["attrs"] = recorder.redactor.attributes(attrs)
            try:
                line = _dumps(mark, None, _LINE)
            except TypeError:  # an integer beyond 64 bits: the one plain value that does not fit
                line = self._encode_reduced(mark, attrs)
            line = line if len(line) <= LONGEST_LINE else self._shorten(mark, attrs)
            # Held before it is appended: if another thread rolls in between, it is carried too, and not lost.
            latest = (line, lane, phase, mono_ns, wall_ns, seq, slot, kind)
            if is_step:
                self._last = latest
            if ends_lane:
                held.pop(lane, None)
            else:
                held[lane] = latest
            recorder.append(line)
            if changes_turn and self.has_ended:
                self._forget_prompt()
        except Exception as error:  # noqa: BLE001 - the guard's own rule, spelled out
            guard.swallow(error)
            return 0
        return seq

    @property
    def recording_process_id(self) -> str:
        """The process that its next mark is of: another one in a forked child."""
        return self._recorder.journal.process_id

    def next_seq(self) -> int:
        """Draw the seq of a mark that is about to be written."""
        return self._recorder.next_seq()

    def slot(self, seq: int) -> Slot | None:
        """Take a progress slot for the mark *seq*."""
        return self._recorder.journal.slot(seq) if self._recorder.enabled else None

    def take_after_tool(self) -> bool:
        """Say whether a tool's result came since the last time this was asked."""
        after_tool, self._after_tool = self._after_tool, False
        return after_tool

    def drop(self, reason: str) -> None:
        """Count that something was not recorded."""
        self._recorder.journal.drop(reason)

    def safe_id(self, value: object) -> str:
        """Return *value* as it may stand behind the kind of a lane."""
        return self._recorder.redactor.identifier(value)

    def lanes_held(self) -> list[Held]:
        """Return the latest mark of each open lane, oldest first."""
        return sorted((Held(*held) for held in self._open.copy().values()), key=lambda held: held.seq)

    def is_latest(self, lane: str, seq: int) -> bool:
        """Tell whether the mark *seq* is still the latest on *lane*."""
        held = self._open.get(lane)
        return held is not None and held[5] == seq

    def last_step(self) -> Held | None:
        """Return the latest mark by which the turn itself got on, whether its lane is still open or not."""
        return None if self._last is None else Held(*self._last)

    @property
    def cursor(self) -> int | None:
        """How many events the turn has sent, as far as it said."""
        return self._cursor

    def carried(self) -> Iterator[bytes]:
        """Yield the lines that tell what the turn waits in, oldest first: accepted, each open lane, the latest step."""
        lines = [held.line for held in self.lanes_held()]
        if self._accepted is not None:
            lines.insert(0, self._accepted)
        if self._last is not None:
            lines.append(self._last[0])
        yield from dict.fromkeys(lines)

    def _lane_of(self, kind: str, lane: str | None) -> str:
        """Return the lane of *kind* that is meant by *lane*, or that the running code is in."""
        if kind not in _MANY:
            return kind
        prefix = f"{kind}:"
        if lane is not None:
            return prefix + self.safe_id(str(lane).removeprefix(prefix))
        scope = current_scope()
        while scope is not None:
            if scope.turn is self and scope.lane.startswith(prefix):
                return scope.lane
            scope = scope.outer
        return kind

    def _change(self, phase: str, attrs: dict[str, object]) -> bool:
        """Take note of a phase that changes the turn; ``False`` when it would end the turn a second time."""
        if phase == "tool_result":
            self._after_tool = True
            return True
        # The first to draw 0 ends the turn: one step that no thread can come between, and no lock that a signal
        # handler could find held.
        if next(self._ends):
            return False
        self.has_ended = True
        if self._recorder.turns.get(self.id) is self:
            del self._recorder.turns[self.id]
        if self._cursor is not None:
            attrs.setdefault("cursor", self._cursor)
        return True

    def _encode_reduced(self, mark: _Mark, attrs: dict[str, object]) -> bytes:
        mark["attrs"] = self._recorder.redactor.attributes(attrs)
        return _dumps(mark, None, _LINE)

    def _shorten(self, mark: _Mark, attrs: dict[str, object]) -> bytes:
        """Return *mark* as a line that fits: with the attributes that mean something to the analyzer, else without."""
        self.drop("capped")
        known = {name: value for name, value in attrs.items() if name in _KNOWN_ATTRIBUTES}
        line = self._encode_reduced(mark, known)
        if len(line) <= LONGEST_LINE:
            return line
        self.drop("too_large")
        del mark["attrs"]
        return _dumps(mark, None, _LINE)

    def _forget_prompt(self) -> None:
        inbox = self._recorder.inbox
        if inbox is not None:
            inbox.remove(self.id)
