"""The command ``ship``: its options, and what it ends with."""

from __future__ import annotations

from pathlib import Path

import click

from turnscope_analyzer.cli.common import EXIT_ERROR, EXIT_OK, default_journal, print_result


@click.command(epilog="Exit codes: 0 everything that is there was taken, 1 something was not, 2 wrong usage.")
@click.argument("path", metavar="[PATH]", required=False, type=click.Path(path_type=Path))
@click.option("--follow", is_flag=True, help="Go on with what is recorded, until interrupted.")
@click.option(
    "--patience",
    "patience_s",
    type=click.FloatRange(min=0),
    metavar="SECONDS",
    default=30.0,
    show_default=True,
    help="Without --follow: how long a collector that does not answer is tried.",
)
@click.option(
    "--prometheus",
    metavar="HOST:PORT",
    help="With --follow: also serve metrics of the turns in the journal, at 127.0.0.1:9464 for example.",
)
@click.pass_context
def ship(ctx: click.Context, *, path: Path | None, follow: bool, patience_s: float, prometheus: str | None) -> None:
    """Send a journal over OTLP: spans of what has ended, log records of each phase.

    PATH is the folder of the journal; without one, $TURNSCOPE_JOURNAL or else ./traces. It is sent from where the last
    one came to, whichever process recorded it, running or gone. OTEL_EXPORTER_OTLP_ENDPOINT and the other variables
    of OpenTelemetry say where to, and how.
    """
    if prometheus is not None and not follow:
        raise click.UsageError("--prometheus goes with --follow: there is nobody to ask once the command has ended.")

    from turnscope_analyzer import shipping  # noqa: PLC0415 -- loads what --help must not wait for

    shipped = shipping.ship(path or default_journal(), follow=follow, patience_s=patience_s, prometheus=prometheus)
    print_result(shipped.text)
    ctx.exit(EXIT_OK if shipped.is_done else EXIT_ERROR)
