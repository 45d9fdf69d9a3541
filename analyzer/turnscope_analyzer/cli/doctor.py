"""The command ``doctor``: its options, and what it ends with."""

from __future__ import annotations

from pathlib import Path

import click

from turnscope_analyzer import arguments
from turnscope_analyzer.cli.common import EXIT_FOUND, EXIT_OK, colour_option, print_result, wants_colour


@click.command(
    epilog="Exit codes: 0 no error was found, 1 nothing could be looked at, 2 wrong usage, 3 an error was found."
)
@click.argument("homes", metavar="[HOME]...", nargs=-1, type=click.Path(path_type=Path))
@click.option("--now", "now_ns", type=arguments.instant, metavar="TIME", help="Judge as of this time, instead of now.")
@click.option("--json", "as_json", is_flag=True, help="For a program; docs/doctor.md is the contract.")
@click.option("--fix", metavar="CODE", help="Say how the findings of a code would be repaired.")
@click.option("--apply", "do", is_flag=True, help="With --fix: do it, with a backup; the gateway has to be stopped.")
@click.option("--undo", metavar="FOLDER", type=click.Path(path_type=Path), help="Take back the repair of this folder.")
@colour_option
@click.pass_context
def doctor(
    ctx: click.Context,
    *,
    homes: tuple[Path, ...],
    now_ns: int | None,
    as_json: bool,
    fix: str | None,
    do: bool,
    undo: Path | None,
    colour: str,
) -> None:
    """Say what is wrong in the homes of Codex and OpenClaw, what that does, and how to repair it.

    HOME is a Codex home, a state folder of OpenClaw, or a folder that has them in it. Without one, those of this user
    are looked at. Nothing in them is changed, but by --fix CODE --apply and by --undo.
    """
    if do and fix is None:
        raise click.UsageError("--apply goes with --fix CODE.")
    if fix is not None or undo is not None:
        from turnscope_analyzer.doctor import fix as fixing  # noqa: PLC0415 -- as below

        if undo is not None:
            print_result(fixing.take_back(undo))
            return
        fixed = fixing.fix(str(fix), homes, do=do)
        print_result(fixed.text)
        ctx.exit(EXIT_FOUND if fixed.left else EXIT_OK)

    from turnscope_analyzer.doctor import command  # noqa: PLC0415 -- loads the engine, which --help must not wait for

    answer = command.answer(homes, now_ns=now_ns, as_json=as_json, colour=wants_colour(colour))
    print_result(answer.text.encode() if as_json else answer.text)
    ctx.exit(EXIT_FOUND if answer.ill else EXIT_OK)
