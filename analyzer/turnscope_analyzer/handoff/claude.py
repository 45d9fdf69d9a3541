"""A transcript of Claude Code as a story: its main conversation; what sub-agents did stands in their own files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from turnscope_analyzer.context.tools import Result, asked, files_of, text_of
from turnscope_analyzer.handoff.story import Step, Story
from turnscope_analyzer.sources.claude.records import iter_records
from turnscope_analyzer.sources.objects import word
from turnscope_analyzer.sources.rejects import Rejects
from turnscope_analyzer.sources.timeline import Timeline

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from turnscope_analyzer.sources.claude.records import Record

_PLAN = "TodoWrite"
_INTERRUPT = "[Request interrupted"
_OVER = frozenset({"end_turn", "stop_sequence", "max_tokens", "refusal"})


def read_claude(path: Path) -> Story:
    """Read the session in *path*.

    Raises:
        OSError: The file cannot be opened. Bad content never raises, it is listed in ``rejects``.
    """
    story = Story(path, "Claude Code")
    rejects = Rejects(str(path))
    for record in iter_records(path, rejects, Timeline()):
        if record.content.get("isSidechain") is True:
            continue
        story.at(record.wall_ns)
        story.thread_id = story.thread_id or record.says("sessionId") or ""
        story.cwd = record.says("cwd") or story.cwd
        story.branch = record.says("gitBranch") or story.branch
        if version := record.says("version"):
            story.program = f"Claude Code {version}"
        if record.kind == "user":
            _user(story, record)
        elif record.kind == "assistant":
            _assistant(story, record)
        elif record.kind == "system" and record.says("subtype") == "compact_boundary":
            story.compacted("")
    story.rejects = rejects.all()
    return story


def _user(story: Story, record: Record) -> None:
    blocks = record.blocks()
    results = [block for block in blocks if block.get("type") == "tool_result"]
    for block in results:
        failed = block.get("is_error") is True
        story.result(word(block, "tool_use_id") or "", Result(text_of(block.get("content")), None, failed))
    text = text_of(blocks)
    if record.content.get("isCompactSummary") is True:
        story.summarised(text)
    elif text.startswith(_INTERRUPT):
        story.end("interrupted")
    elif not results and text and not text.startswith("<") and record.content.get("isMeta") is not True:
        story.turn += 1
        story.begin()
        story.request(text)


def _assistant(story: Story, record: Record) -> None:
    text = text_of([block for block in record.blocks() if block.get("type") == "text"])
    if record.content.get("isApiErrorMessage") is True:
        story.end("failed", text)
        return
    story.model = word(record.message, "model") or story.model
    story.say(text)
    for block in record.blocks():
        if block.get("type") == "tool_use" and (call_id := word(block, "id")):
            _call(story, call_id, word(block, "name") or "tool", block.get("input"))
    if word(record.message, "stop_reason") in _OVER and story.turn_open:
        story.end("completed")


def _call(story: Story, call_id: str, name: str, arguments: object) -> None:
    if name == _PLAN and isinstance(arguments, dict):
        story.planned("", tuple(_steps(arguments)))
    text = asked(arguments)
    story.call(call_id, name, text, files_of(name, arguments, text))


def _steps(arguments: Mapping[str, Any]) -> list[Step]:
    todos = arguments.get("todos")
    steps = [todo for todo in todos if isinstance(todo, dict)] if isinstance(todos, list) else []
    return [Step(text, word(todo, "status") or "?") for todo in steps if (text := word(todo, "content"))]
