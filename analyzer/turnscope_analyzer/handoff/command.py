"""Answers the ``handoff`` command: writes down a thread, or all those of a home that are about to fail."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import click

from turnscope_analyzer.context.threads import UnfitError
from turnscope_analyzer.errors import AnalyzeError
from turnscope_analyzer.handoff.render import render
from turnscope_analyzer.handoff.threads import read_story
from turnscope_analyzer.handoff.writing import write
from turnscope_analyzer.progress import Progress
from turnscope_analyzer.repair.errors import RepairError
from turnscope_analyzer.report.wording import escaped
from turnscope_analyzer.rescue.threads import default_home

if TYPE_CHECKING:
    from turnscope_analyzer.handoff.risk import Risk
    from turnscope_analyzer.handoff.story import Story

STDOUT: Final = "-"
_UNFIT = re.compile(r"[^\w.-]")
_MARK = re.compile(r"\A<!-- turnscope handoff of .+: \d+ bytes, changed \d+ -->$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Request:
    """What was asked for on the command line; ``out`` is a file, a folder, ``-`` or None for the current folder."""

    thread: str
    home: Path | None
    out: str | None
    limit_bytes: int
    force: bool


class Answer(NamedTuple):
    """What to print on stdout, and whether all of it was done."""

    text: str
    is_done: bool = True


def answer(request: Request) -> Answer:
    """Write the handoff of one thread.

    Raises:
        click.ClickException: It cannot be done; the message says why and what to do.
    """
    try:
        story = read_story(request.thread, request.home or default_home())
        click.echo(escaped(str(story.path)), err=True)
        text = _text(story, request.limit_bytes)
        if request.out == STDOUT:
            return Answer(text)
    except (RepairError, UnfitError) as error:
        raise click.ClickException(str(error)) from error
    except OSError as error:
        raise click.ClickException(f"cannot read {error.filename or request.thread}: {error.strerror}.") from error
    path = _place(request.out, story)
    try:
        write(path, text, over=request.force)
    except FileExistsError as error:
        raise click.ClickException(f"{path} is there already. Give another --out, or --force to replace it.") from error
    except OSError as error:
        raise click.ClickException(f"cannot write {path}: {error.strerror}. Give another --out.") from error
    return Answer(f"{escaped(str(path))}\n")


def auto(home: Path, folder: Path, *, limit_bytes: int) -> Answer:
    """Write into *folder* the handoff of each thread of *home* over the risk line that has changed since its last one.

    Raises:
        click.ClickException: The home cannot be read; the message says why and what to do.
    """
    from turnscope_analyzer.handoff.risk import at_risk  # noqa: PLC0415 -- loads the engine, for this option only

    progress = Progress(sys.stderr)
    try:
        risks = at_risk(home, progress)
    except AnalyzeError as error:
        raise click.ClickException(str(error)) from error
    finally:
        progress.wipe()
    told = [_tried(risk, folder, limit_bytes) for risk in risks]
    return Answer("".join(f"{escaped(one.text)}\n" for one in told), all(one.is_done for one in told))


def _tried(risk: Risk, folder: Path, limit_bytes: int) -> Answer:
    """Do what there is to do for one thread; what cannot be written does not keep the others from it."""
    try:
        return Answer(_renewed(risk, folder, limit_bytes))
    except (RepairError, UnfitError, OSError) as error:
        return Answer(f"not written, {risk.path}: {error}", is_done=False)


def _renewed(risk: Risk, folder: Path, limit_bytes: int) -> str:
    path = folder / _name(risk.thread_id or risk.path.stem)
    old = _first_line(path)
    if old == _mark(risk.path):
        return f"unchanged {path}: {risk.why}"
    story = read_story(str(risk.path), folder)
    # What is there is replaced only where it is an earlier one of these.
    write(path, _text(story, limit_bytes), over=_MARK.match(old) is not None)
    return f"written {path}: {risk.why}"


def _text(story: Story, limit_bytes: int) -> str:
    mark = f"{_mark(story.path)}\n"
    return mark + render(story, limit_bytes - len(mark.encode()))


def _mark(path: Path) -> str:
    """Return the line that tells of which state of which file a handoff is."""
    status = path.stat()
    return f"<!-- turnscope handoff of {_fit(path.name)}: {status.st_size} bytes, changed {status.st_mtime_ns} -->"


def _first_line(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return file.readline(1_024).decode("utf-8", "replace").rstrip("\n")
    except FileNotFoundError:
        return ""


def _place(out: str | None, story: Story) -> Path:
    path = Path(out or ".")
    return path / _name(story.thread_id or story.path.stem) if path.is_dir() else path


def _name(thread: str) -> str:
    return f"handoff-{_fit(thread)}.md"


def _fit(name: str) -> str:
    """Return *name*, which may stand in a damaged file, as a name of a file."""
    return _UNFIT.sub("_", name)[:100]
