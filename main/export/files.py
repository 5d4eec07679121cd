"""A file that one thread writes while others read what is there of it."""

import os
import tempfile
from collections.abc import Callable
from threading import Lock
from typing import IO


class UnwantedError(Exception):
    """Nobody wants the rest of the file."""


class GrowingFile:
    """A file without a name: the system removes it once it is closed, also if the process is killed.

    It is made with the first byte, in the folder for temporary files, which TMPDIR names.
    """

    def __init__(self, tell: Callable[[], object] = lambda: None) -> None:
        self.tell = tell  # called by the thread that writes, when there is more or the file is finished
        self.lock = Lock()
        self.file: IO[bytes] | None = None
        self.size = 0
        self.is_finished = self.is_closed = False
        self.error: Exception | None = None  # why it was finished before its end

    def write(self, data: bytes) -> None:
        with self.lock:
            if self.is_closed:
                raise UnwantedError
            if self.file is None:
                self.file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115
            rest = memoryview(data)
            while rest:
                rest = rest[self.file.write(rest) :]
            self.size += len(data)
        self.tell()

    def finish(self, error: Exception | None = None) -> None:
        with self.lock:
            if self.is_closed:
                return
            self.error, self.is_finished = error, True
        self.tell()

    def read(self, start: int, size: int) -> bytes:
        with self.lock:
            return os.pread(self.file.fileno(), size, start) if self.file and not self.is_closed else b""

    def close(self) -> None:
        """Remove the file. Whoever writes it is stopped at the next piece."""
        with self.lock:
            self.is_closed = True
            if self.file:
                self.file.close()
