"""Who is within their active hours now, as far as the viewer may know."""

from collections.abc import Collection
from datetime import UTC, datetime

from django.contrib.auth.models import AbstractUser
from django.db import connection
from django.utils import timezone

from common.database import placeholders
from common.keys import text_key
from users.user_settings import Audience, read_hours

Availability = dict[str, object]

# The hours of `users_user` as the viewer may see them.
HOURS = f"""
    CASE WHEN hours.user_id = %s OR hours.active_hours_for = {Audience.EVERYONE.value}
        OR hours.active_hours_for = {Audience.CONTACTS.value} AND EXISTS (
            SELECT 1 FROM users_contactbookentry AS book WHERE book.user1_id = hours.user_id AND book.user2_id = %s
        )
    THEN hours.active_hours_json END
"""  # noqa: S608


def of_username(username: str, viewer: AbstractUser) -> Availability | None:
    """Of the active user of that name, whatever its case, or None."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            SELECT users_user.username, {HOURS}
            FROM users_user LEFT JOIN users_usersettings AS hours ON hours.user_id = users_user.id
            WHERE users_user.username_key = %s AND users_user.is_active
            """,  # noqa: S608
            [viewer.pk, viewer.pk, text_key(username)],
        )
        row = cursor.fetchone()
    return row and at(timezone.now(), *row)


def of_contacts(viewer: AbstractUser) -> list[Availability]:
    """Of the active users in the viewer's contact book, by username."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            SELECT users_user.username_key, users_user.username, {HOURS}
            FROM users_contactbookentry
            JOIN users_user ON users_user.id = users_contactbookentry.user2_id
            LEFT JOIN users_usersettings AS hours ON hours.user_id = users_user.id
            WHERE users_contactbookentry.user1_id = %s AND users_user.is_active
            """,  # noqa: S608
            [viewer.pk, viewer.pk, viewer.pk],
        )
        rows = sorted(cursor.fetchall(), key=lambda row: row[0])
    now = timezone.now()
    return [at(now, *row[1:]) for row in rows]


def at(moment: datetime, username: str, active_hours_json: str | None) -> Availability:
    hours = read_hours(active_hours_json) if active_hours_json else None
    if hours is None:
        return {"username": username, "is_active": None, "changes_at": None}
    second = int(moment.timestamp())
    turn = hours.next_turn(second)
    return {
        "username": username,
        "is_active": hours.are_active(second),
        "changes_at": None if turn is None else datetime.fromtimestamp(turn, UTC),
    }


def those_who_rest(user_ids: Collection[int], moments: Collection[datetime]) -> dict[datetime, set[int]]:
    """By moment, those of the users who have active hours and are outside of them: one query."""
    if not user_ids:
        return {}
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT user_id, active_hours_json FROM users_usersettings"  # noqa: S608
            f" WHERE active_hours_json <> '' AND user_id IN ({placeholders(user_ids)})",
            [*user_ids],
        )
        known = [(user_id, read_hours(text)) for user_id, text in cursor.fetchall()]
    return {
        moment: {user_id for user_id, hours in known if hours and not hours.are_active(int(moment.timestamp()))}
        for moment in moments
    }
