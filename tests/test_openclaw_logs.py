"""What OpenClaw's logs add to its stores, and stores and logs that are damaged."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from openclaw_kit import CAPTURES, KEY, State, judged, laid_out, read, read_files, stamp, story, verdict_of
from turnscope_analyzer.sources.openclaw.gateway_log import is_log


@pytest.fixture
def state(tmp_path: Path) -> State:
    return State(tmp_path / ".openclaw")


# -- logs ---------------------------------------------------------------------------------------------------


def console(second: float, text: str) -> str:
    return f"{stamp(second)[:-1]}+00:00 [{text}\n"


def test_a_console_log_tells_of_the_gateways_life(state: State) -> None:
    state.user(0).call(2).row(status="running", startedAt=0).lock()
    log = state.root.parent / "console.log"
    log.write_text(
        console(-60 + 60, "gateway] listening on ws://127.0.0.1:1 (PID 77)")
        + "    at a line of a stack trace\n"
        + console(40, "gateway] received SIGTERM; shutting down")
    )

    [process] = read(state.root.parent).processes

    assert process.fate == "ended"


def test_a_stalled_call_after_a_tool_is_a_follow_up_that_was_sent(state: State) -> None:
    state.user(0).call(2).result(3).row(status="running", startedAt=0, updatedAt=4).lock()
    stalled = "stalled session: sessionId=unknown sessionKey=agent:main:main state=processing age={}s queueDepth=1"
    progress = (
        " reason=active_work classification=stalled lastProgress=model_call:started lastProgressAge={}s recovery=none"
    )
    lines = (console(second, "diagnostic] " + (stalled + progress).format(second, second - 4)) for second in (130, 160))
    (state.root.parent / "console.log").write_text("".join(lines))

    assert story(read(state.root.parent), KEY)[-3:] == ["tool_result call_1", "continuation", "upstream_sent 2"]
    assert verdict_of(judged(state.root.parent, budgets={"upstream_sent": 100}), KEY).cause == "model_stall"


def test_what_the_file_log_has_told_the_console_does_not_tell_again(tmp_path: Path) -> None:
    folder = laid_out("2026.4.2/combo_final", tmp_path)
    before = read(folder)
    lines = [json.loads(line) for line in (folder / "logs" / "openclaw-2026-11-21.log").read_text().splitlines()]
    ends = [
        line for line in lines if isinstance(line["1"], dict) and line["1"].get("event") == "embedded_run_agent_end"
    ]
    (folder / "logs" / "console.log").write_text(
        "".join(
            f"{line['time']} [agent/embedded] embedded run agent end: runId={line['1']['runId']}\n" for line in ends
        )
    )

    assert read(folder).marks == before.marks


def test_time_in_which_the_event_loop_was_blocked_is_nobodys_wait(tmp_path: Path) -> None:
    capture = read(laid_out("2026.5.22/combo_hanging", tmp_path))

    [gap] = {gap for process in capture.processes for gap in process.gaps}
    assert gap.until_ns - gap.from_ns == 2_081_000_000


@pytest.mark.parametrize("head", [b"", b'{"_meta":{}}', b"2026-11-21 [gateway] no offset", b'{"time": "now"}'])
def test_what_is_no_log_of_ours_is_left_to_others(head: bytes) -> None:
    assert not is_log(head)


# -- damage -------------------------------------------------------------------------------------------------

DAMAGED = sorted(
    str(path.relative_to(CAPTURES))
    for pattern in ("2026.5.22/killed/**/*", "2026.4.2/combo_final/logs/*.log", "2026.9.6/timeline/*.jsonl")
    for path in CAPTURES.glob(pattern)
    if path.is_file() and path.name != "truth.json"
)


@pytest.mark.parametrize("name", DAMAGED)
@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    where=st.floats(0, 1),
    flips=st.lists(st.tuples(st.floats(0, 1), st.integers(1, 255)), max_size=6),
    cut=st.booleans(),
)
def test_damage_never_raises(
    tmp_path: Path, name: str, where: float, flips: list[tuple[float, int]], *, cut: bool
) -> None:
    content = bytearray((CAPTURES / name).read_bytes())
    for place, bits in flips:
        content[int(place * (len(content) - 1))] ^= bits
    folder = tmp_path / "damaged"
    path = folder / Path(*Path(name).parts[2:])
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content[: int(where * len(content))] if cut else content)

    for mark in read_files([path]).marks:
        assert -(2**63) <= mark.at_ns < 2**63


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(flips=st.lists(st.tuples(st.floats(0, 1), st.integers(1, 255)), min_size=1, max_size=12), cut=st.floats(0.2, 1))
def test_a_damaged_database_never_raises(tmp_path: Path, flips: list[tuple[float, int]], cut: float) -> None:
    whole = tmp_path / "whole"
    store = Path("state", "agents", "main", "agent", "openclaw-agent.sqlite")
    if not whole.exists():
        whole.mkdir()
        laid_out("2026.9.6/restarted", whole)
    content = bytearray((whole / "2026.9.6-restarted" / store).read_bytes())
    for place, bits in flips:
        # The first bytes tell that it is a database at all.
        content[16 + int(place * (len(content) - 17))] ^= bits
    damaged = tmp_path / "damaged" / store
    damaged.parent.mkdir(parents=True, exist_ok=True)
    damaged.write_bytes(content[: int(cut * len(content))])

    for mark in read_files([damaged]).marks:
        assert -(2**63) <= mark.at_ns < 2**63
