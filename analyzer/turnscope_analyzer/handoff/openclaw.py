"""A transcript of OpenClaw, one of those that it kept as a file, as a story."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from turnscope_analyzer.context.tools import Result, asked, files_of, text_of
from turnscope_analyzer.handoff.story import Story
from turnscope_analyzer.sources.objects import count_of, part, word
from turnscope_analyzer.sources.openclaw.records import json_lines, time_ns
from turnscope_analyzer.sources.rejects import Rejects

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_EXIT: Final = "exitCode"


def read_openclaw(path: Path) -> Story:
    """Read the session in *path*.

    Raises:
        OSError: The file cannot be opened. Bad content never raises, it is listed in ``rejects``.
    """
    story = Story(path, "OpenClaw")
    rejects = Rejects(str(path))
    for line in json_lines(path, rejects):
        record = line.content
        at_ns = time_ns(record.get("timestamp"))
        if at_ns is None:
            rejects.add(line.where.offset, "JSON, but no transcript record")
            continue
        story.at(at_ns)
        _feed(story, record)
    story.rejects = rejects.all()
    return story


def _feed(story: Story, record: Mapping[str, Any]) -> None:
    kind = record.get("type")
    if kind == "session":
        story.thread_id, story.cwd = word(record, "id") or "", word(record, "cwd") or ""
    elif kind == "model_change":
        story.model = word(record, "modelId") or story.model
    elif kind == "compaction":
        summary = record.get("summary")
        story.compacted(summary if isinstance(summary, str) else "")
    elif kind == "custom" and record.get("customType") == "openclaw:prompt-error":
        story.end("failed", str(part(record, "data").get("error") or ""))
    elif kind == "message":
        _message(story, part(record, "message"))


def _message(story: Story, message: Mapping[str, Any]) -> None:
    role, content = message.get("role"), message.get("content")
    if role == "user":
        story.turn += 1
        story.begin()
        story.request(text_of(content))
    elif role == "toolResult":
        code = count_of(part(message, "details").get(_EXIT))
        failed = message.get("isError") is True or code not in (None, 0)
        story.result(word(message, "toolCallId") or "", Result(text_of(content), code, failed))
    elif role == "assistant":
        story.say(text_of(content))
        pieces = [piece for piece in content if isinstance(piece, dict)] if isinstance(content, list) else []
        calls = [piece for piece in pieces if piece.get("type") == "toolCall"]
        for piece in calls:
            name, arguments = word(piece, "name") or "tool", piece.get("arguments")
            text = asked(arguments)
            story.call(word(piece, "id") or "", name, text, files_of(name, arguments, text))
        _ended(story, message, has_calls=bool(calls))


def _ended(story: Story, message: Mapping[str, Any], *, has_calls: bool) -> None:
    stop, error = message.get("stopReason"), message.get("errorMessage")
    if stop == "error":
        story.end("failed", error if isinstance(error, str) else "")
    elif stop == "aborted":
        story.end("interrupted")
    elif stop in ("stop", "length") and not has_calls and story.turn_open:
        story.end("completed")
