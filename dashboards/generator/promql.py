"""Writes queries for Prometheus; a metric or a label that nothing emits is an error here, not an empty panel later."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from turnscope.metrics.names import METRIC

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

JOB: Final = "$job"
"""The variable of every dashboard that chooses whose turns are shown."""

STEP: Final = "$__rate_interval"
"""Window of a rate in a graph: Grafana makes it as long as two points are apart, and no shorter than four scrapes."""

RANGE: Final = "$__range"
"""The whole time that the dashboard shows."""

OF_THE_SCRAPE: Final = ("job", "instance")
"""Labels that Prometheus gives to every series by itself."""

BUDGET: Final = "turnscope:phase_stuck_after:seconds"
"""What `dashboards.generator.budgets` records: seconds after which a wait in a phase is stuck."""

VERSION: Final = "service_version"
"""``service.version`` of the process, as ``target_info`` has it."""


class UnknownNameError(ValueError):
    """A query asks for what nothing emits."""


class Series(NamedTuple):
    """A selector and the labels that its series have."""

    text: str
    labels: tuple[str, ...]


def series(
    name: str, part: str = "", *, only: Mapping[str, str] | None = None, without: Mapping[str, str] | None = None
) -> Series:
    """Select the series of a metric of the chosen jobs.

    Args:
        name: Its name in the table of metrics.
        part: ``_bucket``, ``_sum`` or ``_count`` of a histogram.
        only: Label -> regular expression that it has to match.
        without: Label -> regular expression that it must not match.

    Raises:
        UnknownNameError: There is no such metric, or it has no such label or part.
    """
    metric = METRIC.get(name)
    if metric is None:
        raise UnknownNameError(f"no metric is called {name}")
    if (part != "") != (metric.instrument == "histogram"):
        raise UnknownNameError(f"{name} is a {metric.instrument}: it has no part {part!r}")
    labels = (*metric.labels, *OF_THE_SCRAPE, *(("le",) if part == "_bucket" else ()))
    conditions = {"job": f'=~"{JOB}"'}
    conditions |= {label: f'=~"{pattern}"' for label, pattern in (only or {}).items()}
    conditions |= {label: f'!~"{pattern}"' for label, pattern in (without or {}).items()}
    _check(conditions, labels, name)
    text = ", ".join(label + condition for label, condition in conditions.items())
    return Series(f"{metric.prometheus}{part}{{{text}}}", labels)


def rate(of: Series) -> Series:
    """Return how much a counter grows a second."""
    return Series(f"rate({of.text}[{STEP}])", of.labels)


def increase(of: Series, window: str = STEP) -> Series:
    """Return by how much a counter grew in a window."""
    return Series(f"increase({of.text}[{window}])", of.labels)


def with_version(of: Series) -> Series:
    """Give each series the version of its process.

    Of a process that has just been replaced by another version there are two for a moment; one is taken.
    """
    info = f'topk by (job, instance) (1, target_info{{job=~"{JOB}"}})'
    return Series(f"{of.text} * on (job, instance) group_left ({VERSION}) {info}", (*of.labels, VERSION))


def total(of: Series, *by: str) -> Series:
    """Return the sum, one for each combination of the labels *by*."""
    return _aggregate("sum", of, by)


def most(of: Series, *by: str) -> Series:
    """Return the largest, one for each combination of the labels *by*."""
    return _aggregate("max", of, by)


def quantile(share: float, buckets: Series, *by: str) -> Series:
    """Return a quantile of a histogram from the growth of its buckets."""
    return Series(f"histogram_quantile({share:g}, {total(buckets, 'le', *by).text})", by)


def or_zero(expr: str) -> str:
    """Return 0 where there is no series: nothing stuck is a figure, too."""
    return f"{expr} or vector(0)"


def _aggregate(how: str, of: Series, by: tuple[str, ...]) -> Series:
    _check(by, of.labels, of.text)
    grouping = f" by ({', '.join(by)})" if by else ""
    return Series(f"{how}{grouping} ({of.text})", by)


def _check(wanted: Iterable[str], labels: tuple[str, ...], what: str) -> None:
    unknown = sorted(set(wanted) - set(labels))
    if unknown:
        raise UnknownNameError(f"{what} has no label {', '.join(unknown)}; it has {', '.join(labels)}")
