"""What the server counts and measures for its operators; `GET /metrics` shows it. docs/metrics.md tells what it means.

The values of labels are from fixed sets: no path, name or other text that a client has sent.
"""

import logging
import os
import platform
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from threading import Event, Lock
from typing import Any
from weakref import WeakSet

import django
from django.db import Error, connection, connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created
from prometheus_client import Counter, Gauge, Histogram

from common.processes import registry

logger = logging.getLogger(__name__)

METHODS = frozenset(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
# Combinations of method, route and status that are told apart. There are hundreds; the rest is called "other".
MAX_COMBINATIONS = 2000
# Seconds between two questions to the database, and rows that these count at most.
PAUSE_OF_QUESTIONS, MOST_ROWS = 5, 10_000


def counter(name: str, meaning: str, *labels: str) -> Counter:
    return Counter(f"chat_{name}", meaning, labels, registry=registry)


def gauge(name: str, meaning: str, *labels: str, mode: Any = "livesum") -> Gauge:
    """The mode says how the values of processes become one; `liveall`: each stays, under the number of its process."""
    return Gauge(f"chat_{name}", meaning, labels, registry=registry, multiprocess_mode=mode)


def histogram(name: str, meaning: str, *labels: str, buckets: tuple[float, ...]) -> Histogram:
    return Histogram(f"chat_{name}", meaning, labels, registry=registry, buckets=buckets)


requests = counter("requests", "Requests by their answer.", "method", "route", "status")
request_seconds = histogram(
    "request_seconds",
    "Time from the whole request to its answer, in a thread.",
    "route",
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5),
)
requests_in_progress = gauge("requests_in_progress", "Requests that run or wait for a thread.")
limit_refusals = counter("limit_refusals", "Answers 429, by the limit.", "limit")

connections_open = gauge("connections_open", "Connections of clients, streams included.")
connection_refusals = counter("connection_refusals", "Requests refused before or after Django.", "status")
connections_cut_off = counter("connections_cut_off", "Connections closed by limits without an answer.", "reason")
loop_lag_seconds = gauge("loop_lag_seconds", "How late the event loop was in its last second.", mode="livemax")

streams_open = gauge("streams_open", "Streams of events, and pages that wait for one.", "kind")
events_delivered = counter("events_delivered", "Events given to streams and waiting pages.")
delivery_seconds = histogram(
    "delivery_seconds",
    "Time from the sending of a message until it is given to the streams of its readers.",
    buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
)
exports_running = gauge("exports_running", "Exports that are made or taken.")

mails_waiting = gauge("mails_waiting", "Mails in the outbox, 10000 at most.", mode="livemostrecent")
mails_sent = counter("mails_sent", "Mails that the mail server has taken.")
mail_failures = counter("mail_failures", "Tries to send a mail that failed.")
mails_given_up = counter("mails_given_up", "Mails that are not tried any more.")

database_up = gauge("database_up", "1 if each process could ask the database, else 0.", mode="livemin")
database_connections = gauge("database_connections", "Open connections to the database.")
database_connections_opened = counter("database_connections_opened", "Connections to the database since the start.")
database_away = counter("database_away", "Answers 503 since the database was away.")
database_retries = counter("database_retries", "Transactions that were repeated.", "reason")

upkeep_pieces = counter("upkeep_pieces", "Pieces of work done in the background.", "task")
upkeep_failures = counter("upkeep_failures", "Interruptions of the work in the background.", "task")

process_memory_bytes = gauge("process_memory_bytes", "Resident memory.", mode="liveall")
process_start_seconds = gauge("process_start_seconds", "When the process began, in Unix time.", mode="liveall")
process_cpu_seconds = counter("process_cpu_seconds", "Processor time of all processes.")
info = gauge("info", "Always 1.", "python", "django", "database", mode="livemax")

# What is known beforehand begins at 0, so that its first increase shows.
for instrument, known in {
    connection_refusals: ["400", "408", "431", "503"],
    streams_open: ["stream", "page"],
    database_retries: ["deadlock", "lock wait"],
    connections_cut_off: [
        "nothing sent",
        "answer not taken",
        "not closed",
        "too many connections",
        "too much held",
        "too many events wait",
    ],
}.items():
    for value in known:
        instrument.labels(value)

# Requests that are not counted yet, as (method, route, status, seconds), and how many there may be. To count some
# hundreds at a time takes a fraction of the processor time of counting each between the work for its request.
_noted: deque[tuple[str, str, int, float]] = deque()
MAX_NOTED = 1000
_counting = Lock()
# By method, route and status.
_of_requests: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}


def note_request(method: str, route: str, status: int, seconds: float) -> None:
    _noted.append((method, route, status, seconds))
    if len(_noted) >= MAX_NOTED:
        count_requests()


def count_requests() -> None:
    with _counting:
        for _ in range(len(_noted)):
            method, route, status, seconds = _noted.popleft()
            number, duration = _of_requests.get((method, route, status)) or _instruments_of(method, route, status)
            number.inc()
            duration.observe(seconds)


def _instruments_of(method: str, route: str, status: int) -> tuple[Counter, Histogram]:
    """Those of a combination that is not known yet. Methods are any words, of which few are remembered."""
    if method not in METHODS:
        method = "other"
    key = method, route, status
    if key not in _of_requests:
        if len(_of_requests) >= MAX_COMBINATIONS:
            return requests.labels(method, "other", "other"), request_seconds.labels("other")
        _of_requests[key] = requests.labels(method, route, str(status)), request_seconds.labels(route)
    return _of_requests[key]


# Functions that bring the numbers of this process up to date, called each second and before they are read. Apps add
# theirs.
watchers: list[Callable[[], None]] = [count_requests]


def watch() -> None:
    for watcher in watchers:
        watcher()


_page_size = os.sysconf("SC_PAGE_SIZE")
_cpu_before = 0.0
_opened_connections: WeakSet[BaseDatabaseWrapper] = WeakSet()
_lock = Lock()


def watch_process() -> None:
    global _cpu_before
    with _lock:
        cpu, before = time.process_time(), _cpu_before
        _cpu_before = cpu
        process_cpu_seconds.inc(cpu - before)
        database_connections.set(sum(each.connection is not None for each in _opened_connections))
    process_memory_bytes.set(int(Path("/proc/self/statm").read_text().split()[1]) * _page_size)


def note_connection(connection: BaseDatabaseWrapper, **_: object) -> None:
    with _lock:
        _opened_connections.add(connection)
    database_connections_opened.inc()


watchers.append(watch_process)
connection_created.connect(note_connection)

process_start_seconds.set_to_current_time()
info.labels(platform.python_version(), django.get_version(), connection.vendor).set(1)


# Functions that ask the database for the value of a gauge, bounded in rows. Apps add theirs.
questions: dict[Gauge, Callable[[], float]] = {}


def ask() -> None:
    """Ask the questions. While the database is away the values are unknown."""
    try:
        connection.ensure_connection()
        for asked, question in questions.items():
            asked.set(question())
        database_up.set(1)
    except Error:
        database_up.set(0)
        for asked in questions:
            asked.set(float("nan"))


def ask_in_background(is_stopping: Event) -> None:
    """Ask again and again until the event is set, so that whoever reads the numbers does not wait for the database."""
    while True:
        try:
            ask()
        except Exception:  # of whatever kind: nobody would start this thread again
            logger.exception("The database could not be asked for numbers.")
        with suppress(Error):
            connections.close_all()
        if is_stopping.wait(PAUSE_OF_QUESTIONS):
            return
