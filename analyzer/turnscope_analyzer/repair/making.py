"""Make a repair: look, back up, write beside, verify, look again, put in place, look once more.

Killed at any moment it leaves each file as it was or as it was to be, and from the first change on a backup with a
manifest. What it wrote aside by then lies in the repair's own folder and harms nobody.
"""

from __future__ import annotations

import secrets
import sqlite3
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from turnscope_analyzer.repair import writing
from turnscope_analyzer.repair.errors import BusyError, ChangedError, RepairError
from turnscope_analyzer.repair.manifest import Entry, Manifest, now
from turnscope_analyzer.repair.owners import RECENT_S, holders, locked, why_busy
from turnscope_analyzer.repair.plan import Creation, Removal, Rewrite, Rows, stamp_of
from turnscope_analyzer.repair.undoing import put_back, undo

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import BinaryIO

    from turnscope_analyzer.repair.plan import Plan, Step


@dataclass(slots=True)
class _Ready:
    """A step whose new file is on disk, not yet in its place."""

    step: Step
    entry: Entry
    new: Path | None = None
    is_link: bool = False


def refusal(plan: Plan) -> RepairError | None:
    """Return why *plan* cannot be carried out now, None if it can; nothing is changed by asking."""
    try:
        with held(plan):
            _look(plan, recent_s=RECENT_S)
    except RepairError as error:
        return error
    return None


def apply(plan: Plan) -> Path:
    """Carry out *plan* and return the folder of the repair, from which it can be undone.

    Raises:
        BusyError: The owner lives. Nothing was changed.
        ChangedError: A file is not what it was when the plan was made. Nothing was changed.
        NotVerifiedError: A new content does not hold what it has to. Nothing was changed.
        RepairError: It cannot be written. Steps that were made before were undone.
    """
    with _told(plan.backups), held(plan):
        _look(plan, recent_s=RECENT_S)
        folder = writing.make_folder(plan.backups / f"{now()}-{plan.code}-{secrets.token_hex(3)}")
        ready: list[_Ready] = []
        try:
            for number, step in enumerate(plan.steps):
                ready.append(_prepare(step, folder, str(number)))
            # From here on a recent change may be our own: who backs up a database may have to tidy its log up.
            _look(plan, recent_s=0)
        except BaseException:
            for one in ready:
                _forget(one)
            writing.discard(folder)
            raise
        manifest = Manifest(plan.code, now(), "begun", [one.entry for one in ready])
        manifest.save(folder)
        try:
            _put(plan, ready, folder, manifest)
        finally:
            for one in ready:
                _forget(one)
    return folder


@contextmanager
def held(plan: Plan) -> Iterator[None]:
    """Hold every advisory lock of *plan*.

    Raises:
        BusyError: Somebody else holds one.
    """
    with ExitStack() as locks:
        # A database has locks of another kind, which its own program asks for.
        files = [step.path for step in plan.steps if not isinstance(step, Rows | Creation)]
        for path in (*plan.locks, *files):
            locks.enter_context(locked(path))
        yield


def _look(plan: Plan, *, recent_s: float) -> None:
    for step in plan.steps:
        _look_at(plan, step, recent_s)


def _look_at(plan: Plan, step: Step, recent_s: float = 0) -> None:
    """Hold a file to what the plan expects of it; see `why_busy` for *recent_s*.

    Raises:
        RepairError: It is in use, or it has changed.
    """
    if why := plan.busy() or why_busy(step.path, readers=isinstance(step, Rows), recent_s=recent_s):
        raise BusyError(step.path, why)
    if isinstance(step, Rows):
        return
    source = step.source if isinstance(step, Creation) else step.path
    try:
        stamp = stamp_of(source)
    except OSError as error:
        raise ChangedError(source, f"cannot be read any more ({error.strerror})") from error
    if stamp != step.stamp:
        raise ChangedError(source, "has changed since the repair was planned")
    if isinstance(step, Creation) and step.path.exists():
        raise ChangedError(step.path, "is there already")


def _prepare(step: Step, folder: Path, name: str) -> _Ready:
    """Back up what a step replaces, and write and verify what it puts there."""
    path = str(step.path)
    if isinstance(step, Rows):
        writing.keep_database(step.path, folder / f"{name}.sqlite")
        undo_by = [[one.sql, list(one.values), one.rows] for one in step.undo]
        return _Ready(step, Entry("rows", path, step.says, f"{name}.sqlite", undo=undo_by))
    if isinstance(step, Removal):
        linked = writing.keep(step.path, folder, name)
        before = _told_of(step.path, writing.digest_of(step.path))
        return _Ready(step, Entry("removal", path, step.says, name, before), is_link=linked)
    if isinstance(step, Creation):
        new, _ = _written(step, step.source, folder, name, keeps_time=True)
        return _Ready(step, Entry("creation", path, step.says, after=_told_of(new.path, new.sha256)), new.path)
    linked = writing.keep(step.path, folder, name)
    new, aside = _written(step, step.path, folder, name, keeps_time=step.keeps_time)
    entry = Entry(
        "rewrite",
        path,
        step.says,
        name,
        _told_of(step.path, step.sha256 or writing.digest_of(step.path)),
        _told_of(new.path, new.sha256),
        grows=step.grows,
        aside=aside,
    )
    return _Ready(step, entry, new.path, linked)


def _written(
    step: Rewrite | Creation, source: Path, folder: Path, name: str, *, keeps_time: bool
) -> tuple[writing.Written, str]:
    """Write a step's new file and verify it; return it, and the name of the folder of what was put aside."""
    aside = writing.Aside(folder / f"{name}-aside")
    with source.open("rb") as old:

        def make(out: BinaryIO) -> None:
            step.make(old, out, aside)

        new = writing.write_new(folder, source, keeps_time=keeps_time, make=make)
        try:
            old.seek(0)
            with new.path.open("rb") as file:
                step.check(old, file)
            aside.settle()
        except BaseException:
            writing.discard(new.path)
            raise
    return new, aside.folder.name if aside.folder.is_dir() else ""


def _put(plan: Plan, ready: list[_Ready], folder: Path, manifest: Manifest) -> None:
    """Put the new files in place, one after the other; if one cannot be, take back those before."""
    begun = 0
    try:
        for one in ready:
            _look_at(plan, one.step)
            # A database takes back itself what failed. What became of a file is told by its content.
            begun += not isinstance(one.step, Rows)
            _put_one(one, folder)
            begun += isinstance(one.step, Rows)
        manifest.state = "done"
    except BaseException:
        manifest.state = "undone"
        for number in reversed(range(begun)):
            try:
                undo(folder, only=number)
            except RepairError:  # noqa: PERF203 -- one that fails must not keep the others
                # It stays to be undone by hand; the error that is on its way says why.
                manifest.state = "begun"
        raise
    finally:
        manifest.save(folder)


def _forget(one: _Ready) -> None:
    if one.new is not None:
        writing.discard(one.new)


def _put_one(one: _Ready, folder: Path) -> None:
    step = one.step
    if isinstance(step, Rows):
        writing.transact(step.path, step.do, step.check)
    elif isinstance(step, Removal):
        writing.take_away(step.path)
    elif isinstance(step, Creation):
        assert one.new is not None
        writing.put_beside(one.new, step.path)
    else:
        assert one.new is not None
        writing.put_in_place(one.new, step.path)
        pids = holders(step.stamp.device, step.stamp.inode)
        if pids and one.is_link:
            # It was opened between the last look and now. Its own file goes back under its name: nothing is lost.
            put_back(folder / one.entry.backup, step.path, folder)
            raise BusyError(step.path, f"process {pids[0]} opened it just now")


def _told_of(path: Path, sha256: str) -> dict[str, Any]:
    stat = path.stat()
    return {"bytes": stat.st_size, "sha256": sha256, "mtime_ns": stat.st_mtime_ns}


@contextmanager
def _told(backups: Path) -> Iterator[None]:
    """Say what an error of the system or of a database means here."""
    try:
        yield
    except (OSError, sqlite3.Error) as error:
        where = f" ({error.filename})" if isinstance(error, OSError) and error.filename else ""
        why = getattr(error, "strerror", None) or error
        raise RepairError(
            f"the repair was not made: {why}{where}. Everything is as it was. Check the rights and the space on the "
            f"disk, also of the folder for backups, {backups}."
        ) from error
