"""The diagnostics timeline: the best that OpenClaw writes, and off by default (``OPENCLAW_DIAGNOSTICS=timeline``).

Each record is appended as it happens: a span that has no end is what the gateway was in when the file stops.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from turnscope.failures import kind_of_status
from turnscope_analyzer.sources.objects import part, word
from turnscope_analyzer.sources.openclaw.records import Entry, json_lines, ms_ns, time_ns

if TYPE_CHECKING:
    from pathlib import Path

    from turnscope_analyzer.sources.openclaw.folder import Folder
    from turnscope_analyzer.sources.openclaw.records import JsonLine
    from turnscope_analyzer.sources.rejects import Rejects

_SCHEMA: Final = re.compile(rb'"schemaVersion"\s*:\s*"openclaw\.diagnostics\.')
_DISPATCH: Final = "gateway.chat_send.dispatch_inbound"
_MARKS: Final = {
    "gateway.chat_send.ack_ready": "accepted",
    "provider.request.started": "sent",
    # It comes with the headers, before any byte of a body.
    "provider.request.activity": "headers",
}


def is_timeline(head: bytes) -> bool:
    """Tell whether a file is a timeline."""
    return _SCHEMA.search(head[:4096]) is not None


def read_timeline(path: Path, folder: Folder, rejects: Rejects) -> None:
    """Read a timeline's runs into *folder*.

    Raises:
        OSError: The file cannot be opened or read.
    """
    owners: dict[str, str] = {}
    for line in json_lines(path, rejects):
        at_ns = time_ns(line.content.get("timestamp"))
        if at_ns is None:
            rejects.add(line.where.offset, "no time on the record")
            continue
        folder.see(at_ns, path)
        name, attrs = word(line.content, "name"), part(line.content, "attributes")
        run_id = word(line.content, "runId") or word(attrs, "runId")
        span, parent = word(line.content, "spanId"), word(line.content, "parentSpanId")
        run_id = run_id or owners.get(span or "") or owners.get(parent or "")
        if run_id is None:
            continue
        if span is not None:
            owners[span] = run_id
        if line.content.get("type") == "span.end" and name != _DISPATCH:
            continue
        entry = _entry(line, name or "", at_ns)
        folder.runs[run_id].add(entry, key=word(attrs, "sessionKey"))


def _entry(line: JsonLine, name: str, at_ns: int) -> Entry:
    kind, where, content = line.content.get("type"), line.where, line.content
    if kind == "provider.request":
        return _request(line, at_ns)
    if name == _DISPATCH:
        what = "started" if kind == "span.start" else "run_done"
        return Entry(at_ns, what, "timeline", where, {"status": "error" if content.get("errorName") else None})
    if (told := _MARKS.get(name)) is not None:
        return Entry(at_ns, told, "timeline", where)
    return Entry(at_ns, "seen", "timeline", where)


def _request(line: JsonLine, at_ns: int) -> Entry:
    """Return the end of a request; its record carries the time of its begin."""
    attrs = part(line.content, "attributes")
    done_ns = ms_ns(attrs.get("terminalAtMs")) or at_ns
    if line.content.get("ok") is True:
        asks = attrs.get("terminalReason") == "toolUse"
        return Entry(done_ns, "responded", "timeline", line.where, {"asks": asks, "model": word(attrs, "model")})
    status = line.content.get("status")
    status = status if type(status) is int else None
    failure = {"error_type": (kind_of_status(status) if status else None) or "other", "status": status}
    return Entry(done_ns, "request_failed", "timeline", line.where, failure)
