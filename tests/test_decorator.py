from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

import turnscope

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from turnscope.testing import Recording


def test_accepted_is_on_record_before_the_handler_runs(recording: Recording) -> None:
    seen: list[list[str]] = []

    @turnscope.turn
    def answer(session: str) -> None:
        seen.append(recording.phases())

    answer("s")

    assert seen == [["accepted", "started"]]


@pytest.mark.parametrize(
    ("source", "session"),
    [
        ("who", "w"),
        ("request.session_id", "r"),
        ("request.headers.chat", "h"),
        (lambda who, request: f"{who}-{request.session_id}", "w-r"),
        (None, ""),
    ],
)
def test_a_decorated_handler_names_where_its_session_is(recording: Recording, source: Any, session: str) -> None:
    class Request:
        session_id = "r"
        headers = {"chat": "h"}  # noqa: RUF012 - stands for a request

    @turnscope.turn(session=source)
    def answer(who: str, request: Request) -> str:
        return who

    assert answer("w", request=Request()) == "w"
    assert recording.marks()[0]["session"] == session


@pytest.mark.parametrize("name", ["session", "session_id"])
def test_a_bare_decorator_finds_the_session(recording: Recording, name: str) -> None:
    handlers: dict[str, Callable[..., None]] = {}

    @turnscope.turn
    def by_session(session: str = "a") -> None: ...

    @turnscope.turn
    def by_session_id(session_id: str = "b") -> None: ...

    handlers = {"session": by_session, "session_id": by_session_id}
    handlers[name]()
    handlers[name](**{name: "c"})

    assert [mark["session"] for mark in recording.marks() if mark["phase"] == "accepted"] == [
        {"session": "a", "session_id": "b"}[name],
        "c",
    ]


def test_a_handler_without_the_named_argument_is_refused_when_it_is_decorated() -> None:
    with pytest.raises(turnscope.ConfigurationError, match="no argument 'chat'; it has: question"):

        @turnscope.turn(session="chat")
        def answer(question: str) -> None: ...


def test_a_session_that_cannot_be_found_does_not_keep_the_handler_from_running(recording: Recording) -> None:
    @turnscope.turn(session="request.nowhere")
    def answer(request: object) -> str:
        return "hello"

    assert answer(object()) == "hello"
    assert recording.marks()[0]["session"] == ""
    assert recording.journal.drops == {"guard": 1}


def test_a_decorated_generator_ends_with_its_last_item_and_gives_back_its_value(recording: Recording) -> None:
    @turnscope.turn
    def answer(session: str) -> Generator[str, str, str]:
        got = yield "a"
        assert got == "sent"
        try:
            yield "b"
        except LookupError:
            yield "c"
        return "value"

    items = answer("s")

    assert next(items) == "a"
    assert items.send("sent") == "b"
    assert items.throw(LookupError()) == "c"
    with pytest.raises(StopIteration) as end:
        next(items)
    assert end.value.value == "value"
    assert recording.phases() == ["accepted", "started", "completed"]


def test_a_generator_that_is_closed_halfway_is_interrupted(recording: Recording) -> None:
    cleaned = []

    @turnscope.turn
    def answer(session: str) -> Generator[str, None, None]:
        try:
            yield "a"
        finally:
            cleaned.append(True)

    items = answer("s")
    next(items)
    items.close()

    assert cleaned == [True]
    assert recording.phases() == ["accepted", "started", "interrupted"]
