"""How gunicorn receives requests here."""

import re
import selectors
import socket
import time
from collections import deque
from contextlib import suppress
from functools import partial

from gunicorn.http import get_parser
from gunicorn.workers.gthread import TConn, ThreadWorker

# Seconds from its first byte in which a request must be there in whole; from then in which the answer must be taken,
# longer than the database may take; and in which a client may close, before the server does.
TIME_TO_RECEIVE, TIME_TO_ANSWER, TIME_TO_CLOSE = 20, 40, 2
HIGHEST_HEAD = 256 * 1024
# Longer bodies are refused. Up to the second length they are received all the same, and thrown away: many clients read
# no answer before they have sent everything.
HIGHEST_BODY = 1024 * 1024
HIGHEST_DISCARD = 16 * 1024 * 1024

CONTENT_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*0*([0-9]{1,12})[ \t]*\r\n", re.IGNORECASE)
LENGTHS = re.compile(rb"\r\n(content-length|transfer-encoding)[ \t]*:", re.IGNORECASE)
EXPECTS_CONTINUE = re.compile(rb"\r\nexpect:[ \t]*100-continue", re.IGNORECASE)


class Request:
    """What has arrived of a request."""

    def __init__(self):
        self.data = bytearray()
        self.missing = None  # how many bytes of the body, once the head is there
        self.is_whole = True  # not where a part of the body is thrown away, or not waited for

    def add(self, data):
        """Take in what has arrived; return whether a thread can go to work on it."""
        if self.missing is not None:
            self.missing -= len(data)
            if self.is_whole:
                self.data += data
            return self.missing <= 0
        searched = max(0, len(self.data) - 3)
        self.data += data
        end = self.data.find(b"\r\n\r\n", searched)
        if end < 0:
            # It never will be.
            self.is_whole = len(self.data) < HIGHEST_HEAD
            return not self.is_whole
        head, body = bytes(self.data[: end + 4]), len(self.data) - end - 4
        match, lengths = CONTENT_LENGTH.search(head), LENGTHS.findall(head)
        if not lengths:
            length = 0
        elif match and len(lengths) == 1:
            length = int(match[1])
        else:
            # There are several, or one that is odd or of chunks. It is refused.
            length = HIGHEST_DISCARD + 1
        self.missing = length - body
        self.is_whole = length <= HIGHEST_BODY
        expects = EXPECTS_CONTINUE.search(head) is not None and b" HTTP/1.1\r\n" in head
        self.expects_continue = expects and self.missing > 0
        return self.missing <= 0 or length > HIGHEST_DISCARD


class BufferingWorker(ThreadWorker):
    """Gives a request to a thread when all of it has arrived, so that slow clients cost a connection, and no thread.

    gunicorn's own reads it in the thread: as many stalled clients as there are threads would stop the service. It also
    waits in its loop for clients to close, which would stop it for two seconds each.
    """

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.working, self.closing = {}, deque()

    def accept(self, listener):
        # Whoever has fewer connections goes first. Otherwise one worker takes all that come at the same moment, and has
        # them for as long as they last: 700 requests a second were measured where there could be 1 700.
        time.sleep(min(self.nr_conns, 8) * 0.0002)
        try:
            client, address = listener.accept()
        except OSError:
            return
        self.nr_conns += 1
        self.receive(TConn(self.cfg, client, address, listener.getsockname()))

    def on_client_socket_readable(self, conn, client):
        self.poller.unregister(client)
        self.keepalived_conns.remove(conn)
        self.receive(conn)

    def receive(self, conn, data=b""):
        conn.request = Request()
        seconds = TIME_TO_RECEIVE if self.alive else TIME_TO_CLOSE
        self.wait_for(conn, self.pending_conns, seconds, self.on_pending_socket_readable)
        if data:
            self.take_in(conn, data)

    def wait_for(self, conn, conns, seconds, callback):
        conn.sock.setblocking(False)
        conn.timeout = time.monotonic() + seconds
        conns.append(conn)
        self.poller.register(conn.sock, selectors.EVENT_READ, partial(callback, conn))

    def on_pending_socket_readable(self, conn, client):
        data = read_what_is_there(client)
        if data:
            self.take_in(conn, data)
        elif data is not None:
            self.drop(conn, self.pending_conns)

    def take_in(self, conn, data):
        request, begun = conn.request, conn.request.missing is not None
        if request.add(data):
            self.poller.unregister(conn.sock)
            self.pending_conns.remove(conn)
            if conn.parser is None:
                conn.parser = get_parser(self.cfg, conn.sock, conn.client)
            if not request.is_whole:
                # Whoever reads on is told at once that there is no more.
                conn.parser.unreader.chunk = lambda size_hint=None: b""
            conn.parser.unreader.unread(bytes(request.data))
            request.data = b""
            conn.data_ready = True
            self.enqueue_req(conn)
        elif not begun and request.missing is not None and request.expects_continue:
            with suppress(OSError):
                conn.sock.send(b"HTTP/1.1 100 Continue\r\n\r\n")

    def enqueue_req(self, conn):
        self.working[conn] = time.monotonic() + TIME_TO_ANSWER
        super().enqueue_req(conn)

    def handle(self, conn):
        # Whoever waited too long for a thread has been cut off, and may have asked again.
        return time.monotonic() < self.working[conn] and super().handle(conn)

    def handle_request(self, req, conn):
        req._expected_100_continue = False  # It was told to go on before it had sent all.
        if not conn.request.is_whole:
            # Nobody knows where the next request begins.
            req.force_close()
        return super().handle_request(req, conn)

    def finish_request(self, conn, fs):
        self.working.pop(conn, None)
        if fs.cancelled() or fs.exception() or not fs.result():
            self.end(conn)
        elif data := conn.parser.unreader.take_buffered():
            # The client has begun with its next request already.
            self.receive(conn, data)
        else:
            super().finish_request(conn, fs)

    def end(self, conn):
        """End the connection when the client has read all, as it shows by closing too."""
        with suppress(OSError):
            conn.sock.shutdown(socket.SHUT_WR)
            self.wait_for(conn, self.closing, TIME_TO_CLOSE, self.on_closing_socket_readable)
            return
        self.nr_conns -= 1
        conn.close()

    def on_closing_socket_readable(self, conn, client):
        if read_what_is_there(client) == b"":
            self.drop(conn, self.closing)

    def drop(self, conn, conns):
        self.poller.unregister(conn.sock)
        conns.remove(conn)
        self.nr_conns -= 1
        conn.close()

    def murder_pending(self):
        super().murder_pending()
        now = time.monotonic()
        while self.closing and self.closing[0].timeout <= now:
            self.drop(self.closing[0], self.closing)
        for conn, deadline in self.working.items():
            if deadline <= now:
                # A thread that waits for this client waits no longer.
                with suppress(OSError):
                    conn.sock.shutdown(socket.SHUT_RDWR)

    def _cap_keepalive(self, deadline):
        # A worker that is to stop waits no longer for what has not arrived.
        super()._cap_keepalive(deadline)
        for conn in self.pending_conns:
            conn.timeout = min(conn.timeout, deadline)


def read_what_is_there(sock):
    """Some bytes, none if there are no more to come, or None if there are none yet."""
    try:
        return sock.recv(64 * 1024)
    except BlockingIOError:
        return None
    except OSError:
        return b""
