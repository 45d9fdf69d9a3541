"""The bytes that are sent are those that the SDK and the messages of opentelemetry-proto would give."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, InstrumentationScope, KeyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord, ResourceLogs, ScopeLogs
from opentelemetry.proto.resource.v1.resource_pb2 import Resource as ResourceMessage
from opentelemetry.sdk.resources import Resource

from journal_kit import line
from segment_kit import header, write
from ship_kit import journal, records_of, spans_of
from turnscope.attributes import ATTRIBUTES
from turnscope.phases import LANE, PHASES
from turnscope.process import VERSION
from turnscope.ship.batches import Batches
from turnscope.ship.encode import Encoded, record, request_of, resource_bytes
from turnscope.ship.makers import maker_for

TEXTS = st.text(st.characters(codec="utf-8"), max_size=40) | st.text("x", min_size=100, max_size=300)
NUMBERS = st.integers(-(2**63), 2**64 - 1) | st.sampled_from([0, 1, 127, 128, 2**14, 2**63, -1])
# Zero has no sign here: what equals a value that was sent before is encoded as that one was.
FLOATS = st.floats(allow_nan=False, allow_infinity=False).map(lambda number: number or 0.0)
VALUES = TEXTS | NUMBERS | st.booleans() | FLOATS
OTHERS = st.none() | st.just([1]) | st.just({"a": 1})
NAMES = st.sampled_from([attribute.name for attribute in ATTRIBUTES]) | TEXTS
MARKS = st.tuples(
    st.sampled_from(["one", "two"]),
    st.sampled_from(PHASES),
    st.sampled_from(["1", "2"]),
    st.integers(-3, 90),
    st.dictionaries(NAMES, VALUES | OTHERS, max_size=5),
)


def encoded(folder: Path, limit: int = 1000) -> ExportTraceServiceRequest:
    """Return what is sent of a journal, in one request."""
    batches = Batches(folder, maker_for("traces"))
    items: list[Encoded] = []
    while found := batches.next(limit):
        items += found
    request = ExportTraceServiceRequest()
    request.ParseFromString(request_of(items))
    return request


def lane_of(kind: str, number: str) -> str:
    return f"{kind}:{number}" if LANE[kind].many else kind  # type: ignore[index]


@given(st.lists(MARKS, max_size=30), TEXTS)
@settings(max_examples=150, deadline=None)
def test_every_span_has_the_fields_that_the_sdk_gives_it(marks: list[Any], service: str) -> None:
    lines = [
        line(seq, turn, phase.name, lane_of(phase.lane, number), at_s=at_s, attrs=attrs)
        for seq, (turn, phase, number, at_s, attrs) in enumerate(marks, 10)
    ]
    opened = [line(1, "one"), line(2, "two")]
    ended = [line(900, "one", "completed", at_s=100), line(901, "two", "failed", at_s=100)]
    with tempfile.TemporaryDirectory() as name:
        write(Path(name), header(service=service), *opened, *lines, *ended)
        spans = spans_of(Path(name))

        assert spans
        assert encoded(Path(name)) == encode_spans(spans)


def test_spans_of_several_processes_stand_under_their_resources(tmp_path: Path) -> None:
    for place, proc in enumerate(("feedfacecafe", "0123456789ab")):
        own = (line(1, f"t{place}", proc=proc), line(2, f"t{place}", phase="completed", at_s=1, proc=proc))
        write(tmp_path, header(proc=proc, service=proc), *own, name=f"{proc}.jsonl")

    request = encoded(tmp_path)

    assert request == encode_spans(spans_of(tmp_path))
    assert len(request.resource_spans) == 2


def test_where_a_batch_ends_does_not_change_what_is_sent(tmp_path: Path) -> None:
    assert encoded(journal(tmp_path, 5), limit=1) == encoded(tmp_path)


def message_value(value: object) -> AnyValue:
    if isinstance(value, bool):
        return AnyValue(bool_value=value)
    if isinstance(value, int):
        return AnyValue(int_value=value) if -(2**63) <= value < 2**63 else AnyValue(string_value=str(value))
    return AnyValue(double_value=value) if isinstance(value, float) else AnyValue(string_value=str(value))


def message_pairs(attributes: dict[str, Any]) -> list[KeyValue]:
    return [KeyValue(key=name, value=message_value(value)) for name, value in attributes.items()]


@given(
    st.dictionaries(TEXTS, VALUES, max_size=8),
    st.integers(0, 2**63 - 1),
    st.sampled_from([(9, "INFO"), (13, "WARN")]),
    st.sampled_from([b"", b"12345678"]),
)
def test_every_log_record_is_the_message_that_it_should_be(
    attributes: dict[str, Any], at_ns: int, severity: tuple[int, str], span: bytes
) -> None:
    number, text = severity
    resource = {"service.name": "gw"}

    item = record(
        resource_bytes(Resource(resource)),
        "turnscope.turn.accepted",
        attributes,
        at_ns=at_ns,
        severity=number,
        trace_id="ab" * 16,
        span=span,
    )

    expected = LogRecord(
        time_unix_nano=at_ns,
        observed_time_unix_nano=at_ns,
        severity_number=number,  # type: ignore[arg-type]
        severity_text=text,
        body=AnyValue(string_value="turnscope.turn.accepted"),
        attributes=[*message_pairs({"event.name": "turnscope.turn.accepted"}), *message_pairs(attributes)],
        trace_id=b"\xab" * 16,
        span_id=span,
    )
    if hasattr(expected, "event_name"):  # in the protocol since 1.5
        expected.event_name = "turnscope.turn.accepted"
    scope = ScopeLogs(scope=InstrumentationScope(name="turnscope", version=VERSION), log_records=[expected])
    whole = ResourceLogs(resource=ResourceMessage(attributes=message_pairs(resource)), scope_logs=[scope])
    sent = ExportLogsServiceRequest.FromString(request_of([item]))
    if not hasattr(expected, "event_name"):
        sent.DiscardUnknownFields()
    assert sent == ExportLogsServiceRequest(resource_logs=[whole])


def test_a_resource_may_have_lists_and_a_schema(tmp_path: Path) -> None:
    resource = Resource({"process.command_args": ["gw", "-v"], "host.name": "caf\udce9"}, "https://example.org/1.0")

    request = ExportTraceServiceRequest.FromString(request_of([(resource_bytes(resource), b"")]))

    (sent,) = request.resource_spans
    values = {pair.key: pair.value for pair in sent.resource.attributes}
    assert values["process.command_args"].array_value == ArrayValue(values=[message_value("gw"), message_value("-v")])
    assert values["host.name"].string_value == "caf?", "what has no encoding must not keep the rest from being sent"
    assert sent.schema_url == "https://example.org/1.0"


@pytest.mark.parametrize("size", [0, 1, 127, 128, 129, 4095, 4096, 40_000])
def test_lengths_of_every_size_are_right(tmp_path: Path, size: int) -> None:
    write(tmp_path, header(), line(1, attrs={"colour": "x" * size}), line(2, phase="completed"))

    assert encoded(tmp_path) == encode_spans(spans_of(tmp_path))
    assert len(records_of(tmp_path).resource_logs[0].scope_logs[0].log_records) == 2


@pytest.mark.parametrize("parent", ["0" * 16, "-000000000000001", "1_1_1_1_1_1_1_11", " bcdef0123456789", "no", 7])
def test_what_is_no_id_is_no_parent(tmp_path: Path, parent: object) -> None:
    write(tmp_path, header(), line(1, attrs={"parent": parent}), line(2, phase="completed"))

    (span,) = spans_of(tmp_path)

    assert span.parent is None
