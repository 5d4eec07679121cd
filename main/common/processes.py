"""How the numbers of all processes of a server become one answer.

Each process has files in a folder of the server, in prometheus_client's format. It takes the lowest free number, and
goes on with the files of the process that had this number before. So counters never go back when a process is replaced
or killed, and there are as many files as there were processes at a time. A lock on a file tells that the process of a
number lives: the system releases it however the process ends.

Without the folder, as in the tests and with runserver, there is one process, whose numbers are in its memory.
"""

import os
from collections.abc import Iterable
from contextlib import suppress
from fcntl import LOCK_EX, LOCK_NB, flock
from itertools import count
from pathlib import Path
from threading import Lock
from typing import IO, Any

import prometheus_client
from prometheus_client import CollectorRegistry, Metric, generate_latest, values
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead
from prometheus_client.registry import Collector

# The variable of the environment by which the processes of a server know their folder; main/serve.py sets it.
FOLDER = "PROMETHEUS_MULTIPROC_DIR"
# Bytes that the files of a process get from the disk at once, by what begins their names; far more than they need. A
# file in memory that had to grow on a full disk would end the process.
SIZES = {"counter": 1 << 20, "histogram": 1 << 20} | {
    f"gauge_{mode}": 1 << 14 for mode in ("liveall", "livesum", "livemax", "livemin", "livemostrecent")
}

# The instruments of this process.
registry = CollectorRegistry()
prometheus_client.disable_created_metrics()

_locks: list[IO[bytes]] = []  # held for as long as the process lives


def take_number(folder: Path) -> int:
    """Take the lowest number that no living process has, and make its files."""
    for number in count():
        file = (folder / f"{number}.lock").open("ab")
        if _lock(file):
            break
        file.close()
    _locks.append(file)
    mark_process_dead(number, str(folder))
    for name, size in SIZES.items():
        descriptor = os.open(folder / f"{name}_{number}.db", os.O_RDWR | os.O_CREAT, 0o600)
        os.posix_fallocate(descriptor, 0, size)
        os.close(descriptor)
    return number


def forget_dead(folder: Path) -> None:
    """Remove what is only true of living processes from the files of those that have ended."""
    for path in folder.glob("*.lock"):
        with path.open("ab") as file:
            if _lock(file):
                mark_process_dead(int(path.stem), str(folder))


def _lock(file: IO[bytes]) -> bool:
    try:
        flock(file, LOCK_EX | LOCK_NB)
    except BlockingIOError:
        return False
    return True


class OfAllProcesses(Collector):
    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def collect(self) -> Iterable[Metric]:
        forget_dead(self.folder)
        return MultiProcessCollector.merge(
            [str(path) for path in sorted(self.folder.glob("*.db")) if _has_content(path)]
        )


def _has_content(path: Path) -> bool:
    """False for a file of a process that is just beginning, or ending."""
    with suppress(FileNotFoundError):
        return path.stat().st_size > 0
    return False


_buffered: list[Any] = []
_adding = Lock()


def buffered(mapped: type) -> type:
    """A class of values that are added up in memory; `write_out` adds them to the file.

    To write each change to the file takes three times as long: 6.3 microseconds a request.
    """

    class Value(mapped):
        def __init__(self, kind: str, *arguments: Any, **options: Any) -> None:
            super().__init__(kind, *arguments, **options)
            self.pending = 0.0
            self.is_gauge = kind == "gauge"
            if not self.is_gauge:
                _buffered.append(self)

        def inc(self, amount: float) -> None:
            if self.is_gauge:  # what is true now does not wait
                self.write(amount)
                return
            with _adding:
                self.pending += amount

        def write(self, amount: float) -> None:
            super().inc(amount)

    return Value


def write_out() -> None:
    """Let other processes see what was counted."""
    for value in _buffered[:]:
        with _adding:
            amount, value.pending = value.pending, 0.0
        if amount:
            value.write(amount)


folder = Path(os.environ[FOLDER]) if os.environ.get(FOLDER) else None
if folder:
    number = take_number(folder)
    values.ValueClass = buffered(values.MultiProcessValue(lambda: number))
    of_all = CollectorRegistry()
    of_all.register(OfAllProcesses(folder))
else:
    of_all = registry


def as_text() -> bytes:
    """The numbers of all processes, in Prometheus' text format."""
    write_out()
    return generate_latest(of_all)
