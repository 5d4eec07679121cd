"""What the drills of containers and platforms share: commands, and a client of a server at any address."""

import http.client
import json
import socket
import ssl
import subprocess
import threading
import time

PASSWORD = "correct-horse-battery"  # noqa: S105


def say(text):
    print(text, flush=True)  # noqa: T201


def require(condition, text):
    if not condition:
        raise SystemExit(f"Not as it should be: {text}")


def run(*command, timeout=120, may_fail=False, **options):
    """The result of a command; the drill ends with what it printed if it fails."""
    result = subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False, **options)  # noqa: S603
    if result.returncode and not may_fail:
        raise SystemExit(f"{' '.join(command)} failed:\n{result.stdout[-2000:]}\n{result.stderr[-4000:]}")
    return result


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as sock:
        return sock.getsockname()[1]


def wait_until(condition, text, seconds=60):
    """The seconds until the condition holds."""
    began = time.monotonic()
    while time.monotonic() - began < seconds:
        try:
            if condition():
                return time.monotonic() - began
        except (OSError, http.client.HTTPException):
            pass
        time.sleep(0.1)
    raise SystemExit(f"Not as it should be: {text}, not within {seconds} seconds")


class Client:
    """A client of the server at a port of this machine, by HTTP or, with the certificate to trust, by HTTPS."""

    def __init__(self, port, host="localhost", certificate=None, headers=None):
        self.port, self.certificate = port, certificate
        self.headers = {"Host": host} | (headers or {})

    def connection(self, timeout=60):
        if not self.certificate:
            return http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        context = ssl.create_default_context(cafile=self.certificate)
        return http.client.HTTPSConnection("localhost", self.port, timeout=timeout, context=context)

    def answer(self, method, path, body=None, token=None, headers=None):
        """The answer as (status, headers, bytes)."""
        headers = self.headers | {"Content-Type": "application/json"} | (headers or {})
        if token:
            headers["Authorization"] = f"Token {token}"
        connection = self.connection()
        connection.request(method, path, None if body is None else json.dumps(body), headers)
        answer = connection.getresponse()
        content = answer.read()
        connection.close()
        return answer.status, answer.headers, content

    def call(self, method, path, body=None, token=None, headers=None):
        status, _, content = self.answer(method, path, body, token, headers)
        return status, json.loads(content or "null")

    def status(self, path):
        return self.answer("GET", path)[0]

    def join(self, name):
        """Make an account and log in: the token."""
        account = {"username": name, "email": f"{name}@example.org", "password": PASSWORD}
        status, body = self.call("POST", "/users/register", account)
        require(status == 201, f"register answers 201, not {status} {body}")
        return self.log_in(name)

    def log_in(self, name):
        status, body = self.call("POST", "/users/login", {"username": name, "password": PASSWORD})
        deadline = time.monotonic() + 70
        while status == 429 and time.monotonic() < deadline:  # after the wrong passwords of the drill: a minute
            time.sleep(1)
            status, body = self.call("POST", "/users/login", {"username": name, "password": PASSWORD})
        require(status == 200, f"login answers 200, not {status} {body}")
        return body["token"]

    def talk(self):
        """What one writes is in the other's stream at once. Returns the sender's token and the conversation."""
        alice, bob = self.join("alice"), self.join("bob")
        status, conversation = self.call("POST", "/conversations/private/bob", token=alice)
        require(status == 201, f"a private conversation answers 201, not {status}")
        stream = self.connection(timeout=10)
        stream.request("GET", "/events", None, self.headers | {"Authorization": f"Token {bob}", **STREAM})
        events = stream.getresponse()
        require(events.status == 200, f"the stream answers 200, not {events.status}")
        self.read_until(events, "event: ready")
        began = time.monotonic()
        self.send(alice, conversation["id"])
        self.read_until(events, '"text":"Hello"')
        say(f"  register, login, send; in the other's stream after {(time.monotonic() - began) * 1000:.0f} ms")
        stream.close()
        return alice, conversation["id"]

    def send(self, token, conversation, text="Hello"):
        status, body = self.call("POST", f"/conversations/{conversation}/messages", {"text": text}, token)
        require(status == 201, f"a message answers 201, not {status} {body}")

    @staticmethod
    def read_until(events, part):
        for _ in range(100):
            if part in events.readline().decode():
                return
        raise SystemExit(f"Not as it should be: the stream brings {part}")


STREAM = {"Accept": "text/event-stream"}


def stopped_during_a_call(client, connection, database, token, conversation, stop):
    """Call `stop` while a message waits for a lock; the message has to be answered. Returns when it was called."""
    statuses, path = [], f"/conversations/{conversation}/messages"
    cursor = connection.cursor()
    cursor.execute(f"SELECT id FROM {database}.conversations_conversation WHERE id = %s FOR UPDATE", [conversation])  # noqa: S608
    sender = threading.Thread(
        target=lambda: statuses.append(client.call("POST", path, {"text": "slow"}, token)[0]), daemon=True
    )
    sender.start()
    waiting = "SELECT 1 FROM information_schema.innodb_trx WHERE trx_state = 'LOCK WAIT'"
    wait_until(lambda: cursor.execute(waiting), "a message waits for the lock", 20)
    began = time.monotonic()
    stop()
    time.sleep(1)
    require(statuses == [], "the message waits still")
    connection.rollback()
    sender.join(30)
    require(statuses == [201], f"a message that was under way at SIGTERM is answered with 201, not {statuses}")
    return began
