"""What a tool was called for and what came of it, in the words of its own record; whichever program wrote that."""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

from turnscope_analyzer.sources.objects import parse_object

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

How = Literal["added", "changed", "deleted", "moved"]

_PATCH = re.compile(r"^\*\*\* (Add|Update|Delete) File: (.+)$|^\*\*\* (Move) to: (.+)$", re.MULTILINE)
_DIFF = re.compile(r"^diff --git a/(.+?) b/(.+)$", re.MULTILINE)
_HOWS: Final[Mapping[str, How]] = {
    "Add": "added",
    "Update": "changed",
    "Delete": "deleted",
    "Move": "moved",
    "add": "added",
    "update": "changed",
    "delete": "deleted",
}
_EDITORS: Final[Mapping[str, How]] = {
    "Write": "changed",
    "Edit": "changed",
    "MultiEdit": "changed",
    "NotebookEdit": "changed",
    "write": "changed",
    "edit": "changed",
}
"""Tools that name the file that they change in a field of their own."""

_PATHS: Final = ("file_path", "notebook_path", "path")
_COMMANDS: Final = ("cmd", "command")
_SHELLS: Final = frozenset({"bash", "sh", "zsh"})
_EXIT = re.compile(r"\A(?:.{0,400}?\n)?(?:Exit code:|Process exited with code) (-?\d{1,10})$", re.MULTILINE | re.DOTALL)
_RUNS_ON = re.compile(r"\A(?:.{0,400}?\n)?Process running with session ID ", re.DOTALL)
_BODY = re.compile(r"\A.{0,400}?^Output:\n", re.MULTILINE | re.DOTALL)
_FAILED: Final = ("execution error", "apply_patch verification failed", "exec_command failed", "failed to ")
_IMAGES: Final = frozenset({"input_image", "image", "image_url", "local_image"})


class Result(NamedTuple):
    """What a tool gave back, without the lines that its program put before it.

    ``exit_code`` is None where none is told, ``failed`` also where it failed without one; ``runs_on`` tells that the
    command goes on behind the answer.
    """

    text: str
    exit_code: int | None = None
    failed: bool = False
    runs_on: bool = False


def asked(arguments: object) -> str:
    """Return what a tool was called for: the command where there is one, else its arguments as they stand."""
    if isinstance(arguments, str):
        fields = parse_object(arguments)
        return arguments if fields is None else _command(fields) or arguments
    if isinstance(arguments, dict):
        return _command(arguments) or ", ".join(f"{name}={_short(value)}" for name, value in arguments.items())
    return ""


def _command(fields: Mapping[str, Any]) -> str:
    command = next((fields[name] for name in _COMMANDS if fields.get(name)), None)
    if isinstance(command, str):
        return command
    if not isinstance(command, list):
        return ""
    words = [word for word in command if isinstance(word, str)]
    if len(words) == 3 and words[0].rpartition("/")[2] in _SHELLS and words[1].startswith("-"):
        return words[2]
    return shlex.join(words)


def _short(value: object) -> str:
    return value if isinstance(value, str) else repr(value)


def files_of(name: str, arguments: object, text: str) -> dict[str, How]:
    """Return the files that a call would touch: those that a patch in it names, or that an editing tool is given."""
    found = {(match[2] or match[4]).strip(): _HOWS[match[1] or match[3]] for match in _PATCH.finditer(text)}
    if name in _EDITORS and isinstance(arguments, dict):
        found |= {arguments[field]: _EDITORS[name] for field in _PATHS if isinstance(arguments.get(field), str)}
    return found


def files_in_diff(diff: object) -> Iterable[str]:
    """Return the files that a diff of git names."""
    return dict.fromkeys(match[2] for match in _DIFF.finditer(diff)) if isinstance(diff, str) else ()


def changes_of(changes: object) -> dict[str, How]:
    """Return what a record of an applied patch says of its files."""
    if not isinstance(changes, dict):
        return {}
    kinds = {path: change.get("type") if isinstance(change, dict) else None for path, change in changes.items()}
    return {path: _HOWS.get(str(kind), "changed") for path, kind in kinds.items()}


def result_of(output: object) -> Result:
    """Return what a tool gave back, out of all the forms in which Codex has written that."""
    if isinstance(output, str) and (fields := parse_object(output)) is not None and "output" in fields:
        output = fields
    if isinstance(output, dict):
        code = _code(output.get("exit_code")) if "exit_code" in output else _metadata_code(output)
        text = text_of(output.get("output", output.get("content", output.get("text"))))
        return Result(text, code, code not in (None, 0) or output.get("success") is False)
    text = text_of(output)
    told = _EXIT.match(text)
    code = int(told[1]) if told else None
    failed = code not in (None, 0) or text.startswith(_FAILED) or text.endswith("\naborted by user")
    return Result(_BODY.sub("", text, count=1), code, failed, _RUNS_ON.match(text) is not None)


def _metadata_code(output: Mapping[str, Any]) -> int | None:
    return _code(part.get("exit_code")) if isinstance(part := output.get("metadata"), dict) else None


def _code(value: object) -> int | None:
    return value if type(value) is int and -(1 << 31) <= value < 1 << 32 else None


def text_of(content: object) -> str:
    """Return the text of a message's or an output's content, a note in the place of each image."""
    if isinstance(content, str):
        return content
    if isinstance(content, dict):
        content = [content]
    if not isinstance(content, list):
        return ""
    return "\n".join(filter(None, (_piece(piece) for piece in content)))


def _piece(piece: object) -> str:
    if not isinstance(piece, dict):
        return piece if isinstance(piece, str) else ""
    if str(piece.get("type")) in _IMAGES:
        return "[image]"
    text = piece.get("text")
    return text if isinstance(text, str) else ""


def images_of(payload: Mapping[str, Any]) -> int:
    """Return how many images a record of the user's message names beside its text."""
    return sum(len(images) for name in ("images", "local_images") if isinstance(images := payload.get(name), list))
