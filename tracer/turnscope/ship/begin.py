"""Decides at start-up whether the journal of this process is sent, and by whom; loads nothing that sends."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from turnscope.errors import ConfigurationError
from turnscope.ship.settings import is_asked_for, settings_for

if TYPE_CHECKING:
    from pathlib import Path

    from opentelemetry.sdk.trace.export import SpanExporter

    from turnscope.ship.shipper import Shipper

log = logging.getLogger("turnscope")


def shipper_for(journal: Path, *, otlp: bool | SpanExporter | None) -> Shipper | None:
    """Return what sends *journal*, not yet started; None when it is not to be sent.

    Args:
        journal: The folder.
        otlp: True or False; an exporter; None: when the environment says where to.

    Raises:
        ConfigurationError: It was asked for by the caller, and a variable has a value that cannot work.
    """
    if otlp is False or (otlp is None and not is_asked_for()):
        return None
    from turnscope.ship.shipper import Shipper  # noqa: PLC0415 -- a gateway that sends nothing does without

    if otlp is None or otlp is True:
        try:
            settings_for("traces"), settings_for("logs")
        except ConfigurationError as error:
            if otlp:
                raise
            # The variables may be meant for others in this process; they must not keep a gateway from starting.
            log.warning("%s; the journal is not sent", error)
            return None
        return Shipper(journal)
    if not callable(getattr(otlp, "export", None)):
        raise ConfigurationError("otlp must be True, False or a SpanExporter; nothing was started")
    return Shipper(journal, exporter=otlp)
