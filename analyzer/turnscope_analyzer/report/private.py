"""Take out of a report what tells who or where somebody is, before it is pasted into a public bug tracker.

Replaced: session ids and the names of renderers, by the first eight digits of their SHA-256, so that their owner
can find them again and the same one stays the same one; paths, by the name of the file. Turn ids stay: they are
drawn at random unless the gateway chooses otherwise, and they are what ``--turn`` asks for.
"""

from __future__ import annotations

import re
from dataclasses import replace
from hashlib import sha256
from typing import TYPE_CHECKING, Final

from turnscope.phases import lane_kind

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from turnscope_analyzer.model import Evidence, Finding, Report, Verdict

_FOLDERS: Final = re.compile(r"(?<![\w.~/\\])(?:~|\.{1,2}|[A-Za-z]:)?[/\\](?:[^\s/\\]+[/\\])*(?=[^\s/\\])")
"""What stands before a file's name: from a root, a home, a drive or a dot to the last separator."""


def without_private(report: Report) -> Report:
    """Return *report* with sessions, renderers and folders replaced wherever they are named."""
    redaction = _Redaction(secret for verdict in report.turns for secret in _secrets(verdict))
    return replace(
        report,
        sources=tuple(replace(source, path=redaction.file(source.path)) for source in report.sources),
        turns=tuple(redaction.verdict(verdict) for verdict in report.turns),
        rejects=tuple(
            reject._replace(file=redaction.file(reject.file), reason=redaction.text(reject.reason))
            for reject in report.rejects
        ),
        findings=redaction.findings(report.findings),
        notes=redaction.texts(report.notes),
    )


def digest(secret: str) -> str:
    """Return what stands for *secret*: ``printf %s SECRET | sha256sum`` begins with it. "" stays ""."""
    return sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()[:8] if secret else ""


def _secrets(verdict: Verdict) -> Iterator[str]:
    yield verdict.session_id
    for lane in (verdict.lane or "", *(stretch.lane for stretch in verdict.stretches)):
        if lane_kind(lane) == "renderer":
            yield lane.partition(":")[2]


class _Redaction:
    """Knows what is private in one report, and takes it out of any text of it."""

    def __init__(self, secrets: Iterable[str]) -> None:
        telling = sorted((secret for secret in set(secrets) if _is_telling(secret)), key=lambda s: (-len(s), s))
        either = "|".join(map(re.escape, telling))
        self._secrets = re.compile(rf"(?<![^\W_])(?:{either})(?![^\W_])") if telling else None

    def text(self, text: str) -> str:
        without_folders = _FOLDERS.sub("", text)
        if self._secrets is None:
            return without_folders
        return self._secrets.sub(lambda found: digest(found.group()), without_folders)

    def texts(self, texts: Iterable[str]) -> tuple[str, ...]:
        return tuple(map(self.text, texts))

    def file(self, path: str) -> str:
        return self.text(re.split(r"[/\\]", path.rstrip("/\\"))[-1])

    def lane(self, lane: str) -> str:
        kind, colon, client = lane.partition(":")
        return f"{kind}{colon}{digest(client)}" if kind == "renderer" else self.text(lane)

    def records(self, records: Iterable[Evidence]) -> tuple[Evidence, ...]:
        return tuple(record._replace(file=self.file(record.file), what=self.text(record.what)) for record in records)

    def findings(self, findings: Iterable[Finding]) -> tuple[Finding, ...]:
        return tuple(found._replace(file=self.file(found.file), what=self.text(found.what)) for found in findings)

    def verdict(self, verdict: Verdict) -> Verdict:
        stretches = (
            stretch._replace(lane=self.lane(stretch.lane), detail=self.text(stretch.detail))
            for stretch in verdict.stretches
        )
        return replace(
            verdict,
            session_id=digest(verdict.session_id),
            lane=None if verdict.lane is None else self.lane(verdict.lane),
            summary=self.text(verdict.summary),
            evidence=self.records(verdict.evidence),
            counter_evidence=self.records(verdict.counter_evidence),
            findings=self.findings(verdict.findings),
            ruled_out=self.texts(verdict.ruled_out),
            not_seen=self.texts(verdict.not_seen),
            next_step=self.text(verdict.next_step),
            stretches=tuple(stretches),
        )


def _is_telling(secret: str) -> bool:
    """Tell whether *secret* is long enough to be looked for in prose; a session named 1 is not."""
    return len(secret) >= (6 if secret.isdigit() else 3)
