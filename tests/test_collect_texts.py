"""No prompt, no answer, no argument and no credential is on disk, whatever its name; what a verdict needs is."""

from __future__ import annotations

from collections import Counter
from typing import Any

import orjson
import pytest

from collect_kit import attribute, slimmed, span, traces
from turnscope_analyzer.collect.texts import MOST_ATTRIBUTES, Texts

PROMPT = "Please write to my landlord that the heating is broken again"

PAYLOADS = [
    # GenAI conventions, old and new
    *(
        "gen_ai.prompt",
        "gen_ai.completion",
        "gen_ai.input.messages",
        "gen_ai.output.messages",
        "gen_ai.tool.definitions",
    ),
    *("gen_ai.system_instructions", "gen_ai.prompt.0.content", "gen_ai.completion.0.tool_calls.0.arguments"),
    *("gen_ai.tool.call.arguments", "gen_ai.tool.call.result"),
    # OpenInference, OpenLLMetry, the AI SDK, Logfire, Langfuse, MLflow, Google's ADK
    *(
        "input.value",
        "output.value",
        "llm.input_messages.0.message.content",
        "llm.prompts",
        "llm.invocation_parameters",
    ),
    *("traceloop.entity.input", "traceloop.entity.output", "ai.prompt", "ai.prompt.messages", "ai.response.text"),
    *("ai.toolCall.args", "ai.toolCall.result", "logfire.msg", "all_messages_events", "langfuse.observation.input"),
    *("mlflow.spanInputs", "gcp.vertex.agent.llm_request", "gcp.vertex.agent.tool_response", "tool.parameters"),
    *("retrieval.documents.0.document.content", "embedding.text"),
    # Codex, OpenClaw, Claude Code
    *("prompt", "arguments", "output", "user_prompt", "tool_input", "full_command", "response_text", "function_args"),
    *("openclaw.content.input_messages", "openclaw.content.tool_output", "openclaw.content.system_prompt"),
    # Other instrumentation
    *(
        "http.request.body",
        "db.statement",
        "db.query.text",
        "exception.stacktrace",
        "process.command_line",
        "url.query",
    ),
    *("messaging.message.body", "rpc.request", "user.question", "stdout"),
]


def kept(key: str, value: object) -> Any:
    """Return what is kept of one attribute."""
    [pair] = Texts(lambda _reason: None).attributes([{"key": key, "value": value}])
    assert pair["key"] == key
    assert isinstance(pair["value"], dict)
    return next(iter(pair["value"].values()))


@pytest.mark.parametrize("key", PAYLOADS)
def test_payloads_go_by_their_names(key: str) -> None:
    assert kept(key, {"stringValue": "yes"}) == "<text of 3 chars, sha256 8a798890fe93>"
    assert kept(key, {"arrayValue": {"values": [{"stringValue": "yes"}]}}).startswith("<array of ")
    assert kept(key, {"intValue": "12"}) == "12"


@pytest.mark.parametrize(
    "text", [PROMPT, '{"role":"user"}', ' [{"type":"text"}]', "<task>do it</task>", "one\ntwo"], ids=repr
)
def test_prose_and_documents_go_under_any_name(text: str) -> None:
    assert kept("my.own.name", {"stringValue": text}).startswith(f"<text of {len(text)} chars, sha256 ")


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("gen_ai.operation.name", "invoke_agent"),
        ("gen_ai.agent.name", "my support agent"),
        ("gen_ai.request.model", "gpt-5.5"),
        ("session.id", "agent:main:whatsapp:+49"),
        ("conversation.id", "01a1fba8-4282-74c1-b0b8-ea566f728517"),
        ("event.name", "codex.sse_event"),
        ("event.kind", "response.output_item.added"),
        ("error.type", "httpx.ReadTimeout"),
        ("url.full", "https://api.example.com/v1/responses"),
        ("user_agent.original", "OTel-OTLP-Exporter-Rust/0.31.0"),
        ("prompt_length", "12"),
    ],
)
def test_ids_kinds_and_names_stay(key: str, text: str) -> None:
    assert kept(key, {"stringValue": text}) == text


def test_the_words_of_an_error_stay_and_are_cut() -> None:
    said = "stream disconnected before completion: error sending request for url, retry after the limit has been reset"

    assert kept("error.message", {"stringValue": said}) == said
    assert kept("exception.message", {"stringValue": said * 9})[:110] == (said * 9)[:110]
    assert len(kept("exception.message", {"stringValue": said * 9})) == 512


@pytest.mark.parametrize(
    ("key", "text", "lacks"),
    [
        ("error.message", "invalid key sk-proj-abcdefghijklmnop given", "abcdefghijklmnop"),
        ("http.url", "https://me:hunter22@example.com/v1", "hunter22"),
        ("any.name", "Bearer abcdefghijklmnopqrstuvwxyz", "qrstuvwxyz"),
        ("image", "data:image/png;base64,AAAABBBB", "AAAABBBB"),
        ("x.api_key", "short", "short"),
        ("authorization", "anything", "anything"),
    ],
)
def test_credentials_go(key: str, text: str, lacks: str) -> None:
    assert lacks not in kept(key, {"stringValue": text})


def test_lists_of_short_words_stay_and_others_are_counted_away() -> None:
    short = {"values": [{"stringValue": "stop"}, {"intValue": "1"}]}
    assert kept("gen_ai.response.finish_reasons", {"arrayValue": short}) == {
        "values": [{"stringValue": "stop"}, {"intValue": "1"}]
    }
    assert kept("many", {"arrayValue": {"values": [{"intValue": "1"}] * 17}}).startswith("<array of ")
    assert (
        kept("deep", {"kvlistValue": {"values": [{"key": "k", "value": {"stringValue": PROMPT}}]}})[:11]
        == "<kvlist of "
    )
    assert kept("raw", {"bytesValue": "AAAA"}).startswith("<bytes of 4 chars")


def test_openclaws_log_keeps_what_tells_of_a_run() -> None:
    said = {"event": "embedded_run_agent_end", "runId": "r1", "isError": True, "error": "terminated", "text": PROMPT}
    said |= {"tags": ["a"], "rawErrorPreview": "Connection error."}

    text = kept("openclaw.log.args", {"stringValue": orjson.dumps([said, PROMPT]).decode()})

    assert orjson.loads(text) == [
        {"error": "terminated", "event": "embedded_run_agent_end", "isError": True}
        | {"rawErrorPreview": "Connection error.", "runId": "r1"}
    ]
    assert kept("openclaw.log.args", {"stringValue": "no JSON"}).startswith("<text of 7 chars")


def test_too_many_attributes_are_cut_and_counted() -> None:
    counts: Counter[str] = Counter()

    pairs = Texts(lambda reason: counts.update([reason])).attributes([attribute(f"k{n}", n) for n in range(200)])

    assert len(pairs) == MOST_ATTRIBUTES
    assert counts == {"capped": 1}


def test_no_part_of_a_record_brings_a_prompt_in() -> None:
    said = {"stringValue": PROMPT}
    pair = {"key": "k", "value": said}
    spans = traces(
        span(
            attributes=[pair],
            events=[{"name": "gen_ai.user.message", "attributes": [pair], "content": PROMPT}],
            links=[{"attributes": [pair]}],
            traceState=PROMPT,
            unknown=PROMPT,
        )
    )
    record = {"body": said, "attributes": [pair], "observedTimeUnixNano": 5, "unknown": said}
    scope = {"scope": {"name": "s", "attributes": [pair]}, "logRecords": [record], "schemaUrl": PROMPT}
    logs = orjson.dumps({"resourceLogs": [{"resource": {"attributes": [pair]}, "scopeLogs": [scope]}]})

    kept = b"".join([*slimmed("traces", spans).values(), *slimmed("logs", logs).values()])

    assert b"landlord" not in kept
    assert f"<string of {len(PROMPT)} chars, sha256 ".encode() in kept


def test_halves_of_characters_and_numbers_beyond_all_bounds_are_written_all_the_same() -> None:
    body = b'{"resourceSpans":[{"scopeSpans":[{"spans":[{"spanId":"1111111111111111","startTimeUnixNano":"5",'
    body += b'"name":"\\ud83d","attributes":[{"key":"n","value":{"doubleValue":NaN}},'
    body += b'{"key":"i","value":{"intValue":' + b"9" * 300 + b"}}]}]}]}]}"

    [line] = slimmed("traces", body).values()

    [one] = orjson.loads(line)["resourceSpans"][0]["scopeSpans"][0]["spans"]
    assert one == {"spanId": "1" * 16, "name": "?", "startTimeUnixNano": "5"}


def test_a_long_request_becomes_lines_that_can_each_be_read_alone() -> None:
    long = [attribute(f"k{n}", "x." * 100) for n in range(100)]

    [lines] = slimmed("traces", traces(*(span(n, attributes=long) for n in range(1, 60)))).values()

    requests = [orjson.loads(line)["resourceSpans"][0] for line in lines.splitlines()]
    assert len(requests) > 3
    assert max(map(len, lines.splitlines())) < 1 << 19
    assert sum(len(request["scopeSpans"][0]["spans"]) for request in requests) == 59
    assert all("resource" in request for request in requests)


def test_a_log_record_without_a_time_has_the_one_at_which_it_came() -> None:
    logs = orjson.dumps(
        {"resourceLogs": [{"scopeLogs": [{"logRecords": [{"eventName": "e"}, {"timeUnixNano": "7"}]}]}]}
    )

    [line] = slimmed("logs", logs).values()

    without, timed = orjson.loads(line)["resourceLogs"][0]["scopeLogs"][0]["logRecords"]
    assert without == {"observedTimeUnixNano": "1800000000000000000", "eventName": "e"}
    assert timed == {"timeUnixNano": "7"}
