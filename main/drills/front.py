"""Drills with hostile clients: they send or read slowly, disappear, hoard connections, and frame requests oddly."""

import http.client
import socket
import struct
import time
from collections import Counter

from drills.service import call, connect, require, say, seconds_of_others
from harness.server import PORT, Server
from users.models import AuthToken

GET = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n"
POST = b"POST /users/login HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
SCHEMA = b"GET /schema HTTP/1.1\r\nHost: localhost\r\n\r\n"
BIG_FILE = (
    b"GET /static/drf_spectacular_sidecar/swagger-ui-dist/swagger-ui-bundle.js HTTP/1.1\r\nHost: localhost\r\n\r\n"
)


def run(alice):
    framing()
    token = AuthToken.objects.issue(alice)
    for drill in (stalled, vanished, not_reading, idle, half_sent_heads, half_sent_bodies):
        with Server() as server:
            workers = server.workers()
            drill(server, token)
            require(server.workers() == workers, f"{drill.__name__}: no process died of it")
            require(not [line for line in server.lines() if "Traceback" in line], f"{drill.__name__}: no traceback")


def others_are_served(what, token, most=5):
    took = seconds_of_others(token)
    say(f"{what}: 20 calls of another client in {took:.2f} s")
    require(took < most, "other clients do not wait")


def stalled(server, token):
    """Clients that stop within a head or a body get 408, or are cut off, after 20 seconds."""
    beginnings = (
        b"",
        POST,
        POST + b"Content-Length: 100\r\n\r\n{",
        POST + b"Content-Length: 0000000000100\r\n\r\n{",
        POST + b"Content-Length: 2000000\r\n\r\n{",
        POST + b"Transfer-Encoding: chunked\r\n\r\n",
        b"x\r\n\r\n",
        b"GET /healthz HTTP/1.0\r\nHost: localhost\r\n\r\n",
    )
    clients = [(beginning, connect()) for beginning in beginnings for _ in range(40)]
    for beginning, sock in clients:
        sock.sendall(beginning)
    others_are_served(f"{len(clients)} stalled clients", token)
    time.sleep(23)
    answers = Counter()
    for beginning, sock in clients:
        sock.settimeout(1)
        answers[beginnings.index(beginning), read_all(sock)[9:12]] += 1
        sock.close()
    statuses = (b"", b"408", b"408", b"408", b"408", b"411", b"400", b"200")
    require(answers == dict.fromkeys(enumerate(statuses), 40), f"they are cut off: {answers}")


def vanished(server, token):
    for number in range(200):
        with connect() as sock:
            sock.sendall(SCHEMA if number % 2 else POST + b"Content-Length: 9\r\nExpect: 100-continue\r\n\r\n")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # closes with a reset
    others_are_served("200 clients that vanished", token)


def not_reading(server, token):
    """Clients that do not read their answer occupy no thread, and begin no further request."""
    clients = [connect(receive_buffer=2048) for _ in range(60)]
    for number, sock in enumerate(clients):
        sock.sendall(BIG_FILE if number % 2 else SCHEMA * 60)
    time.sleep(1)
    others_are_served(f"{len(clients)} clients that do not read", token)
    asked = sum("GET /schema" in line for line in server.lines())
    say(f"of {30 * 60} pipelined requests {asked} were begun")
    require(asked < 30 * 60 / 2, "a pipelined request waits until the answer before it is taken")
    clients[0].shutdown(socket.SHUT_WR)
    answers = Counter(statuses_in(read_all(clients[0])))
    require(answers == {200: 60}, f"who reads after all gets every answer, in turn: {answers}")
    memory = server.memory()
    require(memory < 300, f"what they do not read does not pile up: {memory:.0f} MB")
    for sock in clients:
        sock.close()


def idle(server, token):
    """More idle connections than allowed, from one address: the oldest ones are closed."""
    kept = http.client.HTTPConnection("127.0.0.1", PORT, timeout=60)
    clients = [connect() for _ in range(1500)]
    others_are_served("1 500 idle connections", token)
    clients += [connect() for _ in range(1500)]
    others_are_served("3 000 idle connections", token)
    require(call("GET", "/healthz", to=kept)[0] == 200, "one that is made again is served")
    for sock in clients:
        sock.close()


def half_sent_heads(server, token):
    clients = [connect() for _ in range(2500)]
    for sock in clients:
        sock.sendall(POST)
    others_are_served("2 500 half-sent requests", token)
    for sock in clients:
        sock.close()


def half_sent_bodies(server, token):
    """900 bodies of one megabyte, each without its last byte: the memory for them is bounded."""
    body = b"x" * (1024 * 1024 - 1)
    clients, highest = [], 0
    for _ in range(900):
        sock = connect()
        clients.append(sock)
        try:
            sock.sendall(POST + b"Content-Length: 1048576\r\n\r\n" + body)
        except OSError:
            continue  # it was ended, since it cost most
        if len(clients) % 50 == 0:
            highest = max(highest, server.memory())
    others_are_served("900 half bodies", token)
    say(f"at most {highest:.0f} MB in memory, both processes together")
    require(highest < 300, "the memory is bounded")
    for sock in clients:
        sock.close()


# How bytes are framed as requests, and the statuses of the answers; with a request behind each that must be answered as
# what it is, or not at all.
FRAMES = {
    "a request": (GET + b"\r\n", [200]),
    "a request with a body": (POST + b"Content-Length: 2\r\n\r\n{}", [400]),
    "empty lines before": (b"\r\n\r\n" + GET + b"\r\n", [200]),
    "a body for a GET": (GET + b"Content-Length: 5\r\n\r\nhello", [200]),
    "a request within a body": (POST + b"Content-Length: %d\r\n\r\n" % len(SCHEMA) + SCHEMA, [400]),
    "a body that is too large": (POST + b"Content-Length: 1048577\r\n\r\n" + b"x" * 1048577, [413]),
    "HEAD": (GET.replace(b"GET", b"HEAD") + b"\r\n", [200]),
    "absolute form": (b"GET http://localhost/healthz HTTP/1.1\r\nHost: localhost\r\n\r\n", [200]),
    "a header with an underscore": (GET + b"SCRIPT_NAME: /x\r\n\r\n", [200]),
    "told to go on": (POST + b"Expect: 100-continue\r\nContent-Length: 2\r\n\r\n{}", [400]),
}
# The same for those after which the connection ends, and nothing more is answered.
LAST_FRAMES = {
    "HTTP/1.0": (b"GET /healthz HTTP/1.0\r\nHost: localhost\r\n\r\n", [200]),
    "HTTP/0.9": (b"GET /healthz\r\n\r\n", [400]),
    "HTTP/3": (GET.replace(b"1.1", b"3.0") + b"\r\n", [400]),
    "Connection: close": (GET + b"Connection: close\r\n\r\n", [200]),
    "no Host": (b"GET /healthz HTTP/1.1\r\n\r\n", [400]),
    "two lengths": (POST + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}", [400]),
    "twice the same length": (POST + b"Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}", [400]),
    "a list of lengths": (POST + b"Content-Length: 2, 2\r\n\r\n{}", [400]),
    "a length with a sign": (POST + b"Content-Length: +2\r\n\r\n{}", [400]),
    "a negative length": (POST + b"Content-Length: -2\r\n\r\n{}", [400]),
    "a hexadecimal length": (POST + b"Content-Length: 0x2\r\n\r\n{}", [400]),
    "a space before the colon": (POST + b"Content-Length : 2\r\n\r\n{}", [400]),
    "a length beyond 64 bits": (POST + b"Content-Length: 99999999999999999999\r\n\r\n{}", [400]),
    "a body of 17 MB": (POST + b"Content-Length: 17000000\r\n\r\n{}", [413]),
    "chunks": (POST + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n", [411]),
    "length with chunks": (POST + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", [400]),
    "chunks with length": (POST + b"Transfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n0\r\n\r\n", [400]),
    "an unknown coding": (POST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", [400]),
    "a folded header": (GET + b"X: a\r\n b\r\n\r\n", [400]),
    "NUL in a header": (GET + b"X: a\0b\r\n\r\n", [400]),
    "NUL in a name": (GET + b"X\0: a\r\n\r\n", [400]),
    "bare LF": (GET.replace(b"\r\n", b"\n") + b"\n", [400]),
    "one bare LF": (GET + b"X: a\nY: b\r\n\r\n", [400]),
    "bare CR": (GET + b"X: a\rb\r\n\r\n", [400]),
    "an upgrade": (GET + b"Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n", [200]),
    "an upgrade with a body": (POST + b"Connection: Upgrade\r\nUpgrade: x\r\nContent-Length: 50\r\n\r\n", [400]),
    "CONNECT": (b"CONNECT localhost:80 HTTP/1.1\r\nHost: localhost\r\n\r\n", [400]),
    "a head of 300 KB": (GET + b"X: " + b"x" * 300_000, [431]),
    "a path of 300 KB": (b"GET /" + b"x" * 300_000, [431]),
}


def framing():
    with Server() as server:
        for name, (frame, statuses) in FRAMES.items():
            require(answers_to(frame, ends=False) == [*statuses, 404], f"{name}, and a request behind it")
            pieces = [frame[:7], frame[7:40], frame[40:60], frame[60:]]
            require(answers_to(*pieces, ends=False) == [*statuses, 404], f"{name} in pieces, and a request behind it")
        for name, (frame, statuses) in LAST_FRAMES.items():
            got = answers_to(frame, ends=True)
            require(got == statuses, f"{name}: {got}")
        require(not [line for line in server.lines() if "Traceback" in line], "no traceback")
    say(f"{len(FRAMES) + len(LAST_FRAMES)} framings, each with a request behind it: every answer to what was asked")


def answers_to(*pieces, ends):
    """The statuses of the answers to what is sent in pieces, and to a request behind it that is 401, here told as 404.

    Where the connection is to end, the request behind is sent as well, and must not be answered.
    """
    with connect() as sock:
        sock.settimeout(10 if ends else 5)
        try:
            for piece in pieces:
                sock.sendall(piece)
                if len(pieces) > 1:
                    time.sleep(0.01)
            sock.sendall(b"GET /users/profile HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        except OSError:
            require(ends, "a connection that goes on takes all that is sent")
        return [404 if status == 401 else status for status in statuses_in(read_all(sock)) if status != 100]


def read_all(sock):
    data = b""
    try:
        while piece := sock.recv(65536):
            data += piece
    except OSError:
        pass
    return data


def statuses_in(data):
    """The statuses of the answers in the data, each of which has a Content-Length, or is a HEAD's."""
    statuses = []
    while data:
        head, _, data = data.partition(b"\r\n\r\n")
        statuses.append(int(head.split()[1]))
        length = int(head.lower().partition(b"content-length:")[2].split()[0]) if b"content-length" in head else 0
        if not data.startswith(b"HTTP/"):  # as it is behind the answer to a HEAD
            data = data[length:]
    return statuses
