"""The log: one line per request, and errors, each with the id of its request."""

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from datetime import UTC, datetime
from queue import Empty, SimpleQueue
from threading import Thread
from time import sleep
from typing import TextIO

# The lines name no source file, thread or process, and looking these up takes a quarter of the time of a line. See
# Optimization in Python's Logging HOWTO.
logging._srcfile = None
logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False

request_id = ContextVar("request_id", default="-")


# Seconds for which lines are gathered, to be written together.
PAUSE = 0.02
# Lines that may wait. If the stream has taken none for so long, whoever logs waits for it, too.
MOST_WAITING = 10_000


class ConsoleHandler(logging.StreamHandler[TextIO]):
    """Writes to the error stream: each line at once, or, in a server, some at a time from a thread of its own.

    With every write a thread gives up the interpreter, and a request would wait for its next turn. A process that is
    killed loses the lines of its last moment.
    """

    thread: Thread | None = None

    def __init__(self) -> None:
        super().__init__()
        self.waiting: SimpleQueue[logging.LogRecord | str] = SimpleQueue()

    def emit(self, record: logging.LogRecord) -> None:
        if self.thread is None or self.waiting.qsize() >= MOST_WAITING:
            super().emit(record)
        elif hasattr(record, "fields"):  # plain values, which can be made a line later: some at a time cost less
            self.waiting.put(record)
        else:
            self.waiting.put(self._line_of(record))

    def flush(self) -> None:
        self._write_waiting()

    def start(self) -> None:
        """Write from a thread, until `stop` is called."""
        self.thread = Thread(target=self._write, daemon=True)
        self.thread.start()

    def stop(self) -> None:
        thread, self.thread = self.thread, None
        self.waiting.put("")  # which wakes it
        if thread:
            thread.join(timeout=5)
        self.flush()

    def _write(self) -> None:
        while self.thread:
            first = self.waiting.get()
            sleep(PAUSE)
            self._write_waiting(first)

    def _write_waiting(self, *waiting: logging.LogRecord | str) -> None:
        """Write what was taken from the queue, and all that still waits in it."""
        taken = list(waiting)
        with suppress(Empty):
            while True:
                taken.append(self.waiting.get_nowait())
        text = "".join(each if isinstance(each, str) else self._line_of(each) for each in taken)
        with suppress(OSError, ValueError):  # the stream is full or closed: nobody is left to be told
            self.stream.write(text)
            super().flush()

    def _line_of(self, record: logging.LogRecord) -> str:
        try:
            return self.format(record) + self.terminator
        except Exception:
            self.handleError(record)
            return ""


@contextmanager
def written_in_background() -> Iterator[None]:
    """In the block, the log is written by a thread."""
    handlers = [handler for handler in logging.getLogger().handlers if isinstance(handler, ConsoleHandler)]
    for handler in handlers:
        handler.start()
    try:
        yield
    finally:
        for handler in handlers:
            handler.stop()


class Completion(logging.Filter):
    """Adds the request's id to a record, and removes what strangers could fill the log with."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.request_id = request_id.get()
        if record.name == "django.request" and isinstance(record.args, tuple) and record.args:
            # The reason without the path; the request's own line has the route.
            record.msg, record.args = record.args[0], ()
        status_code = getattr(record, "status_code", 500)
        if status_code == 503 and record.exc_info:
            record.msg, record.args = "The database is away: %s", (record.exc_info[1],)
        if status_code == 503 or status_code < 500 or record.name.startswith("django.security"):
            record.msg, record.args = record.getMessage()[:300], ()
            record.exc_info = record.exc_text = None
        return True


class JSONFormatter(logging.Formatter):
    """One JSON object per line; the record's `fields` become keys of it."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "request_id": vars(record)["request_id"],
        }
        line |= getattr(record, "fields", None) or {"message": record.getMessage()}
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line)
