"""One Codex thread: which turn each record belongs to, and which turns a later one has left behind.

Versions are told apart by the shape of their records, never by the version that a file names: a file that one
version began goes on under another.
"""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

from turnscope_analyzer.sources.codex.actions import ACTIONS
from turnscope_analyzer.sources.codex.settings import Settings
from turnscope_analyzer.sources.codex.turn import Turn
from turnscope_analyzer.sources.objects import part, word

if TYPE_CHECKING:
    from collections.abc import Mapping

    from turnscope_analyzer.sources.codex.records import Record

_OUTSIDE_TURNS = frozenset({"session_meta", "world_state", "state", "event_msg/thread_settings_applied"})
"""Records that the next process may write before its first turn: no sign of life of the turn before."""

_PROMPTS = frozenset({"event_msg/user_message", "event_msg/item_completed/UserMessage", "bare/message/user"})
_ENDS = frozenset({"event_msg/task_complete", "event_msg/turn_aborted"})
_PARTS = ("response_item/", "event_msg/item_completed", "token_usage_record", *_ENDS)
"""Records whose turn id is that of the turn they are part of."""


class Thread:
    """The turns of one rollout, fed with its records in file order."""

    def __init__(self) -> None:
        self.thread_id: str | None = None
        self.turns: list[Turn] = []
        self._settings = Settings()
        self._by_id: dict[str, Turn] = {}
        self._current: Turn | None = None
        self._below_parent = False

    def feed(self, record: Record) -> None:
        """Take the next record in."""
        name = record.name
        if name == "session_meta":
            self._set_thread(word(record.payload, "id"))
        elif name == "turn_context":
            self._set_context(record)
            self._name(record)
        elif name == "event_msg/task_started":
            self._start(record)
        turn = self._turn_of(record)
        if name in _PROMPTS:
            turn = self._prompt(turn, record)
        reading = self._settings.meter.read(record.payload) if name == "event_msg/token_count" else None
        if turn is None or turn.ended:
            return
        if name not in _OUTSIDE_TURNS:
            turn.last = record
        if reading is not None:
            turn.count(record, reading)
        elif act := ACTIONS.get(name):
            act(turn, record)
        if turn.ended and turn is self._current:
            self._current = None

    def finish(self) -> list[Turn]:
        """Return the thread's own turns; one that a later turn has left open is closed at its last record.

        Forks and sub-agents begin with a copy of their parent's records. A turn from there is not given: it has
        the parent's name above it and is older than the thread.
        """
        born_ms = _made_ms(self.thread_id) or 0
        own = [turn for turn in self.turns if not turn.below_parent or (_made_ms(turn.turn_id) or born_ms) >= born_ms]
        for turn in own:
            if not (turn.ended or turn.made or turn is self._current):
                turn.lose()
        return own

    def _set_thread(self, thread_id: str | None) -> None:
        """Take the first name for the thread's; later ones are its own at each resume, or its parent's."""
        if self.thread_id is None:
            self.thread_id = thread_id
        self._below_parent = thread_id != self.thread_id

    def _turn_of(self, record: Record) -> Turn | None:
        turn_id = turn_id_of(record.payload)
        if turn_id is None:
            return self._current
        turn = self._by_id.get(turn_id)
        if turn is not None or not record.name.startswith(_PARTS):
            return turn or self._current
        ends = record.name in _ENDS
        if self._current is not None and (self._current.made or not ends):
            return self._current
        # The record that started it is damaged, or stood before the file's beginning.
        return self._add(Turn(turn_id, self._settings, record), current=not ends)

    def _add(self, turn: Turn, *, current: bool = True) -> Turn:
        turn.below_parent = self._below_parent
        self.turns.append(turn)
        if not turn.made:
            self._by_id[turn.turn_id] = turn
        if current:
            self._current = turn
        return turn

    def _start(self, record: Record) -> None:
        turn_id = turn_id_of(record.payload) or f"@{record.offset}"
        turn = self._by_id.get(turn_id)
        waiting = self._current
        if turn is None and waiting is not None and waiting.made and waiting.only_prompted():
            # The prompt was written first.
            waiting.turn_id, waiting.made = turn_id, False
            self._by_id[turn_id] = turn = waiting
        elif turn is None:
            turn = self._add(Turn(turn_id, self._settings, record))
        self._current = turn
        turn.start(record)

    def _prompt(self, turn: Turn | None, record: Record) -> Turn | None:
        if record.name == "bare/message/user" and _first_text(record.payload).startswith("<"):
            # Instructions and surroundings, which the first versions wrote as the user's messages.
            return turn
        if turn is None or turn.made or turn.ended:
            number = 1 + sum(known.made for known in self.turns)
            turn = self._add(Turn(f"#{number}", self._settings, record, made=True))
            turn.start(record)
        turn.prompt()
        return turn

    def _set_context(self, record: Record) -> None:
        self._settings.model = word(record.payload, "model") or self._settings.model
        policy = record.payload.get("approval_policy")
        if policy is not None:
            self._settings.asks_people = policy != "never"

    def _name(self, record: Record) -> None:
        """Give the turn the name of its trace, where it does not have one: 0.118 writes it here."""
        turn = self._by_id.get(turn_id_of(record.payload) or "")
        if turn is not None and turn.trace_id is None:
            turn.trace_id = word(record.payload, "trace_id")


def turn_id_of(payload: Mapping[str, Any]) -> str | None:
    """Return the id of the turn that a record names, None where it names none."""
    passed = "internal_chat_message_metadata_passthrough"
    return word(payload, "turn_id") or word(part(payload, passed), "turn_id")


def _made_ms(name: str | None) -> int | None:
    """Return when a version 7 UUID was made, None for any other name."""
    try:
        made = uuid.UUID(name or "")
    except ValueError:
        return None
    return made.int >> 80 if made.version == 7 else None


def _first_text(payload: Mapping[str, Any]) -> str:
    content = payload.get("content")
    first = content[0] if isinstance(content, list) and content else None
    words = first.get("text") if isinstance(first, dict) else None
    return words if isinstance(words, str) else ""
