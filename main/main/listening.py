"""The event loop of a process, and how processes share the connections of one listening socket."""

import asyncio
import socket
from collections.abc import Callable, Sequence
from typing import Any

import uvloop

from main.connections import Connection

# Seconds without accepting after a connection, in which other processes wake up and take the next one; and after a
# failure, such as too many open files.
PAUSE, PAUSE_AFTER_FAILURE = 0.001, 0.5


class Loop(uvloop.Loop):
    """An event loop that puts a guard in front of every connection of its servers."""

    def __init__(self) -> None:
        super().__init__()
        # Called when the server stops listening, before it waits for its connections to end.
        self.when_closing: list[Callable[[], None]] = []

    async def create_server(  # type: ignore[override]
        self,
        protocol_factory: Callable[[], asyncio.Protocol],
        *args: Any,
        sock: socket.socket | None = None,
        **kwargs: Any,
    ) -> "Listener":
        def guarded() -> Connection:
            return Connection(protocol_factory())

        if sock is None:
            host, port = kwargs["host"], kwargs["port"]
            sock = socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
        sock.listen(kwargs["backlog"])  # other processes may listen as well
        return Listener(self, sock, guarded, self.when_closing)


class Listener:
    """A server, as `create_server` returns one, that accepts one connection at a time and leaves the next to others.

    The servers of asyncio and uvloop accept all that is waiting. One process then takes all connections that are opened
    at the same moment, and keeps them, while the others are idle: eight got half the throughput.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        listening: socket.socket,
        factory: Callable[[], asyncio.Protocol],
        when_closing: Sequence[Callable[[], None]] = (),
    ) -> None:
        self.loop, self.listening, self.factory, self.when_closing = loop, listening, factory, when_closing
        self.connecting: set[asyncio.Task[object]] = set()
        listening.setblocking(False)
        self.resume()

    @property
    def sockets(self) -> Sequence[socket.socket]:
        return [self.listening] if self.is_serving() else []

    def is_serving(self) -> bool:
        return self.listening.fileno() >= 0

    def pause(self, seconds: float) -> None:
        self.loop.remove_reader(self.listening)
        self.loop.call_later(seconds, self.resume)

    def resume(self) -> None:
        if self.is_serving():
            self.loop.add_reader(self.listening, self.accept)

    def accept(self) -> None:
        try:
            accepted, _ = self.listening.accept()
        except (BlockingIOError, InterruptedError, ConnectionAbortedError):
            return  # another process was faster, or the client is gone
        except OSError:
            self.pause(PAUSE_AFTER_FAILURE)
            return
        self.pause(PAUSE)
        accepted.setblocking(False)
        if accepted.family != socket.AF_UNIX:
            accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        task = self.loop.create_task(self.loop.connect_accepted_socket(self.factory, accepted))
        self.connecting.add(task)  # the loop alone would not keep it
        task.add_done_callback(self.connecting.discard)

    def close(self) -> None:
        if self.is_serving():
            self.loop.remove_reader(self.listening)
            self.listening.close()
            for function in self.when_closing:
                function()

    async def wait_closed(self) -> None:
        if self.connecting:
            await asyncio.wait(self.connecting)
