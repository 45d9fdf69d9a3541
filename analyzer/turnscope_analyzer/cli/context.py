"""The command ``context``: its options."""

from __future__ import annotations

from pathlib import Path

import click

from turnscope_analyzer.cli.common import print_result


@click.command(epilog="Exit codes: 0 done, 1 the thread cannot be read, 2 wrong usage.")
@click.argument("thread", metavar="THREAD")
@click.option("--turns", type=click.IntRange(min=0), default=20, show_default=True, help="So many turns one by one.")
@click.option("--json", "as_json", is_flag=True, help="For a program; docs/context.md is the contract.")
@click.option("--home", type=click.Path(path_type=Path), metavar="DIR", help="Of Codex; $CODEX_HOME or ~/.codex.")
def context(*, thread: str, turns: int, as_json: bool, home: Path | None) -> None:
    """Say where the context of a Codex thread comes from, what stands in it twice, and what could be taken out.

    THREAD is the path of a rollout, or a thread's id or its beginning. Sizes, kinds and hashes are printed, never what
    was said.
    """
    from turnscope_analyzer.context import command  # noqa: PLC0415 -- loads what --help must not wait for

    answer = command.answer(thread, home, as_json=as_json, turns=turns)
    print_result(answer.encode() if as_json else answer)
