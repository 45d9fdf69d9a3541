"""Answer the ``doctor`` command: look over the homes that are meant, and say what is wrong with them."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click

from turnscope_analyzer.doctor import openclaw
from turnscope_analyzer.doctor.checkup import check
from turnscope_analyzer.doctor.contract import render_json
from turnscope_analyzer.doctor.homes import homes, open_stores
from turnscope_analyzer.doctor.report import render
from turnscope_analyzer.errors import AnalyzeError, NothingFoundError
from turnscope_analyzer.progress import Progress
from turnscope_analyzer.report.layout import terminal_style

if TYPE_CHECKING:
    from collections.abc import Sequence

    from turnscope_analyzer.doctor.diagnosis import Checkup


class Answer(NamedTuple):
    """What to print, and whether there is an error in it."""

    text: str
    ill: bool


def answer(given: Sequence[Path], *, now_ns: int | None, as_json: bool, colour: bool) -> Answer:
    """Look over the homes *given*, or those of this user.

    Raises:
        click.ClickException: There is none, or one cannot be read; the message says what to do.
    """
    checkups, warnings = checked(given, now_ns=now_ns)
    across = list(openclaw.split(checkup.rows for checkup in checkups))
    ill = any(one.severity == "error" for checkup in checkups for one in checkup.diagnoses)
    if as_json:
        return Answer(render_json(checkups, across, warnings), ill)
    return Answer(render(checkups, across, warnings, terminal_style(colour=colour), str(Path.cwd())), ill)


def checked(given: Sequence[Path], *, now_ns: int | None = None) -> tuple[list[Checkup], list[str]]:
    """Return a checkup of each home, and what a person has to know of the choice.

    Raises:
        click.ClickException: There is none, or one cannot be read; the message says what to do.
    """
    progress = Progress(sys.stderr)
    held = open_stores()
    found: list[Checkup] = []
    try:
        chosen, warnings = homes(given, os.environ)
        for home in chosen:
            # A home that nobody has used yet is no error, unless it is what was asked for.
            with suppress(*() if given else (NothingFoundError,)):
                found.append(check(home, held, now_ns=now_ns, progress=progress))
                continue
            warnings.append(f"{home.path} ({home.why}) holds no records yet.")
    except AnalyzeError as error:
        raise click.ClickException(str(error)) from error
    finally:
        progress.wipe()
    return found, warnings
