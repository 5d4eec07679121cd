"""What a client sees of a user: the user instance of the API, as a dict. Nothing else builds one.

Each function takes the viewer, so that what one user may see of another is decided here. The queries are plain SQL:
composing them with the ORM took longer than the rest of such a call.
"""

from collections.abc import Iterable

from django.contrib.auth.models import AbstractUser
from django.db import connection

from common.keys import text_key

FIELDS = ("username", "email", "first_name", "last_name", "bio", "phone_number")

Representation = dict[str, str]


def from_row(row: Iterable[str], viewer: AbstractUser) -> Representation:
    """From the values of FIELDS, in their order."""
    return dict(zip(FIELDS, row, strict=True))


def of_user(user: AbstractUser, viewer: AbstractUser) -> Representation:
    return from_row([getattr(user, field) for field in FIELDS], viewer)


def of_username(username: str, viewer: AbstractUser) -> Representation | None:
    """Of the active user of that name, whatever its case, or None."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT {', '.join(FIELDS)} FROM users_user WHERE username_key = %s AND is_active",  # noqa: S608
            [text_key(username)],
        )
        row = cursor.fetchone()
    return row and from_row(row, viewer)


def of_contacts(viewer: AbstractUser) -> list[Representation]:
    """Of the active users in the viewer's contact book, by username."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            SELECT username_key, {", ".join(FIELDS)}
            FROM users_contactbookentry JOIN users_user ON users_user.id = users_contactbookentry.user2_id
            WHERE users_contactbookentry.user1_id = %s AND users_user.is_active
            """,  # noqa: S608
            [viewer.pk],
        )
        # Sorted here: the database would write the bios to a temporary table on disk to sort them.
        rows = sorted(cursor.fetchall())
    return [from_row(row[1:], viewer) for row in rows]
