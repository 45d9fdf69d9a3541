"""OpenClaw's session rows: its own account of what each session is doing, which is not to be trusted alone.

Rows are large, their tables of skills above all: one at a time is looked at, and what says nothing is let go.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from turnscope_analyzer.sources.objects import count_of, parse_object, part, word
from turnscope_analyzer.sources.openclaw.records import Where, ms_ns

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from turnscope_analyzer.model import Value
    from turnscope_analyzer.sources.rejects import Rejects

_TRIES: Final = 4
_TOKEN: Final = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"|[{}]', re.DOTALL)


class Row(NamedTuple):
    """What a row says of its session's last run. Times are ns, None where the row has none.

    ``run_id`` is the run that writes or wrote last, of the versions that name it; ``recovering`` is set while a
    restarted gateway has still to run the turn again; ``valid`` is False where the gateway will refuse the row.
    ``tokens`` is the size of the last prompt, None where the row itself calls it out of date, ``window`` what fits.
    """

    key: str
    session_id: str
    status: str | None
    started_ns: int | None
    ended_ns: int | None
    updated_ns: int | None
    interaction_ns: int | None
    run_id: str | None
    error: str | None
    recovering: bool
    file: str | None
    valid: bool
    where: Where
    tokens: int | None = None
    window: int | None = None
    compactions: int | None = None

    def values(self) -> dict[str, Value]:
        """Return the fields that its state is told by, as they stand on file."""
        times = {
            "startedAt": self.started_ns,
            "endedAt": self.ended_ns,
            "updatedAt": self.updated_ns,
            "lastInteractionAt": self.interaction_ns,
        }
        known: dict[str, Value] = {"key": self.key, "sessionId": self.session_id, "status": self.status}
        known |= {name: at_ns // 1_000_000 for name, at_ns in times.items() if at_ns is not None}
        figures = {"totalTokens": self.tokens, "contextTokens": self.window, "compactionCount": self.compactions}
        return known | {name: figure for name, figure in figures.items() if figure is not None}

    @property
    def running(self) -> bool:
        """The row says that a run is in progress."""
        return self.status == "running"


def row_of(key: str, content: Mapping[str, Any], where: Where, *, valid: bool = True) -> Row | None:
    """Return the row that *content* is, None where it names no session."""
    session_id = word(content, "sessionId")
    if session_id is None:
        return None
    return Row(
        key=key,
        session_id=session_id,
        status=word(content, "status"),
        started_ns=ms_ns(content.get("startedAt")),
        ended_ns=ms_ns(content.get("endedAt")),
        updated_ns=ms_ns(content.get("updatedAt")),
        interaction_ns=ms_ns(content.get("lastInteractionAt")),
        run_id=word(content, "lifecycleRunId") or word(content, "activeWriterRunId") or word(content, "lastRunId"),
        error=word(content, "lastRunError"),
        recovering=bool(part(content, "mainRestartRecovery")),
        file=word(content, "sessionFile"),
        valid=valid,
        where=where,
        tokens=count_of(content.get("totalTokens")) if content.get("totalTokensFresh") is not False else None,
        window=count_of(content.get("contextTokens")),
        compactions=count_of(content.get("compactionCount")),
    )


def read_rows(path: Path, rejects: Rejects) -> Iterator[Row]:
    """Read a ``sessions.json``, also one that is cut short or damaged in the middle: its whole rows are given.

    Raises:
        OSError: The file cannot be opened or read.
    """
    text = _unchanged(path)
    end = 0
    for key, start, end in row_spans(text):
        content = parse_object(text[start:end])
        row = row_of(key, content, Where(str(path), start)) if content is not None else None
        if row is None:
            rejects.add(start, f"a session's row of {end - start} bytes that cannot be read")
        else:
            yield row
    if not text[end:].strip().endswith(b"}"):
        rejects.add(end, f"cut off after {len(text)} bytes")


def _unchanged(path: Path) -> bytes:
    """Return the file's content, read again where the gateway rewrote it meanwhile."""
    for _ in range(_TRIES):
        before = path.stat()
        text = path.read_bytes()
        after = path.stat()
        if (before.st_ino, before.st_mtime_ns, before.st_size) == (after.st_ino, after.st_mtime_ns, after.st_size):
            break
    return text


def row_spans(text: bytes) -> Iterator[tuple[str, int, int]]:
    """Yield key, begin and end of each object one level below the outermost."""
    depth, key, start = 0, b"", 0
    for token in _TOKEN.finditer(text):
        first = text[token.start()]
        if first == 0x22:
            if depth == 1:
                key = token[0][1:-1]
        elif first == 0x7B:
            depth += 1
            start = token.start() if depth == 2 else start
        else:
            depth -= 1
            if depth == 1:
                yield key.decode("utf-8", "replace"), start, token.end()
