"""The limit of open streams per user, exact over all processes and machines: a constraint of the database counts."""

import random
import secrets
from collections.abc import Collection, Iterator

from django.db import IntegrityError
from django.utils import timezone
from rest_framework.exceptions import Throttled

from common import backups, metrics, upkeep
from common.transactions import retried_transaction
from delivery.models import Process, Slot

MAX_STREAMS = 16

# This process in the database.
ME = secrets.randbits(62)


def reserve(user_id: int) -> int:
    """Reserve one of the user's streams and return its id, or refuse with 429."""
    while True:
        if not Process.objects.just_seen().filter(pk=ME).exists():
            say_alive()
        slots = Slot.objects.filter(user_id=user_id)
        # Asked first: to delete what is not there takes locks that let two of these wait for each other.
        if gone := list(slots.filter(process__in=Process.objects.gone()).values_list("pk", flat=True)):
            release(gone)
        free = set(range(MAX_STREAMS)) - set(slots.values_list("number", flat=True))
        if not free:
            metrics.limit_refusals.labels("streams of a user").inc()
            raise Throttled(5, f"You have {MAX_STREAMS} streams open.")
        try:
            return _create(user_id, random.choice([*free]))  # noqa: S311
        except IntegrityError:
            pass  # another request has reserved this number, or this process was taken for gone


@retried_transaction
def _create(user_id: int, number: int) -> int:
    return Slot.objects.create(user_id=user_id, number=number, process_id=ME).pk


@retried_transaction
def say_alive() -> None:
    Process.objects.update_or_create(pk=ME, defaults={"seen_at": timezone.now()})


def release(ids: Collection[int]) -> None:
    retried_transaction(Slot.objects.filter(pk__in=ids).delete)()


def release_all() -> None:
    """Release all streams of this process, which ends."""
    retried_transaction(Process.objects.filter(pk=ME).delete)()


def pieces_of_gone() -> Iterator[None]:
    """Remove what processes that were killed have left; yield after each piece."""
    for process in Process.objects.gone():
        retried_transaction(process.delete)()
        yield


upkeep.tasks.append(pieces_of_gone)
backups.of_the_moment += [Slot, Process]
