"""The pages say what is so: their examples run, their commands and links exist, their tables are the vocabulary."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from docs_kit import (
    PAGES,
    ROOT,
    blocks,
    doctor_sections,
    examples,
    gateway,
    leave_an_orphan,
    metrics_tables,
    phases_after,
    rules_table,
    run,
    vocabulary_tables,
)
from turnscope.metrics.names import BUCKETS_S, MOST_MODELS
from turnscope_analyzer.cli import main
from turnscope_analyzer.discover import JOURNAL
from turnscope_analyzer.sources.registry import SOURCES

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Iterator
    from pathlib import Path

    import click

LINK = re.compile(r"\[[^\]]+\]\(([^)\s]+)\)")
COMMAND = re.compile(
    r"^(?:\$ )?((?:turnscope )?analyze\b.*|turnscope (?:ship|collect|doctor|context|handoff)\b.*|make \w+.*"
    r"|python -m .*|(?:bash )?\.ci/run)$",
    re.MULTILINE,
)
CODE = re.compile(r"`([^`\n]+)`")


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


def commands(page: Path) -> Iterator[list[str]]:
    """Yield the commands that *page* shows, in blocks and in its sentences, as words."""
    text = page.read_text("utf-8")
    shown = [found for kind in ("console", "sh", "") for body in blocks(page, kind) for found in COMMAND.findall(body)]
    said = [code for code in CODE.findall(text) if COMMAND.fullmatch(code)]
    for command in shown + said:
        yield command.partition("#")[0].partition("|")[0].split()


def test_the_examples_run_and_leave_the_marks_that_stand_below_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, loop: asyncio.AbstractEventLoop
) -> None:
    page = ROOT / "docs/recording.md"
    leave_an_orphan(tmp_path)
    monkeypatch.chdir(tmp_path)
    names = gateway(loop)
    told, written = [], []
    seen: set[tuple[str, int]] = set()
    phases_after(tmp_path / "traces", seen)

    for example in examples(page):
        run(page, example, names, loop)
        told.append((example.line, example.marks))
        written.append((example.line, phases_after(tmp_path / "traces", seen)))

    assert len(told) > 10
    assert written == told


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_somewhere(page: Path) -> None:
    links = [link.partition("#")[0] for link in LINK.findall(page.read_text("utf-8"))]

    assert [link for link in links if link and "://" not in link and not (page.parent / link).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_commands_and_their_options_exist(page: Path) -> None:
    for command in commands(page):
        assert problem_of(command) is None, command


def problem_of(command: list[str]) -> str | None:
    if command[0] == "make":
        targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
        return None if command[1] in targets else "no such target"
    if command[0] == "python":
        module = ROOT / command[2].replace(".", "/")
        return None if module.with_suffix(".py").exists() or (module / "__main__.py").exists() else "no such module"
    if command[-1] == ".ci/run":
        return None if (ROOT / ".ci/run").exists() else "no such script"
    name, *words = command[command[0] == "turnscope" :]
    return option_problem(main.commands[name], words)


def option_problem(command: click.Command, words: list[str]) -> str | None:
    """Say what click has against *words*; a value in capital letters stands for one that fits."""
    known = {option for parameter in command.params for option in parameter.opts} | {"--help"}
    unknown = [word for word in words if word.startswith("--") and word.partition("=")[0] not in known]
    return f"unknown: {unknown}" if unknown else None


def test_the_page_of_analyze_has_its_options() -> None:
    page = (ROOT / "docs/analyze.md").read_text("utf-8")
    options = {option for parameter in main.commands["analyze"].params for option in parameter.opts if "-" in option}

    assert sorted(re.findall(r"^\| `(--\w+)", page, re.MULTILINE)) == sorted(options)


def test_the_page_of_shipping_has_its_options_and_variables() -> None:
    page = (ROOT / "docs/shipping.md").read_text("utf-8")
    options = {option for parameter in main.commands["ship"].params for option in parameter.opts if "-" in option}
    settings = (ROOT / "tracer/turnscope/ship/settings.py").read_text("utf-8")

    assert sorted(re.findall(r"^\| `(--\w+)", page, re.MULTILINE)) == sorted(options)
    assert [name for name in re.findall(r'_of\("(\w+)"', settings) if name not in page] == []


def test_the_page_of_rescue_has_its_options() -> None:
    page = (ROOT / "docs/rescue.md").read_text("utf-8")
    options = {option for parameter in main.commands["rescue"].params for option in parameter.opts if "-" in option}

    assert sorted(re.findall(r"^\| `(--[\w-]+)", page, re.MULTILINE)) == sorted(options)


@pytest.mark.parametrize("name", ["context", "handoff"])
def test_the_pages_of_context_and_handoff_have_their_options(name: str) -> None:
    page = (ROOT / f"docs/{name}.md").read_text("utf-8")
    options = {option for parameter in main.commands[name].params for option in parameter.opts if "-" in option}

    assert sorted(re.findall(r"^\| `(--[\w-]+)", page, re.MULTILINE)) == sorted(options)


def test_the_page_of_collecting_has_its_options() -> None:
    page = (ROOT / "docs/collecting.md").read_text("utf-8")
    options = {option for parameter in main.commands["collect"].params for option in parameter.opts if "-" in option}
    rows = re.findall(r"^\| (`--.*?) \|", page, re.MULTILINE)

    assert sorted(re.findall(r"`(--[\w-]+)`", " ".join(rows))) == sorted(options)


def test_the_page_of_the_doctor_has_its_options() -> None:
    page = (ROOT / "docs/doctor.md").read_text("utf-8")
    options = {option for parameter in main.commands["doctor"].params for option in parameter.opts if "-" in option}

    assert sorted(re.findall(r"^\| `(--\w+)", page, re.MULTILINE)) == sorted(options)


def test_the_page_of_the_doctor_has_a_section_a_code_from_the_table_that_the_command_uses() -> None:
    assert (ROOT / "docs/doctor.md").read_text("utf-8").endswith(f"\n\n{doctor_sections()}")


def test_the_table_of_what_is_read_has_every_source() -> None:
    page = (ROOT / "docs/analyze.md").read_text("utf-8")
    table = page.partition("## What is read\n")[2].partition("###")[0]

    assert re.findall(r"^\| `([\w-]+)`", table, re.MULTILINE) == [JOURNAL, *(source.kind for source in SOURCES)]


def test_the_table_of_rules_is_what_decides() -> None:
    assert f"\n\n{rules_table()}" in (ROOT / "docs/analyze.md").read_text("utf-8")


@pytest.mark.parametrize("heading", metrics_tables())
def test_the_page_of_metrics_is_the_table_of_names(heading: str) -> None:
    page = (ROOT / "docs/metrics.md").read_text("utf-8")

    assert f"## {heading}\n\n{metrics_tables()[heading]}" in page


def test_the_page_of_metrics_has_the_buckets_and_the_caps() -> None:
    page = " ".join((ROOT / "docs/metrics.md").read_text("utf-8").split())

    assert f"{', '.join(f'{bound:g}' for bound in BUCKETS_S)} s" in page
    assert f"the first {MOST_MODELS} models" in page


@pytest.mark.parametrize("heading", vocabulary_tables())
def test_the_page_of_phases_is_the_vocabulary(heading: str) -> None:
    page = (ROOT / "docs/phases.md").read_text("utf-8")

    assert f"## {heading}\n\n{vocabulary_tables()[heading]}" in page


def test_the_index_of_docs_names_every_page() -> None:
    index = (ROOT / "docs/README.md").read_text("utf-8")

    assert [page.name for page in ROOT.glob("docs/*.md") if f"]({page.name})" not in index] == ["README.md"]
