"""What a client sees of a user: the user instance of the API, as a dict. Nothing else builds one.

Each function takes the viewer, so that what one user may see of another is decided here. The queries are plain SQL:
composing them with the ORM took longer than the rest of such a call.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from django.contrib.auth.models import AbstractUser
from django.db import connection
from django.db.models.expressions import RawSQL

from common.keys import text_key
from users.user_settings import Audience

FIELDS = ("username", "email", "first_name", "last_name", "bio", "phone_number")
# Fields that a user may hide, and the columns of the settings that say from whom.
HIDEABLE = {"email": "email_for", "phone_number": "phone_number_for"}

# Whether the viewer, whose id is the parameter, is in the user's own contact book; asked where that matters alone.
IS_CONTACT = f"""
    CASE WHEN {Audience.CONTACTS.value} IN (users_usersettings.email_for, users_usersettings.phone_number_for)
    THEN EXISTS (
        SELECT 1 FROM users_contactbookentry AS book WHERE book.user1_id = users_user.id AND book.user2_id = %s
    ) END
"""  # noqa: S608
_OF_SETTINGS = [f"users_usersettings.{name}" for name in HIDEABLE.values()]
COLUMNS = ", ".join([*(f"users_user.{field}" for field in FIELDS), *_OF_SETTINGS, IS_CONTACT])
JOIN = "LEFT JOIN users_usersettings ON users_usersettings.user_id = users_user.id"

Representation = dict[str, str]


def lookups(prefix: str, viewer: AbstractUser) -> list[str | RawSQL]:
    """COLUMNS for a queryset from which the prefix leads to a user."""
    settings = [f"{prefix}usersettings__{name}" for name in HIDEABLE.values()]
    return [*(prefix + field for field in FIELDS), *settings, RawSQL(IS_CONTACT, [viewer.pk])]  # noqa: S611


def from_row(row: Iterable[Any], viewer: AbstractUser) -> Representation:
    """From the values of COLUMNS."""
    *values, email_for, phone_number_for, is_contact = row
    representation = dict(zip(FIELDS, values, strict=True))
    if (email_for or phone_number_for) and representation["username"] != viewer.username:
        for field, audience in zip(HIDEABLE, (email_for, phone_number_for), strict=True):
            if audience == Audience.NOBODY or (audience == Audience.CONTACTS and not is_contact):
                representation[field] = ""
    return representation


def of_oneself(user: AbstractUser) -> Representation:
    return {field: getattr(user, field) for field in FIELDS}


def of_username(username: str, viewer: AbstractUser) -> Representation | None:
    """Of the active user of that name, whatever its case, or None."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT {COLUMNS} FROM users_user {JOIN} WHERE username_key = %s AND is_active",  # noqa: S608
            [viewer.pk, text_key(username)],
        )
        row = cursor.fetchone()
    return row and from_row(row, viewer)


def of_contacts(viewer: AbstractUser) -> list[Representation]:
    """Of the active users in the viewer's contact book, by username."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            SELECT username_key, {COLUMNS}
            FROM users_contactbookentry JOIN users_user ON users_user.id = users_contactbookentry.user2_id {JOIN}
            WHERE users_contactbookentry.user1_id = %s AND users_user.is_active
            """,  # noqa: S608
            [viewer.pk, viewer.pk],
        )
        # Sorted here: the database would write the bios to a temporary table on disk to sort them.
        rows: Sequence[tuple[Any, ...]] = sorted(cursor.fetchall(), key=lambda row: row[0])
    return [from_row(row[1:], viewer) for row in rows]
