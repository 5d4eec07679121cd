"""The log: one line per request, and errors, each with the id of its request."""

import json
import logging
from contextvars import ContextVar
from datetime import UTC, datetime

# The lines name no source file, thread or process, and looking these up takes a quarter of the time of a line. See
# Optimization in Python's Logging HOWTO.
logging._srcfile = None
logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False

request_id = ContextVar("request_id", default="-")


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
