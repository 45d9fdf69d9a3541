"""A collector: one folder, the servers that fill it, and the order in which they begin and end."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import TYPE_CHECKING, Final

from turnscope_analyzer.collect.addresses import listen
from turnscope_analyzer.collect.http_server import HttpServer
from turnscope_analyzer.collect.intake import Intake
from turnscope_analyzer.collect.over_grpc import GrpcServer, PortTakenError
from turnscope_analyzer.collect.over_http import App
from turnscope_analyzer.collect.store import Store

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from turnscope_analyzer.collect.options import Options
    from turnscope_analyzer.collect.store import Lost

_LOOK_S: Final = 10.0
"""How often it is noted which senders live: what hangs is that much younger than it could be known to be."""

_DAY_NS: Final = 86_400_000_000_000


class Collector:
    """Listens from its creation on and takes requests from ``start`` to ``stop``.

    Attributes:
        http: Where it listens for HTTP.
        grpc: Where it listens for gRPC, None for nowhere.

    Raises:
        FolderInUseError: Another process collects into *folder*.
        PortTakenError: An address cannot be listened on.
        OSError: *folder* cannot be made or written.
    """

    def __init__(self, folder: Path, options: Options) -> None:
        self._store = Store(
            folder,
            file_bytes=options.file_bytes,
            cap_bytes=options.keep_bytes,
            keep_ns=int(options.keep_days * _DAY_NS),
        )
        self._intake = Intake(self._store, body_bytes=options.body_bytes, memory_bytes=options.memory_bytes)
        self._work = ThreadPoolExecutor(1, thread_name_prefix="turnscope-collect")
        self._ends = threading.Event()
        self._watch = threading.Thread(target=self._look, name="turnscope-collect-watch", daemon=True)
        with ExitStack() as undo:
            self._store.open()
            undo.callback(self._store.close)
            try:
                listener = undo.enter_context(listen(options.http))
            except OSError as error:
                raise PortTakenError(str(options.http)) from error
            self.http = options.http._replace(port=listener.getsockname()[1])
            self._grpc = GrpcServer(self._intake, options.grpc, options.token) if options.grpc is not None else None
            self.grpc = self._grpc.address if self._grpc is not None else None
            self._http = HttpServer(App(self._intake, self._work, options.token), listener)
            undo.pop_all()

    @property
    def is_alive(self) -> bool:
        """Whether it still serves."""
        return self._http.is_alive

    @property
    def counts(self) -> Mapping[str, int]:
        """What was taken and refused so far, as ``Intake.counts`` has it."""
        return self._intake.counts

    @property
    def lost(self) -> Lost:
        """What went of the folder because of its cap."""
        return self._store.lost

    def start(self) -> None:
        """Begin to take requests."""
        self._http.start()
        if self._grpc is not None:
            self._grpc.start()
        self._watch.start()

    def stop(self) -> None:
        """Take nothing more, answer what is under way, and give the folder back."""
        ended = self._grpc.stop() if self._grpc is not None else None
        self._http.stop()
        if ended is not None:
            ended.wait()
        self._work.shutdown()
        self._ends.set()
        self._watch.join()
        self._store.close()

    def _look(self) -> None:
        while not self._ends.wait(_LOOK_S):
            self._intake.tell_who_lives()
