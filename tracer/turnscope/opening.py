"""Ways into a turn: accept it, let every call of a handler be one, go on with one that a crash left behind."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar, overload

from turnscope._guard import guard
from turnscope.arguments import finder_of
from turnscope.decorate import decorate
from turnscope.inbox import Inbox
from turnscope.recorder import active
from turnscope.recover import recover as close_orphans
from turnscope.turn import Turn

if TYPE_CHECKING:
    import os
    from collections.abc import Callable
    from types import TracebackType

    from turnscope.arguments import Source
    from turnscope.recover import Orphan

F = TypeVar("F", bound="Callable[..., Any]")

_SESSION_ARGUMENTS: Final = ("session", "session_id")


class Opening:
    """Accepts and starts a turn: one as a context manager, one for each call as a decorator."""

    __slots__ = ("_attrs", "_prompt", "_session", "_turn", "_turn_id")

    def __init__(self, session: Source, turn_id: Source, prompt: Source, attrs: dict[str, object]) -> None:
        self._session, self._turn_id, self._prompt, self._attrs = session, turn_id, prompt, attrs
        self._turn: Turn | None = None

    def __enter__(self) -> Turn:
        self._turn = _accepted(self._session, self._turn_id, self._prompt, self._attrs)
        return self._turn.__enter__()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._turn is not None:
            self._turn.__exit__(kind, error, trace)

    def __call__(self, function: F) -> F:
        """Make each call of *function* a turn.

        Raises:
            ConfigurationError: An argument that was named is none of the function's.
        """
        names = inspect.signature(function).parameters
        session = self._session
        if session is None:
            session = next((name for name in _SESSION_ARGUMENTS if name in names), None)
        finders = [finder_of(function, source) for source in (session, self._turn_id, self._prompt)]

        def scope_of(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Opening:
            found: list[Any] = [find(args, kwargs) for find in finders]
            return Opening(found[0], found[1], found[2], self._attrs.copy())

        return decorate(function, scope_of)


def accept(session: str, *, turn_id: str | None = None, prompt: str | None = None, **attrs: object) -> Turn:
    """Record that a message was accepted, before anything else is done about it.

    If nothing follows, that is on record, too. Enter the turn that is returned to start it.

    Args:
        session: The conversation that the message belongs to.
        turn_id: An id of at most 128 characters; drawn when left out.
        prompt: What was typed. Only its size and hash are recorded; the text is kept in the inbox, if there is one.
        attrs: Sizes, kinds and counts.
    """
    return _accepted(session, turn_id, prompt, attrs)


def resume(turn_id: str, session: str, *, prompt: str | None = None, **attrs: object) -> Turn:
    """Go on with a turn that another process had accepted; entering it marks ``started`` with ``resumed``.

    Args:
        turn_id: The id it was accepted under, as `recover` returns it.
        session: The conversation.
        prompt: What was typed, to be kept in the inbox again until the turn has ended.
        attrs: Sizes, kinds and counts.
    """
    turn = Turn(active(), session, turn_id)
    turn.resume(prompt, attrs)
    return turn


@overload
def turn(handler: F, /) -> F: ...
@overload
def turn(
    handler: str | None = None,
    /,
    *,
    session: Source = None,
    turn_id: Source = None,
    prompt: Source = None,
    **attrs: object,
) -> Opening: ...
def turn(
    handler: Any = None, /, *, session: Source = None, turn_id: Source = None, prompt: Source = None, **attrs: object
) -> Any:
    """Accept and start a turn, and end it with what its body comes to.

    ``with turn("chat-17") as t:`` opens one turn. ``@turn`` makes each call of a handler a turn: of a function, a
    coroutine function, a generator or an asynchronous generator. There *session*, *turn_id* and *prompt* name an
    argument of the handler (``"request.session_id"`` looks into it), or are functions of the handler's arguments;
    without *session* it is the argument ``session`` or ``session_id``, if there is one. A generator's turn is
    accepted when its first item is asked for.

    Raises:
        ConfigurationError: A handler is decorated that has no argument of the given name.
    """
    if handler is not None and not isinstance(handler, str):
        return Opening(None, None, None, {})(handler)
    return Opening(session if handler is None else handler, turn_id, prompt, attrs)


def recover(journal: str | os.PathLike[str] | None = None) -> list[Orphan]:
    """Close the turns of processes that are gone as interrupted, and say which they were; call it after `configure`.

    A prompt that the inbox kept comes with its turn, and is the caller's from then on: give it to `resume`.

    Args:
        journal: The folder to look at; the configured one when left out.

    Returns:
        The turns by id; none when nothing is recorded here, and none on an error, which is logged.
    """
    recorder = active()
    folder = recorder.folder if journal is None else Path(journal)
    if not recorder.enabled or folder is None:
        return []
    with guard:
        inbox = Inbox(folder / "inbox")
        orphans = [
            orphan._replace(prompt=inbox.prompt_of(orphan.turn_id))
            for orphan in close_orphans(folder, recorder.journal)
        ]
        for orphan in orphans:
            inbox.remove(orphan.turn_id)
        return orphans
    return []


def _accepted(session: object, turn_id: object, prompt: Any, attrs: dict[str, object]) -> Turn:
    turn = Turn(active(), session, turn_id)
    turn.accept(prompt, attrs)
    return turn
