"""What OpenClaw 2026.9 says about its turns, and the diagnostics timeline: real captures, case by case."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from openclaw_kit import LATER_S, judged, laid_out, read, story, truth, verdict_of

if TYPE_CHECKING:
    from pathlib import Path

    from turnscope_analyzer.model import Report


@pytest.fixture(scope="module")
def september(tmp_path_factory: pytest.TempPathFactory) -> Report:
    folder = laid_out("2026.9.6/combo_final", tmp_path_factory.mktemp("september"))
    return judged(folder, now_s=truth("2026.9.6/combo_final")["horizon"])


SEPTEMBER = (
    ("healthy", "healthy", "healthy.completed"),
    ("q-tool", "healthy", "healthy.completed"),
    ("q-http500", "failed", "transport.failed"),
    ("q-rst", "failed", "transport.failed"),
    ("q-rst_mid", "failed", "transport.failed"),
    ("q-empty", "failed", "unknown.other_error"),
    ("h-stall_headers", "failed", "model_stall.answer_timeout"),
    ("h-stall_pre_headers", "failed", "model_stall.answer_timeout"),
    ("h-stall_mid", "failed", "model_stall.answer_timeout"),
    ("h-tool_then_stall", "failed", "model_stall.answer_timeout"),
    ("h-tool_sleep", "failed", "tool_hang.timed_out"),
    ("h-http429", "failed", "quota_or_auth.refused"),
    ("a-abort_stall", "cancelled", "cancelled.stopped"),
    ("a-abort_stream", "cancelled", "cancelled.stopped"),
    ("d-http", "cancelled", "cancelled.stopped"),
    ("d-ws", "healthy", "healthy.completed"),
)


@pytest.mark.parametrize(("session", "state", "rule"), SEPTEMBER, ids=[row[0] for row in SEPTEMBER])
def test_september_without_a_log(september: Report, session: str, state: str, rule: str) -> None:
    verdict = verdict_of(september, session)

    assert (verdict.state, verdict.rule) == (state, rule)


def test_september_a_message_behind_a_stall_was_queued_until_the_stall_ended(tmp_path: Path) -> None:
    capture = read(laid_out("2026.9.6/combo_final", tmp_path))

    queued = "733fd0c6-4ff1-4ba0-8ac5-91e17784caf8"
    assert [mark.phase for mark in capture.marks if mark.turn_id == queued][:3] == ["accepted", "queued", "started"]
    assert capture.names["13fd5156-6944-43c1-982e-183c479357d2"] == queued


def test_september_a_message_in_the_queue_names_what_it_waits_for(tmp_path: Path) -> None:
    report = judged(laid_out("2026.9.6/combo_hanging", tmp_path), now_s=1795225109 + LATER_S)

    verdict = verdict_of(report, "h-stall_headers", 1)
    assert (verdict.state, verdict.cause) == ("stuck", "queue_blocked")
    assert "turn 6733d545" in verdict.summary


def test_september_a_tool_has_one_lane_though_the_audit_calls_it_by_a_digest(tmp_path: Path) -> None:
    told = story(read(laid_out("2026.9.6/combo_final", tmp_path)), "q-tool")

    assert [phase for phase in told if phase.startswith("tool")] == [
        "tool_call call_1795225057477",
        "tool_result call_1795225057477",
    ]


def test_september_a_window_that_is_exceeded_after_its_compaction_is_the_compactions(tmp_path: Path) -> None:
    report = judged(laid_out("2026.9.6/compaction_failed", tmp_path) / "state")

    assert [verdict_of(report, name, -1).cause for name in ("c-ok", "c-fail", "c-stall")] == [
        "compaction",
        "compaction",
        "model_stall",
    ]


def test_september_debug_log_shows_which_stall_it_is(tmp_path: Path) -> None:
    report = judged(laid_out("2026.9.6/stall_default_mid", tmp_path), now_s=1795224547 + LATER_S)

    assert [
        (verdict_of(report, name).rule, verdict_of(report, name).confidence)
        for name in ("h-stall_headers", "h-stall_pre_headers", "h-tool_then_stall")
    ] == [
        ("model_stall.after_headers", "likely"),
        ("transport.no_headers", "possible"),
        ("model_stall.after_headers", "likely"),
    ]


def test_september_a_later_boot_proves_that_the_process_is_lost(tmp_path: Path) -> None:
    report = judged(laid_out("2026.9.6/restarted", tmp_path), now_s=1795224042 + LATER_S)

    lost = [verdict_of(report, name) for name in ("k-slow", "k-stall_pre_headers", "k-tool_then_stall")]
    assert {(turn.state, turn.rule) for turn in lost} == {("orphaned", "process_lost.killed")}
    assert {finding.name for turn in lost for finding in turn.findings} == {"restart_recovery_pending"}


def test_september_warns_that_a_restart_runs_a_finished_turn_again(tmp_path: Path) -> None:
    report = judged(laid_out("2026.9.6/zombie_live_t0", tmp_path), now_s=1795225742)

    verdict = verdict_of(report, "main", 1)
    assert verdict.state == "healthy"
    assert "twice" in " ".join(finding.what for finding in verdict.findings)


# -- the timeline -------------------------------------------------------------------------------------------


def test_a_timeline_alone_tells_the_whole_path(tmp_path: Path) -> None:
    folder = tmp_path / "timeline"
    laid_out("2026.9.6/timeline", tmp_path).rename(folder)

    assert story(read(folder), "main") == [
        "accepted",
        "started",
        "upstream_sent 1",
        "response_headers 1",
        "upstream_completed 1",
        "tool_call 1",
        "tool_result 1",
        "continuation",
        "upstream_sent 2",
        "response_headers 2",
    ]
    verdict = verdict_of(judged(folder, now_s=1795227925 + LATER_S), "main")
    assert (verdict.state, verdict.rule, verdict.confidence) == ("stuck", "model_stall.after_headers", "likely")


def test_a_timeline_of_which_only_the_headers_are_left_is_still_a_turn(tmp_path: Path) -> None:
    folder = tmp_path / "timeline"
    laid_out("2026.9.6/timeline", tmp_path).rename(folder)
    whole = (folder / "timeline.jsonl").read_text("utf-8").splitlines()
    (folder / "timeline.jsonl").write_text(next(line for line in whole if "provider.request.activity" in line) + "\n")

    assert [mark.phase for mark in read(folder).marks] == ["accepted"]
