"""OTLP over gRPC: the same requests and the same limits as over HTTP, in the words of gRPC."""

from __future__ import annotations

import hmac
import re
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NoReturn
from urllib.parse import unquote

import grpc  # type: ignore[import-untyped]
from google.protobuf.any_pb2 import Any as Packed  # type: ignore[import-untyped]
from google.protobuf.duration_pb2 import Duration  # type: ignore[import-untyped]
from google.rpc.error_details_pb2 import RetryInfo  # type: ignore[import-untyped]
from google.rpc.status_pb2 import Status  # type: ignore[import-untyped]

from turnscope_analyzer.collect import answers
from turnscope_analyzer.collect.refusal import RETRY_AFTER_S, RefusedError
from turnscope_analyzer.collect.senders import Peer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from turnscope_analyzer.collect.addresses import Address
    from turnscope_analyzer.collect.intake import Intake
    from turnscope_analyzer.collect.refusal import Why
    from turnscope_analyzer.sources.otlp.wire import Signal

_COLLECTOR: Final = "/opentelemetry.proto.collector"
_METHODS: Final[dict[str, Signal]] = {
    f"{_COLLECTOR}.trace.v1.TraceService/Export": "traces",
    f"{_COLLECTOR}.logs.v1.LogsService/Export": "logs",
    f"{_COLLECTOR}.metrics.v1.MetricsService/Export": "metrics",
}
_CODES: Final[dict[Why, grpc.StatusCode]] = {
    "malformed": grpc.StatusCode.INVALID_ARGUMENT,
    "too_large": grpc.StatusCode.RESOURCE_EXHAUSTED,
    "busy": grpc.StatusCode.RESOURCE_EXHAUSTED,
    "no_room": grpc.StatusCode.UNAVAILABLE,
}
_WORKERS: Final = 4
"""So many messages are read at a time; all others wait with their senders."""

_PEER: Final = re.compile(r"ipv[46]:(?:\[(?P<six>[^\]]+)\]|(?P<four>[\d.]+)):(?P<port>\d+)", re.ASCII)
_MESSAGE_S: Final = 60.0
_GRACE_S: Final = 5.0


class PortTakenError(Exception):
    """Nobody can listen there."""


class GrpcServer(grpc.GenericRpcHandler):  # type: ignore[misc]
    """Serves the three services of OTLP.

    Args:
        intake: Takes the requests.
        address: Where to listen; port 0 takes a free one.
        token: What has to be given as a bearer token; nothing is asked for where it is None.

    Raises:
        PortTakenError: The address cannot be listened on.
    """

    def __init__(self, intake: Intake, address: Address, token: str | None) -> None:
        self._intake = intake
        self._bearer = f"Bearer {token}".encode() if token is not None else None
        self._server = grpc.server(
            ThreadPoolExecutor(_WORKERS, thread_name_prefix="turnscope-collect-grpc"),
            handlers=(self,),
            options=(
                # Two collectors on one port would share its requests by chance.
                ("grpc.so_reuseport", 0),
                ("grpc.max_receive_message_length", intake.body_bytes),
                ("grpc.max_concurrent_streams", 32),
            ),
        )
        try:
            self.address = address._replace(port=self._server.add_insecure_port(str(address)))
        except RuntimeError as error:
            raise PortTakenError(str(address)) from error

    def start(self) -> None:
        """Begin to serve."""
        self._server.start()

    def stop(self) -> threading.Event:
        """Take nothing more and answer what is under way; return what is set when it has ended."""
        ended: threading.Event = self._server.stop(_GRACE_S)
        return ended

    def service(self, details: Any) -> Any:
        """Return what handles a call, None for a method that is not served."""
        signal = _METHODS.get(details.method)
        if signal is None:
            return None
        # As a stream of one message: so a sender that gives none can be told, and its call ended.
        return grpc.stream_unary_rpc_method_handler(partial(self._export, signal))

    def _export(self, signal: Signal, messages: Iterator[bytes], context: Any) -> bytes:
        if not self._is_allowed(context):
            context.abort(grpc.StatusCode.UNAUTHENTICATED, "send the collector's token as a bearer token")
        slow = threading.Timer(_MESSAGE_S, context.cancel)
        slow.start()
        try:
            body = next(messages, b"")
        except grpc.RpcError:
            return b""  # ended by its sender, by the timer or by a limit: nobody reads an answer
        finally:
            slow.cancel()
        if not self._intake.memory.take(len(body)):
            busy = RefusedError("busy", "too much is being received; try again")
            self._intake.refuse(busy)
            _abort(context, busy)
        try:
            taken = self._intake.take(signal, "protobuf", "", body, _peer_of(context))
            return answers.response(signal, "protobuf", taken)
        except RefusedError as error:
            _abort(context, error)
        finally:
            self._intake.memory.give(len(body))

    def _is_allowed(self, context: Any) -> bool:
        given = dict(context.invocation_metadata()).get("authorization", "")
        return self._bearer is None or hmac.compare_digest(str(given).encode(), self._bearer)


def _peer_of(context: Any) -> Peer | None:
    """Return the other end of a call's connection; None where it is no address, or gRPC has changed how it says it."""
    found = _PEER.fullmatch(unquote(context.peer()))
    return Peer(found["six"] or found["four"], int(found["port"])) if found else None


def _abort(context: Any, error: RefusedError) -> NoReturn:
    """End a call with the status for *error*; one that passes says when to come again."""
    code = _CODES[error.why]
    if (wait_s := RETRY_AFTER_S.get(error.why)) is not None:
        info, detail = RetryInfo(retry_delay=Duration(seconds=wait_s)), Packed()
        detail.Pack(info)
        status = Status(code=code.value[0], message=str(error), details=[detail])
        # The second one is what the exporter for Python looks for.
        context.set_trailing_metadata(
            (
                ("grpc-status-details-bin", status.SerializeToString()),
                ("google.rpc.retryinfo-bin", info.SerializeToString()),
            )
        )
    context.abort(code, str(error))
    raise AssertionError("abort has raised")
