"""A Codex rollout as a story: one row a kind of record, of any version."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from turnscope_analyzer.context.measure import Course, ThreadSize
from turnscope_analyzer.context.parts import is_injected
from turnscope_analyzer.context.tools import (
    asked,
    changes_of,
    files_in_diff,
    files_of,
    images_of,
    result_of,
    text_of,
)
from turnscope_analyzer.handoff.story import Step, Story
from turnscope_analyzer.handoff.whole import whole_records
from turnscope_analyzer.sources.objects import parse_object, part, word
from turnscope_analyzer.sources.rejects import Rejects
from turnscope_analyzer.sources.timeline import Timeline

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from turnscope_analyzer.sources.codex.records import Record

    Payload = Mapping[str, Any]

_PLAN: Final = "update_plan"


def read_codex(path: Path) -> Story:
    """Read the thread in *path*, a rollout that is not packed.

    Raises:
        OSError: The file cannot be opened or read. Bad content never raises, it is listed in ``rejects``.
    """
    story = Story(path, "Codex")
    rejects = Rejects(str(path))
    reader = _Reader(story)
    for record in whole_records(path, rejects, Timeline()):
        reader.feed(record)
    reader.finish()
    story.rejects = rejects.all()
    return story


class _Reader:
    def __init__(self, story: Story) -> None:
        self._story = story
        self._size = ThreadSize(story.path)
        self._course = Course(self._size)
        self._has_prompts = False
        self._fallback = Story(story.path, story.program)

    def feed(self, record: Record) -> None:
        """Take the next record in."""
        story, growth = self._story, self._size.growth
        self._course.feed(record)
        story.at(record.wall_ns)
        self._fallback.at(record.wall_ns)
        if growth.turns != story.turn:
            story.turn = self._fallback.turn = growth.turns
            story.begin(tracked=record.name == "event_msg/task_started")
        story.tokens, story.window = growth.tokens, growth.window
        if act := _ACTIONS.get(record.name):
            act(story, record.payload)
        elif record.name in _PROMPTS:
            self._prompt(record)
        elif (
            record.name == "response_item/message/user"
            and not is_injected(record.payload)
            and (text := text_of(record.payload.get("content")))
        ):
            self._fallback.request(text)

    def finish(self) -> None:
        """Take in that the file ends."""
        story = self._story
        story.thread_id = story.thread_id or self._size.thread_id or ""
        if not self._has_prompts:
            # Neither of the records that versions keep for a prompt: what was sent to the model has to do.
            story.first, story.requests = self._fallback.first, self._fallback.requests
            story.requests_in_all = self._fallback.requests_in_all

    def _prompt(self, record: Record) -> None:
        payload = record.payload
        text = payload.get("message")
        if not isinstance(text, str):
            text = text_of(part(payload, "item").get("content", payload.get("content")))
        if record.name == "bare/message/user" and is_injected(payload):
            return
        self._has_prompts = True
        self._story.request("\n".join([text, *["[image]"] * images_of(payload)]))


_PROMPTS: Final = frozenset({"event_msg/user_message", "event_msg/item_completed/UserMessage", "bare/message/user"})


def _meta(story: Story, payload: Payload) -> None:
    if story.thread_id:
        # A resume, or the parent of a fork.
        return
    story.thread_id = word(payload, "id") or ""
    story.cwd = word(payload, "cwd") or ""
    version = word(payload, "cli_version")
    story.program = f"Codex {version}" if version else "Codex"
    git = part(payload, "git")
    story.branch, story.commit = word(git, "branch") or "", word(git, "commit_hash") or ""


def _context(story: Story, payload: Payload) -> None:
    story.model = word(payload, "model") or story.model
    story.cwd = word(payload, "cwd") or story.cwd


def _answer(story: Story, payload: Payload) -> None:
    text = payload.get("message")
    item = part(payload, "item")
    story.say(text if isinstance(text, str) else _text(item.get("content", payload.get("content"))))


def _text(content: object) -> str:
    return text_of(content) if isinstance(content, (str, list)) else ""


def _plan_item(story: Story, payload: Payload) -> None:
    text = part(payload, "item").get("text")
    if isinstance(text, str):
        story.planned(text, ())


def _call(story: Story, payload: Payload) -> None:
    name = word(payload, "name") or word(payload, "type") or "tool"
    arguments = payload.get("arguments", payload.get("input", payload.get("action")))
    if name == _PLAN:
        _planned(story, arguments)
    text = asked(arguments)
    if payload.get("execution") != "server" and (call_id := word(payload, "call_id")):
        story.call(call_id, name, text, files_of(name, arguments, text))


def _planned(story: Story, arguments: object) -> None:
    fields = parse_object(arguments) if isinstance(arguments, str) else None
    plan = (fields or {}).get("plan")
    if not isinstance(plan, list):
        return
    steps = (step for step in plan if isinstance(step, dict) and isinstance(step.get("step"), str))
    told = (fields or {}).get("explanation")
    story.planned(
        told if isinstance(told, str) else "",
        tuple(Step(step["step"], word(step, "status") or "?") for step in steps),
    )


def _result(story: Story, payload: Payload) -> None:
    story.result(word(payload, "call_id") or "", result_of(payload.get("output")))


def _patched(story: Story, payload: Payload) -> None:
    item = part(payload, "item") or payload
    if payload.get("success") is not False and word(item, "status") in (None, "completed"):
        for path, how in changes_of(item.get("changes")).items():
            story.touched(path, how)


def _diff(story: Story, payload: Payload) -> None:
    for path in files_in_diff(payload.get("unified_diff")):
        story.touched(path, "changed")


def _error(story: Story, payload: Payload) -> None:
    message = payload.get("message")
    if isinstance(message, str):
        story.error(message)


def _complete(story: Story, payload: Payload) -> None:
    error, answer = payload.get("error"), payload.get("last_agent_message")
    if isinstance(error, dict):
        message = error.get("message")
        story.end("failed", message if isinstance(message, str) else "")
    elif isinstance(answer, str) or "started_at" in payload or story.words is not None or story.compacted_now:
        story.end("completed", answer=answer if isinstance(answer, str) else "")
    else:
        # Versions that do not write when a turn began do not write either that it failed.
        story.end("failed")


def _abort(story: Story, payload: Payload) -> None:
    story.end("interrupted", word(payload, "reason") or "")


def _compacted(story: Story, payload: Payload) -> None:
    message = payload.get("message")
    story.compacted(message if isinstance(message, str) else "")


_ACTIONS: Final[Mapping[str, Callable[[Story, Payload], None]]] = {
    "session_meta": _meta,
    "turn_context": _context,
    "compacted": _compacted,
    "bare/message/assistant": _answer,
    "response_item/message/assistant": _answer,
    "event_msg/agent_message": _answer,
    "event_msg/item_completed/AgentMessage": _answer,
    "event_msg/item_completed/Plan": _plan_item,
    "event_msg/item_completed/FileChange": _patched,
    "event_msg/patch_apply_end": _patched,
    "event_msg/turn_diff": _diff,
    "event_msg/error": _error,
    "event_msg/task_complete": _complete,
    "event_msg/turn_aborted": _abort,
    "response_item/function_call": _call,
    "response_item/custom_tool_call": _call,
    "response_item/local_shell_call": _call,
    "response_item/function_call_output": _result,
    "response_item/custom_tool_call_output": _result,
    "response_item/local_shell_call_output": _result,
}
