"""Repairs of the doctor: said before, made with a backup, refused where they are not certain, and undone."""

from __future__ import annotations

import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from doctor_kit import checked, found
from openclaw_kit import KEY, SESSION, State, at, laid_out
from turnscope_analyzer import cli
from turnscope_analyzer.doctor.fields import with_fields
from turnscope_analyzer.doctor.repairs import why_in_use

if TYPE_CHECKING:
    from pathlib import Path

    from click.testing import Result

HOLDER = "import sys; held = open(sys.argv[1], 'rb'); print('held', flush=True); sys.stdin.read()"


def doctor(*words: object) -> Result:
    return CliRunner().invoke(cli.main, ["doctor", *map(str, words)])


def rest(root: Path) -> Path:
    """Let the files under *root* be older than a writer's last change could be."""
    for path in root.rglob("*"):
        os.utime(path, (0, 0))
    return root


@pytest.fixture
def state(tmp_path: Path) -> State:
    return State(tmp_path / ".openclaw")


@pytest.fixture
def zombie(state: State) -> Path:
    """A state folder with two rows that run and have ended, one without the time of its end, and one that runs."""
    state.user(0).answer(5).row(status="running", startedAt=0, updatedAt=1)
    state.row("agent:main:other", "s-2", status="running", startedAt=20, endedAt=21, updatedAt=21)
    state.row("agent:main:done", "s-3", status="done", startedAt=20, endedAt=21, updatedAt=700)
    return rest(state.root)


def rows(root: Path) -> dict[str, dict[str, object]]:
    content: dict[str, dict[str, object]] = json.loads((root / "agents/main/sessions/sessions.json").read_bytes())
    return content


def test_without_apply_nothing_changes_and_everything_is_said(zombie: Path) -> None:
    before = {path: path.read_bytes() for path in zombie.rglob("*") if path.is_file()}

    result = doctor(zombie, "--fix", "ZOMBIE_RUNNING")

    assert result.exit_code == cli.EXIT_OK
    assert f"OpenClaw state folder: {zombie}\n" in result.stdout
    assert (
        f"{KEY}: status becomes done, endedAt becomes {at(5)}; agent:main:other: status becomes done" in result.stdout
    )
    assert "Nothing was changed. --apply does it, with a backup." in result.stdout
    assert {path: path.read_bytes() for path in zombie.rglob("*") if path.is_file()} == before


def test_rows_are_made_right_and_nothing_else_and_all_of_it_is_undone(zombie: Path) -> None:
    store = zombie / "agents/main/sessions/sessions.json"
    before, old = rows(zombie), store.read_bytes()

    result = doctor(zombie, "--fix", "ZOMBIE_RUNNING", "--apply")

    assert (result.exit_code, result.stderr) == (cli.EXIT_OK, "")
    assert "looked again: no ZOMBIE_RUNNING is left." in result.stdout
    before[KEY] |= {"status": "done", "endedAt": at(5)}
    before["agent:main:other"] |= {"status": "done"}
    assert rows(zombie) == before
    assert store.read_bytes() == (
        old.replace(b'"running"', b'"done"').replace(b'{"sessionId"', f'{{"endedAt": {at(5)},"sessionId"'.encode(), 1)
    )

    folder = re.search(r"to undo: doctor --undo (\S+)", result.stdout)
    assert folder is not None
    assert doctor("--undo", folder[1]).exit_code == cli.EXIT_OK
    assert store.read_bytes() == old


def test_a_row_of_a_database_is_made_right_in_both_tables_and_stays_valid(tmp_path: Path) -> None:
    root = rest(laid_out("2026.9.6/seed_shadow_store", tmp_path)) / "state"
    [store] = root.glob("agents/*/agent/openclaw-agent.sqlite")
    with closing(sqlite3.connect(store)) as connection, connection:
        columns = {row[1] for row in connection.execute("PRAGMA table_info(session_nodes)")}
        if "status" not in columns:
            connection.execute("ALTER TABLE session_nodes ADD COLUMN status")
            connection.execute("UPDATE session_nodes SET status = 'running'")
        for column in {"status", "ended_at"} - {
            row[1] for row in connection.execute("PRAGMA table_info(session_windows)")
        }:
            connection.execute(f"ALTER TABLE session_windows ADD COLUMN {column}")
        connection.execute("UPDATE session_windows SET status = 'running'")
        connection.execute(
            "CREATE TRIGGER valid AFTER UPDATE OF entry_json ON session_nodes BEGIN"
            " UPDATE session_nodes SET entry_valid = 0 WHERE session_key = NEW.session_key; END"
        )
    rest(root)
    assert "error ZOMBIE_RUNNING" in found(checked(root))

    result = doctor(root, "--fix", "ZOMBIE_RUNNING", "--apply")

    assert result.exit_code == cli.EXIT_OK, result.output
    assert "error ZOMBIE_RUNNING" not in found(checked(root))
    with closing(sqlite3.connect(store)) as connection:
        [(text, valid, status)] = connection.execute("SELECT entry_json, entry_valid, status FROM session_nodes")
        assert (valid, status) == (1, "done")
        assert json.loads(text)["status"] == "done"
        assert list(connection.execute("SELECT DISTINCT status FROM session_windows")) == [("done",)]
    folder = re.search(r"to undo: doctor --undo (\S+)", result.stdout)
    assert folder is not None
    assert "rows restored" in doctor("--undo", folder[1]).stdout
    assert "error ZOMBIE_RUNNING" in found(checked(root))


def test_a_row_whose_end_is_on_no_record_is_left_alone(state: State) -> None:
    state.user(0).row(status="running", startedAt=0, updatedAt=0)
    state.row("agent:main:later", "s-2", status="done", startedAt=100, endedAt=120, updatedAt=120)
    rest(state.root)

    result = doctor(state.root, "--fix", "ZOMBIE_RUNNING", "--apply")

    assert result.exit_code == cli.EXIT_FOUND
    assert f"not repaired: ZOMBIE_RUNNING of session {KEY}: no record says how the turn ended" in result.stdout
    assert rows(state.root)[KEY]["status"] == "running"


def test_a_turn_that_a_gateway_is_about_to_run_again_is_left_alone(tmp_path: Path) -> None:
    root = rest(laid_out("2026.9.6/zombie_live_t0", tmp_path))

    result = doctor(root, "--fix", "ZOMBIE_RUNNING", "--apply")

    assert result.exit_code == cli.EXIT_FOUND
    assert "the gateway is about to run the turn again" in result.stdout


def test_a_repair_is_refused_while_a_gateway_has_the_store_open(zombie: Path) -> None:
    tasks = zombie / "tasks" / "runs.sqlite"
    tasks.parent.mkdir()
    tasks.touch()
    process = subprocess.Popen([sys.executable, "-c", HOLDER, str(tasks)], stdin=-1, stdout=-1, text=True)
    try:
        assert process.stdout is not None
        process.stdout.readline()
        assert str(process.pid) in why_in_use(zombie)
        said = doctor(zombie, "--fix", "ZOMBIE_RUNNING")
        done = doctor(zombie, "--fix", "ZOMBIE_RUNNING", "--apply")
    finally:
        process.communicate("")

    assert "it would be refused now" in said.stdout
    assert (done.exit_code, done.stdout) == (cli.EXIT_ERROR, "")
    assert f"process {process.pid} uses the store; stop the gateway first" in done.stderr
    assert rows(zombie)[KEY]["status"] == "running"


def test_a_repair_is_refused_from_inside_an_isolated_home(zombie: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inside = zombie / "agents" / "main" / "agent" / "codex-home" / "home"
    inside.mkdir(parents=True)
    monkeypatch.setenv("HOME", str(inside))

    result = doctor("--fix", "ZOMBIE_RUNNING", "--apply")

    assert result.exit_code == cli.EXIT_ERROR
    assert "an agent's isolated home" in result.stderr
    assert list(inside.iterdir()) == []
    assert rows(zombie)[KEY]["status"] == "running"


def test_a_lock_whose_owner_is_gone_is_taken_away_and_comes_back(state: State) -> None:
    own = str(state.sessions / f"{SESSION}.jsonl")
    state.user(0).answer(5).row(status="done", startedAt=0, endedAt=6, sessionFile=own).lock()
    lock = state.sessions / f"{SESSION}.jsonl.lock"
    rest(state.root)

    result = doctor(state.root, "--fix", "STALE_LOCK", "--apply")

    assert result.exit_code == cli.EXIT_OK, result.output
    assert not lock.exists()
    folder = re.search(r"to undo: doctor --undo (\S+)", result.stdout)
    assert folder is not None
    doctor("--undo", folder[1])
    assert lock.exists()


def test_a_row_that_is_damaged_is_left_as_it_is(state: State) -> None:
    state.user(0).answer(5).row(status="running", startedAt=0, updatedAt=700)
    content = json.dumps({KEY: {**rows(state.root)[KEY], "endedAt": {"no": "time"}}})
    (state.sessions / "sessions.json").write_text(content)
    rest(state.root)

    result = doctor(state.root, "--fix", "ZOMBIE_RUNNING", "--apply")

    assert result.exit_code == cli.EXIT_ERROR
    assert "its row is damaged, endedAt is no plain value. It was left as it is." in result.stderr
    assert (state.sessions / "sessions.json").read_text() == content


def test_where_nothing_is_to_be_repaired_that_is_said(state: State) -> None:
    state.user(0).answer(5).row(status="done", startedAt=0, endedAt=6)

    assert "no STALE_LOCK was found: nothing is to be repaired." in doctor(state.root, "--fix", "STALE_LOCK").stdout


@pytest.mark.parametrize("words", [("--fix", "SILENT_DROP"), ("--apply",), ("--fix", "nonsense", "--apply")])
def test_what_cannot_be_asked_for_is_wrong_usage(words: tuple[str, ...], tmp_path: Path) -> None:
    assert doctor(tmp_path, *words).exit_code == cli.EXIT_USAGE


def test_a_folder_without_a_repair_cannot_be_undone(tmp_path: Path) -> None:
    result = doctor("--undo", tmp_path)

    assert result.exit_code == cli.EXIT_ERROR
    assert "Point at the folder of a repair" in result.stderr


def test_backups_are_not_looked_at(zombie: Path) -> None:
    shutil.copytree(zombie / "agents", zombie / "turnscope-backups" / "agents")

    assert found(checked(zombie)).count("error ZOMBIE_RUNNING") == 2


# -- fields -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "changed"),
    [
        ('{"status":"running","a":{"status":"x"}}', '{"status":"done","a":{"status":"x"}}'),
        ('{\n  "a": [{"status": 1}],\n  "status" : "running"\n}', '{\n  "a": [{"status": 1}],\n  "status" : "done"\n}'),
        (
            '{"text":"\\"status\\":\\"running\\"","status":null}',
            '{"text":"\\"status\\":\\"running\\"","status":"done"}',
        ),
        ('{"a":"status"}', '{"status": "done","a":"status"}'),
        ("{}", '{"status": "done"}'),
    ],
)
def test_a_field_is_changed_in_its_place_and_no_other(text: str, changed: str) -> None:
    assert with_fields(text, {"status": "done"}) == changed


def test_a_field_that_holds_an_object_is_not_replaced() -> None:
    with pytest.raises(ValueError, match="no plain value"):
        with_fields('{"status":{"a":1}}', {"status": "done"})
