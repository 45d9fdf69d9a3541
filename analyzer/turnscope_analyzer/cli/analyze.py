"""The command ``analyze``: its options, and what it ends with."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from turnscope_analyzer import arguments
from turnscope_analyzer.cli.common import (
    EXIT_OK,
    EXIT_STUCK,
    colour_option,
    default_journal,
    print_result,
    version_option,
    wants_colour,
)

if TYPE_CHECKING:
    from collections.abc import Iterable


@click.command(
    epilog="Exit codes: 0 no turn is stuck, 1 nothing could be judged, 2 wrong usage, 3 a turn is stuck or orphaned."
)
@click.argument("paths", metavar="[PATH]...", nargs=-1, type=click.Path(path_type=Path))
@click.option("--turn", metavar="ID", help="Draw one turn whole; the beginning of its id is enough.")
@click.option("--session", metavar="ID", help="Only the turns of this session, healthy ones too.")
@click.option(
    "--since", type=arguments.since, metavar="TIME", help="Only turns since a time, or since 2h, 30m or 3d ago."
)
@click.option(
    "--cause",
    type=arguments.cause_name,
    metavar="NAME",
    help="Only turns with this cause: model_stall, transport, compaction, hydration, detachment, continuation_loss, "
    "silent_drop, pre_start, queue_blocked, tool_hang, context_length, quota_or_auth, process_lost, unknown.",
)
@click.option(
    "--budget",
    "budgets",
    type=arguments.budget,
    metavar="PHASE=SECONDS",
    multiple=True,
    help="Call a turn stuck after so long in a phase; may be given for several.",
)
@click.option("--now", "now_ns", type=arguments.instant, metavar="TIME", help="Judge as of this time, instead of now.")
@click.option("--json", "as_json", is_flag=True, help="For a program; docs/json-report.md is the contract.")
@click.option("--markdown", "as_markdown", is_flag=True, help="For a bug report, without sessions and folders.")
@click.option("--all", "everything", is_flag=True, help="List every turn, healthy ones too.")
@colour_option
@version_option
@click.pass_context
def analyze(
    ctx: click.Context,
    *,
    paths: tuple[Path, ...],
    turn: str | None,
    session: str | None,
    since: int | arguments.Ago | None,
    cause: str | None,
    budgets: Iterable[tuple[str, float]],
    now_ns: int | None,
    colour: str,
    as_json: bool,
    as_markdown: bool,
    everything: bool,
) -> None:
    """Say of each turn what became of it; of a stuck one on what it hangs, since when, how sure, and why.

    PATH is a folder or a file that a recorder or an agent wrote; what it is, is told by its content. Without one,
    $TURNSCOPE_JOURNAL is read, or else ./traces. A time is ISO 8601, UTC unless it names a zone, or seconds since
    1970.
    """
    if as_json and as_markdown:
        raise click.UsageError("--json and --markdown exclude each other.")
    paths = paths or (default_journal(),)

    from turnscope_analyzer import command  # noqa: PLC0415 -- loads the engine, which --help must not wait for

    answer = command.answer(
        command.Request(
            paths=paths,
            turn=turn,
            session=session,
            since=since,
            cause=cause,
            budgets=dict(budgets),
            now_ns=now_ns,
            everything=everything,
            form="json" if as_json else "markdown" if as_markdown else "terminal",
            colour=wants_colour(colour),
        )
    )
    # Bytes for a program or a bug tracker: both are UTF-8, whatever the terminal is set to.
    print_result(answer.text.encode() if as_json or as_markdown else answer.text)
    ctx.exit(EXIT_STUCK if answer.stuck else EXIT_OK)
