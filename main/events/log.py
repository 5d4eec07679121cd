"""How the log is written: announced with the change, ordered after the commit, pruned after some days."""

from collections.abc import Callable, Iterator
from datetime import timedelta

from django.conf import settings
from django.db import connection, transaction
from django.utils import timezone

from common import upkeep
from common.transactions import retried_transaction
from events.models import Announcement, Event, Kind, Log

# Announcements that are ordered, and events that are removed, in one transaction.
PIECE = 500

# Functions that are called after the commit of an announcement, in the thread of the change. They must not wait.
listeners: list[Callable[[], None]] = []

# In SQL: creating a model instance took four times as long, and every message does this.
_INSERT = (
    f"INSERT INTO {Announcement._meta.db_table} (kind, user_id, conversation_id, number, other_id)"  # noqa: S608
    " VALUES (%s, %s, %s, %s, %s)"
)


def announce(
    kind: Kind,
    *,
    user_id: int | None = None,
    conversation_id: int | None = None,
    number: int | None = None,
    other_id: int | None = None,
) -> None:
    """Tell of a change, in its transaction: after a rollback nothing is told.

    Changes of one conversation must be announced under the lock of its row, so that they are told in their order.
    """
    with connection.cursor() as cursor:
        cursor.execute(_INSERT, [kind.value, user_id, conversation_id, number, other_id])
    transaction.on_commit(_call_listeners, robust=True)


def _call_listeners() -> None:
    for listener in listeners:
        listener()


def order(most: int = 1000) -> None:
    """Give positions to the committed announcements, in at most so many pieces."""
    for _ in range(most):
        if not Announcement.objects.exists() or _order_some() < PIECE:
            return


@retried_transaction
def _order_some() -> int:
    log = Log.objects.select_for_update().current()
    # Read after the lock was granted, so that nothing is ordered twice.
    rows = list(Announcement.objects.order_by("pk")[:PIECE])
    now = timezone.now()
    Event.objects.bulk_create(
        Event(
            position=position,
            kind=row.kind,
            user_id=row.user_id,
            conversation_id=row.conversation_id,
            number=row.number,
            other_id=row.other_id,
            created_at=now,
        )
        for position, row in enumerate(rows, log.last_position + 1)
    )
    if rows:
        Announcement.objects.filter(pk__in=[row.pk for row in rows]).delete()
        log.last_position += len(rows)
        log.save(update_fields=["last_position"])
    return len(rows)


def oldest_position(log: Log) -> int:
    """The position of the oldest event that is kept, or, without any, of the next one."""
    oldest = Event.objects.order_by("position").values_list("position", flat=True).first()
    return log.last_position + 1 if oldest is None else oldest


def pieces_of_old() -> Iterator[None]:
    """Remove events that are older than EVENTS_KEPT_DAYS; yield after each piece."""
    oldest_kept = timezone.now() - timedelta(days=settings.EVENTS_KEPT_DAYS)
    while True:
        # The order of positions is the order of time, so that no index on the time is needed.
        oldest = Event.objects.order_by("position").values_list("position", "created_at")[:PIECE]
        old = [position for position, created_at in oldest if created_at < oldest_kept]
        if not old:
            return
        retried_transaction(Event.objects.filter(position__lte=old[-1]).delete)()
        yield


upkeep.tasks.append(pieces_of_old)
