"""OpenTelemetry files as a source: every record is given to the dialect that knows the program it came from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from turnscope_analyzer.model import Capture
from turnscope_analyzer.sources.codex.telemetry import CodexTelemetry
from turnscope_analyzer.sources.openclaw.telemetry import OpenClawTelemetry
from turnscope_analyzer.sources.opened import size_of
from turnscope_analyzer.sources.otlp.agents import Agents
from turnscope_analyzer.sources.otlp.decode import read_records
from turnscope_analyzer.sources.otlp.own import Own
from turnscope_analyzer.sources.rejects import Rejects, unreadable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from turnscope_analyzer.sources.otlp.records import Dialect

DIALECTS: Final[tuple[Callable[[], Dialect], ...]] = (Own, CodexTelemetry, OpenClawTelemetry, Agents)
"""In the order in which they are asked: those of one program before those of a convention."""


def read_otlp(files: Sequence[Path], progress: Callable[[int], None]) -> Iterator[Capture]:
    """Read files of spans and log records; *progress* gets the bytes done.

    The files are read together: a turn's spans may lie in several, and its log records always do.
    """
    dialects = [begin() for begin in DIALECTS]
    own = Capture()
    for path in files:
        rejects = Rejects(str(path))
        try:
            for record in read_records(path, rejects, own.left_alone):
                if not any(dialect.take(record) for dialect in dialects):
                    own.left_alone["log records of no known program"] += 1
        except OSError as error:
            own.rejects.append(unreadable(path, error))
        own.rejects += rejects.all()
        progress(size_of(path))
    yield own
    for dialect in dialects:
        yield from dialect.captures()
