"""What a client sees of a user: the user instance of the API, as a dict. Nothing else builds one.

Each function takes the viewer, so that what one user may see of another is decided here.
"""

from collections.abc import Iterable
from typing import Any

from django.contrib.auth.models import AbstractUser
from django.db.models import BooleanField, Case, Exists, Expression, OuterRef, Q, QuerySet, When

from common.compiled import compiled
from common.keys import text_key
from users.models import PROFILE_FIELDS, ContactBookEntry, User
from users.user_settings import Audience

# Fields that a user may hide, and the columns of the settings that say from whom.
HIDEABLE = {"email": "email_for", "phone_number": "phone_number_for"}

Representation = dict[str, str]


def columns(prefix: str, viewer_id: int) -> list[str | Expression]:
    """What `from_row` needs, for a queryset from which the prefix leads to a user."""
    audiences = [f"{prefix}usersettings__{name}" for name in HIDEABLE.values()]
    # Whether the viewer is in the user's own contact book; asked where that matters alone.
    book = ContactBookEntry.objects.filter(user1=OuterRef(prefix + "pk"), user2=viewer_id)
    matters = Q(*((audience, Audience.CONTACTS) for audience in audiences), _connector=Q.OR)
    is_contact = Case(When(matters, then=Exists(book)), output_field=BooleanField())
    return [*(prefix + field for field in PROFILE_FIELDS), *audiences, is_contact]


def from_row(row: Iterable[Any], viewer: AbstractUser) -> Representation:
    """From the values of `columns`."""
    *values, email_for, phone_number_for, is_contact = row
    representation = dict(zip(PROFILE_FIELDS, values, strict=True))
    if (email_for or phone_number_for) and representation["username"] != viewer.username:
        for field, audience in zip(HIDEABLE, (email_for, phone_number_for), strict=True):
            if audience == Audience.NOBODY or (audience == Audience.CONTACTS and not is_contact):
                representation[field] = ""
    return representation


def of_oneself(user: AbstractUser) -> Representation:
    return {field: getattr(user, field) for field in PROFILE_FIELDS}


def of_username(username: str, viewer: AbstractUser) -> Representation | None:
    """Of the active user of that name, whatever its case, or None."""
    seen = with_id(username, viewer)
    return seen and seen[1]


def with_id(username: str, viewer: AbstractUser) -> tuple[int, Representation] | None:
    """The same, after the user's id."""
    for pk, *row in _of_username(text_key(username), viewer.pk):
        return pk, from_row(row, viewer)
    return None


def of_contacts(viewer: AbstractUser) -> list[Representation]:
    """Of the active users in the viewer's contact book, by username."""
    # Sorted here: the database would write the bios to a temporary table on disk to sort them.
    rows = sorted(_of_contacts(viewer.pk), key=lambda row: row[0])
    return [from_row(row[1:], viewer) for row in rows]


@compiled
def _of_username(username_key: str, viewer_id: int) -> QuerySet[User, tuple[Any, ...]]:
    return User.objects.active().filter(username_key=username_key).values_list("pk", *columns("", viewer_id))


@compiled
def _of_contacts(viewer_id: int) -> QuerySet[ContactBookEntry, tuple[Any, ...]]:
    entries = ContactBookEntry.objects.filter(user1=viewer_id, user2__is_active=True)
    return entries.values_list("user2__username_key", *columns("user2__", viewer_id))
