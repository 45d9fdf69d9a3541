"""The command ``rescue``: its options, and what it ends with."""

from __future__ import annotations

from pathlib import Path

import click

from turnscope_analyzer.cli.common import EXIT_ERROR, EXIT_OK, print_result


@click.command(epilog="Exit codes: 0 done, or it would be; 1 it cannot be done, or not now; 2 wrong usage.")
@click.argument("thread", metavar="THREAD")
@click.option("--apply", "apply_it", is_flag=True, help="Do it. Without this it is only said what would be done.")
@click.option("--fork", is_flag=True, help="Leave the thread as it is, and make a small copy with an id of its own.")
@click.option("--undo", is_flag=True, help="Bring back the thread as it was, with what was added since.")
@click.option("--force", is_flag=True, help="With --undo: also where it was changed since. Never while it is in use.")
@click.option(
    "--max-output",
    "max_output_bytes",
    type=click.IntRange(min=1024),
    metavar="BYTES",
    default=65_536,
    show_default=True,
    help="Take out tool output that is larger.",
)
@click.option("--home", type=click.Path(path_type=Path), metavar="DIR", help="Of Codex; $CODEX_HOME or ~/.codex.")
@click.option("--backups", type=click.Path(path_type=Path), metavar="DIR", help="Instead of turnscope-backups there.")
@click.pass_context
def rescue(
    ctx: click.Context,
    *,
    thread: str,
    apply_it: bool,
    fork: bool,
    undo: bool,
    force: bool,
    max_output_bytes: int,
    home: Path | None,
    backups: Path | None,
) -> None:
    """Take pictures and oversized tool output out of a Codex thread that has become too large to go on.

    THREAD is the path of a rollout, or a thread's id or its beginning. Small placeholders come in their place, every
    other byte stays, and the originals are kept. It is refused while a program has the thread open.
    """
    if undo and (fork or apply_it):
        raise click.UsageError("--undo stands alone; it needs no --apply.")
    if force and not undo:
        raise click.UsageError("--force is for --undo. What is in use is left alone in any case.")

    from turnscope_analyzer.rescue import command  # noqa: PLC0415 -- loads what --help must not wait for

    answer = command.answer(
        command.Request(
            thread=thread,
            home=home,
            backups=backups,
            max_output_bytes=max_output_bytes,
            apply=apply_it,
            fork=fork,
            undo=undo,
            force=force,
        )
    )
    print_result(answer.text)
    ctx.exit(EXIT_OK if answer.is_done else EXIT_ERROR)
