"""Finds the value of an argument of a decorated handler in the arguments of one call."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, Final

from turnscope._guard import guard
from turnscope.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Source = str | Callable[..., object] | None
    Finder = Callable[[tuple[Any, ...], dict[str, Any]], object]

_POSITIONAL: Final = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


def finder_of(function: Callable[..., object], source: Source) -> Finder:
    """Return what finds the value of *source* in the arguments of a call of *function*; it finds ``None`` on an error.

    Args:
        function: The handler.
        source: The name of one of its arguments, ``"request.session_id"`` to look into it; or a function of all of
            its arguments; or ``None`` for no value.

    Raises:
        ConfigurationError: The handler has no such argument.
    """
    if source is None:
        return lambda _args, _kwargs: None
    if not isinstance(source, str):
        return _guarded(lambda args, kwargs: source(*args, **kwargs))
    name, *path = source.split(".")
    parameters = inspect.signature(function).parameters
    takes_any = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values())
    if name not in parameters and not takes_any:
        have = ", ".join(parameters) or "none"
        raise ConfigurationError(f"{function.__qualname__} has no argument {name!r}; it has: {have}")
    place, default = _place_of(name, parameters)

    def find(args: tuple[Any, ...], kwargs: dict[str, Any]) -> object:
        value = args[place] if place is not None and place < len(args) else kwargs.get(name, default)
        for part in path:
            value = value[part] if isinstance(value, dict) else getattr(value, part)
        return value

    return _guarded(find)


def _place_of(name: str, parameters: Mapping[str, inspect.Parameter]) -> tuple[int | None, object]:
    """Return where *name* stands among the positional arguments, and its default."""
    parameter = parameters.get(name)
    if parameter is None:
        return None, None
    default = None if parameter.default is parameter.empty else parameter.default
    return list(parameters).index(name) if parameter.kind in _POSITIONAL else None, default


def _guarded(find: Finder) -> Finder:
    def finder(args: tuple[Any, ...], kwargs: dict[str, Any]) -> object:
        with guard:
            return find(args, kwargs)
        return None

    return finder
