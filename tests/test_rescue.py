"""The command: which thread is meant, what is said, what is refused, and the way back."""

from __future__ import annotations

import fcntl
import gzip
import json
import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from codex_kit import CAPTURES, THREAD, Rollout
from helpers import run_python
from rescue_kit import NAME, old, records, rollout_in, url
from turnscope_analyzer import cli
from turnscope_analyzer.rescue.fork import places_of_id

if TYPE_CHECKING:
    from pathlib import Path

    from click.testing import Result

OTHER = "01a1fba3-9999-7381-b581-b20b3f54ce8a"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def path(home: Path) -> Path:
    """The rollout of a thread with two pictures, in a home."""
    path = rollout_in(home)
    rollout = Rollout(path).meta(session_id=THREAD)
    for number in range(2):
        content = [{"type": "input_image", "image_url": url(20_000, number)}]
        rollout.add("response_item", "message", role="user", content=content)
        rollout.add("event_msg", "item_completed", thread_id=THREAD, item={"type": "UserMessage", "id": "i"})
    rollout.add("response_item", "message", role="user", content=f'a text with {{"thread_id":"{THREAD}"}} in it').read()
    return old(path)


def rescue(*arguments: object, home: Path | None = None) -> Result:
    more = () if home is None else ("--home", str(home))
    return CliRunner().invoke(cli.main, ["rescue", *map(str, arguments), *more])


def files(home: Path) -> set[str]:
    return {path.name for path in home.rglob("*") if path.is_file()}


def test_without_apply_it_is_only_said_what_would_be_done(path: Path, home: Path) -> None:
    content = path.read_bytes()

    result = rescue(path)

    assert result.exit_code == cli.EXIT_OK
    assert result.stderr == f"{path}\n"
    assert result.stdout.splitlines()[:4] == [
        f"thread {THREAD}",
        "  now    41.1 kB in 6 lines, the longest 20.2 kB",
        "  out    40.0 kB, 2 x image/png",
        "  after  1.7 kB",
    ]
    assert f"With --apply it is done; what is kept goes to {home}/turnscope-backups.\n" in result.stdout
    assert (path.read_bytes(), files(home)) == (content, {NAME})


def test_applied_and_undone_it_is_the_very_file(path: Path, home: Path) -> None:
    content, inode = path.read_bytes(), path.stat().st_ino

    result = rescue(path, "--apply")

    assert result.exit_code == cli.EXIT_OK
    assert "verified: 6 lines as before" in result.stdout
    assert path.stat().st_size < 2_500
    [backup] = home.glob("turnscope-backups/*-rescue-*/0")
    assert (backup.read_bytes(), backup.stat().st_ino) == (content, inode)
    assert result.stdout.endswith(f"undo: turnscope rescue {path} --undo\n")
    result = rescue(path, "--undo")
    assert result.exit_code == cli.EXIT_OK
    assert f"restored, {len(content):,} bytes\n" in result.stdout
    assert (path.read_bytes(), path.stat().st_ino) == (content, inode)


def test_what_was_added_since_stays_also_where_the_backup_was_deleted_to_save_space(path: Path, home: Path) -> None:
    content = path.read_bytes()
    rescue(path, "--apply")
    next(home.glob("turnscope-backups/*/0")).unlink()
    with path.open("ab") as file:
        file.write(b'{"type":"event_msg"}\n')

    result = rescue(path, "--undo")

    assert "with 21 bytes that came after the repair" in result.stdout
    assert path.read_bytes() == content + b'{"type":"event_msg"}\n'


def test_two_rescues_are_undone_one_after_the_other(path: Path) -> None:
    first = path.read_bytes()
    rescue(path, "--apply")
    with path.open("ab") as file:
        file.write(json.dumps({"type": "response_item", "payload": {"content": url(9_000, 7)}}).encode() + b"\n")
    second = old(path).read_bytes()
    rescue(path, "--apply")

    rescue(path, "--undo")
    assert path.read_bytes() == second
    rescue(path, "--undo")

    assert path.read_bytes() == first + second.splitlines(keepends=True)[-1]
    assert "nothing to undo" in rescue(path, "--undo").stderr


def test_a_thread_that_was_changed_otherwise_is_brought_back_by_force_alone(path: Path) -> None:
    content = path.read_bytes()
    rescue(path, "--apply")
    path.write_bytes(b"other\n" * 1_000 + records_start(content))

    refused = rescue(path, "--undo")
    assert refused.exit_code == cli.EXIT_ERROR
    assert "was changed after the repair" in refused.stderr
    assert rescue(path, "--undo", "--force").exit_code == cli.EXIT_OK
    assert path.read_bytes() == content


def records_start(content: bytes) -> bytes:
    return content[:10_000]


@pytest.mark.parametrize("name", [THREAD, THREAD[:13], THREAD.upper()])
def test_a_thread_goes_by_its_id_or_the_beginning_of_it(path: Path, home: Path, name: str) -> None:
    assert rescue(name, home=home).stderr == f"{path}\n"


def test_the_home_is_that_of_codex_itself(path: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CODEX_HOME", str(home))

    assert rescue(THREAD).stderr == f"{path}\n"


def test_an_archived_thread_is_found(path: Path, home: Path) -> None:
    archived = home / "archived_sessions" / path.name
    archived.parent.mkdir()
    path.rename(archived)

    assert rescue(THREAD, home=home).stderr == f"{archived}\n"


def test_a_link_is_followed_to_the_file(path: Path, tmp_path: Path) -> None:
    link = tmp_path / "link.jsonl"
    link.symlink_to(path)

    rescue(link, "--apply")

    assert link.is_symlink()
    assert path.stat().st_size < 2_500


@pytest.mark.parametrize("named", ["by its id", "through the link", "by its real path"])
def test_a_home_whose_sessions_lie_elsewhere_has_its_locks_all_the_same(
    path: Path, home: Path, tmp_path: Path, named: str
) -> None:
    (tmp_path / "elsewhere").mkdir()
    (home / "sessions").rename(tmp_path / "elsewhere" / "sessions")
    (home / "sessions").symlink_to(tmp_path / "elsewhere" / "sessions")
    real = path.resolve()
    lock = home / "thread-writer-locks" / f"{THREAD}.lock"
    lock.parent.mkdir()
    lock.touch()
    thread = {"by its id": THREAD, "through the link": path, "by its real path": real}[named]

    with lock.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        refused = rescue(thread, "--apply", home=home)

    assert refused.stderr.splitlines()[0] == str(real)
    assert f"{lock} is in use" in refused.stderr
    assert rescue(thread, "--apply", home=home).exit_code == cli.EXIT_OK


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("nothing", "no thread whose id begins so"),
        ("", "no thread whose id begins so"),
        ("01a1", "2 threads begin with"),
    ],
)
def test_who_means_no_thread_or_several_is_told(path: Path, home: Path, name: str, why: str) -> None:
    path.with_name(path.name.replace(THREAD, OTHER)).write_bytes(path.read_bytes())

    result = rescue(name, home=home)

    assert result.exit_code == cli.EXIT_ERROR
    assert why in result.stderr


def test_what_is_no_plain_rollout_is_left_alone(path: Path, tmp_path: Path) -> None:
    packed = tmp_path / "rollout.jsonl.gz"
    packed.write_bytes(gzip.compress(path.read_bytes()))
    transcript = CAPTURES.parent / "claude" / "2.1-tools-and-errors.jsonl"

    assert "is packed. Unpack it" in rescue(packed).stderr
    assert "not a rollout of Codex" in rescue(transcript).stderr
    assert "cannot read" in rescue(tmp_path).stderr


def test_a_thread_of_words_alone_has_nothing_to_take_out(home: Path) -> None:
    path = rollout_in(home)
    Rollout(path).meta().prompt().read()

    result = rescue(path, "--apply")

    assert (result.exit_code, files(home)) == (cli.EXIT_OK, {NAME})
    assert "Nothing to take out" in result.stdout


@pytest.mark.parametrize("options", [("--undo", "--apply"), ("--undo", "--fork"), ("--force",), ("--max-output", "5")])
def test_what_makes_no_sense_together_is_wrong_usage(path: Path, options: tuple[str, ...]) -> None:
    assert rescue(path, *options).exit_code == cli.EXIT_USAGE


WRITER = "import sys\nfile = open(sys.argv[1], 'ab')\nprint(flush=True)\nsys.stdin.read()"


def test_a_thread_that_is_open_for_writing_is_refused_and_can_be_forked(path: Path) -> None:
    content = path.read_bytes()
    with subprocess.Popen([sys.executable, "-c", WRITER, path], stdin=-1, stdout=-1) as process:
        assert process.stdout is not None
        process.stdout.readline()
        told, refused, forked = rescue(path), rescue(path, "--apply"), rescue(path, "--fork", "--apply")
        process.communicate()

    assert (told.exit_code, refused.exit_code, forked.exit_code) == (cli.EXIT_ERROR, cli.EXIT_ERROR, cli.EXIT_OK)
    assert "Not now: " in told.stdout
    assert f"process {process.pid} (" in refused.stderr
    assert "Or take --fork" in refused.stderr
    assert path.read_bytes() == content
    assert rescue(path, "--apply").exit_code == cli.EXIT_OK


def test_the_lock_of_its_writer_protects_a_thread_and_one_left_behind_does_not(path: Path, home: Path) -> None:
    lock = home / "thread-writer-locks" / f"{THREAD}.lock"
    lock.parent.mkdir()
    lock.touch()
    with lock.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        held, undone = rescue(path, "--apply"), rescue(path, "--undo")

    assert (held.exit_code, undone.exit_code) == (cli.EXIT_ERROR, cli.EXIT_ERROR)
    assert f"{lock} is in use: another process holds its lock" in held.stderr
    assert rescue(path, "--apply").exit_code == cli.EXIT_OK
    assert lock.exists()


@pytest.fixture
def index(home: Path, path: Path) -> Path:
    """The index of turns that newer versions keep, with rows of this thread and of another one."""
    database = home / "thread_history_1.sqlite"
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("PRAGMA journal_mode = wal")
        connection.execute("CREATE TABLE thread_turns (thread_id TEXT, rollout_byte_offset INTEGER)")
        connection.execute("CREATE TABLE thread_history_projection_state (thread_id TEXT PRIMARY KEY, next INTEGER)")
        connection.execute("CREATE TABLE others (id TEXT)")
        for table in ("thread_turns", "thread_history_projection_state"):
            connection.executemany(f"INSERT INTO {table} VALUES (?, 40000)", [(THREAD,), (OTHER,)])
        connection.commit()
    return old(database)


def rows(database: Path) -> list[tuple[str]]:
    with closing(sqlite3.connect(database)) as connection:
        return connection.execute(
            "SELECT thread_id FROM thread_turns UNION ALL SELECT thread_id FROM thread_history_projection_state"
        ).fetchall()


def test_the_index_forgets_the_places_in_the_file(path: Path, home: Path, index: Path) -> None:
    result = rescue(path, "--apply")

    assert f"done: change {index}: the thread's rows go; Codex makes them anew" in result.stdout
    assert rows(index) == [(OTHER,), (OTHER,)]
    [kept] = home.glob("turnscope-backups/*/0.sqlite")
    assert len(rows(kept)) == 4
    with closing(sqlite3.connect(index)) as connection:
        connection.execute("INSERT INTO thread_turns VALUES (?, 1000)", (THREAD,))
        connection.commit()
    rescue(path, "--undo")
    assert rows(old(index)) == [(OTHER,), (OTHER,)]


def test_an_index_that_codex_has_open_means_that_codex_lives(path: Path, index: Path) -> None:
    content = path.read_bytes()
    program = WRITER.replace("'ab'", "'rb'")
    with subprocess.Popen([sys.executable, "-c", program, index], stdin=-1, stdout=-1) as process:
        assert process.stdout is not None
        process.stdout.readline()
        refused = rescue(path, "--apply")
        process.communicate()

    assert f"{index} is in use" in refused.stderr
    assert (path.read_bytes(), len(rows(index))) == (content, 4)


def test_a_fork_is_a_small_thread_of_its_own_beside_the_first(path: Path, home: Path) -> None:
    content = path.read_bytes()

    result = rescue(path, "--fork", "--apply")

    new_id = result.stdout.partition("codex resume ")[2].split()[0]
    [fork] = [one for one in path.parent.iterdir() if one != path]
    assert path.read_bytes() == content
    assert fork.name.endswith(f"-{new_id}.jsonl")
    assert new_id[14] == "7"
    read = records(fork)
    assert (read[0]["payload"]["id"], read[0]["payload"]["session_id"]) == (new_id, new_id)
    assert {record["payload"]["thread_id"] for record in read if "thread_id" in record["payload"]} == {new_id}
    assert THREAD in read[-1]["payload"]["content"]
    assert fork.stat().st_size < 2_500
    assert rescue(path, "--undo").exit_code == cli.EXIT_ERROR
    assert rescue(fork, "--undo").exit_code == cli.EXIT_OK
    assert not fork.exists()


def test_own_ids_are_found_at_every_edge_of_a_block(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = path.read_bytes()
    whole = list(places_of_id(path, THREAD))
    assert len(whole) == 4
    assert {content[place : place + len(THREAD)] for place in whole} == {THREAD.encode()}

    for block_bytes in (1, 7, 36, 50, 51, 64):
        monkeypatch.setattr("turnscope_analyzer.rescue.fork._BLOCK_BYTES", block_bytes)
        assert list(places_of_id(path, THREAD)) == whole


MEMORY = """
import sys
from click.testing import CliRunner
from turnscope_analyzer import cli

done = CliRunner().invoke(cli.main, ["rescue", sys.argv[1], "--apply"])
print(done.exit_code, open("/proc/self/status").read().split("VmHWM:")[1].split()[0])
"""


@pytest.mark.skipif(sys.platform != "linux", reason="asks /proc for the memory")
@pytest.mark.parametrize("text", ['"image_url":"data:image/png;base64,%s"', '"text":"%s"', '"list":["%s","%s"]'])
def test_a_line_of_60_mb_takes_less_than_40_mb_of_memory(path: Path, text: str) -> None:
    piece = b"AbC0" * (1 << 18)
    with path.open("ab") as file:
        file.write(b'{"type":"response_item","payload":{')
        # Each piece in a field of its own, or all of them in one.
        before, _, after = text.partition("%s")
        file.write(before.encode())
        for _ in range(60):
            file.write(piece + (b'","' if "list" in text else b""))
        file.write(after.replace("%s", "").encode() + b"}}\n")
    old(path)

    done = subprocess.run(
        [sys.executable, "-c", MEMORY, path],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        capture_output=True,
        text=True,
        check=False,
    )

    exit_code, kibibytes = map(int, done.stdout.split())
    assert exit_code == cli.EXIT_OK, done.stderr
    assert kibibytes * 1_024 < 40_000_000


def test_help_comes_without_what_the_work_needs(tmp_path: Path) -> None:
    program = (
        "import sys\n"
        "from click.testing import CliRunner\n"
        "from turnscope_analyzer import cli\n"
        "CliRunner().invoke(cli.main, ['rescue', '--help'])\n"
        "print([name for name in ('duckdb', 'orjson', 'sqlite3') if name in sys.modules])\n"
        "CliRunner().invoke(cli.main, ['rescue', 'none'])\n"
        "print('duckdb' in sys.modules, 'orjson' in sys.modules)\n"
    )

    assert run_python(program, tmp_path).stdout == "[]\nFalse True\n"
