"""Says what a collector has refused of a journal that somebody sends, and where in the journal that stands.

Nothing of it is missing in the analysis: a batch that was refused stays in the journal. What is missing is at the
collector, and whoever looks there must not take its silence for a turn that went well.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import orjson

from turnscope.ship.cursor import SIGNALS, path_of
from turnscope_analyzer.model import Reject
from turnscope_analyzer.report.wording import counted, iso_instant

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from turnscope.ship.cursor import Signal

ITEMS: Final[dict[Signal, str]] = {"traces": "span", "logs": "log record"}
_MAX_PLACES: Final = 3


class Deliveries(NamedTuple):
    """What the cursors beside some journals say: sentences for the report, and cursors that say nothing."""

    notes: tuple[str, ...]
    rejects: tuple[Reject, ...]


def deliveries_of(journals: Iterable[Path]) -> Deliveries:
    """Return what was refused of each journal in *journals*, which are folders."""
    read = [_read(path_of(folder, signal), signal) for folder in sorted(journals) for signal in SIGNALS]
    return Deliveries(
        tuple(note for one in read for note in one.notes), tuple(reject for one in read for reject in one.rejects)
    )


def _read(path: Path, signal: Signal) -> Deliveries:
    try:
        return Deliveries(tuple(_notes(path, signal, orjson.loads(path.read_bytes()))), ())
    except FileNotFoundError:
        return Deliveries((), ())
    except OSError as error:
        return Deliveries((), (Reject(str(path), 0, f"cannot be read: {error.strerror}"),))
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, OverflowError):
        why = "is no cursor of a shipper; the journal will be sent again as a whole"
        return Deliveries((), (Reject(str(path), 0, why),))


def _notes(path: Path, signal: Signal, cursor: dict[str, Any]) -> Iterator[str]:
    refused, rejected = int(cursor["refused_items"]), int(cursor["rejected"])
    if refused > 0:
        batches = cursor["refused"]
        last = batches[-1]
        places = [_place(path, name, *span) for batch in reversed(batches) for name, span in batch["read"].items()]
        more = f" and {len(places) - _MAX_PLACES:,} more" if len(places) > _MAX_PLACES else ""
        yield (
            f"the collector refused {counted(refused, ITEMS[signal])}, last at {iso_instant(int(last['t']))} with "
            f"{last['receipt']}; they are in the journal and are not sent again: "
            f"{', '.join(places[:_MAX_PLACES])}{more}. Find in the collector's own log what it had against them; "
            f"once that is mended, stop who sends and remove {path}: then all is sent again, with the same ids"
        )
    if rejected > 0:
        yield (
            f"the collector rejected {counted(rejected, ITEMS[signal])} in batches that it took in part ({path}); "
            f"which ones only its own log can say. They are in the journal and are not sent again"
        )


def _place(path: Path, name: str, start: int, end: int) -> str:
    return f"{path.parent.parent / name}:{int(start)}-{int(end)}"
