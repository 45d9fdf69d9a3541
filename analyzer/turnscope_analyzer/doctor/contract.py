"""Write what the doctor has found for a program, exactly as ``docs/doctor.md`` promises."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import orjson

from turnscope_analyzer.doctor.codes import CODE
from turnscope_analyzer.report.contract import unicode_text
from turnscope_analyzer.report.wording import iso_instant

if TYPE_CHECKING:
    from collections.abc import Sequence

    from turnscope_analyzer.doctor.diagnosis import Checkup, Diagnosis, Standing
    from turnscope_analyzer.model import Evidence, Value

SCHEMA: Final = 1
"""The version of the contract. A key may be added within a version; none goes and none changes its meaning."""


def render_json(checkups: Sequence[Checkup], across: Sequence[Diagnosis], warnings: Sequence[str]) -> str:
    """Return one JSON object ended by a newline, its findings in the order of the terminal report."""
    found = [(None, one) for one in across]
    found += [(str(checkup.path), one) for checkup in checkups for one in checkup.diagnoses]  # type: ignore[misc]
    content = {
        "schema": SCHEMA,
        "warnings": [unicode_text(warning) for warning in warnings],
        "homes": [_home(checkup) for checkup in checkups],
        "findings": [_finding(home, one) for home, one in found],
    }
    return orjson.dumps(content, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE).decode()


def _home(checkup: Checkup) -> dict[str, object]:
    told = checkup.messages
    return {
        "path": unicode_text(str(checkup.path)),
        "why": unicode_text(checkup.why),
        "stores": [
            {
                "kind": store.kind,
                "path": unicode_text(str(store.path)),
                "real_path": unicode_text(store.real),
                "files": store.files,
                "bytes": store.bytes,
                "changed": _instant(store.changed_ns),
                "live": store.live,
                "why": unicode_text(store.why),
            }
            for store in checkup.stores
        ],
        "horizon": _instant(checkup.horizon_ns),
        "turns": dict(checkup.turns),
        "messages": None
        if told is None
        else {
            "accepted": told.accepted,
            "started": told.started,
            "queued": told.queued,
            "refused": told.refused,
            "lost": told.lost,
        },
        "restart": _standing(checkup.restart),
        "notes": [unicode_text(note) for note in checkup.notes],
    }


def _finding(home: str | None, one: Diagnosis) -> dict[str, object]:
    known = CODE[one.code]
    return {
        "code": one.code,
        "severity": one.severity,
        "home": None if home is None else unicode_text(home),
        "session_id": unicode_text(one.session_id) or None,
        "turn_id": None if one.turn_id is None else unicode_text(one.turn_id),
        "what": unicode_text(one.what),
        "records": [_record(record) for record in one.records],
        "harm": known.harm,
        "restart": _standing(one.restart),
        "repair": unicode_text(one.repair),
        "fixable": known.fixable and one.severity != "note",
        "lost": [
            {
                "accepted": _instant(message.at_ns),
                "session_id": unicode_text(message.session_id),
                "run_id": unicode_text(message.run_id),
                "sha256": message.sha256,
            }
            for message in one.lost
        ],
        "figures": {name: _plain(value) for name, value in one.figures.items()},
    }


def _record(record: Evidence) -> dict[str, object]:
    return {
        "file": unicode_text(record.file),
        "offset": record.offset,
        "what": unicode_text(record.what),
        "values": {unicode_text(name): _plain(value) for name, value in record.values.items()},
    }


def _plain(value: Value) -> Value:
    return unicode_text(value) if isinstance(value, str) else value


def _standing(standing: Standing) -> dict[str, str]:
    return {"safety": standing.safety, "why": standing.why}


def _instant(at_ns: int | None) -> str | None:
    return None if at_ns is None else iso_instant(at_ns)
