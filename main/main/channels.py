"""How an answer that goes on after its view reaches the client."""

import logging
import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress
from http import HTTPStatus
from typing import Any

from delivery.hub import Hub
from main.connections import Connection

# Bytes that the kernel keeps for a client that does not read. By itself it would keep megabytes.
SEND_BUFFER = 64 * 1024

logger = logging.getLogger("requests")

CLOSE = (b"connection", b"close")

Message = dict[str, Any]
Header = tuple[bytes, bytes]


class Channel:
    """What a continuation gets: see delivery.answers.Channel."""

    def __init__(
        self,
        connection: Connection,
        hub: Hub,
        send: Callable[[Message], Awaitable[None]],
        run: Callable[..., Awaitable[Any]],
        status: int,
        headers: list[Header],
        part: bytes,
    ) -> None:
        self.connection, self.hub, self.send, self.run = connection, hub, send, run
        self.status, self.headers, self.part = status, headers, part
        self.is_open = False

    async def begin(self) -> None:
        with suppress(OSError):
            self.connection.transport.get_extra_info("socket").setsockopt(
                socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER
            )
        self.connection.stream()
        self.connection.cork()
        await self.start(CLOSE)
        self.is_open = True
        await self.write(self.part)
        self.connection.uncork()
        self.part = b""

    async def write(self, data: bytes) -> None:
        if not self.connection.is_closing:
            self.connection.streaming(len(data))
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

    async def refuse(self) -> None:
        """Answer that there are too many already, or close the connection of a client that is gone."""
        if self.connection.is_closing or self.connection.client_is_done:
            self.cut_off()
            return
        logger.info("An answer that goes on was refused with 503: too many streams are open.")
        self.status = HTTPStatus.SERVICE_UNAVAILABLE.value
        self.headers = [header for header in self.headers if header[0] == b"x-request-id"]
        self.headers += [(b"content-type", b"application/json"), (b"retry-after", b"5")]
        await self.answer(b'{"detail":"Too many streams are open. Try again in a moment."}')

    async def start(self, *more: Header) -> None:
        headers = [*self.headers, *(header for header in more if header not in self.headers)]
        await self.send({"type": "http.response.start", "status": self.status, "headers": headers})

    def cut_off(self) -> None:
        self.connection.transport.abort()

    def when_lost(self, function: Callable[[], None]) -> None:
        self.connection.when_lost = function
