"""A stream that goes on is not silent: what the log database tells of it, and what it no longer tells."""

from __future__ import annotations

from typing import TYPE_CHECKING

from codex_home_kit import LogRow, recorded_home, recorded_rows, verdicts, write_logs

if TYPE_CHECKING:
    from pathlib import Path

DELTA = "app-server event: item/agentMessage/delta targeted_connections=1"


def streaming(deltas: int, noise: int = 0) -> list[LogRow]:
    """Return a run that stops in its text, with deltas after it, one a second, and with later rows about nothing."""
    rows = recorded_rows("0.169-stops-in-text")
    item = next(row for row in rows if "Output item" in str(row[6]))
    rows = [row for row in rows if row[0] <= item[0]]  # type: ignore[operator]
    row_id, second, program = int(str(item[0])), int(str(item[1])), item[5]
    for after in range(1, deltas + noise + 1):
        body = DELTA if after <= deltas else None
        target = "codex_app_server::outgoing_message" if body else "log"
        rows.append([row_id + after, second + after, 0, target, None, program, body])
    return rows


def test_a_stream_that_goes_on_is_not_silent_however_long_it_lasts(tmp_path: Path) -> None:
    home = recorded_home("0.169-stops-in-text", tmp_path, logs=False)
    write_logs(home / "logs_2.sqlite", streaming(deltas=20))

    assert verdicts(home)[-1].rule == "unknown.records_stop"


def test_a_stream_is_silent_from_its_last_chunk_on(tmp_path: Path) -> None:
    home = recorded_home("0.169-stops-in-text", tmp_path, logs=False)
    write_logs(home / "logs_2.sqlite", streaming(deltas=10, noise=5))

    (last,) = verdicts(home)

    assert (last.rule, (last.age_ms or 0) // 1000) == ("model_stall.mid_stream", 5)
    assert "after 10 chunks" in last.summary


def test_a_stream_whose_rows_were_cut_is_not_called_silent_for_that_time(tmp_path: Path) -> None:
    home = recorded_home("0.169-stops-in-text", tmp_path, logs=False)
    rows = streaming(deltas=0, noise=12)
    cut = [row for row in rows if row[4] is not None] + rows[-2:]
    write_logs(home / "logs_2.sqlite", cut)

    assert verdicts(home)[-1].rule == "unknown.records_stop"
