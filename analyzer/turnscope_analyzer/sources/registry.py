"""What can be read: one row a source. Adding one is a module that reads it and a row here.

Journals of our own are not among them: the engine reads those itself, in bulk (``journal``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from turnscope_analyzer.sources.claude.transcript import is_claude, read_claude
from turnscope_analyzer.sources.codex.home import is_codex, read_codex
from turnscope_analyzer.sources.openclaw.home import is_openclaw, read_openclaw
from turnscope_analyzer.sources.otlp.decode import is_otlp
from turnscope_analyzer.sources.otlp.source import read_otlp

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from turnscope_analyzer.model import Capture


class Source(NamedTuple):
    """A kind of records.

    ``claims`` tells by a file's path and the first bytes that it holds, unpacked, whether it is of this kind.
    ``read`` turns all such files into captures, in any portions; it calls its second argument with the bytes that
    it is done with. Neither raises for bad content: ``read`` lists it in ``Capture.rejects``, also where a file
    cannot be opened. ``what`` names the kind to a person.
    """

    kind: str
    what: str
    claims: Callable[[Path, bytes], bool]
    read: Callable[[Sequence[Path], Callable[[int], None]], Iterator[Capture]]


SOURCES: Final[tuple[Source, ...]] = (
    Source("codex", "Codex homes (rollout-*.jsonl, logs_*.sqlite)", is_codex, read_codex),
    Source("claude-code", "Claude Code transcripts (projects/*/*.jsonl)", is_claude, read_claude),
    Source("openclaw", "OpenClaw state folders and logs", is_openclaw, read_openclaw),
    Source("otlp", "OpenTelemetry files (spans and log records; JSON, protobuf, Jaeger's JSON)", is_otlp, read_otlp),
)
"""In the order in which they are asked; the first that claims a file gets it."""
