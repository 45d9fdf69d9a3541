"""The results as a page of Markdown; what people have written on it is kept."""

from __future__ import annotations

import datetime
from collections import Counter
from typing import TYPE_CHECKING, Final, NamedTuple, get_args

from bench.accuracy.grade import NOTHING, SCALE, Outcome
from turnscope_analyzer.versions import versions

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from bench.accuracy.grade import Graded, Result
    from bench.accuracy.labels import Label, Labelled

OUTCOMES: Final[tuple[Outcome, ...]] = get_args(Outcome)

KEPT_FROM: Final = "<!-- written by hand from here -->"
KEPT_UNTIL: Final = "<!-- written by hand until here -->"

_PAIR: Final = frozenset({"model_stall", "transport"})
_LIST_CAP: Final = 40
_INTRO: Final = f"""\
# Accuracy

How often a verdict is right, on captures of real programs under injected faults whose truth is known. `make accuracy`
writes this page; the captures are not part of the repository (`--data` says where they are).

- **correct**: the injected cause, or the right state of a turn that needs none.
- **honest**: another answer that the label accepts at this level of evidence: what is injected leaves the same records
  as something else, and the verdict names that, or says that it cannot be told.
- **undecided**: an answer that the label does not accept, which says itself that it is only possible, or none at all.
- **wrong**: such an answer called certain or likely. There must be none.

The faults last seconds, so that a run ends: they are judged as of the end of the run (`--now`), with all default limits
divided by {SCALE}. The labels say what the fault server did.
"""


class Unlabelled(NamedTuple):
    """What was said of files without labels; ``wrong`` are turns that end on file and were called stuck."""

    name: str
    files: int
    said: Mapping[str, int]
    wrong: Sequence[str]


def page(results: Iterable[tuple[Labelled, Result]], unlabelled: Sequence[Unlabelled], kept: str) -> str:
    """Return the page; *kept* is what people have written on it."""
    graded: dict[tuple[str, str], list[Graded]] = {}
    findings: dict[str, list[tuple[Labelled, Result]]] = {}
    known: Counter[str] = Counter()
    for labelled, result in results:
        graded.setdefault((labelled.source, labelled.level), []).extend(result.graded)
        known[labelled.source] += result.known
        if labelled.findings or result.findings:
            findings.setdefault(labelled.source, []).append((labelled, result))
    read = {key: rows for key, rows in graded.items() if known[key[0]] and rows}
    parts = [_INTRO, _stamp(), "## All at a glance\n", _summary(read)]
    parts += [
        "Model stall or transport, whose symptoms are the same. Which of the two it is can be told where headers, a\n"
        "failure or progress are on file; the label says where they are not:\n",
        _pair(read),
    ]
    parts += [f"{source}: no source reads these files; left out.\n" for source in known if not known[source]]
    parts += [f"{KEPT_FROM}\n\n{kept}\n\n{KEPT_UNTIL}\n"]
    for (source, level), rows in read.items():
        parts += [f"## {source}: {level}\n", _matrix(rows), *_lists(rows)]
    parts += _found(findings)
    parts += [_unlabelled(one) for one in unlabelled]
    return "\n".join(parts)


def kept_of(text: str) -> str:
    """Return what people have written on a page; empty where they have written nothing."""
    return text.partition(KEPT_FROM)[2].partition(KEPT_UNTIL)[0].strip("\n")


def wrong_ones(results: Iterable[tuple[Labelled, Result]], unlabelled: Iterable[Unlabelled]) -> list[str]:
    """Return the names of what was confidently said and is not so."""
    told = [graded.labelled.name for _, result in results for graded in result.graded if graded.outcome == "wrong"]
    return told + [turn for one in unlabelled for turn in one.wrong]


def _stamp() -> str:
    today = datetime.datetime.now(tz=datetime.timezone.utc).date().isoformat()
    here = versions()
    return f"{today}, turnscope {here['turnscope']}, DuckDB {here['duckdb']}, {here['python']}.\n"


def _summary(graded: Mapping[tuple[str, str], Sequence[Graded]]) -> str:
    rows = []
    for (source, level), found in graded.items():
        counts = Counter(one.outcome for one in found)
        rows.append([source, level, str(len(found)), *(str(counts[outcome]) for outcome in OUTCOMES)])
    return _table(["capture of", "evidence", "turns", *OUTCOMES], rows)


def _pair(graded: Mapping[tuple[str, str], Sequence[Graded]]) -> str:
    """Return the table of how well the two causes are told apart whose symptoms are the same."""
    rows = []
    for (source, level), found in graded.items():
        asked = [one for one in found if one.label.expected in _PAIR]
        right = [one for one in asked if one.said == one.label.expected]
        other = sum(one.said in _PAIR - {one.label.expected} for one in asked)
        told = [one for one in asked if _can_be_told(one.label)]
        counts = (len(asked), len(right), other, len(told), sum(one in right for one in told))
        if asked:
            rows.append([source, level, *map(str, counts)])
    head = ["capture of", "evidence", "turns", "right", "taken for the other", "can be told", "of these right"]
    return _table(head, rows)


def _can_be_told(label: Label) -> bool:
    """Tell whether the label takes neither the other of the pair for an answer, nor that it cannot be told."""
    return "not_determinable" not in label.accept and not (label.accept | {label.expected}) >= _PAIR


def _matrix(graded: Sequence[Graded]) -> str:
    """Return the table of what was injected against what was said."""
    counts = Counter((one.label.expected, one.said) for one in graded)
    expected = sorted({one.label.expected for one in graded})
    said = sorted({one.said for one in graded}, key=lambda word: (word not in expected, word))
    rows = [[truth, *(str(counts[truth, word] or "") for word in said)] for truth in expected]
    return _table(["injected \\ said", *said], rows)


def _lists(graded: Sequence[Graded]) -> Iterator[str]:
    for outcome, title in (("wrong", "Wrong"), ("undecided", "Undecided")):
        yield from _named(title, [one for one in graded if one.outcome == outcome])
    unsaid = [one for one in graded if one.outcome == "honest" and one.said in {"not_determinable", NOTHING}]
    yield from _named("Said to be not determinable, which is honest", unsaid)


def _named(title: str, graded: Sequence[Graded]) -> Iterator[str]:
    if not graded:
        return
    lines = Counter(
        f"- {one.labelled.name}: {one.label.expected} said to be {one.said}" + (f" (`{one.rule}`)" if one.rule else "")
        for one in graded
    )
    listed = [line + (f", {count} turns" if count > 1 else "") for line, count in lines.items()]
    more = [f"- and {len(listed) - _LIST_CAP} more"] if len(listed) > _LIST_CAP else []
    yield "\n".join([f"{title}:\n", *listed[:_LIST_CAP], *more, ""])


def _found(findings: Mapping[str, Sequence[tuple[Labelled, Result]]]) -> list[str]:
    """Return the section on contradictions in stores, empty where no capture has any."""
    rows = [
        [labelled.name, _words(labelled.findings), _words(labelled.findings - result.findings),
         _words(result.findings - labelled.findings)]
        for captures in findings.values()
        for labelled, result in captures
    ]  # fmt: skip
    if not rows:
        return []
    return ["## Contradictions in stores\n", _table(["capture", "there are", "missed", "beyond the label"], rows)]


def _unlabelled(one: Unlabelled) -> str:
    total = sum(one.said.values())
    rows = [[word, str(count)] for word, count in sorted(one.said.items(), key=lambda pair: (-pair[1], pair[0]))]
    wrong = "\n".join(f"- {turn}" for turn in one.wrong) or "None of those that end on file is called stuck."
    about = f"{one.files} files of other people, without labels: {total} turns.\n"
    return "\n".join([f"## {one.name}\n", about, _table(["said", "turns"], rows), wrong, ""])


def _words(names: Iterable[str]) -> str:
    return ", ".join(sorted(names))


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines) + "\n"
