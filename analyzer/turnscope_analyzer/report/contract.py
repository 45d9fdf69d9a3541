"""Write a report for a program, exactly as ``docs/json-report.md`` promises."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import orjson

from turnscope_analyzer.report.wording import iso_instant, urgency

if TYPE_CHECKING:
    from collections.abc import Sequence

    from turnscope_analyzer.model import Evidence, Finding, Report, Verdict

SCHEMA: Final = 1
"""The version of the contract. A key may be added within a version; none goes and none changes its meaning."""


def render_json(report: Report) -> str:
    """Return *report* as one JSON object ended by a newline, its turns in the order of the terminal report."""
    content = {
        "schema": SCHEMA,
        "sources": [
            {
                "kind": source.kind,
                "path": unicode_text(source.path),
                "files": source.files,
                "bytes": source.bytes,
                "turns": source.turns,
            }
            for source in report.sources
        ],
        "horizon": _instant(report.horizon_ns),
        "turns": [_turn(verdict) for verdict in sorted(report.turns, key=urgency)],
        "healthy": report.healthy,
        "rejects": [
            {"file": unicode_text(reject.file), "offset": reject.offset, "reason": unicode_text(reject.reason)}
            for reject in report.rejects
        ],
        "findings": [_finding(finding) for finding in report.findings],
        "drops": {unicode_text(reason): count for reason, count in report.drops.items()},
        "notes": _texts(report.notes),
    }
    return orjson.dumps(content, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE).decode()


def _turn(verdict: Verdict) -> dict[str, object]:
    return {
        "turn_id": unicode_text(verdict.turn_id),
        "session_id": unicode_text(verdict.session_id),
        "source": verdict.source,
        "state": verdict.state,
        "cause": verdict.cause,
        "phase": None if verdict.phase is None else unicode_text(verdict.phase),
        "lane": None if verdict.lane is None else unicode_text(verdict.lane),
        "phase_since": _instant(verdict.since_ns),
        "age_ms": verdict.age_ms,
        "confidence": verdict.confidence,
        "rule": verdict.rule,
        "summary": unicode_text(verdict.summary),
        "cancel": verdict.cancel,
        "evidence": _records(verdict.evidence),
        "counter_evidence": _records(verdict.counter_evidence),
        "findings": [_finding(finding) for finding in verdict.findings],
        "ruled_out": _texts(verdict.ruled_out),
        "not_seen": _texts(verdict.not_seen),
        "next_step": unicode_text(verdict.next_step),
    }


def _records(records: Sequence[Evidence]) -> list[dict[str, object]]:
    return [
        {"file": unicode_text(record.file), "offset": record.offset, "what": unicode_text(record.what)}
        for record in records
    ]


def _finding(finding: Finding) -> dict[str, object]:
    return {
        "name": unicode_text(finding.name),
        "file": unicode_text(finding.file),
        "offset": finding.offset,
        "what": unicode_text(finding.what),
    }


def _texts(texts: Sequence[str]) -> list[str]:
    return [unicode_text(text) for text in texts]


def _instant(at_ns: int | None) -> str | None:
    return None if at_ns is None else iso_instant(at_ns)


def unicode_text(text: str) -> str:
    r"""Return *text* as JSON can hold it: a byte of a file name that is not UTF-8 becomes ``\udc80``, spelt out."""
    return text.encode("utf-8", "backslashreplace").decode()
