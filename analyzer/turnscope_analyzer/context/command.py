"""Answers the ``context`` command: where the context of one thread comes from."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from turnscope_analyzer.context.breakdown import break_down
from turnscope_analyzer.context.contract import render_json
from turnscope_analyzer.context.report import render
from turnscope_analyzer.context.threads import UnfitError, find_rollout
from turnscope_analyzer.progress import Progress
from turnscope_analyzer.repair.errors import RepairError
from turnscope_analyzer.report.layout import terminal_style
from turnscope_analyzer.report.wording import escaped
from turnscope_analyzer.rescue.threads import default_home
from turnscope_analyzer.sources.opened import size_of

if TYPE_CHECKING:
    from pathlib import Path


def answer(thread: str, home: Path | None, *, as_json: bool, turns: int) -> str:
    """Return the report on the thread that is meant.

    Raises:
        click.ClickException: It cannot be read; the message says why and what to do.
    """
    progress = Progress(sys.stderr)
    try:
        path = find_rollout(thread, home or default_home())
        click.echo(escaped(str(path)), err=True)
        whole, done = size_of(path), 0

        def advance(n_bytes: int) -> None:
            nonlocal done
            done += n_bytes
            progress(done, whole)

        broken = break_down(path, advance)
    except (RepairError, UnfitError) as error:
        raise click.ClickException(str(error)) from error
    except OSError as error:
        raise click.ClickException(f"cannot read {error.filename or thread}: {error.strerror}.") from error
    finally:
        progress.wipe()
    return render_json(broken) if as_json else render(broken, terminal_style(colour=False), turns)
