"""What a connection may cost: a guard that stands between the event loop and the HTTP server.

The server parses requests and writes answers. It waits for ever for a client that sends slowly, takes a head of any
size, and keeps what a client does not read. This module bounds all of that for every connection, by the interfaces
that asyncio documents for protocols and transports; it knows nothing of the server's inside.

A connection goes through these phases, over and over:

    RECEIVING   a request arrives; the first one is waited for from the moment of the connection
    ANSWERING   the whole request is there; it waits for a thread, runs, and the client takes the answer
    IDLE        the answer is written; the connection is free for the next request once the client has taken it
    CLOSING     nothing is read or written any more; the client may still read what was written
"""

import asyncio
import json
import logging
import secrets
from contextvars import ContextVar
from http import HTTPStatus
from math import inf
from time import monotonic

import uvloop

from common.logs import request_id

logger = logging.getLogger("requests")

# Bytes of a request line and headers.
MAX_HEAD = 128 * 1024
# Bytes of a next request that are read before the present one is answered; besides one read of the loop's.
MAX_AHEAD = 64 * 1024
# Bytes that a process holds for all clients together: requests that are not complete or wait, answers not yet taken.
MAX_HELD = 32 * 1024 * 1024
# Connections of a process.
MAX_CONNECTIONS = 1000
# Seconds: from the first byte of a request to its last; from then until the client has taken the answer; and from the
# end of the answer until the client must have closed.
TIME_TO_RECEIVE, TIME_TO_ANSWER, TIME_TO_CLOSE = 20, 40, 2

RECEIVING, ANSWERING, IDLE, CLOSING = "receiving", "answering", "idle", "closing"

REFUSALS = {
    HTTPStatus.BAD_REQUEST: "This is not a well-formed HTTP/1.1 request.",
    HTTPStatus.REQUEST_TIMEOUT: f"The request took longer than {TIME_TO_RECEIVE} seconds to arrive.",
    HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE: f"The request line and headers have more than {MAX_HEAD} bytes.",
    HTTPStatus.SERVICE_UNAVAILABLE: "Too many requests are arriving. Try again in a moment.",
}

# The connection whose request a task of the server answers.
current = ContextVar("current_connection")


class Loop(uvloop.Loop):
    """An event loop whose servers have a guard for every connection."""

    async def create_server(self, protocol_factory, *args, **kwargs):
        return await super().create_server(lambda: Connection(protocol_factory()), *args, **kwargs)


def refusal(status):
    """The answer (headers, body) of a request that does not reach Django; it ends the connection."""
    token = request_id.set(secrets.token_hex(8))
    logger.info("- - %d", status, extra={"fields": {"method": "-", "route": "-", "status": status.value}})
    body = json.dumps({"detail": REFUSALS[status]}, separators=(",", ":")).encode()
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", b"%d" % len(body)),
        (b"connection", b"close"),
        (b"x-request-id", request_id.get().encode()),
    ]
    request_id.reset(token)
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        headers.append((b"retry-after", b"5"))
    return headers, body


class Connection(asyncio.Protocol):
    """The guard of one connection: a protocol to the event loop, and the event loop to the server's protocol."""

    # All that are open in this process, the oldest first, and how many bytes are held for them.
    opened = {}
    total_held = 0

    def __init__(self, server):
        self.server = server
        self.phase = RECEIVING
        self.since = monotonic()
        self.deadline = self.since + TIME_TO_RECEIVE
        self.held = 0
        self.is_stopping = False  # whether the answer to the present, or next, request ends the connection
        self.client_is_done = False  # whether the client sends no more
        self.is_feeding = False
        self._expect_head()

    # What the event loop calls.

    def connection_made(self, transport):
        self.transport = transport
        if len(self.opened) >= MAX_CONNECTIONS:
            self._make_way()
        self.opened[self] = None
        self.server.connection_made(GuardedTransport(self))

    def connection_lost(self, exc):
        self.phase = CLOSING
        self.opened.pop(self, None)
        self._forget()
        self.server.connection_lost(exc)

    def data_received(self, data):
        if self.phase is CLOSING:
            return
        if self.is_free:
            self._begin()
        self.hold(len(data))
        if self.phase is RECEIVING:
            self._feed(data)
        else:
            self._keep(data)
            if self.phase is IDLE:
                self._proceed()

    def eof_received(self):
        """Keep the connection open for the answer if the whole request is there."""
        self.client_is_done = True
        return self.phase is ANSWERING or (self.phase is RECEIVING and self.missing == 0)

    def pause_writing(self):
        self.server.pause_writing()

    def resume_writing(self):
        self.server.resume_writing()
        if self.waits_for_taking:
            self._proceed()

    # What the application calls.

    def expect(self, length):
        """Let the server have the body, of so many bytes, of the request whose head it has got."""
        self.missing = length
        ahead, self.ahead = self.ahead, b""
        if length > len(ahead):
            if self.client_is_done:
                self.end()
                return
            self.transport.resume_reading()
        if ahead:
            self._feed(ahead)

    def received(self):
        """The whole request is there, as far as it will be read."""
        if self.phase is not RECEIVING:
            return
        self.phase = ANSWERING
        self.since = monotonic()
        self.deadline = self.since + TIME_TO_ANSWER

    def hold(self, size):
        """So many bytes more are held for the client."""
        self.held += size
        Connection.total_held += size
        if Connection.total_held > MAX_HELD:
            self._make_room()

    def release(self):
        """Nothing is held any more for the client but what it has sent ahead."""
        Connection.total_held += len(self.ahead) - self.held
        self.held = len(self.ahead)

    def take_body(self):
        body = b"".join(self.body)
        self.body = []
        self.release()
        return body

    def taking(self, size):
        """The client is given so many bytes, after it has taken those before."""
        self.release()
        self.hold(size)
        self.deadline = monotonic() + TIME_TO_ANSWER

    def answered(self):
        """The whole answer is written."""
        if self.phase is ANSWERING:
            self.phase = IDLE
            if self.ahead:
                self._proceed()

    @property
    def is_last(self):
        """Whether the present request is the last of the connection."""
        return self.is_stopping or (self.client_is_done and not self.ahead)

    @property
    def is_closing(self):
        return self.phase is CLOSING or self.transport.is_closing()

    # What the server calls, by way of its transport.

    def close(self):
        if self.is_feeding:
            self.end(HTTPStatus.BAD_REQUEST)
        elif not (self.is_stopping or self.client_is_done) and (self.phase is RECEIVING or self.is_free):
            # The client was idle for long, or this process is to stop. A request may be on its way to here. It is
            # answered, and no other.
            self.is_stopping = True
            self.deadline = min(self.deadline, monotonic() + TIME_TO_CLOSE)
        else:
            self.end()

    # How it works inside.

    @property
    def is_taken(self):
        """Whether the client, or the system for it, has taken all that was written."""
        return not self.transport.get_write_buffer_size()

    @property
    def is_free(self):
        return self.phase is IDLE and self.is_taken

    def _expect_head(self):
        self.missing = None  # bytes that the server may have: None is up to the end of the head
        self.size = 0  # of the head so far
        self.tail = b""  # the last bytes of the head so far
        self.ahead = b""  # what has arrived and the server may not have yet
        self.body = []  # what the application has received
        self.waits_for_taking = False

    def _forget(self):
        """Hold nothing for the client any more."""
        self.ahead, self.body = b"", []
        self.release()

    def _begin(self):
        self.phase = RECEIVING
        self.since = monotonic()
        self.deadline = self.since + (TIME_TO_CLOSE if self.is_stopping else TIME_TO_RECEIVE)
        self.release()
        self._expect_head()

    def _keep(self, data):
        self.ahead += data
        if len(self.ahead) > MAX_AHEAD:
            self.transport.pause_reading()

    def _feed(self, data):
        """Give the server what it may have of the data, and keep the rest.

        It gets one request at a time, so that it never has two to answer.
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

    def _proceed(self):
        """Go on with the next request, of which something has arrived, once the client has taken the answer."""
        self.waits_for_taking = not self.is_taken
        if self.waits_for_taking:
            self.transport.set_write_buffer_limits(high=0)  # resume_writing tells when all is taken
            return
        self.transport.set_write_buffer_limits()
        ahead = self.ahead
        self._begin()
        self.hold(len(ahead))
        self.transport.resume_reading()
        self._feed(ahead)
        if self.client_is_done and self.missing is None:
            self.end()  # the rest of the head will never come

    def end(self, status=None):
        """Close when the client has read all, as it shows by closing too; answer with the status before."""
        if self.phase is CLOSING:
            return
        if status and self.phase is RECEIVING:
            headers, body = refusal(status)
            lines = b"".join(b"%b: %b\r\n" % header for header in headers)
            line = f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode()
            self.transport.write(line + lines + b"\r\n" + body)
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

    def expire(self):
        """The deadline is over."""
        if self.is_free and not self.is_stopping:
            self.release()
            self.deadline = inf  # the server closes it after a time
        elif self.phase is RECEIVING and self.size:
            self.end(HTTPStatus.REQUEST_TIMEOUT)
        else:
            self.transport.abort()

    def _make_way(self):
        """End one of the connections, since there are too many: one that is idle, if there is one, for longest."""

        def rank(connection):
            is_idle = connection.is_free or not connection.size or connection.phase is CLOSING
            return (0 if is_idle else 1 if connection.phase is RECEIVING else 2), connection.since

        first = min(self.opened, key=rank)
        self.opened.pop(first)
        first.transport.abort()

    @classmethod
    def _make_room(cls):
        """End the connection that costs most, in bytes times seconds, until no more is held than may be."""
        for connection in list(cls.opened):
            if connection.is_free:
                connection.release()
        now = monotonic()
        while cls.total_held > MAX_HELD and cls.opened:
            first = max(cls.opened, key=lambda connection: connection.held * (now - connection.since))
            cls.opened.pop(first)
            if first.phase is RECEIVING:
                first.end(HTTPStatus.SERVICE_UNAVAILABLE)
            else:
                first.transport.abort()
                first.phase = CLOSING
                first._forget()


class GuardedTransport:
    """The transport that the server gets: it closes by way of the guard, and writes nothing after that.

    What the server writes while it is given data is its own answer, in plain text, to a malformed request.
    """

    def __init__(self, connection):
        self._connection = connection
        self._transport = connection.transport

    def write(self, data):
        if self._connection.phase is not CLOSING and not self._connection.is_feeding:
            self._transport.write(data)

    def close(self):
        self._connection.close()

    def is_closing(self):
        return self._connection.is_closing

    def __getattr__(self, name):
        return getattr(self._transport, name)


async def close_overdue():
    """Close, for ever, the connections whose time is over."""
    while True:
        await asyncio.sleep(1)
        now = monotonic()
        for connection in list(Connection.opened):
            if connection.deadline <= now:
                connection.expire()
