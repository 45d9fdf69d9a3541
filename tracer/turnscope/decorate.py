"""Runs every call of a function inside a scope of its own, whatever kind of function it is.

A decorated function stays of its kind: a coroutine function stays one, a generator function stays one. A generator's
scope is current during its steps only, so that the code between the steps never runs inside it.
"""

from __future__ import annotations

import functools
import inspect
from typing import TYPE_CHECKING, Any, TypeVar, cast

from turnscope.current import Steps

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Generator
    from contextlib import AbstractContextManager

    Wrapper = Callable[..., Any]
    ScopeOf = Callable[[tuple[Any, ...], dict[str, Any]], AbstractContextManager[object]]

F = TypeVar("F", bound="Callable[..., Any]")


def decorate(function: F, scope_of: ScopeOf) -> F:
    """Return *function* so that each call runs inside the scope that *scope_of* returns for its arguments."""
    if inspect.isasyncgenfunction(function):
        wrapper = _async_generator(function, scope_of)
    elif inspect.isgeneratorfunction(function):
        wrapper = _generator(function, scope_of)
    elif inspect.iscoroutinefunction(function):
        wrapper = _coroutine(function, scope_of)
    else:
        wrapper = _function(function, scope_of)
    return cast("F", functools.wraps(function)(wrapper))


def _function(function: Callable[..., Any], scope_of: ScopeOf) -> Wrapper:
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        with scope_of(args, kwargs):
            return function(*args, **kwargs)

    return wrapper


def _coroutine(function: Callable[..., Any], scope_of: ScopeOf) -> Wrapper:
    async def wrapper(*args: Any, **kwargs: Any) -> Any:
        with scope_of(args, kwargs):
            return await function(*args, **kwargs)

    return wrapper


def _generator(function: Callable[..., Any], scope_of: ScopeOf) -> Wrapper:
    def wrapper(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        steps = Steps()
        body = _inside(function, scope_of, args, kwargs)
        step: Callable[..., Any] = body.send
        given: Any = None
        while True:
            try:
                item = steps.run(step, given)
            except StopIteration as end:
                return end.value
            try:
                step, given = body.send, (yield item)
            except GeneratorExit:
                steps.run(body.close)
                raise
            except BaseException as error:  # noqa: BLE001 - handed on to the body, which decides what becomes of it
                step, given = body.throw, error

    return wrapper


def _inside(
    function: Callable[..., Any], scope_of: ScopeOf, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Generator[Any, Any, Any]:
    with scope_of(args, kwargs):
        return (yield from function(*args, **kwargs))


def _async_generator(function: Callable[..., Any], scope_of: ScopeOf) -> Wrapper:
    async def wrapper(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
        steps = Steps()
        scope = scope_of(args, kwargs)
        body = function(*args, **kwargs)
        step: Callable[..., Any] = body.asend
        given: Any = None
        steps.run(scope.__enter__)
        try:
            while True:
                try:
                    item = await steps.run_async(step, given)
                except StopAsyncIteration:
                    break
                try:
                    step, given = body.asend, (yield item)
                except GeneratorExit:
                    await steps.run_async(body.aclose)
                    raise
                except BaseException as error:  # noqa: BLE001 - handed on to the body, which decides what becomes of it
                    step, given = body.athrow, error
        except BaseException as error:
            steps.run(scope.__exit__, type(error), error, error.__traceback__)
            raise
        steps.run(scope.__exit__, None, None, None)

    return wrapper
