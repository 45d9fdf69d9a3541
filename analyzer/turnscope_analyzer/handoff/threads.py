"""In which program's records a thread is kept, and how to read it as a story."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from turnscope_analyzer.context.threads import UnfitError, plain_head
from turnscope_analyzer.handoff.claude import read_claude
from turnscope_analyzer.handoff.codex import read_codex
from turnscope_analyzer.handoff.openclaw import read_openclaw
from turnscope_analyzer.rescue.threads import locate
from turnscope_analyzer.sources.claude.records import is_transcript
from turnscope_analyzer.sources.codex.records import is_rollout

if TYPE_CHECKING:
    from pathlib import Path

    from turnscope_analyzer.handoff.story import Story

_OPENCLAW: Final = b'{"type":"session","version":'


def read_story(name: str, home: Path) -> Story:
    """Read the thread that *name* means: the path of a rollout or transcript, or the id of a thread in *home*.

    Raises:
        RepairError: There is none, or there are several.
        UnfitError: It is another kind of file, or packed.
        OSError: It cannot be read.
    """
    path = locate(name, home)
    head = plain_head(path)
    if is_rollout(head):
        return read_codex(path)
    if is_transcript(head):
        return read_claude(path)
    if head.startswith(_OPENCLAW):
        return read_openclaw(path)
    raise UnfitError(
        f"{path} is neither a rollout of Codex nor a transcript of Claude Code or OpenClaw. From 2026.9 on OpenClaw "
        f"keeps its transcripts in a database, which cannot be read for this."
    )
