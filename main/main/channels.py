"""How an answer that goes on after its view reaches the client."""

import json
import logging
import socket
from asyncio import Future
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from http import HTTPStatus
from typing import Any

from common import metrics
from delivery.hub import Hub
from main.connections import Connection

# Bytes that the kernel keeps for a client that does not read. By itself it would keep megabytes.
SEND_BUFFER = 64 * 1024

logger = logging.getLogger("requests")

CLOSE = (b"connection", b"close")
# Headers that a failure has, too.
KEPT, ACCESS_CONTROL = (b"x-request-id", b"vary"), b"access-control-"

Message = dict[str, Any]
Header = tuple[bytes, bytes]


class Channel:
    """What a continuation gets: see delivery.continuations.Channel."""

    def __init__(
        self,
        connection: Connection,
        hub: Hub,
        send: Callable[[Message], Awaitable[None]],
        run: Callable[..., Awaitable[Any]],
        run_long: Callable[..., Future[Any]],
        has_chunks: bool,
        status: int,
        headers: list[Header],
        part: bytes,
    ) -> None:
        self.connection, self.hub, self.send, self.run = connection, hub, send, run
        self.run_long, self.has_chunks = run_long, has_chunks
        self.status, self.headers, self.part = status, headers, part
        self.is_open = False

    async def begin(self, length: int | None = None) -> None:
        if self.connection.is_closing:
            return  # nothing would count it as a stream that ends
        with suppress(OSError):
            self.connection.transport.get_extra_info("socket").setsockopt(
                socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER
            )
        self.connection.stream()
        self.connection.cork()
        await self.start(CLOSE, *([] if length is None else [(b"content-length", b"%d" % length)]))
        self.is_open = True
        await self.write(self.part)
        self.connection.uncork()
        self.part = b""

    async def write(self, data: bytes) -> None:
        if not self.connection.is_closing:
            self.connection.streaming(len(data))
            await self.send({"type": "http.response.body", "body": data, "more_body": True})

    async def write_part(self, data: bytes) -> None:
        if not self.connection.is_closing:
            self.connection.taking(len(data))
            await self.send({"type": "http.response.body", "body": data, "more_body": True})

    async def end(self) -> None:
        """Write the end, if there was a beginning."""
        if self.is_open and not self.connection.is_closing:
            await self.send({"type": "http.response.body", "body": b""})
            self.connection.answered()

    async def answer(self, body: bytes) -> None:
        if self.connection.is_closing:
            return
        self.connection.cork()
        last = [CLOSE] if self.connection.is_last else []
        await self.start((b"content-length", b"%d" % len(body)), *last)
        self.connection.taking(len(body))
        await self.send({"type": "http.response.body", "body": body})
        self.connection.uncork()
        self.connection.answered()

    async def refuse(self, status: HTTPStatus, why: str, headers: Mapping[str, str]) -> None:
        """Answer with a failure, or close the connection of a client that is gone."""
        if self.connection.is_closing or self.connection.client_is_done:
            self.cut_off()
            return
        logger.info("An answer that goes on was refused with %d: %s", status, why)
        metrics.connection_refusals.labels(str(status.value)).inc()
        self.status = status.value
        self.headers = [header for header in self.headers if header[0] in KEPT or header[0].startswith(ACCESS_CONTROL)]
        self.headers.append((b"content-type", b"application/json"))
        self.headers += [(name.lower().encode(), value.encode()) for name, value in headers.items()]
        await self.answer(json.dumps({"detail": why}, separators=(",", ":")).encode())

    async def start(self, *more: Header) -> None:
        headers = [*self.headers, *(header for header in more if header not in self.headers)]
        await self.send({"type": "http.response.start", "status": self.status, "headers": headers})

    def go_on_waiting(self) -> None:
        self.connection.taking(0)

    def cut_off(self) -> None:
        self.connection.transport.abort()

    def when_lost(self, function: Callable[[], None]) -> None:
        self.connection.when_lost = function
