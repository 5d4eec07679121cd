"""Work that a call leaves behind because it may be long: done in small pieces, by whoever comes by.

That is the call itself for a moment, the server in the background, and `manage.py upkeep`. A piece is a transaction of
its own that locks little. What is not done yet is told by the database, so that a kill in between loses nothing.
"""

import logging
import time
from itertools import takewhile

from django.db import Error, connections, transaction

from common.models import RateCounter

logger = logging.getLogger(__name__)

# Functions that yield after each piece of work, and end when there is none left. The apps add theirs.
tasks = []

# How long a call goes on with what it left behind, and the server in the background at a time, in seconds.
SECONDS_OF_CALL, SECONDS_IN_BACKGROUND = 0.4, 5
PAUSE_IN_BACKGROUND = 5


def work(pieces, seconds=float("inf"), *, share=1.0):
    """Do the pieces of work until none is left, or for so many seconds; return whether none is left.

    With a share below one it rests between pieces, so that it works for that share of the time.
    """
    began = at = time.monotonic()
    for _ in pieces:
        if time.monotonic() - began > seconds:
            return False
        time.sleep((time.monotonic() - at) * (1 / share - 1))
        at = time.monotonic()
    return True


def work_after_commit(pieces):
    """Go on with the pieces of work for a moment once the transaction is committed; what fails is left for later."""
    transaction.on_commit(lambda: work(pieces, SECONDS_OF_CALL), robust=True)


def work_in_background(is_stopping):
    """Do what is left behind, until the event is set; of all processes one at a time does."""
    while not is_stopping.wait(PAUSE_IN_BACKGROUND):
        try:
            if not RateCounter.objects.reserve("upkeep", 1, PAUSE_IN_BACKGROUND):
                for task in tasks:
                    pieces = takewhile(lambda _: not is_stopping.is_set(), task())
                    work(pieces, SECONDS_IN_BACKGROUND / len(tasks), share=0.3)
        except Error as error:
            logger.warning("The upkeep was interrupted, and goes on later: %s", error)
        finally:
            connections.close_all()
