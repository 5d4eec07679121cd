"""Breaks a running service and counts what is lost: run by `make drill`, with a MariaDB server of its own to kill.

Each drill prints what it saw and ends with an error if it was not as it should be.
"""

import http.client
import json
import os
import secrets
import signal
import socket
import struct
import sys
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path

MAIN = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(MAIN))
os.environ |= {"DJANGO_SETTINGS_MODULE": "main.settings", "SECRET_KEY": secrets.token_hex(), "ENV_FILE": "/dev/null"}
os.environ |= {"LOGIN_RATE": "5/min", "SEND_RATE": ""}

import django  # noqa: E402

django.setup()

from django.core.management import call_command  # noqa: E402
from django.db import connection  # noqa: E402

from benchmarks.server import PORT, Server, prepare_database  # noqa: E402
from conversations import actions  # noqa: E402
from conversations.models import Conversation, Message  # noqa: E402
from users.models import AuthToken, User  # noqa: E402

PASSWORD = "correct-horse-battery"  # noqa: S105
WRITERS = 8


def say(text):
    print(text, flush=True)  # noqa: T201


def require(condition, text):
    if not condition:
        raise SystemExit(f"Not as it should be: {text}")


def post(path, body, token=None, to=None):
    """The answer as (status, body); OSError or HTTPException where there is none."""
    to = to or http.client.HTTPConnection("127.0.0.1", PORT, timeout=60)
    headers = {"Content-Type": "application/json"} | ({"Authorization": f"Token {token}"} if token else {})
    to.request("POST", path, json.dumps(body), headers)
    answer = to.getresponse()
    return answer.status, json.loads(answer.read() or "null")


def guesses(alice):
    """Wrong passwords at once, to two workers: as many are checked as the rate allows."""
    with Server() as server, ThreadPoolExecutor(24) as threads:
        body = {"username": "alice", "password": "wrong-horse-battery"}
        statuses = Counter(status for status, _ in threads.map(lambda _: post("/users/login", body), range(24)))
        say(f"24 wrong passwords at once, {len(server.workers())} workers, 5 allowed: {dict(statuses)}")
        require(statuses == {400: 5, 429: 19}, "5 of 24 guesses checked")
        refused, _ = post("/users/login", {"username": "alice", "password": PASSWORD})
        require(refused == 429, "the address is refused until its minute is over")
        away = http.client.HTTPConnection("127.0.0.1", PORT, source_address=("127.0.0.2", 0))
        status, _ = post("/users/login", {"username": "alice", "password": PASSWORD}, to=away)
        say(f"the right password from another address: {status}")
        require(status == 200, "the right password from another address")


class Writers:
    """Send messages without pause, each named; keeps what was answered, and when."""

    def __init__(self, conversation, tokens):
        self.path = f"/conversations/{conversation}/messages"
        self.answered, self.others, self.times = set(), Counter(), []
        self.done = threading.Event()
        self.threads = [threading.Thread(target=self.write, args=(tokens[n % len(tokens)], n)) for n in range(WRITERS)]
        for thread in self.threads:
            thread.start()

    def write(self, token, name):
        to, number = http.client.HTTPConnection("127.0.0.1", PORT, timeout=60), 0
        while not self.done.is_set():
            number += 1
            client_id = f"{name}-{number}"
            try:
                status, body = post(self.path, {"text": "x", "client_id": client_id}, token, to)
            except (OSError, http.client.HTTPException) as error:
                self.others[type(error).__name__] += 1
                to.close()
                time.sleep(0.01)
                continue
            if status == 201:
                self.answered.add(client_id)
                self.times.append(time.monotonic())
            else:
                self.others[f"{status} {body}"] += 1
                time.sleep(0.01)

    def longest_pause_after(self, moment):
        """How long nothing was written at a time after the moment, in seconds."""
        times = [moment, *sorted(at for at in self.times if at > moment)]
        return max((later - earlier for earlier, later in pairwise(times)), default=float("inf"))

    def stop(self):
        self.done.set()
        for thread in self.threads:
            thread.join()


def kills(alice, bob):
    """The database and a worker, killed one after the other under load: no answered write is lost."""
    private, _ = actions.open_private(alice, bob)
    tokens = [AuthToken.objects.issue(user) for user in (alice, bob)]
    with Server() as server:
        writers = Writers(private.pk, tokens)
        time.sleep(3)
        pauses = {}
        pid_file = os.environ.get("MARIADB_PID_FILE")
        if pid_file:
            os.kill(int(Path(pid_file).read_text()), signal.SIGKILL)
            database_killed = time.monotonic()
            time.sleep(7)
            pauses["the database"] = writers.longest_pause_after(database_killed)
        for worker in server.workers():
            os.kill(worker, signal.SIGKILL)
            worker_killed = time.monotonic()
            time.sleep(4)
            pauses[f"worker {worker}"] = writers.longest_pause_after(worker_killed)
        require(len(server.workers()) == 2, "the workers are replaced")
        writers.stop()
        errors = [line for line in server.lines() if "Traceback" in line or "(1213," in line]
    for what, pause in pauses.items():
        say(f"after {what} was killed: written again after {pause:.1f} s")
        require(pause < 10, f"{what} recovers by itself")
    say(f"answered otherwise: {dict(writers.others)}")
    require(not errors, f"no traceback and no deadlock in the log: {errors[:3]}")
    statuses = {other[:3] for other in writers.others if other[:3].isdigit()}
    require(statuses <= {"503"}, f"no failure but 503, not {statuses}")

    connection.close()  # to the database that was killed
    rows = list(Message.objects.filter(conversation=private).values_list("number", "client_id").order_by("number"))
    stored = Counter(client_id for _, client_id in rows)
    lost = writers.answered - set(stored)
    say(f"{len(writers.answered)} messages answered, {len(rows)} found, {len(lost)} lost")
    require(len(writers.answered) > 100, "there was a load")
    require(not lost, f"lost: {sorted(lost)[:5]}")
    require(max(stored.values()) == 1, "each message is there once")
    last = Conversation.objects.get(pk=private.pk).last_number
    require([number for number, _ in rows] == list(range(1, last + 1)), "the numbers have no gaps")


def slow_clients(alice):
    """Clients that stall, do not close, or vanish, many more than there are threads, do not keep others waiting."""
    head = b"POST /users/login HTTP/1.1\r\nHost: localhost\r\n"
    beginnings = (
        b"",
        head,
        head + b"Content-Length: 100\r\n\r\n{",
        head + b"Content-Length: 0000000000100\r\n\r\n{",
        head + b"Transfer-Encoding: chunked\r\n\r\n",
        b"x\r\n\r\n",
        b"GET /healthz HTTP/1.0\r\nHost: localhost\r\n\r\n",
    )
    with Server() as server:
        workers = server.workers()
        stalled = []
        for beginning in beginnings:
            for _ in range(40):
                sock = socket.create_connection(("127.0.0.1", PORT))
                sock.sendall(beginning)
                stalled.append(sock)
        for _ in range(100):
            with socket.create_connection(("127.0.0.1", PORT)) as sock:
                sock.sendall(head + b"Content-Length: 9\r\nExpect: 100-continue\r\n\r\n")
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # closes with a reset
        started = time.monotonic()
        for _ in range(20):
            status, _ = post("/users/logout-all", {}, AuthToken.objects.issue(alice))
            require(status == 204, "the others are served")
        took = time.monotonic() - started
        say(f"{len(stalled)} stalled clients and 100 that vanished: 20 calls of another in {took:.2f} s")
        require(took < 5, "nobody waits for the stalled")
        require(server.workers() == workers, "no worker died of it")
        for sock in stalled:
            sock.close()


def termination(alice):
    """SIGTERM: what was taken on is finished."""
    os.environ["LOGIN_RATE"] = ""
    body = {"username": "alice", "password": PASSWORD}
    with Server() as server, ThreadPoolExecutor(8) as threads:
        connections = [http.client.HTTPConnection("127.0.0.1", PORT, timeout=60) for _ in range(8)]
        for each in connections:
            # Accepted before the signal, whatever else the machine does.
            post("/users/login", {}, to=each)
        answers = [threads.submit(post, "/users/login", body, to=each) for each in connections]
        time.sleep(0.05)
        server.process.send_signal(signal.SIGTERM)
        statuses = Counter(answer.result()[0] for answer in answers)
        server.process.wait(10)
    say(f"SIGTERM while 8 logins ran: {dict(statuses)}")
    require(statuses == {200: 8}, "what runs is finished")


def main():
    prepare_database()
    alice, bob = (User.objects.create_user(name, f"{name}@example.org", PASSWORD) for name in ("alice", "bob"))
    say(f"== {connection.vendor}")
    guesses(alice)
    slow_clients(alice)
    kills(alice, bob)
    call_command("flush", interactive=False, verbosity=0)
    termination(User.objects.create_user("alice", "alice@example.org", PASSWORD))


if __name__ == "__main__":
    main()
