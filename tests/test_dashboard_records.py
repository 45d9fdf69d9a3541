"""Queries for spans and log records, in dashboards and in docs, hold to what the shipper really sends."""

from __future__ import annotations

import contextvars
import re
from typing import TYPE_CHECKING, NamedTuple

import pytest

import turnscope
from collector_kit import HttpCollector, wait_until
from dashboard_kit import BOARDS, ROOT, links, load, targets
from ship_kit import FAST, point_at
from turnscope.attributes import ERROR_KIND
from turnscope.phases import PHASE
from turnscope.ship.shipper import Shipper

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

PAGE = ROOT / "docs/dashboards.md"
OF_LOKI = {"service_name", "trace_id", "span_id"}
"""Labels that Loki makes of the resource and of the record itself."""


class Sent(NamedTuple):
    """Names that were on the wire."""

    spans: set[str]
    on_spans: set[str]
    resources: set[str]
    events: set[str]
    on_records: set[str]


@pytest.fixture(scope="module")
def sent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sent]:
    """Send a turn that ends well, one that fails, one that ends before its request, and one that waits for approval."""
    folder = tmp_path_factory.mktemp("traces")
    with pytest.MonkeyPatch.context() as patch, HttpCollector().open() as collector:
        point_at(collector, patch)
        patch.setenv("OTEL_RESOURCE_ATTRIBUTES", "service.version=1.2.3")
        turnscope.configure(folder, service="gw", otlp=False)
        # The turns that hang stay open: in a context of their own they are no other test's current turn.
        contextvars.copy_context().run(_record)
        shipper = Shipper(folder, pace=FAST)
        shipper.start()
        arrived = wait_until(lambda: "turnscope.span.heartbeat" in _events(collector) and len(collector.spans) > 10)
        turnscope.shutdown()
        shipper.stop()
        assert arrived
        yield Sent(
            {span.name for span in collector.spans},
            {pair.key for span in collector.spans for pair in span.attributes},
            {
                pair.key
                for request in collector.requests
                if hasattr(request, "resource_spans")
                for part in request.resource_spans
                for pair in part.resource.attributes
            },
            _events(collector),
            {pair.key for record in collector.records for pair in record.attributes},
        )


def _record() -> None:
    turn = turnscope.accept("chat-1")
    with turn.queue():
        pass
    with turn, turnscope.compaction(trigger="window"):
        pass
    with pytest.raises(ConnectionResetError), turnscope.turn("chat-2"), turnscope.upstream(model="large"):
        raise ConnectionResetError
    hasty = turnscope.accept("chat-3")
    hasty.mark("started")
    hasty.upstream(model="large").__enter__().headers(200)
    hasty.complete()
    turnscope.accept("chat-4").tool("deploy", call_id="c1").__enter__().awaiting_approval()


def _events(collector: HttpCollector) -> set[str]:
    return {record.body.string_value for record in list(collector.records)}


def traceql(texts: Iterable[str]) -> list[str]:
    """Return what stands in braces and looks like TraceQL."""
    return [found for text in texts for found in re.findall(r"\{[^{}]*(?:span\.|name\s*=)[^{}]*\}", text)]


def unknown_in_traceql(query: str, sent: Sent) -> list[str]:
    unknown = [f"span.{name}" for name in re.findall(r"span\.([\w.]+)", query) if name not in sent.on_spans]
    kinds = [kind for said in re.findall(r'span\.error\.type =~? "([^"]+)"', query) for kind in said.split("|")]
    unknown += [kind for kind in kinds if kind not in ERROR_KIND]
    unknown += [name for name in re.findall(r"resource\.([\w.]+)", query) if name not in sent.resources]
    for pattern in re.findall(r'\bname\s*=~?\s*"([^"]+)"', query):
        if not any(re.fullmatch(pattern, name) for name in sent.spans):
            unknown.append(pattern)
    return unknown


def unknown_in_logql(query: str, sent: Sent) -> list[str]:
    known = OF_LOKI | {re.sub(r"\W", "_", name) for name in sent.on_records}
    labels = re.findall(r"(\w+)\s*(?:=~|!~|!=|=|>=|>)\s*[`\d]", query) + re.findall(r"\bunwrap (\w+)", query)
    labels += [label for found in re.findall(r"\bby \(([\w, ]+)\)", query) for label in found.split(", ")]
    unknown = [label for label in labels if label not in known]
    return unknown + [line for line in re.findall(r"\|= `([^`]+)`", query) if line not in sent.events]


def blocks(kind: str) -> list[str]:
    """Return the blocks of one language of the page."""
    return re.findall(rf"^```{kind}\n(.*?)^```$", PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL)


def test_links_of_dashboards_search_for_spans_that_are_sent(sent: Sent) -> None:
    queries = traceql(link for path in BOARDS for link in links(load(path)) if '"type": "tempo"' in link)

    assert len(queries) >= 2
    assert [unknown_in_traceql(query, sent) for query in queries] == [[] for _ in queries]


def test_the_page_searches_for_spans_that_are_sent(sent: Sent) -> None:
    queries = [line for block in blocks("traceql") for line in block.splitlines() if line]

    assert len(queries) >= 5
    assert {query: unknown_in_traceql(query, sent) for query in queries} == {query: [] for query in queries}


def test_panels_and_the_page_ask_loki_for_what_is_sent(sent: Sent) -> None:
    queries = [target.expr for target in targets("loki")]
    queries += [line for block in blocks("logql") for line in block.splitlines() if line]
    queries += [
        link.partition("&panes=")[2] for path in BOARDS for link in links(load(path)) if '"type": "loki"' in link
    ]

    assert len(queries) >= 4
    assert {query: unknown_in_logql(query, sent) for query in queries} == {query: [] for query in queries}


def test_tags_for_jaeger_are_sent(sent: Sent) -> None:
    tags = [line.partition("=")[0] for block in blocks("text") for line in block.splitlines() if "=" in line]

    assert len(tags) >= 3
    assert [tag for tag in tags if tag not in sent.on_spans | {"error"}] == []


@pytest.mark.parametrize(
    "query",
    [
        "{ span.turnscope.turn.ident = `x` }",
        '{ span.error.type = "reset" }',
        '{ name = "invoke_agents" }',
        "{ resource.service.versions = `1` }",
    ],
)
def test_a_wrong_name_in_traceql_is_noticed(query: str, sent: Sent) -> None:
    assert unknown_in_traceql(query, sent) != []


@pytest.mark.parametrize(
    "query",
    [
        "{service_name=~`.+`} |= `turnscope.span.beat`",
        "{service_name=~`.+`} | turnscope_fase=`x`",
        "max_over_time({service_name=~`.+`} | unwrap turnscope_age [1m])",
        "sum by (turn_id) (x)",
    ],
)
def test_a_wrong_name_in_logql_is_noticed(query: str, sent: Sent) -> None:
    assert unknown_in_logql(query, sent) != []


def test_every_phase_in_a_query_is_one(sent: Sent) -> None:
    phases = re.findall(r"turnscope_phase\s*=\s*`(\w+)`", PAGE.read_text("utf-8"))

    assert [phase for phase in phases if phase not in PHASE] == []
    assert phases
