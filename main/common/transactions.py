import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import ParamSpec, TypeVar

from django.db import OperationalError, connection, transaction

from common import metrics
from common.database import DEADLOCK, LOCK_WAIT_TIMEOUT

ATTEMPTS: dict[object, int] = {DEADLOCK: 5, LOCK_WAIT_TIMEOUT: 2}

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


def retried_transaction(action: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
    """Run the function in one transaction, and again if the database rolled it back because of another transaction.

    A deadlock is over at once and is tried up to five times. A lock wait that timed out has held a thread for five
    seconds, and is tried once more. Only the outermost transaction can be run again: inside another one the function is
    a part of that.
    """

    @wraps(action)
    def attempt(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
        attempts: dict[object, int] = {}
        while True:
            try:
                with transaction.atomic():
                    return action(*args, **kwargs)
            except OperationalError as error:
                code = error.args[0] if error.args else None
                attempts[code] = attempts.get(code, 0) + 1
                if connection.in_atomic_block or attempts[code] >= ATTEMPTS.get(code, 1):
                    raise
                metrics.database_retries.labels("deadlock" if code == DEADLOCK else "lock wait").inc()
                # A random pause, or the same transactions would collide again.
                time.sleep(random.uniform(0, 0.02 * attempts[code]))  # noqa: S311

    return attempt


# How a transaction begins that sees the database as of this moment. SQLite's does so with its first read.
SNAPSHOT = {
    "mysql": [
        "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ",
        "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY",
    ],
    "sqlite": ["BEGIN DEFERRED", "SELECT name FROM sqlite_master LIMIT 1"],
}


@contextmanager
def snapshot() -> Iterator[None]:
    """In the block the database is read as of one moment, while others write. The connection is closed after it.

    Not Django's `atomic`: on SQLite it would lock all writers out. Inside another transaction the block is a part of
    that.
    """
    if connection.in_atomic_block:
        yield
        return
    try:
        with connection.cursor() as cursor:
            for statement in SNAPSHOT[connection.vendor]:
                cursor.execute(statement)
        yield
    finally:
        connection.close()
