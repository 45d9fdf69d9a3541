"""What the log database adds to a rollout: real runs of two versions, and rows that are missing, damaged or foreign."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from dataclasses import astuple
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from codex_home_kit import LogRow, recorded_home, recorded_rows, verdicts, write_logs
from turnscope_analyzer.sources.codex.logs import read_logs

if TYPE_CHECKING:
    from pathlib import Path

    from turnscope_analyzer.model import Mark

RUNS = [
    # capture                        state        rule                               confidence
    ("0.142-compaction-rejected", "failed", "compaction.failed", "certain"),
    ("0.142-connection-reset", "failed", "transport.failed", "certain"),
    ("0.142-cut-off", "failed", "transport.failed", "certain"),
    ("0.142-no-first-item", "stuck", "model_stall.before_first_item", "likely"),
    ("0.142-server-errors", "failed", "transport.failed", "certain"),
    ("0.142-stream-goes-silent", "failed", "model_stall.idle_timeout", "certain"),
    ("0.142-too-many-requests", "failed", "quota_or_auth.refused", "certain"),
    ("0.142-window-exceeded", "failed", "context_length.exceeded", "certain"),
    ("0.169-compaction-hangs", "stuck", "compaction.open", "likely"),
    ("0.169-healthy", "healthy", "healthy.completed", "certain"),
    ("0.169-interrupted", "cancelled", "cancelled.stopped", "certain"),
    ("0.169-killed-and-resumed", "healthy", "healthy.completed", "certain"),
    ("0.169-no-event", "stuck", "model_stall.after_headers", "likely"),
    ("0.169-no-headers", "stuck", "transport.no_headers", "possible"),
    ("0.169-no-headers-after-tool", "stuck", "transport.no_headers", "possible"),
    ("0.169-retried", "healthy", "healthy.completed", "certain"),
    ("0.169-stops-in-text", "stuck", "model_stall.mid_stream", "likely"),
    ("0.169-unsubscribed", "stuck", "detachment.ended_unseen", "likely"),
]


def read(tmp_path: Path, rows: list[LogRow]) -> list[Mark]:
    return read_logs(write_logs(tmp_path / "logs_2.sqlite", rows)).marks


def story(marks: list[Mark]) -> list[str]:
    return [f"{mark.phase} {mark.lane.partition(':')[2]}".rstrip() for mark in sorted(marks, key=lambda m: m.at_ns)]


# -- what a run comes to --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "state", "rule", "confidence"), RUNS, ids=[run[0] for run in RUNS])
def test_a_run_is_judged_by_what_was_done_to_it(
    name: str, state: str, rule: str, confidence: str, tmp_path: Path
) -> None:
    last = verdicts(recorded_home(name, tmp_path))[-1]

    assert (last.state, last.rule, last.confidence) == (state, rule, confidence)


@pytest.mark.parametrize("name", ["0.142-server-errors", "0.142-stream-goes-silent", "0.142-too-many-requests"])
def test_without_the_log_an_old_version_does_not_tell_why_a_turn_failed(name: str, tmp_path: Path) -> None:
    last = verdicts(recorded_home(name, tmp_path, logs=False))[-1]

    assert (last.state, last.rule) == ("failed", "unknown.failed_without_reason")


def test_without_the_log_silence_after_the_prompt_is_not_determinable(tmp_path: Path) -> None:
    home = recorded_home("0.169-no-event", tmp_path, logs=False)

    (last,) = verdicts(home, now_ns=(verdicts(home)[-1].horizon_ns or 0) + 10**12)

    assert (last.state, last.rule) == ("not_determinable", "unknown.requests_not_on_file")
    assert "a model stall, transport or a lost process look alike" in last.summary


def test_a_stop_that_was_asked_for_is_told_from_one_of_unknown_origin(tmp_path: Path) -> None:
    (told,) = verdicts(recorded_home("0.169-interrupted", tmp_path))
    (untold,) = verdicts(recorded_home("0.169-interrupted", tmp_path / "without", logs=False))

    assert (told.cancel, told.rule) == ("cancelled", "cancelled.stopped")
    assert (untold.cancel, untold.rule) == (None, "cancelled.interrupted")


def test_a_turn_that_a_dead_process_left_is_an_orphan_whatever_the_log_shows_of_it(tmp_path: Path) -> None:
    orphan, resumed = verdicts(recorded_home("0.169-killed-and-resumed", tmp_path))

    assert (orphan.state, resumed.state) == ("orphaned", "healthy")


def test_a_turn_without_a_rollout_is_judged_where_its_end_would_have_been_told(tmp_path: Path) -> None:
    rules = []
    for name in ("0.169-healthy", "0.169-no-event", "0.169-unsubscribed"):
        folder = tmp_path / name
        folder.mkdir()
        write_logs(folder / "logs_2.sqlite", recorded_rows(name))
        rules += [verdict.rule for verdict in verdicts(folder)]

    assert rules == ["healthy.completed", "model_stall.after_headers", "unknown.ends_not_on_file"]


# -- what the rows say ----------------------------------------------------------------------------------------


def test_the_rows_show_each_request_from_its_sending_to_its_end(tmp_path: Path) -> None:
    assert story(read(tmp_path, recorded_rows("0.169-healthy"))) == [
        "accepted",
        "started",
        "upstream_sent 1",
        "response_headers 1",
        "first_item 1",
        "upstream_completed 1",
        "continuation",
        "upstream_sent 2",
        "response_headers 2",
        "first_item 2",
        "upstream_completed 2",
        "completed",
    ]


def test_the_request_itself_gives_the_better_time_where_a_version_logs_it(tmp_path: Path) -> None:
    rows = recorded_rows("0.142-no-first-item")
    posted = [row[0] for row in rows if row[3] == "codex_client::transport"]

    sent = [mark for mark in read(tmp_path, rows) if mark.phase == "upstream_sent"]

    assert [mark.offset for mark in sent] == posted


def test_attempts_are_counted_within_their_step(tmp_path: Path) -> None:
    marks = read(tmp_path, recorded_rows("0.142-server-errors"))

    failed = [mark.attrs for mark in marks if mark.phase == "upstream_failed"]
    assert [(a["step"], a["attempt"], a["error_type"], a["status"]) for a in failed] == [
        (1, attempt, "server_error", 503) for attempt in (1, 2, 3, 4)
    ]


def test_a_request_that_a_compaction_sends_is_the_compactions(tmp_path: Path) -> None:
    marks = read(tmp_path, recorded_rows("0.142-compaction-rejected"))

    purposes = {mark.lane: mark.attrs.get("purpose") for mark in marks if mark.lane.startswith("upstream")}
    assert purposes == {"upstream:1": None, "upstream:2": "compaction", "upstream:3": "compaction"}
    assert next(mark for mark in marks if mark.phase == "compaction_started").attrs["trigger"] == "ContextLimit"


def test_nothing_that_was_said_is_kept(tmp_path: Path) -> None:
    secret = "https://user:hunter2@example.invalid/v1"
    rows = recorded_rows("0.142-stream-goes-silent")
    for row in rows:
        if isinstance(row[6], str):
            row[6] = row[6].replace("http://127.0.0.1", secret) + " hunter2"

    capture = read_logs(write_logs(tmp_path / "logs_2.sqlite", rows))

    assert any(mark.phase == "upstream_failed" for mark in capture.marks)
    assert "hunter2" not in repr([*map(tuple, capture.marks), *map(astuple, capture.processes), *capture.rejects])


# -- rows that name no turn -----------------------------------------------------------------------------------


def test_a_row_that_may_be_any_of_two_turns_is_given_to_neither(tmp_path: Path) -> None:
    rows = recorded_rows("0.142-no-first-item")
    twin = [list(row) for row in rows]
    for row in twin:
        for place in (4, 6):
            if isinstance(row[place], str):
                row[place] = re.sub(r"01a1fd2b-([0-9a-f]{4})", r"01a1fd2c-\1", str(row[place]))
    both = sorted([*rows, *twin], key=lambda row: (row[1], row[2]))
    for number, row in enumerate(both, 1):
        row[0] = number

    marks = read(tmp_path, both)

    assert len({mark.turn_id for mark in marks}) == 2
    assert not any(mark.phase in ("first_event", "completed") for mark in marks)


# -- rows that are missing ------------------------------------------------------------------------------------


def test_rows_that_were_not_yet_written_prove_nothing(tmp_path: Path) -> None:
    rows = recorded_rows("0.169-no-headers-after-tool")
    used = next(int(str(row[0])) for row in rows if "post sampling token usage" in str(row[6]))
    home = recorded_home("0.169-no-headers-after-tool", tmp_path, lambda row: int(str(row[0])) < used)

    (last,) = verdicts(home, now_ns=(verdicts(home)[-1].horizon_ns or 0) + 10 * 10**9)

    assert (last.rule, last.confidence) == ("continuation_loss.follow_up_not_on_file", "possible")


def test_rows_that_were_cut_at_the_beginning_leave_the_turn_as_it_was(tmp_path: Path) -> None:
    rows = recorded_rows("0.169-healthy")
    first = next(int(str(row[0])) for row in rows if "Output item" in str(row[6]))
    home = recorded_home("0.169-healthy", tmp_path, lambda row: int(str(row[0])) > first)

    assert [verdict.state for verdict in verdicts(home)] == ["healthy"]


@given(st.data())
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_row_of_a_wrong_kind_raises(tmp_path: Path, data: st.DataObject) -> None:
    rows = recorded_rows(data.draw(st.sampled_from([run[0] for run in RUNS])))
    kept = [list(row) for row in rows if data.draw(st.integers(0, 9))]
    wrong = st.one_of(
        st.integers(-(2**63), 2**63 - 1), st.text(max_size=9), st.binary(max_size=9), st.just("{{" * 4_000)
    )
    for row in data.draw(st.lists(st.sampled_from(kept), max_size=9)) if kept else []:
        row[data.draw(st.sampled_from([1, 2, 3, 4, 5, 6]))] = data.draw(wrong)
    path = tmp_path / "logs_2.sqlite"
    path.unlink(missing_ok=True)

    capture = read_logs(write_logs(path, kept))

    known = {process.process_id for process in capture.processes}
    assert {mark.process_id for mark in capture.marks} <= known
    assert all(0 <= mark.at_ns < 1 << 63 and 0 <= mark.wall_ns < 1 << 63 for mark in capture.marks)


# -- databases that are damaged, or not what they seem --------------------------------------------------------


def test_a_row_without_a_time_is_put_aside_and_the_rest_is_read(tmp_path: Path) -> None:
    rows = recorded_rows("0.169-healthy")
    path = write_logs(tmp_path / "logs_2.sqlite", rows)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE logs SET ts = 'yesterday' WHERE id = ?", [rows[0][0]])
        connection.execute("UPDATE logs SET feedback_log_body = x'ff00' WHERE id = ?", [rows[1][0]])
        connection.commit()

    capture = read_logs(path)

    assert [(reject.offset, reject.reason) for reject in capture.rejects] == [(rows[0][0], "a row without a time")]
    assert story(capture.marks)[-1] == "completed"


def test_a_database_with_other_tables_is_put_aside(tmp_path: Path) -> None:
    path = tmp_path / "logs_2.sqlite"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE logs (id INTEGER)")

    (reject,) = read_logs(path).rejects

    assert reject.reason.startswith("cannot be read: no such column")


def test_a_damaged_database_gives_what_stands_before_the_damage(tmp_path: Path) -> None:
    path = write_logs(tmp_path / "logs_2.sqlite", recorded_rows("0.169-healthy"))
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])

    capture = read_logs(path)

    assert [reject.file for reject in capture.rejects] == [str(path)]
    assert capture.rejects[0].reason.startswith("cannot be read: ")


def test_a_file_that_is_no_database_is_put_aside(tmp_path: Path) -> None:
    path = tmp_path / "logs_2.sqlite"
    path.write_bytes(b"SQLite format 3\0" + b"\xff" * 5_000)

    assert len(read_logs(path).rejects) == 1
    assert len(read_logs(tmp_path / "gone.sqlite").rejects) == 1
