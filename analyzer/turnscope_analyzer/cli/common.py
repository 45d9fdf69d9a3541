"""What the commands share: exit codes, options, and how they print.

Results go to stdout and everything else to stderr.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Final

import click

EXIT_OK: Final = 0
"""No turn of the report is stuck."""

EXIT_ERROR: Final = 1
"""Nothing was judged: the input cannot be read, or the error is ours. click's own code for it."""

EXIT_USAGE: Final = 2
"""The command line cannot be understood. click's own code for it."""

EXIT_STUCK: Final = 3
"""A turn of the report is stuck or orphaned: it will not end by itself."""

EXIT_FOUND: Final = 3
"""The doctor has found an error."""


def _print_version(ctx: click.Context, _param: click.Parameter, value: object) -> None:
    if value and not ctx.resilient_parsing:
        from turnscope_analyzer.versions import own_version  # noqa: PLC0415 -- slow, and for this option only

        click.echo(f"turnscope {own_version()}")
        ctx.exit(EXIT_OK)


version_option = click.option(
    "--version", is_flag=True, is_eager=True, expose_value=False, callback=_print_version, help="Say which."
)


colour_option = click.option(
    "--color", "colour", type=click.Choice(["auto", "always", "never"]), default="auto", help="auto heeds NO_COLOR."
)


def named_journal() -> Path:
    """Return the folder that is meant when none is given, whether it is there or not."""
    return Path(os.environ.get("TURNSCOPE_JOURNAL") or "traces")


def default_journal() -> Path:
    """Return the folder that is meant when none is given.

    Raises:
        click.ClickException: There is none.
    """
    path = named_journal()
    if not path.exists():
        raise click.ClickException(
            f"no PATH was given, and the default journal, {path}, does not exist. "
            "Give the folder that the recorder writes to, or set TURNSCOPE_JOURNAL to it."
        )
    return path


def wants_colour(choice: str) -> bool:
    """Tell what --color comes to, where stdout is."""
    if choice != "auto":
        return choice == "always"
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def print_result(text: str | bytes) -> None:
    """Write *text* to stdout; a reader that has had enough (``| head``) is no error."""
    try:
        click.echo(text, nl=False, color=True)
    except BrokenPipeError:
        # Python flushes stdout once more at exit, and would complain then.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
