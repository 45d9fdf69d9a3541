"""Repairs of other programs' files: all or nothing, with a way back."""

from __future__ import annotations

import fcntl
import json
import os
import sqlite3
import subprocess
import sys
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import pytest

from turnscope_analyzer.repair import writing
from turnscope_analyzer.repair.errors import BusyError, ChangedError, NoBackupError, NotVerifiedError, RepairError
from turnscope_analyzer.repair.making import apply, refusal
from turnscope_analyzer.repair.manifest import read_manifest, repairs_in
from turnscope_analyzer.repair.plan import Creation, Plan, Removal, Rewrite, Rows, Statement, stamp_of
from turnscope_analyzer.repair.undoing import undo

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from typing import Any, BinaryIO

    from turnscope_analyzer.repair.writing import Aside

OLD = b'{"status":"running"}\n'
NEW = b'{"status":"done"}\n'
LONG_AGO_NS = 1_700_000_000_000_000_000


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """A file of another program, written long ago."""
    path = tmp_path / "home" / "store.json"
    path.parent.mkdir()
    path.write_bytes(OLD)
    path.chmod(0o640)
    os.utime(path, ns=(LONG_AGO_NS, LONG_AGO_NS))
    return path


def make(_old: BinaryIO, new: BinaryIO, _aside: Aside) -> None:
    new.write(NEW)


def fine(_old: BinaryIO, _new: BinaryIO) -> None:
    """Find nothing wrong."""


def rewrite(path: Path, **changes: Any) -> Rewrite:
    return replace(Rewrite(path, "done", stamp_of(path), make, fine), **changes)


def plan(store: Path, *steps: Any, **changes: Any) -> Plan:
    return Plan("TEST", steps or (rewrite(store),), store.parent / "backups", **changes)


def files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


@contextmanager
def another(program: str, path: Path) -> Iterator[None]:
    """Run a program that uses *path* until the context ends."""
    code = f"import sys, fcntl, sqlite3\npath = sys.argv[1]\n{program}\nprint(flush=True)\nsys.stdin.read()"
    with subprocess.Popen([sys.executable, "-c", code, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield
        process.communicate()


def test_a_file_gets_its_new_content_and_keeps_its_mode_and_time(store: Path) -> None:
    folder = apply(plan(store))

    stat = store.stat()
    assert store.read_bytes() == NEW
    assert (stat.st_mode & 0o777, stat.st_mtime_ns) == (0o640, LONG_AGO_NS)
    assert (folder / "0").read_bytes() == OLD
    assert folder.stat().st_mode & 0o777 == 0o700
    assert files(store.parent) == {"store.json", *(f"backups/{folder.name}/{name}" for name in ("0", "manifest.json"))}
    [step] = read_manifest(folder).steps
    assert (step.before["bytes"], step.after["bytes"]) == (len(OLD), len(NEW))


def test_the_time_of_the_change_is_shown_where_a_program_has_to_notice_it(store: Path) -> None:
    apply(plan(store, rewrite(store, keeps_time=False)))

    assert store.stat().st_mtime_ns > LONG_AGO_NS


def test_undo_gives_back_the_very_file(store: Path) -> None:
    inode = store.stat().st_ino
    folder = apply(plan(store))

    assert undo(folder) == [f"{store}: restored, {len(OLD)} bytes"]

    stat = store.stat()
    assert (store.read_bytes(), stat.st_ino, stat.st_mtime_ns) == (OLD, inode, LONG_AGO_NS)
    assert read_manifest(folder).state == "undone"
    assert undo(folder) == [f"{store}: nothing to undo, it is what it was"]


def test_where_no_second_name_can_be_had_the_backup_is_a_copy(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inode = store.stat().st_ino

    def no_link(*_: object) -> None:
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", no_link)
    folder = apply(plan(store))

    assert (folder / "0").stat().st_ino != inode
    assert (folder / "0").read_bytes() == OLD
    undo(folder)
    assert (store.read_bytes(), store.stat().st_mode & 0o777, store.stat().st_mtime_ns) == (OLD, 0o640, LONG_AGO_NS)


def test_what_was_appended_after_the_repair_stays_through_an_undo(store: Path) -> None:
    folder = apply(plan(store, rewrite(store, grows=True)))
    with store.open("ab") as file:
        file.write(b"more\n")

    assert undo(folder) == [f"{store}: restored, {len(OLD)} bytes, with 5 bytes that came after the repair"]

    assert store.read_bytes() == OLD + b"more\n"


@pytest.mark.parametrize("grows", [False, True])
def test_a_file_that_was_changed_since_is_undone_only_by_force(store: Path, *, grows: bool) -> None:
    folder = apply(plan(store, rewrite(store, grows=grows)))
    store.write_bytes(b"other\n" if grows else NEW + b"more\n")
    changed = store.read_bytes()

    with pytest.raises(ChangedError, match="was changed after the repair"):
        undo(folder)
    assert store.read_bytes() == changed

    undo(folder, force=True)
    assert store.read_bytes() == OLD
    assert (folder / "store.json.undone-0").read_bytes() == changed


def test_without_its_backup_the_old_file_is_rebuilt_from_what_was_put_aside(store: Path) -> None:
    def aside(old: BinaryIO, new: BinaryIO, aside: Aside) -> None:
        aside.copy("word", old, 11, 7)
        new.write(NEW)

    def rebuild(current: BinaryIO, size_bytes: int, folder: Path, old: BinaryIO) -> None:
        assert current.read(size_bytes) == NEW
        old.write(b'{"status":"' + (folder / "word").read_bytes() + b'"}\n')

    folder = apply(plan(store, rewrite(store, make=aside, grows=True)))
    (folder / "0").unlink()
    with store.open("ab") as file:
        file.write(b"more\n")

    with pytest.raises(NoBackupError, match="is gone"):
        undo(folder)
    undo(folder, rebuild=rebuild)

    assert store.read_bytes() == OLD + b"more\n"


def test_what_was_put_aside_and_damaged_restores_nothing(store: Path) -> None:
    def rebuild(_current: BinaryIO, _size_bytes: int, _folder: Path, old: BinaryIO) -> None:
        old.write(b"damaged")

    folder = apply(plan(store))
    (folder / "0").unlink()

    with pytest.raises(NotVerifiedError):
        undo(folder, rebuild=rebuild)

    assert store.read_bytes() == NEW


def test_a_damaged_backup_restores_nothing(store: Path) -> None:
    folder = apply(plan(store))
    (folder / "0").write_bytes(b"damaged")

    with pytest.raises(NoBackupError, match="not what it was"):
        undo(folder)

    assert store.read_bytes() == NEW


@pytest.mark.parametrize(
    ("use", "why"),
    [
        ("file = open(path, 'ab')", r"process \d+ \(.+\) has it open for writing"),
        ("file = open(path); fcntl.flock(file, fcntl.LOCK_SH)", "another process holds its lock"),
    ],
)
def test_a_file_in_use_is_left_alone(store: Path, use: str, why: str) -> None:
    made = plan(store)
    with another(use, store):
        assert isinstance(refusal(made), BusyError)
        with pytest.raises(BusyError, match=why):
            apply(made)

    assert (store.read_bytes(), files(store.parent)) == (OLD, {"store.json"})
    assert refusal(made) is None


def test_somebody_who_only_reads_is_no_obstacle(store: Path) -> None:
    with another("file = open(path)", store):
        apply(plan(store))

    assert store.read_bytes() == NEW


def test_an_undo_waits_for_the_owner_as_well(store: Path) -> None:
    folder = apply(plan(store))

    with another("file = open(path, 'ab')", store), pytest.raises(BusyError):
        undo(folder, force=True)

    assert store.read_bytes() == NEW


def test_a_lock_that_the_owner_holds_elsewhere_counts(store: Path) -> None:
    lock = store.with_name("owner.lock")
    lock.touch()
    made = plan(store, locks=(lock,))

    with another("file = open(path); fcntl.flock(file, fcntl.LOCK_EX)", lock), pytest.raises(BusyError):
        apply(made)
    apply(made)

    assert store.read_bytes() == NEW


def test_the_lock_is_held_while_the_file_is_replaced(store: Path) -> None:
    seen = []

    def look(*_: object) -> None:
        with store.open("rb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                seen.append("held")

    apply(plan(store, rewrite(store, check=look)))

    assert seen == ["held"]


def test_a_file_that_changed_a_moment_ago_is_taken_for_one_in_use(store: Path) -> None:
    os.utime(store)

    with pytest.raises(BusyError, match="less than 5 seconds ago"):
        apply(plan(store))


def test_what_the_plan_did_not_expect_is_left_alone(store: Path) -> None:
    made = plan(store)
    store.write_bytes(b"other\n")
    os.utime(store, ns=(LONG_AGO_NS, LONG_AGO_NS))

    with pytest.raises(ChangedError, match="since the repair was planned"):
        apply(made)

    assert files(store.parent) == {"store.json"}


def test_a_change_while_the_new_file_is_made_is_noticed(store: Path) -> None:
    def late(_old: BinaryIO, new: BinaryIO, _aside: Aside) -> None:
        new.write(NEW)
        store.write_bytes(b"other\n")
        os.utime(store, ns=(LONG_AGO_NS, LONG_AGO_NS))

    with pytest.raises(ChangedError):
        apply(plan(store, rewrite(store, make=late)))

    assert (store.read_bytes(), files(store.parent)) == (b"other\n", {"store.json"})


def test_a_writer_that_comes_in_the_last_moment_keeps_its_file(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put_in_place = writing.put_in_place
    writers = ExitStack()

    def come_first(new: Path, path: Path) -> None:
        writers.enter_context(another("file = open(path, 'ab')", path))
        monkeypatch.undo()
        put_in_place(new, path)

    inode = store.stat().st_ino
    monkeypatch.setattr(writing, "put_in_place", come_first)

    with writers, pytest.raises(BusyError, match=r"process \d+ opened it just now"):
        apply(plan(store))

    assert (store.read_bytes(), store.stat().st_ino) == (OLD, inode)


@pytest.mark.parametrize("at", ["make", "check"])
def test_an_error_leaves_nothing_behind(store: Path, at: str) -> None:
    def fail(*_: object) -> None:
        raise NotVerifiedError(store, "it is wrong")

    with pytest.raises(NotVerifiedError, match="it is wrong"):
        apply(plan(store, rewrite(store, **{at: fail})))

    assert (store.read_bytes(), files(store.parent)) == (OLD, {"store.json"})


def test_an_error_of_the_system_names_the_folder_for_backups(store: Path) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(RepairError, match=r"No space left on device.*the folder for backups, .*backups"):
        apply(plan(store, rewrite(store, make=full)))

    assert (store.read_bytes(), files(store.parent)) == (OLD, {"store.json"})


def test_a_file_is_taken_away_and_brought_back(store: Path) -> None:
    folder = apply(plan(store, Removal(store, "stale", stamp_of(store))))
    assert not store.exists()

    assert undo(folder) == [f"{store}: brought back"]

    assert (store.read_bytes(), store.stat().st_mtime_ns) == (OLD, LONG_AGO_NS)


def test_a_file_comes_to_be_beside_another_and_goes_again(store: Path) -> None:
    beside = store.with_name("beside.json")
    step = Creation(beside, "a second one", store, stamp_of(store), make, fine)

    folder = apply(plan(store, step))
    assert (store.read_bytes(), beside.read_bytes(), beside.stat().st_mode & 0o777) == (OLD, NEW, 0o640)
    with pytest.raises(ChangedError, match="is there already"):
        apply(plan(store, step))

    undo(folder)
    assert not beside.exists()


@pytest.fixture
def database(tmp_path: Path) -> Path:
    path = tmp_path / "home" / "state.sqlite"
    path.parent.mkdir()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode = wal")
        connection.execute("CREATE TABLE runs (id TEXT, status TEXT)")
        connection.executemany("INSERT INTO runs VALUES (?, ?)", [("a", "running"), ("b", "done")])
        connection.commit()
    os.utime(path, ns=(LONG_AGO_NS, LONG_AGO_NS))
    return path


def rows(path: Path) -> list[tuple[str, str]]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute("SELECT * FROM runs ORDER BY id").fetchall()


SET = "UPDATE runs SET status = ? WHERE id = ? AND status IS ?"


def status(path: Path, run: str, before: str, after: str) -> Rows:
    return Rows(path, "done", [Statement(SET, (after, run, before))], [Statement(SET, (before, run, after))])


def test_rows_are_changed_in_one_go_and_changed_back(database: Path) -> None:
    folder = apply(plan(database, status(database, "a", "running", "done")))

    assert rows(database) == [("a", "done"), ("b", "done")]
    assert rows(folder / "0.sqlite") == [("a", "running"), ("b", "done")]
    assert undo(folder) == [f"{database}: rows restored"]
    assert rows(database) == [("a", "running"), ("b", "done")]


def test_a_database_whose_program_was_killed_is_repaired_with_what_is_in_its_log(database: Path) -> None:
    killed = (
        "import os, signal, sqlite3, sys\n"
        "connection = sqlite3.connect(sys.argv[1])\n"
        "connection.execute(\"UPDATE runs SET status = 'running' WHERE id = 'b'\")\n"
        "connection.commit()\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    subprocess.run([sys.executable, "-c", killed, str(database)], check=False)
    log = database.with_name("state.sqlite-wal")
    assert log.stat().st_size
    os.utime(database, ns=(LONG_AGO_NS, LONG_AGO_NS))

    apply(plan(database, status(database, "b", "running", "done")))

    assert rows(database) == [("a", "running"), ("b", "done")]


@pytest.mark.parametrize(
    ("step", "error"),
    [
        (partial(status, run="b", before="running", after="done"), ChangedError),
        (
            lambda path: Rows(path, "", [Statement(SET, ("gone", "a", "running"))], [], [Statement("SELECT 1")]),
            NotVerifiedError,
        ),
        (lambda path: Rows(path, "", [Statement("UPDATE none SET a = 1")], []), RepairError),
    ],
)
def test_rows_that_are_others_change_nothing_at_all(
    database: Path, store_beside: Path, step: Callable[[Path], Rows], error: type[RepairError]
) -> None:
    with pytest.raises(error):
        apply(plan(database, rewrite(store_beside), step(database)))

    assert rows(database) == [("a", "running"), ("b", "done")]
    assert store_beside.read_bytes() == OLD


@pytest.fixture
def store_beside(database: Path) -> Path:
    path = database.with_name("store.json")
    path.write_bytes(OLD)
    os.utime(path, ns=(LONG_AGO_NS, LONG_AGO_NS))
    return path


def test_a_database_that_somebody_has_open_is_left_alone(database: Path) -> None:
    made = plan(database, status(database, "a", "running", "done"))
    reader = another("db = sqlite3.connect(path); db.execute('SELECT * FROM runs').fetchall()", database)

    with reader, pytest.raises(BusyError, match="has it open"):
        apply(made)

    assert rows(database) == [("a", "running"), ("b", "done")]


def test_repairs_are_found_by_the_file_newest_first(store: Path) -> None:
    first = apply(plan(store))
    second = apply(plan(store))
    other = apply(plan(store, Creation(store.with_name("b"), "", store, stamp_of(store), make, fine)))

    found = {folder for folder, _ in repairs_in(store.parent / "backups", str(store))}

    assert found == {first, second}
    undo(second)
    assert [folder for folder, _ in repairs_in(store.parent / "backups", str(store))] == [first]
    assert other.exists()


@pytest.mark.parametrize("content", [b"", b"[]", b'{"turnscope":"repair","format":2,"steps":[]}', b'{"turnscope":1}'])
def test_a_folder_without_a_readable_manifest_cannot_be_undone(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(NoBackupError, match="there is no"):
        undo(tmp_path)
    (tmp_path / "manifest.json").write_bytes(content)
    with pytest.raises(NoBackupError):
        undo(tmp_path)


def test_the_manifest_is_plain_json(store: Path) -> None:
    content = json.loads((apply(plan(store)) / "manifest.json").read_bytes())

    assert (content["turnscope"], content["code"], content["state"]) == ("repair", "TEST", "done")
    assert content["steps"][0]["path"] == str(store)
