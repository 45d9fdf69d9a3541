"""One Claude Code session: which turn each record belongs to, in the conversation and in its sub-agents'.

A sub-agent is a conversation of its own: in a file of its own, or as a side chain amid the records of its parent.
Versions are told apart by the shape of their records, never by the version that they name.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from turnscope_analyzer.sources.claude.turn import Turn
from turnscope_analyzer.sources.objects import count_of, part, word

if TYPE_CHECKING:
    from collections.abc import Mapping

    from turnscope_analyzer.sources.claude.records import Record

_MAIN = ""
_INTERRUPT = "[Request interrupted by user"
_LOCAL = ("<local-command", "<bash-")
"""What the user ran without the model."""

_ASKS_NOBODY = frozenset({"bypassPermissions", "dontAsk"})
_SYNTHETIC = "<synthetic>"
_FAILURES = frozenset({"api_error", "error"})


class Session:
    """The conversations of one file, fed with its records in file order."""

    def __init__(self) -> None:
        self.session_id: str | None = None
        self.chains: dict[str, Chain] = {}
        self._asks_people = True
        self._chain_of: dict[str, str] = {}
        self._queue: list[Record] = []

    def feed(self, record: Record) -> None:
        """Take the next record in."""
        self.session_id = self.session_id or record.says("sessionId")
        if record.kind == "queue-operation":
            self._move_queue(record)
            return
        if mode := record.says("permissionMode"):
            self._asks_people = mode not in _ASKS_NOBODY
        name = self._name_of(record)
        chain = self.chains.get(name)
        if chain is None:
            chain = self.chains[name] = Chain()
        if record.kind == "user":
            chain.user(record)
        elif record.kind == "assistant":
            chain.assistant(record, asks_people=self._asks_people)
        elif record.kind == "system":
            chain.system(record)

    def finish(self) -> None:
        """Take in that the file ends: what a person wrote and nobody took out of the queue is a turn that waits."""
        for record in self._queue:
            # The program queues what its own tasks report, as well.
            if not _queued_text(record).startswith("<"):
                self.chains.setdefault(_MAIN, Chain()).wait(record)

    def _move_queue(self, record: Record) -> None:
        """Follow the queue of prompts; one that is taken out is a prompt of its own, or part of the running turn."""
        operation = record.says("operation")
        if operation == "enqueue":
            self._queue.append(record)
        elif operation == "popAll":
            self._queue.clear()
        elif operation in ("dequeue", "remove") and self._queue:
            text = _queued_text(record)
            same = (number for number, queued in enumerate(self._queue) if _queued_text(queued) == text)
            del self._queue[next(same, 0)]

    def _name_of(self, record: Record) -> str:
        """Return the conversation that a record belongs to: the main one, or the first record of a side chain."""
        if agent := record.says("agentId"):
            return agent
        if record.content.get("isSidechain") is not True:
            return _MAIN
        own, parent = record.says("uuid") or f"@{record.offset}", record.says("parentUuid")
        name = self._chain_of.get(parent or "", own)
        self._chain_of[own] = name
        return name


class Chain:
    """The turns of one conversation."""

    def __init__(self) -> None:
        self.turns: list[Turn] = []
        self.tells_ends = False
        self._current: Turn | None = None
        self._command: Record | None = None

    def user(self, record: Record) -> None:
        """Take in what was sent to the model: a prompt, a tool's output, or what the program adds."""
        blocks = record.blocks()
        results = [block for block in blocks if block.get("type") == "tool_result"]
        turn = self._current
        if turn is not None and not turn.over:
            turn.last = record
        if results:
            for block in results if turn is not None else ():
                self._take_result(record, block)
            return
        texts = [block["text"] for block in blocks if isinstance(block.get("text"), str)]
        if texts and texts[0].startswith(_INTERRUPT):
            if turn is not None:
                turn.interrupt(record)
            texts = texts[1:]
            if not texts:
                return
        if not any(record.content.get(name) is True for name in ("isMeta", "isCompactSummary")) and blocks:
            self._prompt(record, texts[0] if texts else "")

    def assistant(self, record: Record, *, asks_people: bool) -> None:
        """Take in a part of a response, or an error that the program shows in the place of one."""
        failed = record.content.get("isApiErrorMessage") is True
        if record.message.get("model") == _SYNTHETIC and not failed:
            # It fills the gap that an interrupt has left; the model said nothing.
            return
        turn = self._answered(record)
        turn.last = record
        if failed:
            turn.fail(record)
        else:
            turn.answer(record, asks_people=asks_people)
            self.tells_ends = self.tells_ends or turn.told

    def system(self, record: Record) -> None:
        """Take in what the program notes of its requests, of a compaction, and of a turn's end."""
        kind, turn = record.says("subtype"), self._current
        if kind in _FAILURES:
            self._answered(record).failed_attempt(record)
            return
        if turn is None or turn.over:
            return
        if kind == "turn_duration":
            turn.complete(record)
            self.tells_ends = True
        elif kind == "compact_boundary" and not turn.ended:
            facts = part(record.content, "compactMetadata")
            tokens, took_ms = count_of(facts.get("preTokens")), count_of(facts.get("durationMs"))
            turn.compacted(record, word(facts, "trigger"), tokens, took_ms)
            turn.last = record

    def wait(self, record: Record) -> None:
        """Take in a prompt that stands in the queue at the end of the file."""
        turn = Turn(f"@{record.offset}", record.says("sessionId") or "", record)
        turn.marks.mark(record, "turn", "accepted")
        turn.marks.mark(record, "turn", "queued")
        self.turns.append(turn)

    def _prompt(self, record: Record, text: str) -> None:
        if text.startswith("<"):
            # A command may be answered without the model: it is a turn once an answer comes.
            self._command = None if text.startswith(_LOCAL) else record
            return
        if self._current is not None:
            self._current.leave()
        self._begin(record)

    def _begin(self, record: Record) -> Turn:
        turn = self._add(record)
        turn.start(record)
        return turn

    def _add(self, record: Record) -> Turn:
        self._command = None
        turn_id = record.says("uuid") or f"@{record.offset}"
        turn = Turn(turn_id, record.says("sessionId") or "", record)
        self.turns.append(turn)
        self._current = turn
        return turn

    def _answered(self, record: Record) -> Turn:
        """Return the turn that a response belongs to; one whose prompt is damaged has no beginning."""
        turn = self._current
        if self._command is not None and (turn is None or turn.ended):
            return self._begin(self._command)
        return self._add(record) if turn is None or turn.over else turn

    def _take_result(self, record: Record, block: Mapping[str, Any]) -> None:
        if self._current is not None:
            self._current.result(record, block)


def _queued_text(record: Record) -> str:
    text = record.content.get("content")
    return text if isinstance(text, str) else ""
