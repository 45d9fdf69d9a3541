"""The gateway's log, as the JSONL file or as the console printed it: which run was where, and what users were told.

It is large and mostly about other things, so a line is looked into only where it holds one of a few words. What a
request does is told only at the level debug, a session's key often without its run: traces tie the lines together.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from turnscope.failures import kind_of_status
from turnscope_analyzer.model import Gap
from turnscope_analyzer.sources.objects import BLANK, lines_of, parse_object, word
from turnscope_analyzer.sources.openclaw.errors import ABORTED, failure_of
from turnscope_analyzer.sources.openclaw.gateway import Boot
from turnscope_analyzer.sources.openclaw.records import LINE_BYTES, Entry, Where, time_ns

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from turnscope_analyzer.sources.openclaw.folder import Folder
    from turnscope_analyzer.sources.rejects import Rejects

_FILE_LOG: Final = re.compile(rb'"_meta"\s*:\s*\{')
_CONSOLE: Final = re.compile(
    rb"^\d{4}-\d\d-\d\dT[\d:.]{8,12}(?:Z|[+-]\d\d:\d\d) "
    rb"\[(?:gateway|canvas|heartbeat|ws|diagnostic|agent/|plugins|health)",
    re.MULTILINE,
)
_STAMP: Final = re.compile(rb"(\d{4}-\d\d-\d\dT[\d:.]{8,12}(?:Z|[+-]\d\d:\d\d)) ")
_TIME: Final = re.compile(rb'"time"\s*:\s*"([^"]{20,40})"')
_WORDS: Final = re.compile(
    rb"runId|\[model-fetch\]|session: sessionId|liveness warning|gateway ready|listening on|SIGTERM|shutdown completed"
    rb"|message received|timing gap"
)

_ACCEPTED: Final = re.compile(r"res \S+ chat\.send (\d+)ms runId=(\S+)")
_RECEIVED: Final = re.compile(r"message received: .*messageId=(\S+) .*sessionKey=(\S+)")
_TIED: Final = re.compile(r"\brunId=(\S+) sessionId=(\S+)(?: sessionKey=(\S+))?")
_FETCH: Final = re.compile(r"\[model-fetch\] (start|response|error) .*?(?:model=(\S+))")
_FETCHED: Final = re.compile(r"status=(\d+)|causeCode=(\w+)|name=(\w+)")
_COMPACTED: Final = re.compile(r"\[compaction-diag\] end runId=(\S+) .*outcome=(\w+)")
_STALLED: Final = re.compile(
    r"session: sessionId=\S+ sessionKey=(\S+) .*lastProgress=model_call:started lastProgressAge=(\d+)s"
)
_FROZEN: Final = re.compile(r"liveness warning: .*eventLoopDelayMaxMs=([\d.]+)")
_STAGES: Final = (("embedded run timeout", "timed_out"), ("embedded run done", "run_done"))
_LISTENS: Final = re.compile(r"listening on .*\(PID (\d+)\)")

_FREEZE_MS: Final = 1_000
_SECOND_NS: Final = 1_000_000_000


def is_log(head: bytes) -> bool:
    """Tell whether a file is a gateway's log, of either kind."""
    return (_FILE_LOG.search(head) is not None and b"openclaw" in head) or _CONSOLE.search(head) is not None


def read_log(path: Path, folder: Folder, rejects: Rejects) -> None:
    """Read a log's runs and boots into *folder*; what the JSONL log has said already the console's need not say again.

    Raises:
        OSError: The file cannot be opened or read.
    """
    log = _Log(path, folder)
    for line in lines_of(path, rejects, LINE_BYTES):
        stamped = _TIME.search(line.head) if line.head.startswith(b"{") else _STAMP.match(line.head)
        at_ns = time_ns(stamped[1].decode("ascii", "replace")) if stamped else None
        if at_ns is None:
            # The console's lines go on over several; a file's are whole.
            if line.head.startswith(b"{"):
                rejects.add(line.offset, f"a line of {line.length} bytes that no time can be told of")
            continue
        folder.see(at_ns, path)
        if _WORDS.search(line.head) and (line.head.startswith(b"{") or not log.told_before(at_ns)):
            log.take(at_ns, Where(str(path), line.offset), line.head)
    log.close()


class _Log:
    def __init__(self, path: Path, folder: Folder) -> None:
        self._path = path
        self._folder = folder
        self._from_ns: int | None = None
        self._until_ns = 0
        self._before = list(folder.logged)

    def told_before(self, at_ns: int) -> bool:
        return any(begin <= at_ns <= end for begin, end in self._before)

    def close(self) -> None:
        if self._from_ns is not None:
            self._folder.logged.append((self._from_ns, self._until_ns))

    def take(self, at_ns: int, where: Where, text: bytes) -> None:
        self._from_ns = at_ns if self._from_ns is None else self._from_ns
        self._until_ns = max(self._until_ns, at_ns)
        content = parse_object(text.strip(BLANK)) if text.startswith(b"{") else None
        if content is None:
            message, told, trace = text.decode("utf-8", "replace"), {}, None
        else:
            first = content.get("1")
            told = first if isinstance(first, dict) else {}
            said = content.get("2") if told else first
            message = said if isinstance(said, str) else str(content.get("0"))
            trace = word(content, "traceId")
        self._life(at_ns, where, message)
        for run_id, key, session_id, entry in self._entries(at_ns, where, message, told, trace):
            self._folder.runs[run_id].add(entry, session_id, key)
            if trace is not None:
                self._folder.trace(trace, run_id)

    def _life(self, at_ns: int, where: Where, message: str) -> None:
        boots = self._folder.logged_boots
        if frozen := _FROZEN.search(message):
            length_ms = float(frozen[1])
            if _FREEZE_MS <= length_ms < 1e9:
                self._folder.gaps.append(Gap(at_ns - int(length_ms) * 1_000_000, at_ns, "event loop blocked"))
        elif listens := _LISTENS.search(message):
            boots.append(Boot(at_ns, None, int(listens[1]), where))
        elif "gateway ready" in message and not (boots and at_ns - boots[-1].started_ns < 60 * _SECOND_NS):
            boots.append(Boot(at_ns, None, None, where))
        elif "received SIGTERM" in message or "shutdown completed" in message:
            last = boots.pop() if boots else Boot(0, None, None, where)
            boots.append(last._replace(ended_ns=at_ns))

    def _entries(
        self, at_ns: int, where: Where, message: str, told: Mapping[str, Any], trace: str | None
    ) -> Iterator[tuple[str, str | None, str | None, Entry]]:
        """Yield what a line says: the run, its session's key and id as far as it names them, and the entry."""

        def entry(what: str, back_ms: int = 0, **attrs: Any) -> Entry:
            return Entry(at_ns - back_ms * 1_000_000, what, "log", where, attrs)

        if told:
            if found := event_of(told):
                what, attrs = found
                yield word(told, "runId") or "", None, word(told, "sessionId"), entry(what, **attrs)
        elif accepted := _ACCEPTED.search(message):
            yield accepted[2], None, None, entry("accepted", int(accepted[1]))
        elif received := _RECEIVED.search(message):
            yield received[1], received[2], None, entry("accepted")
        elif compacted := _COMPACTED.search(message):
            ok = compacted[2] in ("compacted", "completed", "success", "succeeded")
            yield compacted[1], None, None, entry("compacted" if ok else "compaction_failed", error_type="other")
        elif fetch := _FETCH.search(message):
            run_id = self._folder.runs_of.get(trace or "")
            if run_id is not None:
                what, attrs = _fetched(fetch[1], message)
                yield run_id, None, None, entry(what, model=fetch[2], **attrs)
        elif stalled := _STALLED.search(message):
            # The line comes again every half minute while the call lasts, and says nothing of its headers.
            begun = Entry(at_ns - int(stalled[2]) * _SECOND_NS, "prompted", "log", where)
            self._folder.sent_by_key.setdefault(stalled[1], []).append(begun)
        elif tied := _TIED.search(message):
            what = next((what for words, what in _STAGES if words in message), "seen")
            aborted = "aborted=true" in message
            yield tied[1], tied[3], tied[2], entry(what, aborted=aborted, status=None)


def event_of(told: Mapping[str, Any]) -> tuple[str, dict[str, Any]] | None:
    """Return what an object that names its run says of it."""
    if not isinstance(told.get("runId"), str):
        return None
    # The wording for people hides a cut connection behind a timeout; the preview is the error itself.
    text = told.get("rawErrorPreview") or told.get("errorPreview") or told.get("error")
    found: tuple[str, dict[str, Any]] = "seen", {}
    match told.get("event"):
        case "embedded_run_agent_end" if told.get("isError") is True:
            found = "request_failed", failure_of(text)
        case "embedded_run_failover_decision" if told.get("decision") == "surface_error":
            found = "surfaced", failure_of(text) if text is not None else dict(ABORTED)
        case "model_fallback_decision" if told.get("decision") == "candidate_failed":
            found = "surfaced", failure_of(text)
        case "embedded_run_compaction_start":
            found = "compacting", {}
        case "embedded_run_compaction_end":
            done = told.get("completed") is True
            found = ("compacted", {}) if done else ("compaction_failed", {"error_type": "other"})
        case _:
            pass
    return found


def _fetched(stage: str, message: str) -> tuple[str, dict[str, Any]]:
    found = list(_FETCHED.finditer(message))
    status = next((int(match[1]) for match in found if match[1]), None)
    if stage == "start":
        return "sent", {}
    if stage == "response" and status is not None and status < 400:
        return "headers", {"status": status}
    if stage == "response":
        return "request_failed", {"error_type": kind_of_status(status or 0) or "other", "status": status}
    cause = next((match[2] or match[3] for match in found if match[2] not in (None, "undefined") or match[3]), None)
    return "request_failed", failure_of("timed out" if cause == "TimeoutError" else cause)
