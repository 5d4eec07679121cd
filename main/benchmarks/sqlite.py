"""What sends take on SQLite with 8 writers: run by `make bench-sqlite`.

The service with the queue of writers, and again with Django's own backend for SQLite, in rounds in turn: each writer
sends to a conversation of its own, and all send to one. Writes Markdown into results/.
"""

import argparse
import datetime
import json
import os
import platform
import secrets
import selectors
import socket
import statistics
import sys
import tempfile
import time
from pathlib import Path

MAIN = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(MAIN))
folder = tempfile.TemporaryDirectory(prefix="chat-bench-")
os.environ |= {"DJANGO_SETTINGS_MODULE": "main.settings", "SECRET_KEY": secrets.token_hex(), "ENV_FILE": "/dev/null"}
os.environ |= {"MYSQL_USER": "", "SQLITE_FILE": f"{folder.name}/db.sqlite3", "SEND_RATE": "1000/sec"}

import django  # noqa: E402

django.setup()

from django.db import connection  # noqa: E402

from benchmarks.events import make_group, make_users, quantiles  # noqa: E402
from benchmarks.run import cpu_seconds  # noqa: E402
from harness.server import PORT, Server, prepare_database  # noqa: E402
from users.models import AuthToken  # noqa: E402

BACKENDS = {"in turn": "main.settings", "as SQLite lets them": "benchmarks.unqueued"}
LOAD = Path("/proc/loadavg")
# Answers for each writer that are not counted.
WARM_UP = 10


def machine():
    cpu = Path("/proc/cpuinfo").read_text().partition("model name\t: ")[2].partition("\n")[0]
    version = ".".join(map(str, connection.Database.sqlite_version_info))
    return f"{os.cpu_count()} × {cpu}, Python {platform.python_version()}, SQLite {version}"


def request(group, token):
    body = json.dumps({"text": "Hello there, this is a message."})
    lines = [f"POST /conversations/{group.pk}/messages HTTP/1.1", "Host: localhost", f"Authorization: Token {token}"]
    lines += ["Content-Type: application/json", f"Content-Length: {len(body)}", "", body]
    return "\r\n".join(lines).encode()


def send_without_pause(requests, seconds):
    """Send each request again and again, on a connection of its own; return the seconds of each, and the refused.

    The first answers are not counted: the server opens its connections and loads code.
    """
    selector, times, refused, early = selectors.DefaultSelector(), [], 0, WARM_UP * len(requests)
    for each in requests:
        connection = socket.create_connection(("127.0.0.1", PORT))
        selector.register(connection, selectors.EVENT_READ, [each, time.perf_counter()])
        connection.sendall(each)
    end = float("inf")
    while time.perf_counter() < end:
        for key, _ in selector.select(1):
            answer, (each, began) = key.fileobj.recv(65536), key.data
            key.data[1] = now = time.perf_counter()
            refused += not answer.startswith(b"HTTP/1.1 201 ")
            key.fileobj.sendall(each)
            if early:
                early -= 1
                end = now + seconds
            else:
                times.append(now - began)
    for key in list(selector.get_map().values()):
        key.fileobj.close()
    return times, refused


def measure(settings, requests, seconds):
    """Requests a second, p50, p95 and p99 in milliseconds, p95 to p50, and milliseconds of CPU a request."""
    os.environ["DJANGO_SETTINGS_MODULE"] = settings
    with Server() as server:
        [before] = cpu_seconds(server.process.pid)
        times, refused = send_without_pause(requests, seconds)
        [after] = cpu_seconds(server.process.pid)
    if refused:
        raise RuntimeError(f"{refused} sends were refused")
    p50, p95, p99 = quantiles(times)
    cpu = 1000 * (after - before) / (len(times) + WARM_UP * len(requests))
    return len(times) / seconds, p50, p95, p99, p95 / p50, 1000 * max(times), cpu


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=5)
    parser.add_argument("--writers", type=int, default=8)
    options = parser.parse_args()
    prepare_database()
    users = make_users("writer", options.writers)
    tokens = [AuthToken.objects.issue(user) for user in users]
    shared, own = make_group(users), [make_group([user]) for user in users]
    loads = {
        "each to its own": [request(group, token) for group, token in zip(own, tokens, strict=True)],
        "all to one": [request(shared, token) for token in tokens],
    }
    samples = {}
    for _ in range(options.rounds):
        for load, requests in loads.items():
            for backend, settings in BACKENDS.items():
                samples.setdefault((load, backend), []).append(measure(settings, requests, options.seconds))

    text = ["# What sends take on SQLite", ""]
    text += [f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d %H:%M} UTC, {machine()}, {LOAD.read_text().split()[0]} of"]
    text += [f"load on {os.cpu_count()} cores in the end. {options.writers} writers without pause, two processes;"]
    text += [
        f"medians of {options.rounds} rounds of {options.seconds} s, taken in turn, with the least and greatest.",
        "",
    ]
    text += [
        "| sends | requests/s | p50 ms | p95 ms | p99 ms | p95 to p50 | longest ms | CPU ms |",
        "|---|" + "---:|" * 7,
    ]
    for (load, backend), rounds in samples.items():
        figures = [
            f"{statistics.median(each):.1f} ({min(each):.1f} to {max(each):.1f})" for each in zip(*rounds, strict=True)
        ]
        text.append(f"| {load}, {backend} | {' | '.join(figures)} |")
    (Path(__file__).with_name("results") / f"sqlite-{datetime.datetime.now(datetime.UTC):%Y-%m-%d}.md").write_text(
        "\n".join(text) + "\n"
    )
    print("\n".join(text))  # noqa: T201


if __name__ == "__main__":
    main()
