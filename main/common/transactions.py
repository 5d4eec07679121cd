import random
import time
from functools import wraps

from django.db import OperationalError, connection, transaction

ATTEMPTS = 5
DEADLOCK, LOCK_WAIT_TIMEOUT = 1213, 1205  # of MySQL and MariaDB


def retried_transaction(action):
    """Run the function in one transaction, again if the database gave it up for another's sake.

    Only the outermost transaction can be run again: inside of another, the function is a part of that one.
    """

    @wraps(action)
    def attempt(*args, **kwargs):
        attempts = 1 if connection.in_atomic_block else ATTEMPTS
        while True:
            attempts -= 1
            try:
                with transaction.atomic():
                    return action(*args, **kwargs)
            except OperationalError as error:
                if not attempts or error.args[0] not in (DEADLOCK, LOCK_WAIT_TIMEOUT):
                    raise
                # Those who met once would meet again if they waited alike.
                time.sleep(random.uniform(0, 0.02 * (ATTEMPTS - attempts)))  # noqa: S311

    return attempt
