"""The commands: arguments in, text out; one module each.

Nothing but click is imported before a command runs, so that ``--help`` answers at once.
"""

from __future__ import annotations

import click

from turnscope_analyzer.cli.analyze import analyze
from turnscope_analyzer.cli.collect import collect
from turnscope_analyzer.cli.common import EXIT_ERROR, EXIT_FOUND, EXIT_OK, EXIT_STUCK, EXIT_USAGE, version_option
from turnscope_analyzer.cli.context import context
from turnscope_analyzer.cli.doctor import doctor
from turnscope_analyzer.cli.handoff import handoff
from turnscope_analyzer.cli.rescue import rescue
from turnscope_analyzer.cli.ship import ship

__all__ = ["EXIT_ERROR", "EXIT_FOUND", "EXIT_OK", "EXIT_STUCK", "EXIT_USAGE", "analyze", "main"]


@click.group()
@version_option
def main() -> None:
    """Say what became of the turns of agents, and mend what keeps them from going on."""


for _command in (analyze, ship, rescue, doctor, collect, context, handoff):
    main.add_command(_command)
