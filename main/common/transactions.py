import random
import time
from collections import Counter
from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

from django.db import OperationalError, connection, transaction

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
        attempts: Counter[object] = Counter()
        while True:
            try:
                with transaction.atomic():
                    return action(*args, **kwargs)
            except OperationalError as error:
                code = error.args[0] if error.args else None
                attempts[code] += 1
                if connection.in_atomic_block or attempts[code] >= ATTEMPTS.get(code, 1):
                    raise
                # A random pause, or the same transactions would collide again.
                time.sleep(random.uniform(0, 0.02 * attempts[code]))  # noqa: S311

    return attempt
