"""How the log is written: announced with the change, ordered after the commit, pruned after some days."""

from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta

from django.conf import settings
from django.db import connection, transaction
from django.utils import timezone

from common import backups, upkeep
from common.compiled import Insert, compiled
from common.database import placeholders
from common.statements import Write, run_together
from common.transactions import retried_transaction
from events.models import Announcement, Event, Kind, Log, Row

# Announcements that are ordered, and events that are removed, in one transaction.
PIECE = 500

# Functions that are called after the commit of an announcement, in the thread of the change. They must not wait.
listeners: list[Callable[[], None]] = []


def announce(
    kind: Kind,
    *,
    user_id: int | None = None,
    conversation_id: int | None = None,
    number: int | None = None,
    other_id: int | None = None,
    writes: Sequence[Write] = (),
) -> list[int]:
    """Tell of a change, in its transaction: after a rollback nothing is told.

    Changes of one conversation must be announced under the lock of its row, so that they are told in their order.
    Writes of the change may be given, too: they are run together with the announcement. Return how many rows each of
    them changed.
    """
    announcement = _insert.bind(kind.value, user_id, conversation_id, number, other_id)
    changed = run_together(*writes, announcement)
    transaction.on_commit(_call_listeners, robust=True)
    return changed[:-1]


@compiled
def _insert(
    kind: int, user_id: int | None, conversation_id: int | None, number: int | None, other_id: int | None
) -> Insert:
    return Insert(
        Announcement(kind=kind, user_id=user_id, conversation_id=conversation_id, number=number, other_id=other_id)
    )


def _call_listeners() -> None:
    for listener in listeners:
        listener()


def look() -> tuple[bool, int]:
    """Whether something has no position yet, and the last position."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT EXISTS (SELECT 1 FROM events_announcement), (SELECT last_position FROM events_log)")
        has_announcements, last_position = cursor.fetchone()
    return bool(has_announcements), last_position or 0


def order(most: int = 1000) -> int:
    """Give positions to the committed announcements, in at most so many pieces, and return the last position."""
    for _ in range(most):
        has_announcements, last_position = look()
        if not has_announcements:
            break
        last_position, is_done = _order_some()
        if is_done:
            break
    return last_position


@retried_transaction
def _order_some() -> tuple[int, bool]:
    """Return the last position, and whether no announcement is left."""
    log_id, last_position = _lock()
    now = connection.ops.adapt_datetimefield_value(timezone.now())
    with connection.cursor() as cursor:
        # Read after the lock was granted, so that nothing is ordered twice.
        cursor.execute(
            "SELECT id, kind, user_id, conversation_id, number, other_id FROM events_announcement ORDER BY id LIMIT %s",
            [PIECE],
        )
        announced = cursor.fetchall()
        if announced:
            cursor.executemany(
                "INSERT INTO events_event (position, created_at, kind, user_id, conversation_id, number, other_id)"
                " VALUES (%s, %s, %s, %s, %s, %s, %s)",
                [(position, now, *row[1:]) for position, row in enumerate(announced, last_position + 1)],
            )
            ids = [row[0] for row in announced]
            cursor.execute(f"DELETE FROM events_announcement WHERE id IN ({placeholders(ids)})", ids)  # noqa: S608
            last_position += len(announced)
            cursor.execute("UPDATE events_log SET last_position = %s WHERE id = %s", [last_position, log_id])
    return last_position, len(announced) < PIECE


def _lock() -> tuple[int, int]:
    """The id of the log and its last position, locked until the end of the transaction."""
    with connection.cursor() as cursor:
        # SQLite has one writer at a time anyway.
        lock = " FOR UPDATE" if connection.vendor == "mysql" else ""
        cursor.execute("SELECT id, last_position FROM events_log" + lock)  # noqa: S608
        row = cursor.fetchone()
    if row:
        return row
    log = Log.objects.select_for_update().current()
    return log.pk, log.last_position


def read(after: int, limit: int) -> list[Row]:
    """So many events after the position."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT position, kind, user_id, conversation_id, number, other_id FROM events_event"
            " WHERE position > %s ORDER BY position LIMIT %s",
            [after, limit],
        )
        return list(map(Row._make, cursor.fetchall()))


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
# The next log has another name: clients with ids of this one load everything again, instead of getting what was not.
backups.of_the_moment += [Announcement, Event, Log]
