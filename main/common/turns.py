"""Whose turn it is to write to a SQLite file: first come, first served, among the threads of all processes.

SQLite lets one write at a time. Whoever has to wait asks again, with pauses of up to 100 ms, and gets the lock if
nobody is quicker. Here each has a place in a queue instead. The data does not depend on it: SQLite's own lock stays
beneath, also for programs that do not know the queue.
"""

import fcntl
import logging
import os
import stat
from collections import deque
from contextlib import suppress
from threading import Lock
from time import monotonic, monotonic_ns, sleep

logger = logging.getLogger(__name__)

# Seconds between two looks at whether other processes are done, by the first of a process. No system call waits for a
# record lock with a limit of time.
PAUSE = 0.0005


class Place:
    """A place in the queue, by the time of its beginning, and a gate that opens when it is the first of its process."""

    def __init__(self) -> None:
        self.number = monotonic_ns()  # of a clock that all processes share
        self.gate = Lock()
        self.gate.acquire()


class Queue:
    """The queue for a database: the places of this process, and a file of locks that tells those of all processes.

    In the file of locks, the byte of a place's number is locked while it waits, and all bytes up to it while it has its
    turn. So a turn begins when no other process has a lock on any of them. These are record locks (POSIX): the kernel
    takes them from a process that ends, however it ends, and gives none to a process that is forked.
    """

    def __init__(self, path: str) -> None:
        self.places: deque[Place] = deque()
        self.guard = Lock()
        self.has_warned = False
        self.file = self._open_beside(path)

    def take(self, seconds: float) -> Place | None:
        """Wait for a turn; None if it has not come after so many seconds."""
        deadline = monotonic() + seconds
        with self.guard:
            place = Place()
            self.places.append(place)
            is_first = self.places[0] is place
        has_turn = False
        try:
            has_turn = (is_first and self._lock_up_to(place)) or self._wait(place, is_first, deadline)
        finally:
            if not has_turn:
                self._unlock(place.number, place.number)
                self._leave(place)
        return place if has_turn else None

    def give_back(self, place: Place) -> None:
        self._unlock(0, place.number)
        self._leave(place)

    def _wait(self, place: Place, is_first: bool, deadline: float) -> bool:
        for _ in range(3):
            if self._lock(place.number, place.number):
                break
            # Somebody who came a moment later was quicker. Behind them the number is free.
            is_first = self._move_to_the_end(place)
        if not is_first and not place.gate.acquire(timeout=max(0.0, deadline - monotonic())):
            return False
        while not self._lock_up_to(place):
            if monotonic() >= deadline:
                return False
            sleep(PAUSE)
        return True

    def _move_to_the_end(self, place: Place) -> bool:
        """Give the place a new number, and its process's last place; return whether it is the first one nevertheless.

        The places of a process stay in the order of their numbers. Otherwise the first of each of two processes could
        wait for a later one of the other.
        """
        with self.guard:
            self._remove(place)
            place.gate.acquire(blocking=False)  # which was opened if it has become the first one meanwhile
            place.number = monotonic_ns()
            self.places.append(place)
            return self.places[0] is place

    def _leave(self, place: Place) -> None:
        with self.guard:
            self._remove(place)

    def _remove(self, place: Place) -> None:
        was_first = self.places[0] is place
        self.places.remove(place)
        if was_first and self.places:
            self.places[0].gate.release()

    # The file of locks

    def _open_beside(self, path: str) -> int | None:
        """Open it, and make it if there is none, with the owner and the mode of the database."""
        name, flags = f"{path}-turns", os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            database = os.stat(path)
            try:
                file = os.open(name, flags | os.O_CREAT | os.O_EXCL, 0o600)
            except FileExistsError:
                return os.open(name, flags)
            if os.geteuid() == 0:
                os.fchown(file, database.st_uid, database.st_gid)
            os.fchmod(file, stat.S_IMODE(database.st_mode))
        except OSError as error:
            self._warn(error)
            return None
        return file

    def _lock_up_to(self, place: Place) -> bool:
        return self._lock(0, place.number)

    def _lock(self, first: int, last: int) -> bool:
        if self.file is None:
            return True
        try:
            fcntl.lockf(self.file, fcntl.LOCK_EX | fcntl.LOCK_NB, last - first + 1, first)
        except BlockingIOError:
            return False
        except OSError as error:
            self._warn(error)
        return True

    def _unlock(self, first: int, last: int) -> None:
        if self.file is not None:
            with suppress(OSError):
                fcntl.lockf(self.file, fcntl.LOCK_UN, last - first + 1, first)

    def _warn(self, error: OSError) -> None:
        """Nothing is lost: within a process all take turns still, and between processes SQLite's own lock decides."""
        if not self.has_warned:
            self.has_warned = True
            logger.warning("Processes that write to the database do not take turns: %s", error)


# One for a database. Its file stays open: a process that closes one loses all its locks on the file.
_queues: dict[str, Queue] = {}
_opening = Lock()


def queue_for(path: str) -> Queue:
    with _opening:
        if path not in _queues:
            _queues[path] = Queue(path)
        return _queues[path]


def _begin_anew() -> None:
    """In a process that was forked: the threads that wait here are not its own."""
    global _opening
    _opening = Lock()
    _queues.clear()


os.register_at_fork(after_in_child=_begin_anew)
