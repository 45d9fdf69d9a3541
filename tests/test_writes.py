"""Which modules of the analyzer can write at all: whoever reads a capture must not be able to damage it."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import turnscope_analyzer

if TYPE_CHECKING:
    from collections.abc import Iterator

PACKAGE = Path(turnscope_analyzer.__file__).parent
MAY_WRITE = {
    "cache.py",  # in the user's cache folder
    "settled.py",  # there, too
    "steady.py",  # there, too
    "collect/store.py",  # in the folder that it was given for what arrives
    "engine.py",  # in a temporary folder
    "sources/journal.py",  # there, too
    "sources/segments.py",  # there, too
    "cli/common.py",  # to the null device
    "sources/snapshot.py",  # copies databases to a temporary folder
    "handoff/writing.py",  # a handoff, where the user wants it
    "repair/writing.py",  # the only one that writes to files of other programs
}
METHODS = {"write_bytes", "write_text", "unlink", "rename", "touch", "mkdir", "rmdir", "symlink_to", "hardlink_to"} | {
    "chmod",
    "lchmod",
}
OS = {
    "replace",
    "rename",
    "renames",
    "remove",
    "removedirs",
    "unlink",
    "link",
    "symlink",
    "mkdir",
    "makedirs",
    "rmdir",
} | {
    "truncate",
    "ftruncate",
    "utime",
    "chown",
    "fchown",
    "fchmod",
    "write",
    "pwrite",
    "sendfile",
    "copy_file_range",
}
MODULES = {"shutil", "tempfile"}
HARMLESS = {"shutil.get_terminal_size"}
FLAGS = {"O_WRONLY", "O_RDWR", "O_CREAT", "O_APPEND", "O_TRUNC"}


def writes(tree: ast.AST) -> Iterator[str]:
    """Yield what a module calls that can change a file."""
    imported = {
        alias.asname or alias.name: f"{node.module}.{alias.name}"
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
        name = dotted(call.func)
        name = imported.get(name, name)
        module, _, method = name.rpartition(".")
        if (
            (module == "os" and method in OS)
            or (module in MODULES and name not in HARMLESS)
            or (method in METHODS and module != "os")
            or (method == "replace" and module != "dataclasses" and len(call.args) == 1)
            or (method == "open" and opens_for_writing(call))
            or (name == "sqlite3.connect" and "mode=ro" not in ast.unparse(call))
        ):
            yield f"{name} at line {call.lineno}"


def dotted(node: ast.expr) -> str:
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else "…"


def opens_for_writing(call: ast.Call) -> bool:
    flags = {node.attr for node in ast.walk(call) if isinstance(node, ast.Attribute)}
    modes = [node.value for node in ast.walk(call) if isinstance(node, ast.Constant) and isinstance(node.value, str)]
    return bool(flags & FLAGS) or any(len(mode) <= 3 and set(mode) & set("wax+") for mode in modes)


@pytest.mark.parametrize(
    "code",
    [
        "path.open('wb')",
        "open(path, mode='a')",
        "path.write_bytes(b'')",
        "os.open(path, os.O_RDWR)",
        "path.replace(other)",
        "os.replace(path, other)",
        "shutil.copyfile(path, other)",
        "from shutil import move\nmove(path, other)",
        "sqlite3.connect(path)",
        "path.unlink(missing_ok=True)",
    ],
)
def test_what_can_change_a_file_is_noticed(code: str) -> None:
    assert list(writes(ast.parse(code)))


@pytest.mark.parametrize(
    "code",
    [
        "path.open('rb')",
        "open(path)",
        "os.open(path, os.O_RDONLY)",
        "text.replace('a', 'b')",
        "replace(turn, state='x')",
    ],
)
def test_what_only_reads_is_not(code: str) -> None:
    assert list(writes(ast.parse(f"from dataclasses import replace\n{code}"))) == []


def test_no_module_can_write_but_the_named_ones() -> None:
    found = {
        str(path.relative_to(PACKAGE)): list(writes(ast.parse(path.read_text(encoding="utf-8"))))
        for path in sorted(PACKAGE.rglob("*.py"))
    }

    assert {name: calls for name, calls in found.items() if calls and name not in MAY_WRITE} == {}
    assert {name for name in MAY_WRITE if not found.get(name)} == set(), "a name without a reason"
