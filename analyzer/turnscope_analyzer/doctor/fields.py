"""Change single fields of a JSON object in its text, and leave every other byte as it is."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

_TOKEN: Final = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"|[{}\[\]]', re.DOTALL)
_SCALAR: Final = re.compile(r'\s*:\s*("[^"\\]*(?:\\.[^"\\]*)*"|-?[\d.eE+-]+|true|false|null)', re.DOTALL)


def with_fields(text: str, fields: Mapping[str, str | int]) -> str:
    """Return the JSON object *text* with *fields* set: in place where it has them, else behind its first brace.

    Raises:
        ValueError: A field's value is no string, number or constant, or *text* is no object.
    """
    spans = _scalars(text, set(fields))
    for name, (start, end) in sorted(spans.items(), key=lambda item: -item[1][0]):
        text = text[:start] + json.dumps(fields[name]) + text[end:]
    missing = {name: value for name, value in fields.items() if name not in spans}
    if missing:
        at = text.index("{") + 1
        # An object without any field would be left with a comma too many.
        comma = "" if text[at:].lstrip().startswith("}") else ","
        text = text[:at] + json.dumps(missing)[1:-1] + comma + text[at:]
    if not isinstance(json.loads(text), dict):
        raise ValueError("no JSON object")
    return text


def _scalars(text: str, names: set[str]) -> dict[str, tuple[int, int]]:
    """Return where the values of the outermost fields *names* stand."""
    found: dict[str, tuple[int, int]] = {}
    depth = 0
    at = 0
    while token := _TOKEN.search(text, at):
        at = token.end()
        if token[0] in "{[":
            depth += 1
        elif token[0] in "}]":
            depth -= 1
        elif depth == 1 and re.match(r"\s*:", text[at : at + 64]):
            name = json.loads(token[0])
            value = _SCALAR.match(text, at)
            if name in names and value is None:
                raise ValueError(f"{name} is no plain value")
            if value is not None:
                at = value.end()
                if name in names:
                    found[name] = value.span(1)
    return found
