"""What each record of a rollout says about the turn that it belongs to: one row a kind of record."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from turnscope_analyzer.sources.codex.errors import ends_a_turn, failure_of
from turnscope_analyzer.sources.codex.tokens import number
from turnscope_analyzer.sources.objects import word

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from turnscope_analyzer.sources.codex.records import Record
    from turnscope_analyzer.sources.codex.turn import Turn

    Action = Callable[[Turn, Record], None]

_ESCALATIONS = ("require_escalated", '"with_escalated_permissions":true', '"with_escalated_permissions": true')


def _item(kind: str) -> Action:
    def act(turn: Turn, record: Record) -> None:
        turn.requests.item(record, kind, number(record.payload, "started_at_ms"))

    return act


def _call(turn: Turn, record: Record) -> None:
    payload = record.payload
    kind = record.name.rpartition("/")[2]
    if payload.get("execution") == "server":
        # The provider runs it: there is nothing here to wait for.
        turn.requests.item(record, kind)
        return
    asked = payload.get("arguments") or payload.get("input")
    escalated = isinstance(asked, str) and any(sign in asked for sign in _ESCALATIONS)
    turn.call(record, word(payload, "call_id"), word(payload, "name"), kind, escalated=escalated)


def _result(turn: Turn, record: Record) -> None:
    turn.result(record, word(record.payload, "call_id"))


def _usage(turn: Turn, record: Record) -> None:
    turn.requests.usage(record)


def _compacted(turn: Turn, record: Record) -> None:
    turn.requests.compacted_history(record)


def _compaction_item(turn: Turn, record: Record) -> None:
    turn.requests.compaction_item(record, number(record.payload, "started_at_ms"))


def _other_task(turn: Turn, _record: Record) -> None:
    turn.other_task = True


def _complete(turn: Turn, record: Record) -> None:
    turn.complete(record)


def _abort(turn: Turn, record: Record) -> None:
    turn.abort(record, word(record.payload, "reason"))


def _roll_back(turn: Turn, record: Record) -> None:
    # The user took turns out of the thread; codex refuses that while one runs, so this one did not.
    turn.abort(record, "thread_rolled_back")


def _error(turn: Turn, record: Record) -> None:
    if ends_a_turn(record.payload):
        turn.error(record, failure_of(record.payload))


ACTIONS: Final[Mapping[str, Action]] = {
    "bare/message/assistant": _item("message"),
    "compacted": _compacted,
    "event_msg/agent_message": _item("message"),
    "event_msg/agent_reasoning": _item("reasoning"),
    "event_msg/context_compacted": _compaction_item,
    "event_msg/entered_review_mode": _other_task,
    "event_msg/error": _error,
    "event_msg/exited_review_mode": _other_task,
    "event_msg/item_completed/AgentMessage": _item("message"),
    "event_msg/item_completed/ContextCompaction": _compaction_item,
    "event_msg/item_completed/Plan": _item("message"),
    "event_msg/item_completed/Reasoning": _item("reasoning"),
    "event_msg/task_complete": _complete,
    "event_msg/thread_rolled_back": _roll_back,
    "event_msg/turn_aborted": _abort,
    "event_msg/undo_completed": _other_task,
    "response_item/custom_tool_call": _call,
    "response_item/custom_tool_call_output": _result,
    "response_item/function_call": _call,
    "response_item/function_call_output": _result,
    "response_item/image_generation_call": _item("image_generation_call"),
    "response_item/local_shell_call": _call,
    "response_item/message/assistant": _item("message"),
    "response_item/reasoning": _item("reasoning"),
    "response_item/tool_search_call": _call,
    "response_item/tool_search_output": _result,
    "response_item/web_search_call": _item("web_search_call"),
    "token_usage_record": _usage,
}
"""What is not here says nothing about a turn's phases, or says again what another record has said."""
