"""What passes through the collector is judged as what was sent: nothing that a verdict needs is left out.

Captures of Codex and OpenClaw are here; `otlp_kit.report` holds every convention's tests to the same.
"""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import orjson
import pytest

from collect_kit import slimmed
from otlp_kit import judged
from turnscope_analyzer.analyze import analyze
from turnscope_analyzer.collect.decode import GROUPS
from turnscope_analyzer.sources.otlp.wire import Signal

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from turnscope_analyzer.model import Report

DATA = Path(__file__).parent / "data"
CODEX = sorted((DATA / "accuracy" / "codex-lab").rglob("otlp.jsonl.gz"))
OPENCLAW = sorted((DATA / "openclaw" / "2026.4.2" / "combo_final" / "otlp").glob("*.jsonl"))
BUDGETS = {"upstream_sent": 2.0, "response_headers": 2.0, "first_event": 2.0, "first_item": 2.0, "tool_result": 2.0}


def requests_in(path: Path) -> Iterator[dict[str, Any]]:
    content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    for line in content.splitlines():
        request = orjson.loads(line)
        yield request.get("body", request)


def signal_of(request: dict[str, Any]) -> Signal:
    return next(signal for signal in get_args(Signal) if GROUPS[signal] in request)


def lay_out(folder: Path, lines: Iterable[tuple[str, bytes]]) -> Path:
    """Write lines as a collector does, into a file for each signal."""
    folder.mkdir()
    for signal, line in lines:
        with (folder / f"{signal}.jsonl").open("ab") as file:
            file.write(line)
    return folder


def check(requests: list[dict[str, Any]], folder: Path) -> Report:
    encoded = [(signal_of(request), orjson.dumps(request, option=orjson.OPT_APPEND_NEWLINE)) for request in requests]
    sent = lay_out(folder / "sent", encoded)
    passed = lay_out(folder / "kept", (kept for signal, line in encoded for kept in slimmed(signal, line).items()))
    before = analyze([sent], budgets=BUDGETS, everything=True)
    after = analyze([passed], budgets=BUDGETS, everything=True)
    assert judged(after) == judged(before)
    assert after.rejects == ()
    return before


@pytest.mark.parametrize("path", CODEX, ids=lambda path: path.parent.name)
def test_codex(path: Path, tmp_path: Path) -> None:
    assert check(list(requests_in(path)), tmp_path).turns


def test_openclaw(tmp_path: Path) -> None:
    assert check([request for path in OPENCLAW for request in requests_in(path)], tmp_path).turns
