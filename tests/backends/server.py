"""A Phoenix of its own on loopback: started, asked over its API, and looked at with a browser."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import httpx

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self

PYTHON: Final = os.environ.get("TURNSCOPE_PHOENIX", "")
"""The interpreter of the environment that Phoenix is installed in; ``make test-backends`` says it."""

_START_S: Final = 240
_PAGE: Final = 1000
_LONGEST_PAGE: Final = 60
_PROJECT: Final = "/v1/projects/default"


class Row(NamedTuple):
    """A span as Phoenix gives it back; times are whole microseconds, which is how exactly it keeps them."""

    name: str
    kind: str
    trace_id: str
    parent_id: str
    start_us: int
    end_us: int
    status: str
    message: str
    attributes: dict[str, Any]
    events: list[tuple[str, int, dict[str, Any]]]


class Phoenix:
    """One server with an empty store in *folder*.

    Attributes:
        endpoints: Where it takes OTLP, by protocol.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as other:
            http, grpc = one.getsockname()[1], other.getsockname()[1]
        self._url = f"http://127.0.0.1:{http}"
        self.endpoints = {"http/protobuf": self._url, "grpc": f"http://127.0.0.1:{grpc}"}
        self._environment = {
            "PATH": os.environ.get("PATH", ""),
            "PHOENIX_WORKING_DIR": str(folder),
            "PHOENIX_HOST": "127.0.0.1",
            "PHOENIX_PORT": str(http),
            "PHOENIX_GRPC_PORT": str(grpc),
            "PHOENIX_TELEMETRY_ENABLED": "false",
            "PHOENIX_ALLOW_EXTERNAL_RESOURCES": "false",
        }

    def __enter__(self) -> Self:
        shim = Path(__file__).with_name("loopback.py")
        with (self._folder / "server.log").open("wb") as log:
            self._process = subprocess.Popen(
                [str(Path(PYTHON).absolute()), "-I", str(shim), "serve"],
                env=self._environment,
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
            )
        self._client = httpx.Client(base_url=self._url, timeout=120)
        give_up = time.monotonic() + _START_S
        while not self._is_up():
            if self._process.poll() is not None or time.monotonic() > give_up:
                self.__exit__(None, None, None)
                said = (self._folder / "server.log").read_text(errors="replace")[-2000:]
                raise RuntimeError(f"Phoenix does not answer; its last words:\n{said}")
            time.sleep(0.2)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.close()
        self._process.kill()
        self._process.communicate()

    def rows(self) -> dict[str, Row]:
        """Return all spans that it has, by span id."""
        found: dict[str, Row] = {}
        cursor: str | None = None
        for _ in range(_LONGEST_PAGE):
            page = self._get(f"{_PROJECT}/spans", limit=_PAGE, **({"cursor": cursor} if cursor else {}))
            found |= {span["context"]["span_id"]: _row(span) for span in page["data"]}
            cursor = page["next_cursor"]
            if cursor is None:
                return found
        raise RuntimeError(f"more than {_LONGEST_PAGE} pages of spans")

    def sessions(self) -> dict[str, set[str]]:
        """Return the ids of the traces that it groups under each session."""
        found = self._get(f"{_PROJECT}/sessions", limit=_PAGE)["data"]
        return {session["session_id"]: {trace["trace_id"] for trace in session["traces"]} for session in found}

    def trace_page(self, trace_id: str) -> str:
        """Return the address of the page that shows a trace."""
        (project,) = (project["id"] for project in self._get("/v1/projects")["data"] if project["name"] == "default")
        return f"{self._url}/projects/{project}/traces/{trace_id}"

    def _get(self, path: str, **params: Any) -> dict[str, Any]:
        answer: dict[str, Any] = self._client.get(path, params=params).raise_for_status().json()
        return answer

    def _is_up(self) -> bool:
        try:
            return self._client.get("/healthz").is_success
        except httpx.TransportError:
            return False


class Browser:
    """A headless Chromium.

    Attributes:
        program: Where it is, None where there is none.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.program = shutil.which("chromium") or shutil.which("chromium-browser")

    def text_of(self, page: str) -> str:
        """Return the markup of a page, as it is once its scripts have run."""
        return self._run("--dump-dom", page)

    def picture_of(self, page: str, path: Path) -> None:
        """Write what a page looks like to *path*, as PNG."""
        self._run(f"--screenshot={path}", "--window-size=1400,900", page)

    def _run(self, *arguments: str) -> str:
        assert self.program is not None
        profile = f"--user-data-dir={self._folder}"
        quiet = ("--headless=new", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=20000", profile)
        done = subprocess.run(
            [self.program, *quiet, *arguments], capture_output=True, text=True, timeout=120, check=True
        )
        return done.stdout


def _row(span: dict[str, Any]) -> Row:
    return Row(
        name=span["name"],
        kind=span["span_kind"],
        trace_id=span["context"]["trace_id"],
        parent_id=span["parent_id"] or "",
        start_us=_us(span["start_time"]),
        end_us=_us(span["end_time"]),
        status=span["status_code"],
        message=span["status_message"],
        attributes=span["attributes"],
        events=[(event["name"], _us(event["timestamp"]), event["attributes"]) for event in span["events"]],
    )


def _us(text: str) -> int:
    """Return microseconds since the epoch; in integers, as a float has not enough digits."""
    moment = datetime.fromisoformat(text)
    return int(moment.replace(microsecond=0).timestamp()) * 1_000_000 + moment.microsecond
