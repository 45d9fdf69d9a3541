"""The command ``collect``: its options, and what it ends with."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from turnscope_analyzer import arguments
from turnscope_analyzer.cli.common import named_journal

if TYPE_CHECKING:
    from turnscope_analyzer.collect.addresses import Address


@click.command(epilog="Exit codes: 0 it was interrupted, 1 it could not begin or go on, 2 wrong usage.")
@click.argument("folder", metavar="[FOLDER]", required=False, type=click.Path(path_type=Path, file_okay=False))
@click.option(
    "--bind",
    "http",
    type=arguments.address,
    metavar="HOST:PORT",
    default="127.0.0.1:4318",
    show_default=True,
    help="Where to listen for HTTP; port 0 is any free one.",
)
@click.option(
    "--grpc",
    type=arguments.address_or_off,
    metavar="HOST:PORT",
    default="127.0.0.1:4317",
    show_default=True,
    help="Where to listen for gRPC, or off.",
)
@click.option(
    "--token",
    envvar="TURNSCOPE_COLLECT_TOKEN",
    metavar="TEXT",
    help="What senders must give; needed off loopback. Better set TURNSCOPE_COLLECT_TOKEN: others see a command line.",
)
@click.option("--keep-mib", type=click.IntRange(min=8), default=1024, show_default=True, help="Cap of the folder.")
@click.option(
    "--keep-days",
    type=click.FloatRange(min=0, min_open=True, max=36_500),
    default=14.0,
    show_default=True,
    help="Age at which a file goes.",
)
@click.option("--body-mib", type=click.IntRange(1, 1024), default=32, show_default=True, help="The longest request.")
@click.option(
    "--memory-mib", type=click.IntRange(1, 65_536), default=64, show_default=True, help="Cap of all under way."
)
def collect(
    *,
    folder: Path | None,
    http: Address,
    grpc: Address | None,
    token: str | None,
    keep_mib: int,
    keep_days: float,
    body_mib: int,
    memory_mib: int,
) -> None:
    """Take what OpenTelemetry exporters send, and keep what analyze needs of it, without prompts and outputs.

    FOLDER is where to; without one, $TURNSCOPE_JOURNAL or else ./traces. analyze reads it at any time, also while this
    goes on. Ends when it is interrupted.
    """
    from turnscope_analyzer.collect import command  # noqa: PLC0415 -- loads what --help must not wait for
    from turnscope_analyzer.collect.options import Options  # noqa: PLC0415

    command.collect(
        folder or named_journal(),
        Options(
            http=http,
            grpc=grpc,
            token=token or None,
            keep_bytes=keep_mib << 20,
            keep_days=keep_days,
            file_bytes=min(16, keep_mib // 4) << 20,
            body_bytes=body_mib << 20,
            memory_bytes=memory_mib << 20,
        ),
    )
