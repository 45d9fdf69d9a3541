"""What OpenClaw's telemetry plugin exports: alone, and laid over the state folder."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from openclaw_kit import START_NS, judged, laid_out, truth, verdict_of
from turnscope_analyzer.sources.openclaw.telemetry import OpenClawTelemetry
from turnscope_analyzer.sources.otlp.records import LogRecord, Span

if TYPE_CHECKING:
    from pathlib import Path

    from turnscope_analyzer.model import Capture

TRACE = "0af7651916cd43dd8448eb211c80319c"
SECOND_NS = 1_000_000_000


def span(name: str, start: float, end: float | None, *, trace: str = TRACE, failed: bool = False, **attrs: Any) -> Span:
    return Span(
        trace_id=trace,
        span_id=f"{start}",
        parent_id="",
        name=name,
        kind=1,
        start_ns=START_NS + int(start * SECOND_NS),
        end_ns=None if end is None else START_NS + int(end * SECOND_NS),
        failed=failed,
        status_message="",
        attrs={name.replace("__", "."): value for name, value in attrs.items()},
        events=(),
        scope="openclaw",
        resource={},
        file="traces.jsonl",
        offset=0,
    )


def log(args: str = "") -> LogRecord:
    return LogRecord("", "", START_NS + 9 * SECOND_NS, "", {"openclaw.log.args": args}, "openclaw", {}, "l", 0)


def taken(*records: Span | LogRecord) -> Capture:
    dialect = OpenClawTelemetry()
    assert all(dialect.take(record) for record in records)
    [capture] = dialect.captures()
    return capture


def phases(capture: Capture) -> list[str]:
    return [mark.phase for mark in capture.marks]


def test_april_says_of_every_turn_that_it_completed_so_its_end_is_not_known() -> None:
    capture = taken(
        span("openclaw.message.processed", 0, 4, openclaw__messageId="run-1", openclaw__sessionKey="agent:main:main",
             openclaw__outcome="completed")
    )  # fmt: skip

    assert phases(capture) == ["accepted"]
    assert [(process.shows_ends, process.shows_requests) for process in capture.processes] == [(False, False)]
    assert capture.windows == {"run-1": (START_NS, START_NS + 4 * SECOND_NS)}


def test_april_log_records_tell_why_a_run_failed() -> None:
    ends = '[{"event":"embedded_run_agent_end","runId":"run-1","isError":true,"rawErrorPreview":"429 Rate limit"}]'
    told = '[{"event":"embedded_run_failover_decision","runId":"run-1","decision":"surface_error","error":"429 limit"}]'

    capture = taken(log(ends), log(told))

    assert phases(capture) == ["accepted", "started", "upstream_failed", "failed"]
    assert capture.marks[-1].attrs["error_type"] == "rate_limited"


def test_a_trace_of_a_later_version_is_a_turn() -> None:
    capture = taken(
        span("openclaw.message.processed", 0, 9),
        span("openclaw.run", 1, 9, openclaw__outcome="completed"),
        span("openclaw.context.assembled", 1, 1.5),
        span("openclaw.model.call", 2, 4, gen_ai__request__model="m", openclaw__model_call__time_to_first_byte_ms=50),
        span("openclaw.tool.execution", 4, 5, gen_ai__tool__name="exec"),
        span("openclaw.model.call", 6, 8, gen_ai__request__model="m"),
    )

    assert {mark.turn_id for mark in capture.marks} == {TRACE}
    assert phases(capture) == [
        "accepted",
        "started",
        "hydration_completed",
        "upstream_sent",
        "upstream_completed",
        "tool_call",
        "tool_result",
        "continuation",
        "upstream_sent",
        "upstream_completed",
        "completed",
    ]


def test_a_run_that_failed_says_why() -> None:
    capture = taken(
        span("openclaw.run", 1, 9, openclaw__outcome="error"),
        span("openclaw.model.call", 2, 4, failed=True, error__type="rate_limit"),
    )

    assert capture.marks[-1].attrs == {"error_type": "rate_limited"}


def test_a_turn_without_its_run_is_open() -> None:
    capture = taken(span("openclaw.model.call", 2, 4, gen_ai__request__model="m"))

    assert phases(capture) == ["accepted", "started", "upstream_sent", "upstream_completed"]
    assert [process.shows_ends for process in capture.processes] == [True]


def test_what_says_nothing_of_a_turn_is_counted() -> None:
    capture = taken(span("openclaw.session.stuck", 1, 1, openclaw__sessionKey="agent:main:main"), log())

    assert capture.marks == []
    assert sum(capture.left_alone.values()) == 2


def test_other_programs_are_left_to_others() -> None:
    assert not OpenClawTelemetry().take(span("chat", 0, 1)._replace(scope="other"))


def test_telemetry_and_state_folder_are_one_turn_each(tmp_path: Path) -> None:
    told = truth("2026.4.2/combo_final")
    folder = laid_out("2026.4.2/combo_final", tmp_path)

    alone = judged(folder / "state", folder / "logs", now_s=told["horizon"])
    both = judged(folder, now_s=told["horizon"])

    # The state folder has lost the turn that stalled first in its session, and knows no run of the one behind it.
    assert len(both.turns) == len(alone.turns) + 2
    assert verdict_of(both, "healthy").state == "healthy"
    assert verdict_of(both, "q-http500").cause == "transport"
    [source] = [source for source in both.sources if source.kind == "otlp"]
    assert source.turns == 17
