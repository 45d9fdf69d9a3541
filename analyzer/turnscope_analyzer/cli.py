"""The commands: arguments in, text out. Results go to stdout and everything else to stderr.

Nothing but click is imported before a command runs, so that ``--help`` answers at once.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from turnscope_analyzer import arguments

if TYPE_CHECKING:
    from collections.abc import Iterable

    from turnscope_analyzer.collect.addresses import Address

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


_version = click.option(
    "--version", is_flag=True, is_eager=True, expose_value=False, callback=_print_version, help="Say which."
)


_colour = click.option(
    "--color", "colour", type=click.Choice(["auto", "always", "never"]), default="auto", help="auto heeds NO_COLOR."
)


@click.group()
@_version
def main() -> None:
    """Read what agents and gateways recorded of their turns."""


@main.command(
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
@_colour
@_version
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
    paths = paths or (_default_journal(),)

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
            colour=_wants_colour(colour),
        )
    )
    # Bytes for a program or a bug tracker: both are UTF-8, whatever the terminal is set to.
    _print(answer.text.encode() if as_json or as_markdown else answer.text)
    ctx.exit(EXIT_STUCK if answer.stuck else EXIT_OK)


@main.command(epilog="Exit codes: 0 everything that is there was taken, 1 something was not, 2 wrong usage.")
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

    shipped = shipping.ship(path or _default_journal(), follow=follow, patience_s=patience_s, prometheus=prometheus)
    _print(shipped.text)
    ctx.exit(EXIT_OK if shipped.is_done else EXIT_ERROR)


@main.command(epilog="Exit codes: 0 done, or it would be; 1 it cannot be done, or not now; 2 wrong usage.")
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
    _print(answer.text)
    ctx.exit(EXIT_OK if answer.is_done else EXIT_ERROR)


@main.command(
    epilog="Exit codes: 0 no error was found, 1 nothing could be looked at, 2 wrong usage, 3 an error was found."
)
@click.argument("homes", metavar="[HOME]...", nargs=-1, type=click.Path(path_type=Path))
@click.option("--now", "now_ns", type=arguments.instant, metavar="TIME", help="Judge as of this time, instead of now.")
@click.option("--json", "as_json", is_flag=True, help="For a program; docs/doctor.md is the contract.")
@click.option("--fix", metavar="CODE", help="Say how the findings of a code would be repaired.")
@click.option("--apply", "do", is_flag=True, help="With --fix: do it, with a backup; the gateway has to be stopped.")
@click.option("--undo", metavar="FOLDER", type=click.Path(path_type=Path), help="Take back the repair of this folder.")
@_colour
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
            _print(fixing.take_back(undo))
            return
        fixed = fixing.fix(str(fix), homes, do=do)
        _print(fixed.text)
        ctx.exit(EXIT_FOUND if fixed.left else EXIT_OK)

    from turnscope_analyzer.doctor import command  # noqa: PLC0415 -- loads the engine, which --help must not wait for

    answer = command.answer(homes, now_ns=now_ns, as_json=as_json, colour=_wants_colour(colour))
    _print(answer.text.encode() if as_json else answer.text)
    ctx.exit(EXIT_FOUND if answer.ill else EXIT_OK)


@main.command(epilog="Exit codes: 0 it was interrupted, 1 it could not begin or go on, 2 wrong usage.")
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
        folder or Path(os.environ.get("TURNSCOPE_JOURNAL") or "traces"),
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


def _default_journal() -> Path:
    path = Path(os.environ.get("TURNSCOPE_JOURNAL") or "traces")
    if not path.exists():
        raise click.ClickException(
            f"no PATH was given, and the default journal, {path}, does not exist. "
            "Give the folder that the recorder writes to, or set TURNSCOPE_JOURNAL to it."
        )
    return path


def _wants_colour(choice: str) -> bool:
    if choice != "auto":
        return choice == "always"
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def _print(text: str | bytes) -> None:
    """Write *text* to stdout; a reader that has had enough (``| head``) is no error."""
    try:
        click.echo(text, nl=False, color=True)
    except BrokenPipeError:
        # Python flushes stdout once more at exit, and would complain then.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
