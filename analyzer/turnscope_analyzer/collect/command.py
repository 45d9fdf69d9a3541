"""Answers the ``collect`` command: collects until somebody interrupts it."""

from __future__ import annotations

import os
import signal
import threading
from typing import TYPE_CHECKING, Final

import click

from turnscope_analyzer.collect import guide
from turnscope_analyzer.collect.store import FolderInUseError

if TYPE_CHECKING:
    from pathlib import Path
    from types import FrameType

    from turnscope_analyzer.collect.collector import Collector
    from turnscope_analyzer.collect.options import Options

_SHORTEST_TOKEN: Final = 16


def collect(folder: Path, options: Options) -> None:
    """Collect into *folder* until SIGINT or SIGTERM.

    Raises:
        click.ClickException: It cannot be begun; the message says what to do.
    """
    _check(options)
    asked = _on_signal()
    collector = _begin(folder, options)
    collector.start()
    click.echo(guide.beginning(folder, collector.http, collector.grpc, with_token=options.token is not None), nl=False)
    while collector.is_alive and not asked.wait(0.5):
        pass
    failed = not collector.is_alive
    collector.stop()
    click.echo(guide.ending(folder, collector.counts, collector.lost), nl=False)
    if failed:
        raise click.ClickException("the HTTP server has ended by itself; what it said stands above.")


def _check(options: Options) -> None:
    addresses = [address for address in (options.http, options.grpc) if address is not None]
    away = next((address for address in addresses if not address.is_loopback), None)
    token = options.token
    if token is None and away is not None:
        raise click.ClickException(
            f"{away} can be reached from other machines, and no token is asked for. Set TURNSCOPE_COLLECT_TOKEN, "
            f"for example to what `openssl rand -hex 16` prints, or bind to 127.0.0.1."
        )
    if token is not None and not (len(token) >= _SHORTEST_TOKEN and token.isascii() and token.isprintable()):
        raise click.ClickException(f"the token must have {_SHORTEST_TOKEN} or more characters, all of them ASCII.")
    if options.memory_bytes < options.body_bytes:
        raise click.ClickException("--memory-mib must not be less than --body-mib: no body of that size would fit.")


def _begin(folder: Path, options: Options) -> Collector:
    # gRPC would write about a port that is taken to stderr by itself; here it is said better.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    try:
        from turnscope_analyzer.collect.collector import Collector  # noqa: PLC0415 -- needs the extra
        from turnscope_analyzer.collect.over_grpc import PortTakenError  # noqa: PLC0415 -- likewise
    except ModuleNotFoundError as error:
        raise click.ClickException(
            f"{error.name} is not installed. Collecting needs an extra: pip install 'turnscope[collect]'"
        ) from error
    try:
        return Collector(folder, options)
    except FolderInUseError as error:
        raise click.ClickException(
            f"process {error} collects into {folder} already. Give this one another folder, or stop that one."
        ) from error
    except PortTakenError as error:
        raise click.ClickException(
            f"cannot listen on {error}: the port is taken, or the address is not this machine's. Another collector "
            f"may be running; choose another port with --bind or --grpc, port 0 for any, or --grpc off."
        ) from error
    except OSError as error:
        raise click.ClickException(f"cannot write into {folder}: {error.strerror or error}.") from error


def _on_signal() -> threading.Event:
    asked = threading.Event()

    def end(_number: int, _frame: FrameType | None) -> None:
        asked.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, end)
    return asked
