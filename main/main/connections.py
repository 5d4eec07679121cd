"""Limits on what a connection may cost: a guard between the event loop and the HTTP server.

The server parses requests and writes answers. By itself it waits for ever for a client that sends slowly, accepts a
head of any size, and keeps answers that a client does not read. This module limits all of that for every connection.
It uses the interfaces that asyncio documents for protocols and transports, and knows nothing of the server's internals.

A connection repeats these phases:

    RECEIVING   a request arrives; a new connection begins here
    ANSWERING   the request is complete; it waits for a thread, runs, and its answer is being written
    IDLE        the answer is written; the next request may begin once the client has taken the answer
    CLOSING     nothing more is read or written; the client may still read what was written
"""

import asyncio
from collections.abc import Callable
from contextvars import ContextVar
from http import HTTPStatus
from math import inf
from time import monotonic
from typing import Any

from common import metrics
from main.refusals import refusal

# Bytes of a request line with headers.
MAX_HEAD = 128 * 1024
# Bytes of a next request that are read before the current one is answered. One more read of the loop may add to them.
MAX_AHEAD = 64 * 1024
# Bytes that a process holds for all clients: incomplete and waiting requests, and answers that are not taken yet.
MAX_HELD = 32 * 1024 * 1024
# Connections per process.
MAX_CONNECTIONS = 1000
# Seconds from the first byte of a request to its last; from then until the client has taken the answer; and from the
# end of the answer until the client must have closed the connection.
TIME_TO_RECEIVE, TIME_TO_ANSWER, TIME_TO_CLOSE = 20, 40, 2

RECEIVING, ANSWERING, IDLE, CLOSING = "receiving", "answering", "idle", "closing"

# What a client has not done in time, whose connection is closed at its deadline.
OVERDUE = {RECEIVING: "nothing sent", ANSWERING: "answer not taken", IDLE: "answer not taken", CLOSING: "not closed"}

# The connection whose request the current task answers.
current: ContextVar["Connection"] = ContextVar("current_connection")


class Connection(asyncio.Protocol):
    """The guard of one connection: the protocol for the event loop, and the caller of the server's protocol."""

    # All open connections of this process, the oldest first, and the bytes held for them.
    opened: dict["Connection", None] = {}
    total_held = 0

    # Of the present request, see `_expect_head`.
    missing: int | None
    size: int
    tail: bytes
    ahead: bytes
    body: list[bytes]
    waits_for_taking: bool
    # Connections whose answer is a stream.
    streams = 0

    def __init__(self, server: asyncio.Protocol) -> None:
        self.server = server
        self.phase = RECEIVING
        self.since = monotonic()
        self.deadline = self.since + TIME_TO_RECEIVE
        self.held = 0
        self.is_stopping = False  # the connection ends after the current, or else the next, request
        self.corked: list[bytes] | None = None  # what the server writes, while it is collected
        self.client_is_done = False  # the client sends nothing more
        self.is_feeding = False
        self.is_stream = False
        self.when_lost: Callable[[], None] | None = None  # of an answer that goes on: called when the client leaves
        self._expect_head()

    # Called by the event loop.

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self.transport = transport
        has_place = len(self.opened) - self.streams < MAX_CONNECTIONS or self._make_way()
        self.opened[self] = None
        self.server.connection_made(GuardedTransport(self))  # type: ignore[arg-type]
        if not has_place:
            self.end(HTTPStatus.SERVICE_UNAVAILABLE)

    def connection_lost(self, exc: Exception | None) -> None:
        self.phase = CLOSING
        self.opened.pop(self, None)
        Connection.streams -= self.is_stream
        self._forget()
        if self.when_lost:
            self.when_lost()
        self.server.connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self.phase is CLOSING:
            return
        if self.is_free:
            self._begin()
        self.hold(len(data))
        if self.phase is CLOSING:  # too much is held
            return
        if self.phase is RECEIVING:
            self._feed(data)
        else:
            self._keep(data)
            if self.phase is IDLE:
                self._proceed()

    def eof_received(self) -> bool:
        """Keep the connection open for the answer if the request is complete, but not for one that goes on."""
        self.client_is_done = True
        if self.when_lost:
            return False
        return self.phase is ANSWERING or self.waits_for_taking or (self.phase is RECEIVING and self.missing == 0)

    def pause_writing(self) -> None:
        self.server.pause_writing()

    def resume_writing(self) -> None:
        self.server.resume_writing()
        if self.waits_for_taking and self.phase is IDLE:
            self._proceed()

    # Called by the application.

    def expect(self, length: int) -> None:
        """Pass the body, of so many bytes, on to the server, which has the head."""
        self.missing = length
        ahead, self.ahead = self.ahead, b""
        if length > len(ahead):
            if self.client_is_done:
                self.end()
                return
            self.transport.resume_reading()
        if ahead:
            self._feed(ahead)

    def received(self) -> None:
        """The request is complete, as far as it will be read."""
        if self.phase is not RECEIVING:
            return
        self.phase = ANSWERING
        self.since = monotonic()
        self.deadline = self.since + TIME_TO_ANSWER

    def hold(self, size: int) -> None:
        """Count bytes that are held for the client."""
        if self.phase is CLOSING:
            return  # nothing would release them any more
        self.held += size
        Connection.total_held += size
        if Connection.total_held > MAX_HELD:
            self._make_room()

    def release(self) -> None:
        """Stop counting; what the client has sent ahead is still held."""
        Connection.total_held += len(self.ahead) - self.held
        self.held = len(self.ahead)

    def take_body(self) -> bytes:
        body = b"".join(self.body)
        self.body = []
        self.release()
        return body

    def cork(self) -> None:
        """Collect what the server writes: head and first part of an answer take one system call instead of two."""
        self.corked = []

    def uncork(self) -> None:
        corked, self.corked = self.corked, None
        if corked and self.phase is not CLOSING:
            self.transport.write(b"".join(corked))

    def taking(self, size: int) -> None:
        """Count bytes of the answer that are written now, instead of those before."""
        self.release()
        self.hold(size)
        self.deadline = monotonic() + TIME_TO_ANSWER

    def stream(self) -> None:
        """The answer has no end: it is not counted among those that a process has to give soon."""
        self.is_stream = True
        Connection.streams += 1

    def streaming(self, size: int) -> None:
        """Count bytes of a stream that are written now. From here on the client has some time to take them."""
        if self.is_taken:
            self.taking(size)
        else:
            self.hold(size)

    def answered(self) -> None:
        """The answer is written to its end."""
        if self.phase is ANSWERING:
            self.phase = IDLE
            if self.ahead:
                self._proceed()
            elif self.client_is_done:
                self.end()

    @property
    def is_last(self) -> bool:
        """Whether the current request is the last one of the connection."""
        return self.is_stopping or (self.client_is_done and not self.ahead)

    @property
    def is_closing(self) -> bool:
        return self.phase is CLOSING or self.transport.is_closing()

    # Called by the server, through its transport.

    def close(self) -> None:
        if self.is_feeding:
            self.end(HTTPStatus.BAD_REQUEST)
        elif self.phase is IDLE and self.waits_for_taking:
            self.is_stopping = True  # after the next request, which has arrived
        elif not (self.is_stopping or self.client_is_done) and (self.is_free or self._is_within_head):
            # The client was idle for a long time, or this process stops. A request may be on its way already: one more
            # is answered.
            self.is_stopping = True
            self.deadline = min(self.deadline, monotonic() + TIME_TO_CLOSE)
        else:
            self.end()

    # Internals.

    @property
    def is_taken(self) -> bool:
        """Whether everything that was written has left the process."""
        return not self.transport.get_write_buffer_size()

    @property
    def is_free(self) -> bool:
        return self.phase is IDLE and self.is_taken

    @property
    def _is_within_head(self) -> bool:
        return self.phase is RECEIVING and self.missing is None

    def _expect_head(self) -> None:
        # Bytes of the body that the server may still get; None until the head is complete.
        self.missing = None
        self.size = 0  # bytes of the head so far
        self.tail = b""  # the last bytes of the head so far
        self.ahead = b""  # bytes that have arrived and the server does not get yet
        self.body = []  # parts of the body that the application has received
        self.waits_for_taking = False

    def _forget(self) -> None:
        """Drop everything that is held for the client."""
        self.ahead, self.body = b"", []
        self.release()

    def _begin(self) -> None:
        self.phase = RECEIVING
        self.since = monotonic()
        self.deadline = self.since + (TIME_TO_CLOSE if self.is_stopping else TIME_TO_RECEIVE)
        self.release()
        self._expect_head()

    def _keep(self, data: bytes) -> None:
        self.ahead += data
        if len(self.ahead) > MAX_AHEAD:
            self.transport.pause_reading()

    def _feed(self, data: bytes) -> None:
        """Pass on what the server may get of the data, and keep the rest.

        The server gets one request at a time, so that it never has two to answer.
        """
        if self.missing is None:
            if not self.size:
                data = data.lstrip(b"\r\n")  # which may precede a request (RFC 9112, 2.2)
            end = (self.tail + data).find(b"\r\n\r\n")
            end = end + 4 - len(self.tail) if end >= 0 else len(data)
            now, later = data[:end], data[end:]
            self.size += len(now)
            is_whole = (self.tail + now).endswith(b"\r\n\r\n")
            self.tail = (self.tail + now)[-3:]
            if self.size > MAX_HEAD:
                self.end(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
                return
            if is_whole:
                self.missing = 0
        else:
            now, later = data[: self.missing], data[self.missing :]
            self.missing -= len(now)
        if later:
            self._keep(later)
        if now:
            current.set(self)
            self.is_feeding = True
            self.server.data_received(now)
            self.is_feeding = False

    def _proceed(self) -> None:
        """Begin the next request, which has partly arrived, once the client has taken the answer."""
        self.waits_for_taking = not self.is_taken
        if self.waits_for_taking:
            self.transport.set_write_buffer_limits(high=0)  # resume_writing is called when all is taken
            return
        self.transport.set_write_buffer_limits()
        ahead = self.ahead
        self._begin()
        self.hold(len(ahead))
        if self.phase is CLOSING:
            return
        self.transport.resume_reading()
        self._feed(ahead)
        if self.client_is_done and self._is_within_head:
            self.end()  # the rest of the head will never come

    def end(self, status: HTTPStatus | None = None) -> None:
        """Answer with the status, if given, and close once the client has read all and closes its side."""
        if self.phase is CLOSING:
            return
        self.uncork()
        if status and self.phase is RECEIVING:
            self.transport.write(refusal(status))
        self.phase = CLOSING
        self._forget()
        self.since = monotonic()
        self.deadline = self.since + (TIME_TO_CLOSE if self.is_taken else TIME_TO_ANSWER)
        if self.transport.is_closing():
            return
        if self.client_is_done:
            self.transport.close()
        else:
            self.transport.resume_reading()
            self.transport.write_eof()

    def expire(self) -> None:
        """The deadline has passed."""
        if self.is_stream and self.phase is ANSWERING and self.is_taken:
            self.taking(0)
        elif self.is_free and not self.is_stopping:
            self.release()
            self.deadline = inf  # the server closes idle connections
        elif self.phase is RECEIVING and self.size:
            self.end(HTTPStatus.REQUEST_TIMEOUT)
        else:
            self._cut_off(OVERDUE[self.phase])

    def _cut_off(self, why: str) -> None:
        """Close without a word."""
        metrics.connections_cut_off.labels(why).inc()
        self.transport.abort()

    @classmethod
    def _make_way(cls) -> bool:
        """Too many connections: end the one that has been idle for longest, or else the oldest incomplete request.

        Return whether there was one. A request that is being answered is not given up for a new connection.
        """

        def rank(connection: Connection) -> tuple[bool, float]:
            is_idle = connection.is_free or not connection.size or connection.phase is CLOSING
            return not is_idle, connection.since

        dispensable = [each for each in cls.opened if each.is_free or each.phase in (RECEIVING, CLOSING)]
        if dispensable:
            first = min(dispensable, key=rank)
            cls.opened.pop(first)
            first._cut_off("too many connections")
        return bool(dispensable)

    @classmethod
    def _make_room(cls) -> None:
        """Too much is held: end the connections that cost most, in bytes times seconds."""
        for connection in list(cls.opened):
            if connection.is_free:
                connection.release()
        now = monotonic()
        while cls.total_held > MAX_HELD and (holding := [connection for connection in cls.opened if connection.held]):
            first = max(holding, key=lambda connection: connection.held * (now - connection.since))
            if first.phase is RECEIVING:
                first.end(HTTPStatus.SERVICE_UNAVAILABLE)
            else:
                first._cut_off("too much held")
                first.phase = CLOSING
                first._forget()


class GuardedTransport:
    """The transport for the server: the guard decides how to close, and nothing is written after that.

    What the server writes while it is given data is its own answer, in plain text, to a malformed request; the guard
    answers in JSON instead.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._transport = connection.transport

    def write(self, data: bytes) -> None:
        connection = self._connection
        if connection.corked is not None:
            connection.corked.append(data)
        elif connection.phase is not CLOSING and not connection.is_feeding:
            self._transport.write(data)

    def close(self) -> None:
        self._connection.close()

    def is_closing(self) -> bool:
        return self._connection.is_closing

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


async def close_overdue() -> None:
    """Close connections whose deadline has passed, for as long as the server runs."""
    while True:
        await asyncio.sleep(1)
        now = monotonic()
        for connection in list(Connection.opened):
            if connection.deadline <= now:
                connection.expire()
