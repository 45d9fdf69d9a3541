"""What OpenClaw's stores say about its turns: real captures of three generations, case by case."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from openclaw_kit import CASES, LATER_S, SHARED, judged, laid_out, read, story, truth, verdict_of
from turnscope.attributes import ATTRIBUTES, ERROR_KIND
from turnscope.phases import PHASE, lane_kind

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from turnscope_analyzer.model import Report, Verdict


@pytest.fixture(params=CASES)
def case(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def found(report: Report) -> set[str]:
    return {finding.name for turn in report.turns for finding in turn.findings} | {f.name for f in report.findings}


# -- every capture ------------------------------------------------------------------------------------------


def pairs(report: Report, turns: Iterable[dict[str, Any]]) -> Iterable[tuple[Any, dict[str, Any]]]:
    """Yield verdicts and what was done to their turns: by run, else by the order within a session."""
    by_id = {turn.turn_id: turn for turn in report.turns}
    of_key: dict[str, list[dict[str, Any]]] = {}
    for told in turns:
        if told["run_id"] in by_id:
            yield by_id[told["run_id"]], told
        else:
            of_key.setdefault(told["session_key"], []).append(told)
    known = {told["run_id"] for told in turns}
    for key, rest in of_key.items():
        left = [turn for turn in report.turns if turn.session_id == key and turn.turn_id not in known]
        if len(left) == len(rest):
            left.sort(key=lambda turn: turn.accepted_ns or 0)
            yield from zip(left, sorted(rest, key=lambda told: told["t_accepted"]), strict=True)


def fits(turn: Verdict, done: dict[str, Any]) -> bool:
    states = {done["expected_state"], *done.get("accept_states", ())}
    causes = {None, done.get("expected_cause"), *done.get("accept_causes", ())}
    if done.get("expected_cause") == "queue_blocked" or done["expected_state"] == "slow":
        # The truth was written while the queue had waited, or the last retry had failed, for seconds.
        states.add("stuck")
    return turn.state in states and turn.cause in causes


@pytest.mark.parametrize("parts", ["state", "logs and state"])
def test_no_verdict_that_is_sure_is_wrong(case: str, parts: str, tmp_path: Path) -> None:
    told = truth(case)
    folder = laid_out(case, tmp_path)
    report = judged(folder if parts == "logs and state" else folder / "state", now_s=told["horizon"] + LATER_S)

    judgements = list(pairs(report, told["turns"]))
    sure = [(turn, done) for turn, done in judgements if turn.confidence != "possible"]
    assert [(turn.turn_id, turn.state, turn.cause, done["fault"]) for turn, done in sure if not fits(turn, done)] == []
    assert len(judgements) >= len(told["turns"]) - 2


def test_what_the_stores_contradict_is_found(case: str, tmp_path: Path) -> None:
    told = truth(case)

    report = judged(laid_out(case, tmp_path), now_s=told["horizon"])

    shadowed_row = {"zombie_row"} if told["findings"] == ["shadow_store"] else set()
    assert found(report) == set(told["findings"]) | shadowed_row


def test_every_mark_is_of_the_vocabulary_and_nothing_is_put_aside(case: str, tmp_path: Path) -> None:
    capture = read(laid_out(case, tmp_path))

    known = {attribute.name for attribute in ATTRIBUTES}
    for mark in capture.marks:
        assert PHASE[mark.phase].lane == lane_kind(mark.lane)
        assert set(mark.attrs) <= known
        assert mark.attrs.get("error_type") is None or mark.attrs["error_type"] in ERROR_KIND
    assert capture.rejects == []
    assert capture.marks


def test_no_text_of_a_conversation_gets_into_a_mark_or_a_finding(case: str, tmp_path: Path) -> None:
    capture = read(laid_out(case, tmp_path))

    assert "placeholder" not in repr((capture.marks, capture.findings, capture.names))


# -- 2026.4 -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def april(tmp_path_factory: pytest.TempPathFactory) -> Report:
    folder = laid_out("2026.4.2/combo_final", tmp_path_factory.mktemp("april"))
    return judged(folder / "state", folder / "logs", now_s=truth("2026.4.2/combo_final")["horizon"])


APRIL = (
    ("healthy", "healthy", None),
    ("q-tool", "healthy", None),
    ("q-http500", "failed", "transport"),
    ("q-rst", "failed", "transport"),
    ("q-rst_mid", "failed", "transport"),
    ("q-empty", "failed", "unknown"),
    ("h-http429", "failed", "quota_or_auth"),
    ("h-stall_pre_headers", "failed", "model_stall"),
    ("h-stall_mid", "failed", "model_stall"),
    ("h-tool_then_stall", "failed", "model_stall"),
    ("h-tool_sleep", "healthy", None),
    ("a-abort_stall", "cancelled", None),
    ("a-abort_stream", "cancelled", None),
    ("d-ws", "healthy", None),
)


@pytest.mark.parametrize(("session", "state", "cause"), APRIL, ids=[row[0] for row in APRIL])
def test_april_with_its_log(april: Report, session: str, state: str, cause: str | None) -> None:
    verdict = verdict_of(april, session)

    assert (verdict.state, verdict.cause) == (state, cause)


def test_april_retries_of_a_run_are_one_turn(tmp_path: Path) -> None:
    capture = read(laid_out("2026.4.2/combo_final", tmp_path) / "state")

    assert story(capture, "q-http500") == [
        "accepted",
        "started",
        "upstream_failed 1",
        "upstream_failed 2",
        "upstream_failed 3",
        "upstream_failed 4",
        "failed",
    ]


def test_april_alone_cannot_tell_a_stall_from_a_lost_follow_up(tmp_path: Path) -> None:
    report = judged(laid_out("2026.4.2/tool_then_stall", tmp_path), now_s=1795227248 + LATER_S)

    verdict = verdict_of(report, "main")
    assert (verdict.state, verdict.rule, verdict.confidence) == (
        "stuck",
        "continuation_loss.follow_up_not_on_file",
        "possible",
    )


def test_a_row_that_runs_without_a_lock_and_a_record_is_not_explained(tmp_path: Path) -> None:
    folder = laid_out("2026.4.2/combo_final", tmp_path)

    verdict = verdict_of(judged(folder / "state", now_s=1795224188 + LATER_S), "h-stall_pre_headers")

    assert (verdict.state, verdict.cause, verdict.confidence) == ("not_determinable", "unknown", "possible")
    assert [finding.name for finding in verdict.findings] == ["zombie_row"]


# -- 2026.5 -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def may(tmp_path_factory: pytest.TempPathFactory) -> Report:
    folder = laid_out("2026.5.22/combo_hanging", tmp_path_factory.mktemp("may"))
    return judged(folder / "state", folder / "logs", now_s=truth("2026.5.22/combo_hanging")["horizon"] + LATER_S)


MAY = (
    ("healthy", "healthy", "healthy.completed"),
    ("q-http500", "failed", "transport.failed"),
    ("q-rst", "failed", "transport.failed"),
    ("q-rst_mid", "failed", "transport.failed"),
    ("q-empty", "failed", "unknown.other_error"),
    ("h-stall_headers", "stuck", "model_stall.no_answer_on_file"),
    ("h-stall_pre_headers", "stuck", "model_stall.no_answer_on_file"),
    ("h-stall_mid", "stuck", "model_stall.no_answer_on_file"),
    ("h-tool_then_stall", "stuck", "continuation_loss.follow_up_not_on_file"),
    ("h-tool_sleep", "waiting", "waiting.tool"),
    ("a-abort_stall", "cancelled", "cancelled.stopped"),
    ("a-abort_stream", "cancelled", "cancelled.stopped"),
)


@pytest.mark.parametrize(("session", "state", "rule"), MAY, ids=[row[0] for row in MAY])
def test_may_with_its_log(may: Report, session: str, state: str, rule: str) -> None:
    verdict = verdict_of(may, session)

    assert (verdict.state, verdict.rule) == (state, rule)


def test_may_drops_every_message_of_a_session_whose_window_is_full(tmp_path: Path) -> None:
    report = judged(laid_out("2026.5.22/compaction_silent_drop", tmp_path) / "state")

    dropped = [turn for turn in report.turns if turn.cause == "silent_drop"]
    assert {(turn.state, turn.rule, turn.confidence) for turn in dropped} == {
        ("failed", "silent_drop.given_up", "certain")
    }
    assert len(dropped) == 8
    assert all([finding.name for finding in turn.findings] == ["silent_drop"] for turn in dropped)


def test_may_with_a_note_in_the_transcript_is_a_failed_compaction_and_no_silent_drop(tmp_path: Path) -> None:
    report = judged(laid_out("2026.5.22/compaction_silent_drop", tmp_path) / "state")

    verdict = verdict_of(report, "c-ok", -1)
    assert (verdict.state, verdict.cause, verdict.findings) == ("failed", "compaction", ())


def test_may_names_the_session_for_each_run(tmp_path: Path) -> None:
    capture = read(laid_out("2026.5.22/combo_hanging", tmp_path))

    sessions = {mark.turn_id: mark.session_id for mark in capture.marks}
    assert sessions["21967850-e38f-4ae6-95fa-dbc621bc592d"] == "agent:main:q-tool"
    assert capture.names["e42a047de1f279f8364e660690817e1e"] == "21967850-e38f-4ae6-95fa-dbc621bc592d"


# -- a file from the wild -----------------------------------------------------------------------------------


@pytest.mark.skipif(not (SHARED / "openclaw-public").is_dir(), reason="the public captures are not here")
def test_a_transcript_from_a_public_repository_is_read() -> None:
    capture = read(SHARED / "openclaw-public")

    assert capture.rejects == []
    assert story(capture, "jazzyalex_openclaw_large")[:2] == ["accepted", "started"]
