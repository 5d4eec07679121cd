"""How gunicorn receives requests here."""

import re
import selectors
import socket
import time
from contextlib import suppress
from functools import partial

from gunicorn.http import get_parser
from gunicorn.workers.gthread import TConn, ThreadWorker

# Seconds from its first byte in which a request must be there in whole.
TIME_TO_RECEIVE = 20
HIGHEST_HEAD = 256 * 1024
# Longer bodies are refused. Up to the second length they are received all the same, and thrown away: many clients read
# no answer before they have sent everything.
HIGHEST_BODY = 1024 * 1024
HIGHEST_DISCARD = 16 * 1024 * 1024

CONTENT_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*([0-9]{1,12})[ \t]*\r\n", re.IGNORECASE)
IN_CHUNKS = re.compile(rb"\r\ntransfer-encoding:", re.IGNORECASE)
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
            # The parser will say that it is too long.
            self.is_whole = len(self.data) < HIGHEST_HEAD
            return not self.is_whole
        head, body = bytes(self.data[: end + 4]), len(self.data) - end - 4
        if IN_CHUNKS.search(head):
            length = HIGHEST_DISCARD + 1  # nobody knows; it is refused
        else:
            match = CONTENT_LENGTH.search(head)
            length = int(match[1]) if match else 0
        self.missing = length - body
        self.is_whole = length <= HIGHEST_BODY
        self.expects_continue = self.missing > 0 and EXPECTS_CONTINUE.search(head) is not None
        return self.missing <= 0 or length > HIGHEST_DISCARD


class BufferingWorker(ThreadWorker):
    """Gives a request to a thread when all of it has arrived, so that slow clients cost a connection, and no thread.

    gunicorn's own reads it in the thread: as many stalled clients as there are threads would stop the service.
    """

    def accept(self, listener):
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

    def finish_request(self, conn, fs):
        goes_on = not fs.cancelled() and fs.exception() is None and fs.result()
        if goes_on and (data := conn.parser.unreader.take_buffered()):
            # The client has begun with its next request already.
            self.receive(conn, data)
        else:
            super().finish_request(conn, fs)

    def receive(self, conn, data=b""):
        conn.request = Request()
        conn.sock.setblocking(False)
        conn.timeout = time.monotonic() + TIME_TO_RECEIVE
        self.pending_conns.append(conn)
        self.poller.register(conn.sock, selectors.EVENT_READ, partial(self.on_pending_socket_readable, conn))
        if data:
            self.take_in(conn, data)

    def on_pending_socket_readable(self, conn, client):
        try:
            data = client.recv(64 * 1024)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if data:
            self.take_in(conn, data)
        else:
            self.stop_receiving(conn)
            self.nr_conns -= 1
            conn.close()

    def take_in(self, conn, data):
        begun = conn.request.missing is not None
        if conn.request.add(data):
            self.stop_receiving(conn)
            if not conn.request.is_whole:
                # Whoever reads on is told at once that there is no more.
                with suppress(OSError):
                    conn.sock.shutdown(socket.SHUT_RD)
            if conn.parser is None:
                conn.parser = get_parser(self.cfg, conn.sock, conn.client)
            conn.parser.unreader.unread(bytes(conn.request.data))
            conn.data_ready = True
            self.enqueue_req(conn)
        elif not begun and conn.request.missing is not None and conn.request.expects_continue:
            conn.sock.send(b"HTTP/1.1 100 Continue\r\n\r\n")

    def stop_receiving(self, conn):
        self.poller.unregister(conn.sock)
        self.pending_conns.remove(conn)

    def _cap_keepalive(self, deadline):
        # A worker that is to stop waits no longer for what has not arrived.
        super()._cap_keepalive(deadline)
        for conn in self.pending_conns:
            conn.timeout = min(conn.timeout, deadline)
