"""What realtime costs: run by `make bench-events`, which gives it a MariaDB server of its own.

Measures, on a server of two processes: the time from the begin of a POST until the last reader has the message, with
100 readers and with a group of 256, with hints and by polling alone; the memory and processor time of idle streams; and
in this process the processor time of a send with and without its announcement. Writes Markdown into results/.
"""

import argparse
import datetime
import http.client
import json
import os
import random
import resource
import secrets
import selectors
import socket
import statistics
import sys
import time
from pathlib import Path

MAIN = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(MAIN))
os.environ |= {"DJANGO_SETTINGS_MODULE": "main.settings", "SECRET_KEY": secrets.token_hex(), "ENV_FILE": "/dev/null"}
os.environ |= dict.fromkeys(("LOGIN_RATE", "REGISTER_RATE", "SEARCH_RATE", "SEND_RATE", "OPEN_RATE", "REPORT_RATE"), "")

import django  # noqa: E402

django.setup()

from django.db import connection  # noqa: E402

from benchmarks.run import cpu_seconds, database_pid, machine  # noqa: E402
from common.statements import run_together  # noqa: E402
from conversations import actions  # noqa: E402
from conversations.models import Conversation, Membership  # noqa: E402
from delivery.slots import MAX_STREAMS  # noqa: E402
from harness.server import PORT, Server, prepare_database  # noqa: E402
from users.models import AuthToken, User  # noqa: E402

_, most = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


class Readers:
    """Open streams, read in this thread."""

    def __init__(self):
        self.selector = selectors.DefaultSelector()

    def open(self, token):
        sock = socket.create_connection(("127.0.0.1", PORT))
        lines = (
            "GET /events HTTP/1.1",
            "Host: localhost",
            f"Authorization: Token {token}",
            "Accept: text/event-stream",
        )
        sock.sendall("\r\n".join([*lines, "", ""]).encode())
        data = b""
        while b"event: ready" not in data:
            piece = sock.recv(65536)
            if not piece:
                raise RuntimeError(f"The stream was not opened: {data!r}")
            data += piece
        self.selector.register(sock, selectors.EVENT_READ)

    def __len__(self):
        return len(self.selector.get_map())

    def wait_for(self, text, seconds=5):
        """Read until each of the streams has had the text; return when the last one had it."""
        waiting = len(self)
        deadline = time.perf_counter() + seconds
        while waiting:
            for key, _ in self.selector.select(max(0, deadline - time.perf_counter())):
                waiting -= text in key.fileobj.recv(65536)
            if time.perf_counter() > deadline:
                raise RuntimeError(f"{waiting} streams did not get {text!r}")
        return time.perf_counter()

    def close(self):
        for key in list(self.selector.get_map().values()):
            key.fileobj.close()
        self.selector.close()


def make_users(prefix, number):
    User.objects.bulk_create(
        User(
            username=f"{prefix}{n}",
            email=f"{prefix}{n}@example.org",
            username_key=f"{prefix}{n}",
            email_key=f"{prefix}{n}@example.org",
        )
        for n in range(number)
    )
    return list(User.objects.filter(username__startswith=prefix).order_by("pk"))


def make_group(users):
    group = Conversation.objects.create(kind="group", name="Readers", owner=users[0])
    Membership.objects.bulk_create(Membership(conversation=group, user=user) for user in users)
    return group


def quantiles(values):
    ordered = sorted(values)
    return [1000 * ordered[min(len(ordered) - 1, int(part * len(ordered)))] for part in (0.5, 0.95, 0.99)]


def latency(users, messages):
    """Milliseconds from the begin of a POST to its answer, and to the last reader: p50, p95 and p99 of both."""
    group = make_group(users)
    readers, to = Readers(), http.client.HTTPConnection("127.0.0.1", PORT)
    for user in users:
        readers.open(AuthToken.objects.issue(user))
    headers = {"Authorization": f"Token {AuthToken.objects.issue(users[0])}", "Content-Type": "application/json"}
    answered, delivered = [], []
    for number in range(messages):
        text = f"Message {number}."
        began = time.perf_counter()
        to.request("POST", f"/conversations/{group.pk}/messages", json.dumps({"text": text}), headers)
        to.getresponse().read()
        answered.append(time.perf_counter() - began)
        delivered.append(readers.wait_for(text.encode()) - began)
        time.sleep(random.uniform(0, 0.3))  # noqa: S311  (not in step with those who ask at intervals)
    readers.close()
    return quantiles(answered), quantiles(delivered)


def idle(server, users, number, seconds):
    """Bytes of memory per idle stream, and the share of a core that all of them take."""
    tokens = [AuthToken.objects.issue(user) for user in users]
    before = server.memory()
    readers = Readers()
    for n in range(number):
        readers.open(tokens[n // MAX_STREAMS])
    time.sleep(3)
    kilobytes = 1000 * (server.memory() - before) / number
    pids = (server.process.pid, database_pid())
    cpu, began = cpu_seconds(*pids), time.perf_counter()
    time.sleep(seconds)
    used = [now - then for now, then in zip(cpu_seconds(*pids), cpu, strict=True)]
    took = time.perf_counter() - began
    readers.close()
    return kilobytes, used[0] / took, used[1] / took


def write_alone(*_, writes, **__):
    return run_together(*writes)


def cost_of_the_log(users, rounds, sends):
    """Processor time of a send with its announcement against one without, and its milliseconds, in this process."""
    group, announce = make_group(users[:2]), actions.announce
    ratios, times = [], []
    for _ in range(rounds):
        took = []
        for function in (announce, write_alone):
            actions.announce = function
            began = time.process_time()
            for _ in range(sends):
                actions.send_message(users[0], group.pk, "Hello")
            took.append((time.process_time() - began) / sends)
        ratios.append(took[0] / took[1])
        times.append(1000 * took[0])
    actions.announce = announce
    return statistics.median(ratios), statistics.median(times)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=300)
    parser.add_argument("--streams", type=int, default=10_000)
    parser.add_argument("--seconds", type=int, default=60, help="of watching idle streams")
    options = parser.parse_args()
    prepare_database()
    users = make_users("reader", max(256, options.streams // MAX_STREAMS + 1))

    text = ["# What realtime costs", "", f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d %H:%M} UTC, {machine()}.", ""]
    text += ["Milliseconds from the begin of a POST to its answer, and to the last of all readers:", ""]
    text += ["| readers, two processes | answered p50 | p95 | delivered p50 | p95 | p99 |", "|---|" + "---:|" * 5]
    for hints in ("on", "off"):
        for number in (100, 256):
            os.environ["BENCHMARK_HINTS"] = hints
            with Server("benchmarks.serve"):
                answered, delivered = latency(users[:number], options.messages)
            name = f"{number}, {'with hints' if hints == 'on' else 'polling alone'}"
            figures = " | ".join(f"{figure:.1f}" for figure in (*answered[:2], *delivered))
            text.append(f"| {name} | {figures} |")
    os.environ["BENCHMARK_HINTS"] = "on"
    ratio, milliseconds = cost_of_the_log(users, 9, 200)
    text += ["", f"A send with its announcement takes {ratio:.2f} times the processor time of one without:"]
    text += [f"{milliseconds:.2f} ms in this process, without HTTP.", ""]
    with Server("benchmarks.serve") as server:
        kilobytes, share, database = idle(server, users, options.streams, options.seconds)
    text += [
        f"{options.streams} idle streams in two processes: {kilobytes:.1f} kB each; {100 * share:.1f} % of a core,"
    ]
    text += [f"and {100 * database:.1f} % of one in the database."]

    folder = Path(__file__).with_name("results")
    (folder / f"events-{datetime.datetime.now(datetime.UTC):%Y-%m-%d}.md").write_text("\n".join(text) + "\n")
    print("\n".join(text))  # noqa: T201
    connection.close()


if __name__ == "__main__":
    main()
