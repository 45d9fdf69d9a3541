from __future__ import annotations

import ast
from pathlib import Path

import turnscope
from helpers import run_python

FORBIDDEN = [
    "duckdb",
    "click",
    "grpc",
    "requests",
    "google.protobuf",
    "opentelemetry",
    "httpx",
    "asyncio",
    "prometheus_client",
    "socket",
]


def test_importing_the_recorder_loads_nothing_heavy_and_starts_nothing(tmp_path: Path) -> None:
    program = (
        "import sys, threading, logging\n"
        "before = set(sys.modules)\n"
        "import turnscope\n"
        f"print(sorted(name for name in {FORBIDDEN} if name in sys.modules))\n"
        "print(threading.active_count(), logging.getLogger('turnscope').handlers)\n"
    )

    done = run_python(program, tmp_path)

    assert done.stdout.splitlines() == ["[]", "1 []"], done.stderr
    assert list(tmp_path.iterdir()) == []


def test_configuring_loads_the_api_of_opentelemetry_and_not_its_sdk(tmp_path: Path) -> None:
    program = (
        "import sys, turnscope\n"
        "turnscope.configure('traces')\n"
        "print('opentelemetry.trace' in sys.modules, 'opentelemetry.sdk' in sys.modules)\n"
    )

    assert run_python(program, tmp_path).stdout == "True False\n"


def test_without_opentelemetry_turns_have_trace_ids_all_the_same(tmp_path: Path) -> None:
    program = (
        "import sys\n"
        "sys.modules['opentelemetry'] = None\n"
        "import turnscope\n"
        "turnscope.configure('traces')\n"
        "with turnscope.turn('s') as turn, turn.tool('t'):\n"
        "    print(len(turn.trace_id))\n"
    )

    assert run_python(program, tmp_path).stdout == "32\n"


def test_every_public_name_is_there_and_said_to_be() -> None:
    tree = ast.parse(Path(turnscope.__file__).read_text())
    imported = [alias.name for node in tree.body if isinstance(node, ast.ImportFrom) for alias in node.names]

    assert sorted(imported) == sorted(turnscope.__all__)
    assert all(hasattr(turnscope, name) for name in turnscope.__all__)
    assert len(tree.body) == len([n for n in tree.body if isinstance(n, ast.ImportFrom)]) + 2, "no logic in here"
