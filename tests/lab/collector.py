"""An OTLP receiver that writes what it gets as a collector's file exporter does: one export request a line."""

from __future__ import annotations

import contextlib
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Final

import orjson

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

    from typing_extensions import Self

SIGNALS: Final = ("logs", "traces", "metrics")


class Collector:
    """Takes OTLP/JSON over HTTP from any number of runs.

    A run's name is the first part of the path that it exports to, and *folder*/name/<signal>.jsonl is where it goes.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._http.daemon_threads = True
        self._thread = threading.Thread(target=self._http.serve_forever, name="collector", daemon=True)
        self.url = f"http://127.0.0.1:{self._http.server_port}"

    def folder_of(self, run: str) -> Path:
        """Return the folder for what *run* exports."""
        folder = self._folder / run
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        write = self._write

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                length = int(self.headers.get("content-length", "0"))
                body = self.rfile.read(length)
                accepted = len(body) == length and write(self.path, body)
                self.send_response(200 if accepted else 404)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", "2")
                # Who was killed in mid-export does not wait for an answer.
                with contextlib.suppress(ConnectionError):
                    self.end_headers()
                    self.wfile.write(b"{}")

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it so
                """Say nothing."""

        return Handler

    def _write(self, path: str, body: bytes) -> bool:
        _, run, _, signal = path.split("/")
        if signal not in SIGNALS:
            return False
        # Parsed and written anew: a line must be one line.
        line = orjson.dumps(orjson.loads(body), option=orjson.OPT_APPEND_NEWLINE)
        with self._lock, (self.folder_of(run) / f"{signal}.jsonl").open("ab") as file:
            file.write(line)
        return True

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._thread.join(5)
