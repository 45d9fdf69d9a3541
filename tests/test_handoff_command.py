"""The command `handoff`: where it writes, what it refuses, and which threads it chooses by itself."""

from __future__ import annotations

import gzip
import os
import stat
from typing import TYPE_CHECKING

import pytest

from codex_kit import CAPTURES, THREAD, Rollout
from turnscope_analyzer import cli
from turnscope_analyzer.handoff.writing import write

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


from handoff_kit import run, session_of

# -- the command -----------------------------------------------------------------------------------------


def test_the_file_is_written_once_and_for_its_owner_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    thread = str(CAPTURES / "0.169-tools.jsonl")

    written = run(thread)

    path = tmp_path / f"handoff-{THREAD}.md"
    assert written.exit_code == cli.EXIT_OK, written.output
    assert written.stdout == f"{path.name}\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    content = path.read_bytes()
    path.write_text("mine")
    again = run(thread)
    assert again.exit_code == cli.EXIT_ERROR
    assert "--force" in again.stderr
    assert path.read_text() == "mine"
    assert run(thread, "--force").exit_code == cli.EXIT_OK
    assert path.read_bytes() == content
    assert run(thread, "--out", "-").stdout.encode() == content
    assert len(run(str(CAPTURES / "0.118-tools.jsonl"), "--limit", "4096", "--out", "-").stdout.encode()) <= 4_096
    assert [one.name for one in tmp_path.iterdir()] == [path.name]


def test_a_thread_is_found_by_the_beginning_of_its_id(tmp_path: Path) -> None:
    path = tmp_path / "home" / "sessions" / f"rollout-2026-11-21T01-00-00-{THREAD}.jsonl"
    path.parent.mkdir(parents=True)
    path.write_bytes((CAPTURES / "0.169-tools.jsonl").read_bytes())

    found = run(THREAD[:13], "--home", str(tmp_path / "home"), "--out", "-")

    assert found.exit_code == cli.EXIT_OK, found.output
    assert f"# Handoff of thread {THREAD}" in found.stdout


def refusals(tmp_path: Path) -> Iterator[tuple[list[str], int, str]]:
    packed = tmp_path / "a.jsonl.gz"
    packed.write_bytes(gzip.compress((CAPTURES / "0.169-tools.jsonl").read_bytes()))
    other = tmp_path / "notes.txt"
    other.write_text("nothing of ours")
    yield [str(packed)], cli.EXIT_ERROR, "is packed"
    yield [str(other)], cli.EXIT_ERROR, "neither a rollout of Codex nor"
    yield ["0000", "--home", str(tmp_path)], cli.EXIT_ERROR, "no thread whose id begins so"
    yield [], cli.EXIT_USAGE, "Give a THREAD"
    yield ["x", "--auto", str(tmp_path)], cli.EXIT_USAGE, "Give a THREAD"
    yield ["--auto", str(tmp_path)], cli.EXIT_USAGE, "--out FOLDER"
    yield (
        [str(CAPTURES / "0.169-tools.jsonl"), "--out", "no/such/file"],
        cli.EXIT_ERROR,
        "cannot write no/such/file: No such file",
    )


def test_what_cannot_be_done_is_said(tmp_path: Path) -> None:
    for arguments, code, said in refusals(tmp_path):
        result = run(*arguments)
        assert (result.exit_code, said in result.stderr) == (code, True), result.output


def test_a_file_system_without_hard_links_does_as_well(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(1, "not permitted")

    monkeypatch.setattr(os, "link", refuse)
    path = tmp_path / "a.md"

    write(path, "one")

    assert path.read_text() == "one"
    with pytest.raises(FileExistsError):
        write(path, "two")
    assert [one.name for one in tmp_path.iterdir()] == ["a.md"]


# -- those that are about to fail ------------------------------------------------------------------------


def test_auto_writes_those_that_failed_to_compact_and_only_when_they_changed(tmp_path: Path) -> None:
    sessions, out = tmp_path / "home" / "sessions", tmp_path / "out"
    sessions.mkdir(parents=True)
    out.mkdir()
    bad = sessions / f"rollout-2026-11-21T01-00-00-{session_of('0.169-compaction-rejected')}.jsonl"
    bad.write_bytes((CAPTURES / "0.169-compaction-rejected.jsonl").read_bytes())
    good = next((CAPTURES / "homes" / "0.169-healthy").glob("rollout-*"))
    (sessions / good.name).write_bytes(good.read_bytes())

    first = run("--auto", str(tmp_path / "home"), "--out", str(out))

    assert first.exit_code == cli.EXIT_OK, first.output
    [written] = out.iterdir()
    assert first.stdout == f"written {written}: COMPACTION_RISK\n"
    assert written.name == f"handoff-{bad.stem[-36:]}.md"
    again = run("--auto", str(tmp_path / "home"), "--out", str(out))
    assert again.stdout == f"unchanged {written}: COMPACTION_RISK\n"
    os.utime(bad, ns=(1, 1))
    assert run("--auto", str(tmp_path / "home"), "--out", str(out)).stdout.startswith("written ")


def test_auto_takes_a_request_that_was_too_large_for_a_thread_that_cannot_go_on(tmp_path: Path) -> None:
    sessions, out = tmp_path / "home" / "sessions", tmp_path / "out"
    sessions.mkdir(parents=True)
    out.mkdir()
    error = {"message": "unexpected status 413 Payload Too Large", "codex_error_info": "other"}
    for number, end in enumerate(({"error": error}, {})):
        thread = f"{THREAD[:-1]}{number}"
        rollout = Rollout(sessions / f"rollout-2026-11-21T01-00-00-{thread}.jsonl").meta(thread).started(f"t{number}")
        rollout.prompt().complete(f"t{number}", None if end else "Done.", **end).read()

    told = run("--auto", str(tmp_path / "home"), "--out", str(out))

    assert told.stdout == f"written {out}/handoff-{THREAD[:-1]}0.md: REQUEST_TOO_LARGE\n"


def test_auto_replaces_nothing_that_it_has_not_written(tmp_path: Path) -> None:
    sessions, out = tmp_path / "home" / "sessions", tmp_path / "out"
    sessions.mkdir(parents=True)
    out.mkdir()
    lab = CAPTURES.parent / "accuracy" / "codex-lab" / "0.169.0" / "j_ctxlen_sse__appserver"
    [bad] = lab.rglob("rollout-*")
    (sessions / bad.name).write_bytes(bad.read_bytes())
    mine = out / f"handoff-{bad.stem[-36:]}.md"
    mine.write_text("# My notes\n")

    result = run("--auto", str(tmp_path / "home"), "--out", str(out))

    assert mine.read_text() == "# My notes\n"
    assert result.exit_code == cli.EXIT_ERROR
    assert result.stdout.startswith(f"not written, {sessions / bad.name}")
