"""Reports made by hand, for the tests of what is printed from them."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Final, get_args

from hypothesis import strategies as st

from turnscope.phases import CANCEL_RESULTS, PHASES, Cause, Confidence, State
from turnscope_analyzer.model import Evidence, Finding, Reject, Report, SourceRead, Stretch, Verdict

MS: Final = 1_000_000
S: Final = 1_000 * MS
T0: Final = 1_795_237_556 * S  # 2026-11-21 05:05:56Z
SEGMENT: Final = "/srv/gw/traces/20261121T045300Z-a1b2c3d4e5f6-000001.jsonl"
BASE: Final = "/srv/gw"

STALLED: Final = Verdict(
    turn_id="k3v9q2m7x1ab",
    session_id="chat-17",
    source="journal",
    state="stuck",
    cause="model_stall",
    phase="response_headers",
    lane="upstream:1",
    since_ns=T0 + 12 * S,
    age_ms=371_400,
    confidence="likely",
    rule="model_stall.no_first_byte",
    summary="the server answered with headers, then sent nothing",
    evidence=(
        Evidence(SEGMENT, 18_234, "2026-11-21 05:06:08Z response_headers on upstream:1 (status 200)"),
        Evidence("/srv/gw/traces/a1b2c3d4e5f6.life", 256, "0 chunks and 3 keepalives since then"),
    ),
    ruled_out=("transport: the server answered", "compaction: none is open"),
    not_seen=("no renderer marks: detachment cannot be ruled out",),
    next_step="Retry the turn; if it happens again, look at the provider's status and at the proxy in between.",
    stretches=(
        Stretch("turn", "accepted", T0, T0 + 10 * MS, ""),
        Stretch("turn", "started", T0 + 10 * MS, None, ""),
        Stretch("hydration", "hydration_started", T0 + 20 * MS, T0 + 4 * S, "bytes 12000000"),
        Stretch("upstream:1", "upstream_sent", T0 + 4 * S, T0 + 12 * S, "step 1, attempt 1"),
        Stretch("upstream:1", "response_headers", T0 + 12 * S, None, "status 200"),
    ),
    accepted_ns=T0,
    horizon_ns=T0 + 383 * S + 400 * MS,
)
"""Stuck: headers came, and then nothing."""

ORPHANED: Final = replace(
    STALLED,
    turn_id="k3v9q0zzzz01",
    session_id="chat-3",
    state="orphaned",
    cause="process_lost",
    phase="tool_call",
    lane="tool:call_7",
    since_ns=T0 - 3600 * S,
    age_ms=2_500,
    confidence="certain",
    rule="process_lost.killed",
    summary="its process is gone and said no goodbye; the turn was waiting for the tool",
    evidence=(Evidence(SEGMENT, 901, "2026-11-21 04:05:56Z tool_call on tool:call_7 (name run_shell)"),),
    counter_evidence=(Evidence(SEGMENT, None, "the wall clock was set 2 times; not counted"),),
    ruled_out=(),
    not_seen=(),
    next_step="Restart the gateway with recover().",
    stretches=(Stretch("tool:call_7", "tool_call", T0 - 3600 * S, None, "name run_shell"),),
    horizon_ns=T0 - 3597 * S,
)

WAITING: Final = replace(
    STALLED,
    turn_id="k3v9q2m7x1ac",
    state="waiting",
    cause=None,
    phase="awaiting_approval",
    lane="tool:call_1",
    rule="waiting.approval",
    summary="waits for a person's decision: run_shell",
)

FAILED: Final = replace(
    STALLED,
    turn_id="k3v9q2m7x1ad",
    session_id="",
    state="failed",
    cause="transport",
    phase="upstream_failed",
    lane="upstream:3",
    age_ms=None,
    cancel="already_completed",
    confidence="certain",
    rule="transport.failed",
    summary="the request failed: connection_refused",
)

ZOMBIE: Final = Finding(
    "zombie_row",
    "k3v9q2m7x1ae",
    "/srv/gw/sessions.json",
    None,
    "the row says running, its transcript ended at 05:06:00Z",
)
"""The store of the healthy turn says something else than its records."""

HEALTHY: Final = replace(
    STALLED,
    turn_id="k3v9q2m7x1ae",
    state="healthy",
    cause=None,
    phase="completed",
    lane="turn",
    age_ms=4_200,
    confidence="certain",
    rule="healthy.completed",
    summary="ended well",
    next_step="",
    stretches=(Stretch("turn", "started", T0, T0 + 4 * S, ""),),
)


def report(*verdicts: Verdict, healthy: int = 0) -> Report:
    """Return a report of *verdicts*, read from one journal and with nothing missing."""
    source = SourceRead("journal", "/srv/gw/traces", 3, 123_456, len(verdicts) + healthy)
    return Report((source,), T0 + 384 * S, verdicts, healthy, (), {})


def damaged(whole: Report) -> Report:
    """Return *whole* as it is when records could not be read and marks were lost."""
    rejects = tuple(Reject(SEGMENT, 1000 * n, "not a JSON object") for n in range(7))
    drops = {"no_space": 9, "no_turn": 3, "redacted": 2, "capped": 0}
    shadow = ZOMBIE._replace(name="shadow_store", turn_id=None, what="a second store below the first")
    return replace(
        whole, rejects=rejects, drops=drops, findings=(shadow,), notes=("the host slept for 8 min 20 s; not counted",)
    )


def assert_golden(name: str, text: str) -> None:
    """Compare *text* with ``golden/<name>``; ``UPDATE_GOLDEN=1 pytest`` writes it anew."""
    path = Path(__file__).parent / "golden" / name
    if os.environ.get("UPDATE_GOLDEN"):
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8")


_TEXT: Final = st.text(max_size=40) | st.sampled_from(
    ["\x1b[31mred", "a\r\nb\tc", "\u202egnp", "日本語" * 30, "e\u0301" * 50, "x" * 300, "\udcff"]
)
_SOURCE: Final = st.sampled_from(["journal", "codex"])
_COUNT: Final = st.integers(0, 2**63 - 1)
_TIME: Final = st.integers(-(2**62), 2**62) | st.integers(T0, T0 + 1000 * S)
_LANE: Final = (
    st.sampled_from(["turn", "hydration", "upstream:1", "tool:a", "tool:b", "renderer:web", "cancel"]) | _TEXT
)
_PHASE: Final = st.sampled_from([phase.name for phase in PHASES]) | _TEXT
_RECORDS: Final = st.builds(Evidence, _TEXT, st.none() | _COUNT, _TEXT, st.dictionaries(_TEXT, _TEXT, max_size=2))
_EVIDENCE: Final = st.lists(_RECORDS, max_size=12)
_FINDINGS: Final = st.lists(
    st.builds(Finding, _TEXT, st.none() | _TEXT, _TEXT, st.none() | _COUNT, _TEXT, proofs=st.just(())), max_size=3
)
_STRETCHES: Final = st.lists(st.builds(Stretch, _LANE, _PHASE, _TIME, st.none() | _TIME, _TEXT), max_size=12)

verdicts: Final = st.builds(
    Verdict,
    turn_id=_TEXT,
    session_id=_TEXT,
    source=_SOURCE,
    state=st.sampled_from(get_args(State)),
    cause=st.none() | st.sampled_from(get_args(Cause)),
    phase=st.none() | _PHASE,
    lane=st.none() | _LANE,
    since_ns=st.none() | _TIME,
    age_ms=st.none() | st.integers(0, 2**43),
    confidence=st.sampled_from(get_args(Confidence)),
    rule=st.sampled_from(["model_stall.no_first_byte", "healthy.completed"]),
    summary=_TEXT,
    cancel=st.none() | st.sampled_from(CANCEL_RESULTS),
    evidence=_EVIDENCE.map(tuple),
    counter_evidence=_EVIDENCE.map(tuple),
    findings=_FINDINGS.map(tuple),
    ruled_out=st.lists(_TEXT, max_size=3).map(tuple),
    not_seen=st.lists(_TEXT, max_size=3).map(tuple),
    next_step=_TEXT,
    stretches=_STRETCHES.map(tuple),
    accepted_ns=st.none() | _TIME,
    horizon_ns=st.none() | _TIME,
)
"""Any verdict, however damaged the traces it came from."""

reports: Final = st.builds(
    Report,
    sources=st.lists(st.builds(SourceRead, _SOURCE, _TEXT, _COUNT, _COUNT, _COUNT), max_size=5).map(tuple),
    horizon_ns=st.none() | _TIME,
    turns=st.lists(verdicts, max_size=4).map(tuple),
    healthy=st.integers(0, 10**9),
    rejects=st.lists(st.builds(Reject, _TEXT, _COUNT, _TEXT), max_size=8).map(tuple),
    drops=st.dictionaries(_TEXT, _COUNT, max_size=4),
    findings=_FINDINGS.map(tuple),
    notes=st.lists(_TEXT, max_size=3).map(tuple),
)
"""Any report of such verdicts."""
