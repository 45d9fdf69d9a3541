"""The recorder of this process: what ``configure()`` sets up and every turn writes through.

A setting that cannot work is said at once, in ``configure()``. After that nothing here fails, delays or ends a turn:
what cannot be recorded is counted in the journal.
"""

from __future__ import annotations

import atexit
import importlib
import itertools
import logging
import os
import time
from typing import TYPE_CHECKING, Final

from turnscope import current
from turnscope._guard import guard
from turnscope.checks import check_sizes, checked_budgets, usable_folder
from turnscope.errors import ConfigurationError
from turnscope.inbox import Inbox
from turnscope.journal import Journal
from turnscope.metrics.begin import metrics_of, plan_for
from turnscope.redact import Redactor
from turnscope.ship.begin import shipper_for
from turnscope.watch import Watch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path
    from types import ModuleType

    from opentelemetry.metrics import MeterProvider
    from opentelemetry.sdk.trace.export import SpanExporter

    from turnscope.journal import JournalLike
    from turnscope.metrics.address import Address
    from turnscope.metrics.meters import Metrics
    from turnscope.ship.shipper import Shipper
    from turnscope.turn import Turn
    from turnscope.watch import StuckPhase

log = logging.getLogger("turnscope")

_DIGITS: Final = "0123456789abcdefghijklmnopqrstuvwxyz"
_IDS_BEGIN_S: Final = 1_577_836_800  # 2020-01-01: seconds and 31 random bits fill the 12 digits until 2089
_RANDOM_BITS: Final = 31
_LONGEST_END_S: Final = 0.4


class Recorder:
    """Everything that the turns of one process share.

    Args:
        journal: Takes the lines; ``None`` records nothing.
        wall_ns: Wall clock, nanoseconds since the epoch.
        mono_ns: Monotonic clock, nanoseconds.
        new_id: Draws the id of a turn.
        inbox: Keeps the prompts of open turns, if the user wants that.
        folder: Where the journal is, if it is on disk.
        sync: Brings an ``accepted`` to the disk itself, if the user wants that.
        shipper: Sends the journal, if the user wants that; it ends with the recorder.

    Attributes:
        metrics: Tells in figures what is recorded, if the user wants that; it ends with the recorder, too.
    """

    __slots__ = (
        "_new_id", "append", "enabled", "folder", "inbox", "journal", "metrics", "mono_ns", "next_seq", "plain_names",
        "plain_texts", "redactor", "shipper", "sync", "turns", "wall_ns",
    )  # fmt: skip

    def __init__(
        self,
        journal: JournalLike | None,
        *,
        wall_ns: Callable[[], int] = time.time_ns,
        mono_ns: Callable[[], int] = time.monotonic_ns,
        new_id: Callable[[], str] | None = None,
        inbox: Inbox | None = None,
        folder: Path | None = None,
        sync: Callable[[], None] | None = None,
        shipper: Shipper | None = None,
    ) -> None:
        self.enabled = journal is not None
        self.journal: JournalLike = _Nothing() if journal is None else journal
        self.wall_ns, self.mono_ns = wall_ns, mono_ns
        self.inbox, self.folder, self.sync, self.shipper = inbox, folder, sync, shipper
        self.redactor = Redactor(self.journal.drop)
        # What every mark needs, bound once: an attribute of an attribute costs as much as reading a clock.
        self.append = self.journal.append
        self.plain_names, self.plain_texts = self.redactor.names, self.redactor.passed
        self.next_seq = itertools.count(1).__next__
        self.turns: dict[str, Turn] = {}
        self.metrics: Metrics | None = None
        self._new_id = new_id

    def new_id(self) -> str:
        """Return an id for a turn: ordered by the second, unique across processes, 12 characters."""
        return self._new_id() if self._new_id is not None else turn_id_at(self.wall_ns())

    def own_turns(self) -> list[Turn]:
        """Return the open turns that this process began; in a forked child the parent's are left out."""
        process_id = self.journal.process_id
        return [turn for turn in self.turns.copy().values() if turn.process_id == process_id]

    def carry(self) -> Iterator[bytes]:
        """Yield the lines that a new segment repeats, so that older ones can go."""
        for turn in self.own_turns():
            yield from turn.carried()

    def close(self) -> None:
        """Say goodbye in the journal. Turns that are still open are named there, not ended."""
        with guard:
            self.journal.close([turn.id for turn in self.own_turns()])
        until_s = time.monotonic() + _LONGEST_END_S
        with guard:
            if self.metrics is not None:
                self.metrics.end()
        with guard:
            if self.shipper is not None:
                self.shipper.stop()
        with guard:
            if self.metrics is not None:
                self.metrics.wait(until_s - time.monotonic())


class _Nothing:
    """The journal of a recorder that is switched off."""

    process_id = ""

    def append(self, line: bytes) -> None:
        """Keep nothing."""

    def drop(self, reason: str, count: int = 1) -> None:
        """Count nothing."""

    def slot(self, seq: int) -> None:
        """Have no slots."""

    def close(self, open_turns: object) -> None:
        """Have nothing to close."""


_OFF: Final = Recorder(None)
_active: Recorder | None = None
_at_exit = False


def active() -> Recorder:
    """Return the recorder that is configured; one that records nothing, after a warning, when none is."""
    global _active  # noqa: PLW0603 - the one recorder of the process
    if _active is None:
        log.warning("turnscope is not configured and records nothing; call turnscope.configure() at start-up")
        _active = _OFF
    return _active


def activate(recorder: Recorder | None) -> Recorder | None:
    """Make *recorder* the one that new turns record with, and return the one before."""
    global _active
    before, _active = _active, recorder
    guard.count_into(recorder.journal.drop if recorder is not None else None)
    return before


def configure(
    journal: str | os.PathLike[str] | None = None,
    *,
    service: str = "",
    budgets: Mapping[str, float | tuple[float, float]] | None = None,
    segment_bytes: int = 8 << 20,
    cap_bytes: int = 1 << 30,
    keep_days: float = 14,
    inbox: bool = False,
    sync_accepted: bool = False,
    on_stuck: Callable[[StuckPhase], None] | None = None,
    otlp: bool | SpanExporter | None = None,
    metrics: bool | MeterProvider | None = None,
    prometheus: str | None = None,
) -> Recorder:
    """Begin to record; call it once, at start-up. A second call ends the first recorder.

    ``TURNSCOPE_DISABLED=1`` in the environment switches everything off.

    Args:
        journal: The folder to record into; else ``TURNSCOPE_JOURNAL``, else ``traces``. Made when it is missing.
        service: The gateway's name, for the reports.
        budgets: Phase -> seconds until it is stuck, or (seconds until slow, seconds until stuck).
        segment_bytes: Size at which a file of the journal is closed and the next one begun.
        cap_bytes: How much the folder may hold before its oldest closed files go.
        keep_days: How long closed files are kept.
        inbox: Keep the text of prompts on disk until their turn has ended, so that ``recover()`` can give it back.
        sync_accepted: Wait for the disk on each ``accepted``, so that it survives a power cut, too.
        on_stuck: Called, on a thread of the recorder's, once for each wait that has passed its budget.
        otlp: Whether the journal is sent over OTLP, or the exporter that takes its spans; by default it is sent if the
            environment has an ``OTEL_EXPORTER_OTLP_ENDPOINT``.
        metrics: Whether metrics are sent over OTLP, or the provider that they are added to; by default they are sent if
            the environment has an ``OTEL_EXPORTER_OTLP_ENDPOINT``.
        prometheus: ``HOST:PORT`` to serve metrics at, such as ``127.0.0.1:9464``; needs ``turnscope[prometheus]``.

    Raises:
        ConfigurationError: A setting cannot work. The recorder that was there before goes on.
    """
    limits = checked_budgets(budgets or {})
    check_sizes(segment_bytes=segment_bytes, cap_bytes=cap_bytes, keep_days=keep_days)
    if not isinstance(service, str) or (on_stuck is not None and not callable(on_stuck)):
        raise ConfigurationError("service must be a string, and on_stuck a function; nothing was started")
    if os.environ.get("TURNSCOPE_DISABLED", "") not in {"", "0"}:
        return _replace(_OFF)
    folder = usable_folder(journal)
    shipper = shipper_for(folder, otlp=otlp)
    plan = plan_for(metrics=metrics, prometheus=prometheus, taken=_served_at())
    kept = Journal(
        folder,
        service=service,
        budgets=limits,
        segment_bytes=segment_bytes,
        cap_bytes=cap_bytes,
        keep_s=keep_days * 86_400,
        carry=lambda: recorder.carry(),  # noqa: PLW0108 - the recorder comes after its journal; nothing rolls before
        sync_accepted=sync_accepted,
    )
    prompts = Inbox(folder / "inbox") if inbox else None
    if prompts is not None:
        with guard:
            prompts.forget_before(time.time() - keep_days * 86_400)
    recorder = Recorder(kept, inbox=prompts, folder=folder, sync=kept.sync if sync_accepted else None, shipper=shipper)
    if on_stuck is not None or plan is not None:
        watch = Watch(recorder, limits, on_stuck)
        kept.on_pulse.append(watch.check)
    if plan is not None:
        recorder.metrics = metrics_of(plan, recorder, kept, watch, service)
        kept.on_pulse.append(recorder.metrics.pulse)
    current.use_opentelemetry(find_opentelemetry())
    return _replace(recorder)


def shutdown() -> None:
    """Stop recording and say so in the journal; returns at once. Also runs by itself when the process exits."""
    before = activate(_OFF)
    if before is not None:
        before.close()


def turn_id_at(wall_ns: int) -> str:
    """Return a new turn id whose first digits are the second of *wall_ns*."""
    second = max(0, wall_ns // 1_000_000_000 - _IDS_BEGIN_S)
    number = (second << _RANDOM_BITS) | (int.from_bytes(os.urandom(4), "big") >> (32 - _RANDOM_BITS))
    digits = []
    for _ in range(12):
        number, digit = divmod(number, 36)
        digits.append(_DIGITS[digit])
    return "".join(reversed(digits))


def _replace(recorder: Recorder) -> Recorder:
    global _at_exit  # noqa: PLW0603 - registered once, however often it is configured
    if not _at_exit:
        _at_exit = True
        atexit.register(shutdown)
    before = activate(recorder)
    if before is not None:
        before.close()
    if recorder.shipper is not None:
        recorder.shipper.start()  # not before: the last one may have sent the same journal
    if recorder.metrics is not None:
        recorder.metrics.start()  # or served at the same port
    return recorder


def _served_at() -> Address | None:
    metrics = None if _active is None else _active.metrics
    return None if metrics is None else metrics.address


def find_opentelemetry() -> ModuleType | None:
    """Return what carries OpenTelemetry's context along; ``None`` where its API is not installed."""
    try:
        return importlib.import_module("turnscope._otel")
    except ImportError:
        return None
