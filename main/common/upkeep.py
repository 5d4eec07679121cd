"""Long work that a call leaves behind, done in small pieces.

The call itself does some of it, the server does the rest in the background, and so does `manage.py upkeep`. Each piece
is a transaction of its own and locks little. The database says what remains, so that a kill in between loses nothing.
"""

import logging
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from itertools import takewhile
from threading import Event
from typing import Any

from django.db import Error, connections, transaction
from django.db.models import QuerySet

from common import metrics
from common.models import RateCounter
from common.transactions import retried_transaction

logger = logging.getLogger(__name__)

# Functions that yield after each piece of work, and end when nothing is left. Apps add theirs.
tasks: list[Callable[[], Iterator[None]]] = []

# Rows of a piece of work.
PIECE = 500
# Seconds for which a call continues with its own work, and for which the server works at a time.
SECONDS_OF_CALL, SECONDS_IN_BACKGROUND = 0.4, 5
PAUSE_IN_BACKGROUND = 5


def work(pieces: Iterable[None], seconds: float = float("inf"), *, share: float = 1.0) -> bool:
    """Do pieces of work until nothing is left, or for so many seconds; return whether nothing is left.

    With a share below one it pauses after each piece, so that it works for this share of the time.
    """
    began = at = time.monotonic()
    for _ in pieces:
        if time.monotonic() - began > seconds:
            return False
        time.sleep((time.monotonic() - at) * (1 / share - 1))
        at = time.monotonic()
    return True


def work_after_commit(pieces: Iterable[None]) -> None:
    """Do some of the work after the commit. Errors are logged, and leave the rest for later."""
    transaction.on_commit(lambda: work(pieces, SECONDS_OF_CALL), robust=True)


def remove_some(rows: QuerySet[Any]) -> bool:
    """Remove some of the rows in a transaction of their own; return whether there were any."""
    some = _some_of(rows)
    if some is None:
        return False
    retried_transaction(some.delete)()
    return True


def update_some(rows: QuerySet[Any], **changes: Any) -> bool:
    """Change some of the rows, which then are none of these any more; return whether there were any."""
    some = _some_of(rows)
    if some is None:
        return False
    retried_transaction(some.update)(**changes)
    return True


def _some_of(rows: QuerySet[Any]) -> QuerySet[Any] | None:
    ids = list(rows.values_list("pk", flat=True)[:PIECE])
    return rows.model._default_manager.filter(pk__in=ids) if ids else None


def counted(task: Callable[[], Iterator[None]]) -> Iterator[None]:
    pieces = metrics.upkeep_pieces.labels(task.__name__)
    for _ in task():
        pieces.inc()
        yield


def work_in_background(is_stopping: Event) -> None:
    """Do what is left, again and again until the event is set; one of all processes at a time."""
    while not is_stopping.wait(PAUSE_IN_BACKGROUND):
        for task in tasks:
            try:
                # The task's name is the key: each one is done by one process at a time.
                if not RateCounter.objects.reserve(f"upkeep {task.__name__}", 1, PAUSE_IN_BACKGROUND):
                    pieces = takewhile(lambda _: not is_stopping.is_set(), counted(task))
                    work(pieces, SECONDS_IN_BACKGROUND / len(tasks), share=0.3)
            except Exception as error:  # of whatever kind: nobody would start this thread again
                metrics.upkeep_failures.labels(task.__name__).inc()
                # Another task does not have to wait for this one.
                is_ours = not isinstance(error, Error)
                logger.warning("The upkeep was interrupted, and goes on later: %s", error, exc_info=is_ours)
        with suppress(Error):
            connections.close_all()
