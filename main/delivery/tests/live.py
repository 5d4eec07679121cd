"""Servers and clients for the tests of streams: the server as operators run it, on the database of the tests."""

import json
import os
import re
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import NamedTuple

from django.conf import settings
from django.db import connection

from delivery.models import Process
from harness import server as harness
from users.models import AuthToken

# Seconds after which a test gives up. What it waits for takes a fraction of one.
DEADLINE = 20

METRICS_TOKEN = "a-token-of-the-operators"

# A socket with this option is closed with a reset.
LINGER_NOT = struct.pack("ii", 1, 0)

REDIS = "/usr/bin/redis-check-rdb"  # of Debian's redis-tools: the same program as redis-server, which has this name


def eventually(condition):
    """What the function returns, once that is true."""
    end = time.monotonic() + DEADLINE
    while not (result := condition()):
        assert time.monotonic() < end, "This has not come true."
        time.sleep(0.02)
    return result


def environment_of_database():
    """The variables by which a server finds the database of the tests."""
    name = str(connection.settings_dict["NAME"])
    return {"SQLITE_FILE": name, "MYSQL_USER": ""} if connection.vendor == "sqlite" else {"MYSQL_DATABASE": name}


class Server:
    """A server, for as long as a `with` lasts; without Redis unless the environment names one."""

    def __init__(self, processes=2, **environment):
        self.port = harness.free_port()
        self.environment = {"BIND": f"127.0.0.1:{self.port}", "WEB_CONCURRENCY": str(processes), "REDIS_URL": ""}
        self.environment |= {"ENV_FILE": os.devnull, "SECRET_KEY": settings.SECRET_KEY, "LOG_FORMAT": "text"}
        self.environment |= {"METRICS_TOKEN": METRICS_TOKEN}
        self.environment |= environment_of_database() | environment

    def __enter__(self):
        self.log = tempfile.TemporaryFile()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "main.serve"],
            cwd=harness.MAIN,
            env=os.environ | self.environment,
            stdout=subprocess.DEVNULL,
            stderr=self.log,
        )
        return self

    def __exit__(self, *failure):
        self.process.terminate()
        try:
            self.process.wait(DEADLINE)
        finally:
            self.process.kill()
            self.process.wait()
            self.log.close()

    def is_up(self):
        assert self.process.poll() is None, self.lines()
        try:
            return call(self.port, "GET", "/healthz") == (200, {"status": "ok"})
        except OSError:
            return False

    def workers(self):
        """The ids of the processes that serve."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        return {int(pid) for pid in children if b"spawn_main" in harness.Server.command_of(pid)}

    def replace(self):
        """Replace the processes by others, as when a new version is installed."""
        before = self.workers()
        self.process.send_signal(signal.SIGHUP)
        return before

    def numbers(self):
        """What its metrics say, by name with labels."""
        http = HTTPConnection("127.0.0.1", self.port, timeout=DEADLINE)
        http.request("GET", "/metrics", headers={"Authorization": f"Bearer {METRICS_TOKEN}"})
        lines = http.getresponse().read().decode().splitlines()
        http.close()
        pairs = (line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
        return {name: float(value) for name, value in pairs}

    def lines(self):
        """What it has logged, also what it gathers; see common.logs."""
        time.sleep(0.1)
        return os.pread(self.log.fileno(), 1 << 24, 0).decode().splitlines()

    def lines_of(self, request_id):
        """What it has logged of the request: the messages, with digits in place of numbers."""
        marked = [line.partition(f" requests [{request_id}] ")[2] for line in self.lines()]
        return [re.sub(r"\d+\.\d+", "0.0", line) for line in marked if line]


class Redis:
    """A Redis server, which can be killed and started again."""

    def __init__(self, *options):
        self.options = options
        self.port = harness.free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"

    def __enter__(self):
        self.folder = tempfile.TemporaryDirectory(prefix="chat-redis-")
        self.start()
        return self

    def __exit__(self, *failure):
        self.kill()
        self.folder.cleanup()

    def start(self):
        where = ["--bind", "127.0.0.1", "--port", str(self.port), "--dir", self.folder.name]
        command = ["redis-server", *self.options, *where, "--save", ""]
        self.process = subprocess.Popen(command, executable=REDIS, stdout=subprocess.PIPE)  # noqa: S603
        assert any(b"Ready to accept connections" in line for line in self.process.stdout)

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()


def call(port, method, path, body=None, token=None):
    """Status and body of the answer to a call on a connection of its own."""
    http = HTTPConnection("127.0.0.1", port, timeout=DEADLINE)
    try:
        return call_on(http, method, path, body, token)
    finally:
        http.close()


def call_on(http, method, path, body=None, token=None):
    headers = {"Authorization": f"Token {token}"} if token else {}
    if body is not None:
        body, headers["Content-Type"] = json.dumps(body), "application/json"
    http.request(method, path, body, headers)
    answer = http.getresponse()
    text = answer.read()
    return answer.status, json.loads(text) if text else None


class Event(NamedTuple):
    id: str
    name: str
    data: object


class Source:
    """A stream as a client reads it: an iterator over its events that ends with the stream."""

    def __init__(self, port, token, last_id=None):
        self.http = HTTPConnection("127.0.0.1", port, timeout=DEADLINE)
        self.last_id = last_id  # of the events that were read
        self.comments = 0
        self.is_broken = False  # it has ended in the middle
        headers = {"Accept": "text/event-stream", "Authorization": f"Token {token}"}
        if last_id is not None:
            headers["Last-Event-ID"] = last_id
        self.http.connect()
        self.socket = self.http.sock
        self.http.request("GET", "/events", headers=headers)
        self.answer = self.http.getresponse()
        self.status, self.request_id = self.answer.status, self.answer.headers["X-Request-ID"]

    def __iter__(self):
        return self

    def __next__(self):
        fields = {}
        end = time.monotonic() + DEADLINE
        while line := self._read_line():
            assert time.monotonic() < end, "Nothing has come but comments."
            name, _, value = line.rstrip("\n").partition(":")
            if name:
                fields[name] = value.removeprefix(" ")
            elif line != "\n":
                self.comments += 1
            elif "data" in fields:
                self.last_id = fields["id"]
                return Event(fields["id"], fields.get("event", "message"), json.loads(fields["data"]))
            else:
                fields = {}
        raise StopIteration

    def _read_line(self):
        try:
            line = self.answer.readline().decode()
        except (HTTPException, ConnectionError):
            self.is_broken = True
            return ""
        if not line and self.answer.chunk_left == 0:
            # The connection was closed between two chunks, which `readline` takes for the end of the answer.
            self.is_broken = True
        return line

    def until(self, condition):
        """The events up to and with the first that meets the condition."""
        events = []
        for event in self:
            events.append(event)
            if condition(event):
                return events
        raise AssertionError(f"The stream has ended after {events}.")

    def texts(self, number):
        """The texts of the next messages, so many; nothing else comes between them."""
        return [text_of(next(self)) for _ in range(number)]

    def close(self):
        """Leave with a reset, as a client that was killed does: the server notices at once."""
        with suppress(OSError):  # the server may have closed it
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_NOT)
        self.leave()

    def leave(self):
        self.answer.close()
        self.http.close()


def text_of(event):
    assert event.name == "message", event
    return event.data["message"]["text"]


class Person:
    """A user with a token, who calls a server."""

    def __init__(self, server, user):
        self.server, self.user = server, user
        self.token = AuthToken.objects.issue(user)
        self.sources = []

    def call(self, method, path, body=None):
        return call(self.server.port, method, path, body, self.token)

    def send(self, conversation, text):
        status, message = self.call("POST", f"/conversations/{conversation}/messages", {"text": text})
        assert status == 201, message
        return message

    def events(self, last_id=None, server=None):
        """An open stream; without an id, after `ready`."""
        source = self.try_events(last_id, server)
        assert source.status == 200, source.answer.read()
        if last_id is None:
            assert next(source).name == "ready"
        return source

    def try_events(self, last_id=None, server=None):
        source = Source((server or self.server).port, self.token, last_id)
        self.sources.append(source)
        return source

    def resumed(self, last_id):
        """A stream that goes on after the id, once the server has noticed that others were closed."""
        return eventually(lambda: source if (source := self.try_events(last_id)).status == 200 else source.close())

    def close(self):
        for source in self.sources:
            source.close()


def processes_with_streams():
    return Process.objects.filter(slots__isnull=False).distinct().count()
