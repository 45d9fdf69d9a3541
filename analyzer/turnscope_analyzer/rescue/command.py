"""Answers the ``rescue`` command: says what would be taken out of a thread, takes it out, or brings it back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

import click

from turnscope_analyzer.repair.errors import BusyError, RepairError
from turnscope_analyzer.repair.making import apply, refusal
from turnscope_analyzer.repair.manifest import repairs_in
from turnscope_analyzer.repair.plan import Creation, Plan, Rewrite
from turnscope_analyzer.repair.undoing import undo
from turnscope_analyzer.report.wording import counted, escaped, size_words
from turnscope_analyzer.rescue.fork import new_id, path_beside, places_of_id
from turnscope_analyzer.rescue.rewrite import Shortening, rebuild
from turnscope_analyzer.rescue.survey import Survey, survey
from turnscope_analyzer.rescue.threads import Thread, default_home, find_thread, index_steps

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from turnscope_analyzer.repair.plan import Step

CODE: Final = "rescue"


@dataclass(frozen=True, slots=True)
class Request:
    """What was asked for on the command line."""

    thread: str
    home: Path | None
    backups: Path | None
    max_output_bytes: int
    apply: bool
    fork: bool
    undo: bool
    force: bool


class Answer(NamedTuple):
    """What to print, and whether what was asked for is done or would be done."""

    text: str
    is_done: bool


def answer(request: Request) -> Answer:
    """Do what *request* asks for.

    Raises:
        click.ClickException: It cannot be done; the message says why, and in which state things are.
    """
    try:
        thread = find_thread(request.thread, request.home or default_home())
        click.echo(escaped(str(thread.path)), err=True)
        if request.undo:
            return _undo(thread, request)
        return _rescue(thread, request)
    except RepairError as error:
        raise click.ClickException(str(error)) from error
    except OSError as error:
        raise click.ClickException(f"cannot read {error.filename or request.thread}: {error.strerror}.") from error


def _rescue(thread: Thread, request: Request) -> Answer:
    found = survey(thread.path, max_output_bytes=request.max_output_bytes)
    lines = list(_told(thread, found))
    if not len(found.edits):
        lines.append("Nothing to take out: it is other things that make this thread large.")
        return Answer(_text(lines), is_done=True)
    if request.fork and not thread.thread_id:
        raise RepairError(f"{thread.path} does not say which thread it is; a fork could not be told from it.")
    fork_id = new_id() if request.fork else ""
    work = Shortening(found, places_of_id(thread.path, thread.thread_id), fork_id) if fork_id else Shortening(found)
    plan = _plan(thread, found, work, fork_id, request.backups or thread.backups)
    why_not = refusal(plan)
    what = "copy to" if fork_id else "change"
    if not request.apply:
        lines += [f"would {what} {step.path}: {step.says}" for step in plan.steps]
        if why_not is None:
            lines.append(f"Nothing was changed. With --apply it is done; what is kept goes to {plan.backups}.")
        else:
            lines.append(f"Not now: {why_not}{_or_fork(why_not, fork_id)}")
        return Answer(_text(lines), is_done=why_not is None)
    if why_not is not None:
        raise RepairError(f"{why_not}{_or_fork(why_not, fork_id)}")
    folder = apply(plan)
    lines += [f"done: {what} {step.path}: {step.says}" for step in plan.steps]
    lines.append(f"verified: {counted(found.lines, 'line')} as before, the longest now {size_words(work.longest)}")
    lines.append(f"kept: {folder}")
    if fork_id:
        lines.append(f"go on: codex resume {fork_id}")
    lines.append(f"undo: turnscope rescue {plan.steps[-1].path} --undo")
    return Answer(_text(lines), is_done=True)


def _or_fork(why_not: RepairError, fork_id: str) -> str:
    """Return what else there is to do where the thread is in use."""
    if fork_id or not isinstance(why_not, BusyError):
        return ""
    return " Or take --fork: it leaves this thread as it is, and makes a small one beside it."


def _plan(thread: Thread, found: Survey, work: Shortening, fork_id: str, backups: Path) -> Plan:
    says = f"{size_words(found.stamp.size_bytes)} become {size_words(found.size_after)}"
    if fork_id:
        path = path_beside(thread.path, fork_id)
        return Plan(CODE, [Creation(path, says, thread.path, found.stamp, work.make, work.check)], backups)
    rewrite = Rewrite(thread.path, says, found.stamp, work.make, work.check, sha256=found.sha256, grows=True)
    # The index first: without its rows the old file is as good as the new one.
    steps: list[Step] = [*index_steps(thread), rewrite]
    return Plan(CODE, steps, backups, locks=thread.locks)


def _undo(thread: Thread, request: Request) -> Answer:
    backups = request.backups or thread.backups
    repairs = repairs_in(backups, str(thread.path))
    if not repairs:
        raise RepairError(f"nothing to undo: {backups} holds no repair of {thread.path}.")
    folder, _ = repairs[0]
    lines = undo(folder, force=request.force, rebuild=rebuild, locks=thread.locks)
    lines.append(f"What was replaced is kept in {folder}.")
    return Answer(_text(lines), is_done=True)


def _told(thread: Thread, found: Survey) -> Iterator[str]:
    """Say what the thread holds."""
    yield f"thread {thread.thread_id or 'without an id'}"
    size = found.stamp.size_bytes
    yield f"  now    {size_words(size)} in {counted(found.lines, 'line')}, the longest {size_words(found.longest)}"
    for what, taken_bytes in found.taken.most_common():
        yield f"  out    {size_words(taken_bytes)}, {found.count[what]:,} x {what}"
    if len(found.edits):
        yield f"  after  {size_words(found.size_after)}"
    if found.damaged_lines:
        where = ", ".join(str(at) for at in found.damaged[:5])
        yield f"  left   {counted(found.damaged_lines, 'damaged or unclear line')}, at byte {where}"


def _text(lines: list[str]) -> str:
    return "".join(f"{escaped(line)}\n" for line in lines)
