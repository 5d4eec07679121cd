"""Users of the machine in machine.py: they come from outside, by HTTPS, and count what they do not get."""

import http.client
import json
import select
import socket
import ssl
import threading
import time
from collections import Counter
from contextlib import suppress

from drills.machine import ADDRESS

NAME, PASSWORD = "chat.example.org", "correct-horse-battery"


class Connection(http.client.HTTPSConnection):
    """One from an address of its own, outside of the machine."""

    def __init__(self, visitor, timeout=60):
        super().__init__(NAME, timeout=timeout, context=visitor.context)
        self.visitor = visitor

    def connect(self):
        with self.visitor.machine.outside.entered():
            sock = socket.socket()
        try:
            sock.bind((self.visitor.address, 0))
            sock.settimeout(self.timeout)
            sock.connect((ADDRESS, 443))
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.sock = self.visitor.context.wrap_socket(sock, server_hostname=NAME)
        except BaseException:
            sock.close()
            raise

    def drop_if_closed(self):
        """See, as all good clients do before they use a connection again, whether the server has closed it."""
        if self.sock and select.select([self.sock], [], [], 0)[0]:
            self.close()


class Visitor:
    """A user with an account, or without one."""

    def __init__(self, machine, authorities, address, name=None):
        self.machine, self.address, self.name = machine, address, name
        self.context = ssl.create_default_context(cadata=authorities)
        self.token = None

    def call(self, method, path, body=None, connection=None, headers=None):
        """The answer as (status, body, headers)."""
        connection = connection or Connection(self)
        headers = {"Content-Type": "application/json"} | (headers or {})
        if self.token:
            headers["Authorization"] = f"Token {self.token}"
        connection.request(method, path, json.dumps(body) if isinstance(body, dict) else body, headers)
        answer = connection.getresponse()
        text = answer.read()
        is_json = answer.headers.get_content_type() == "application/json"
        return answer.status, json.loads(text) if is_json and text else text, answer.headers

    def join(self):
        """Register and log in."""
        account = {"username": self.name, "password": PASSWORD}
        status, body, _ = self.call("POST", "/users/register", account | {"email": f"{self.name}@example.org"})
        if status == 201:
            status, body, _ = self.call("POST", "/users/login", account)
        if status != 200:
            raise SystemExit(f"Not as it should be: {self.name} cannot come in: {status} {body}")
        self.token = body["token"]
        return self


class Stream:
    """Holds a stream of a user's events, and comes back with the last id whenever it ends."""

    def __init__(self, visitor):
        self.visitor = visitor
        self.last_id, self.openings = "", 0
        self.numbers, self.times = Counter(), {}
        self.is_open, self.done = threading.Event(), threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        while not self.done.is_set():
            with suppress(OSError, http.client.HTTPException):
                self.hold()
            self.is_open.clear()
            self.done.wait(1)

    def hold(self):
        connection = Connection(self.visitor, timeout=30)
        headers = {"Authorization": f"Token {self.visitor.token}", "Accept": "text/event-stream"}
        connection.request("GET", "/events", headers=headers | {"Last-Event-ID": self.last_id})
        answer = connection.getresponse()
        if answer.status != 200:
            connection.close()
            return
        self.openings += 1
        event = {}
        while not self.done.is_set() and (line := answer.readline()):
            key, _, value = line.decode().rstrip("\n").partition(": ")
            if key:
                event[key] = value
                continue
            if "event" in event:
                self.handle(event)
            event = {}
        connection.close()

    def handle(self, event):
        self.last_id = event["id"]
        self.is_open.set()
        if event["event"] == "message":
            message = json.loads(event["data"])["message"]
            self.numbers[message["number"]] += 1
            self.times[message["number"]] = time.monotonic()
        elif event["event"] == "reset":
            self.numbers["reset"] += 1

    def wait_for(self, number, seconds=20):
        """Whether it has the message, in time."""
        end = time.monotonic() + seconds
        while number not in self.numbers and time.monotonic() < end:
            time.sleep(0.02)
        return number in self.numbers

    def stop(self):
        self.done.set()


class Load:
    """Users who send and read without pause for as long as a `with` lasts; half of them keep their connections."""

    def __init__(self, visitors, conversation, may_close_idle=False):
        """`may_close_idle`: nginx is reloaded meanwhile, which closes connections that are idle."""
        self.visitors, self.conversation, self.may_close_idle = visitors, conversation, may_close_idle
        self.lock, self.done = threading.Lock(), threading.Event()
        self.answered, self.calls, self.lost, self.longest = {}, 0, Counter(), 0.0
        self.repeated = 0  # since an idle connection was closed just when a request left

    def __enter__(self):
        self.threads = [
            threading.Thread(target=self.run, args=[visitor, bool(number % 2)])
            for number, visitor in enumerate(self.visitors)
        ]
        for thread in self.threads:
            thread.start()
        time.sleep(2)
        return self

    def __exit__(self, *failure):
        if not failure[0]:
            time.sleep(3)
        self.done.set()
        for thread in self.threads:
            thread.join()

    def run(self, visitor, keeps):
        connection = Connection(visitor)
        began_all, number = time.time(), 0
        while not self.done.is_set():
            number += 1
            client_id = f"{visitor.name}-{began_all}-{number}"
            path, body = f"/conversations/{self.conversation}/messages", {"text": client_id, "client_id": client_id}
            for method, place, content in (("POST", path, body), ("GET", "/users/profile", None)):
                if not keeps:
                    connection = Connection(visitor)
                connection.drop_if_closed()
                began = time.monotonic()
                try:
                    (status, answer, _), is_repeated = self.call(visitor, method, place, content, connection)
                    good = ((201, 200) if is_repeated else (201,)) if content else (200,)
                    failure = None if status in good else f"{status}"
                except (OSError, http.client.HTTPException) as error:
                    failure = type(error).__name__
                    connection.close()
                with self.lock:
                    self.calls += 1
                    self.longest = max(self.longest, time.monotonic() - began)
                    if failure:
                        self.lost[failure] += 1
                    elif content:
                        self.answered[client_id] = answer["number"]
                if not keeps:
                    connection.close()
            # Below the number of messages that a user may send in a minute.
            self.done.wait(0.06)

    def call(self, visitor, method, path, body, connection):
        """The answer, and whether it is that of a second try, after the connection was idle and closed just then.

        So do clients, where it is safe: a message has a client_id.
        """
        was_used = connection.sock is not None
        try:
            return visitor.call(method, path, body, connection), False
        except (http.client.RemoteDisconnected, ConnectionResetError):
            connection.close()
            if not (was_used and self.may_close_idle):
                raise
            with self.lock:
                self.repeated += 1
            return visitor.call(method, path, body, connection), True

    def figures(self):
        lost = sum(self.lost.values())
        kinds = f" {dict(self.lost)}" if lost else ""
        repeated = f", {self.repeated} repeated on a new connection" if self.repeated else ""
        return (
            f"{self.calls} requests of {len(self.visitors)} users, {lost} lost{kinds}{repeated},"
            f" the longest {self.longest:.2f} s"
        )


def stored(visitor, conversation):
    """The numbers of all messages of the conversation, by their texts."""
    numbers, after = {}, 0
    while True:
        _, page, _ = visitor.call("GET", f"/conversations/{conversation}/messages?after={after}&limit=100")
        if not page:
            return numbers
        numbers |= {message["text"]: message["number"] for message in page}
        after = page[-1]["number"]
