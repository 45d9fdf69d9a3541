"""The command ``handoff``: its options, and what it ends with."""

from __future__ import annotations

from pathlib import Path

import click

from turnscope_analyzer.cli.common import EXIT_ERROR, EXIT_OK, print_result


@click.command(epilog="Exit codes: 0 written, 1 it cannot be written, or not all of them, 2 wrong usage.")
@click.argument("thread", metavar="THREAD", required=False)
@click.option("--out", metavar="PATH", help="A file, a folder, or - for stdout; handoff-ID.md in this folder if unset.")
@click.option("--force", is_flag=True, help="Replace a file that is there.")
@click.option(
    "--limit",
    "limit_bytes",
    type=click.IntRange(min=4_096),
    metavar="BYTES",
    default=32_768,
    show_default=True,
    help="It is never larger than this.",
)
@click.option("--home", type=click.Path(path_type=Path), metavar="DIR", help="Of Codex; $CODEX_HOME or ~/.codex.")
@click.option(
    "--auto",
    "auto_home",
    type=click.Path(path_type=Path),
    metavar="HOME",
    help="Write those of all threads there that are about to fail, and have changed, to the folder --out.",
)
@click.pass_context
def handoff(
    ctx: click.Context,
    *,
    thread: str | None,
    out: str | None,
    force: bool,
    limit_bytes: int,
    home: Path | None,
    auto_home: Path | None,
) -> None:
    """Write down what a thread was about, from its records alone, so that another can go on with its work.

    THREAD is the path of a rollout of Codex or of a transcript of Claude Code or OpenClaw, or the id of a thread of
    Codex or its beginning. This is the one command that prints what was said: it quotes the transcript, in bounded size
    and with credentials replaced.
    """
    if (thread is None) == (auto_home is None):
        raise click.UsageError("Give a THREAD, or --auto HOME.")
    if auto_home is not None and (out is None or not Path(out).is_dir()):
        raise click.UsageError("--auto needs --out FOLDER, one that exists.")
    if auto_home is not None and force:
        raise click.UsageError("--force is not for --auto: it replaces its own handoffs, and nothing else.")

    from turnscope_analyzer.handoff import command  # noqa: PLC0415 -- loads what --help must not wait for

    if auto_home is not None:
        answer = command.auto(auto_home, Path(out or "."), limit_bytes=limit_bytes)
    else:
        answer = command.answer(command.Request(thread or "", home, out, limit_bytes, force))
    print_result(answer.text)
    ctx.exit(EXIT_OK if answer.is_done else EXIT_ERROR)
