"""What spans of Codex show beyond its logs: requests that are still open, ends, and how far records reach."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from telemetry_kit import THREAD, TRACE, Exported, S, find, last_turn, story

# -- open spans -------------------------------------------------------------------------------------------


def waiting(**parents: str) -> Exported:
    """Return a turn whose request was sent at 3 s and has no answer; spans are on file until then."""
    exported = Exported().prompt().span("build_prompt", 2.9, 2.9, parent=parents.get("sampling", "aa" * 8))
    return exported.span("auth", 3, 3, parent=parents.get("request", "bb" * 8))


def test_the_look_for_credentials_in_an_open_span_is_the_last_before_sending() -> None:
    sent = find(last_turn(waiting().captures()), "upstream_sent")

    assert (sent.at_ns, sent.file) == (3 * S, "traces.jsonl")
    assert "purpose" not in sent.attrs


def test_once_the_span_has_arrived_its_events_tell() -> None:
    exported = waiting().span("model_client.stream_responses_api", 3, 4, id="bb" * 8)

    assert "upstream_sent 1" not in story(exported.captures())


def test_an_answer_on_file_speaks_for_a_span_that_is_merely_late() -> None:
    told = story(waiting().answered(3.4, took_s=0.4).captures())

    assert told.count("upstream_sent 1") == 1
    assert "upstream_sent 2" not in told


def test_credentials_are_also_looked_for_elsewhere() -> None:
    exported = Exported().prompt().span("world_state.build", 2.9, 2.9, parent="cc" * 8)
    exported.span("auth", 3, 3, parent="cc" * 8)

    assert "upstream_sent 1" not in story(exported.captures())


def dispatched() -> Exported:
    """Return a turn whose response asked for a tool that no event tells of; its spans show that it was dispatched."""
    exported = Exported().prompt().response(3)
    return exported.span("tool_dispatch.parallel_lock", 3.6, 3.7, parent="cc" * 8)


def test_a_tool_that_a_person_is_asked_about_shows_by_its_open_span() -> None:
    call = find(last_turn(dispatched().captures()), "tool_call")

    assert (call.lane, call.at_ns, call.file) == (f"tool:{'cc' * 8}", int(3.7 * S), "traces.jsonl")
    assert call.attrs["late"] is True


def test_a_tool_whose_span_has_ended_or_that_events_tell_of_is_not_marked_twice() -> None:
    ended = dispatched().span("handle_tool_call", 3.6, 4, id="cc" * 8)
    decided = dispatched().tool(3.8)
    answered = dispatched().tool(3.8).response(6)

    assert "tool_call" not in " ".join(story(ended.captures()))
    assert [one for one in story(decided.captures()) if "tool_call" in one] == ["tool_call c1"]
    assert [one for one in story(answered.captures()) if "tool_call" in one] == ["tool_call c1"]


def test_without_the_sign_of_sampling_in_any_turn_an_open_request_is_not_called_a_compaction() -> None:
    exported = Exported().prompt().span("auth", 3, 3, parent="bb" * 8)

    assert "compaction_started" not in story(exported.captures())


# -- ends and horizons ------------------------------------------------------------------------------------


def test_a_missing_request_is_proof_only_where_spans_go_on_after_it() -> None:
    exported = Exported().started().prompt().response(3).tool(4, took_s=1)
    shortly = exported.span("turn/start", 15, 15, trace="ef" * 16, conversation__id="another")
    assert [p.shows_requests for c in shortly.captures() for p in c.processes] == [False]

    well_after = exported.span("turn/start", 21, 21, trace="ef" * 16, conversation__id="another")
    assert [p.shows_requests for c in well_after.captures() for p in c.processes] == [True]


def test_ends_are_on_file_only_where_spans_are() -> None:
    assert [p.shows_ends for c in Exported().prompt().captures() for p in c.processes] == [False]
    assert [p.shows_ends for c in waiting().captures() for p in c.processes] == [True]


def test_a_turn_that_was_done_ends_when_the_thread_goes_on() -> None:
    exported = Exported().started().prompt().response(3)
    exported.log(20, "user_prompt", trace="ef" * 16)

    [capture] = exported.captures()

    assert [mark.phase for mark in capture.marks if mark.turn_id == TRACE][-1] == "completed"


def test_a_turn_that_was_not_done_is_lost_when_the_thread_goes_on_and_its_span_never_ended() -> None:
    exported = Exported().started().prompt().answered(3).sse(3.1, "created")
    exported.log(20, "user_prompt", trace="ef" * 16)
    assert "interrupted" not in {mark.phase for capture in exported.captures() for mark in capture.marks}

    exported.span("session_task.turn", 20, 25, trace="ef" * 16, turn__id="turn-2")
    lost = [m for c in exported.captures() for m in c.marks if m.phase == "interrupted"]
    assert [(mark.turn_id, mark.at_ns, mark.attrs["recovered"]) for mark in lost] == [(TRACE, int(3.1 * S), True)]


def test_a_server_of_many_threads_lives_as_long_as_any_of_them_says_something() -> None:
    for service, horizon_s in (("codex-app-server", 60), ("codex_exec", 3)):
        one, other = Exported(service), Exported(service, thread="other", trace="ef" * 16)
        records = [*one.prompt().answered(3).records, *other.prompt(60).records]

        captures = Exported(service)
        captures.records = records
        horizons = {c.marks[0].session_id: c.processes[0].horizon_ns for c in captures.captures()}

        assert horizons[THREAD] == horizon_s * S


def test_another_host_is_no_proof_of_life() -> None:
    mine, theirs = Exported().prompt().records, Exported(thread="other", trace="ef" * 16).prompt(60).records
    named = [r._replace(resource={**r.resource, "host.name": host}) for r, host in ((mine[0], "a"), (theirs[0], "b"))]
    exported = Exported()
    exported.records = named

    horizons = {c.marks[0].session_id: c.processes[0].horizon_ns for c in exported.captures()}

    assert horizons[THREAD] == 2 * S


def test_nothing_in_a_record_makes_it_raise() -> None:
    odd = Exported().prompt().answered(3, status="many", took_s=1e12).sse(4, "created", duration_ms="x" * 40)
    odd.log(5, "tool_result", call_id=7, duration_ms=-1).log(0, "user_prompt").span("auth", 9, 3)
    odd.records.append(odd.records[0]._replace(attrs={}, trace_id="", resource={"service.name": "codex_exec"}))

    captures = odd.captures()

    assert all(0 <= mark.at_ns < 1 << 63 for capture in captures for mark in capture.marks)
    assert [replace(process, horizon_ns=0) for capture in captures for process in capture.processes]


@given(st.data())
def test_damaged_records_never_raise(data: st.DataObject) -> None:
    whole = Exported().started(limit=100).prompt().response(3, tokens=200).tool(4).response(6).ended(7).records
    odd = st.none() | st.integers(-(1 << 70), 1 << 70) | st.text(max_size=30) | st.booleans() | st.floats()
    exported = Exported()
    for record in data.draw(st.lists(st.sampled_from(whole), max_size=40)):
        names = data.draw(st.lists(st.sampled_from([*record.attrs, "error.message"]), max_size=3))
        attrs = {**record.attrs, **{name: data.draw(odd) for name in names}}
        exported.records.append(
            record._replace(attrs=attrs, trace_id=data.draw(st.sampled_from(["", TRACE, "ef" * 16])))
        )

    for capture in exported.captures():
        assert all(0 <= mark.at_ns < 1 << 63 for mark in capture.marks)
