import random
import time
from collections import Counter
from functools import wraps

from django.db import OperationalError, connection, transaction

from common.database import DEADLOCK, LOCK_WAIT_TIMEOUT

ATTEMPTS = {DEADLOCK: 5, LOCK_WAIT_TIMEOUT: 2}


def retried_transaction(action):
    """Run the function in one transaction, and again if the database rolled it back because of another transaction.

    A deadlock is over at once and is tried up to five times. A lock wait that timed out has held a thread for five
    seconds, and is tried once more. Only the outermost transaction can be run again: inside another one the function is
    a part of that.
    """

    @wraps(action)
    def attempt(*args, **kwargs):
        attempts = Counter()
        while True:
            try:
                with transaction.atomic():
                    return action(*args, **kwargs)
            except OperationalError as error:
                code = error.args[0]
                attempts[code] += 1
                if connection.in_atomic_block or attempts[code] >= ATTEMPTS.get(code, 1):
                    raise
                # Those who met once would meet again if they waited alike.
                time.sleep(random.uniform(0, 0.02 * attempts[code]))  # noqa: S311

    return attempt
