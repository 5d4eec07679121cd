"""The deletion of accounts, however much hangs on one.

A short transaction makes the account vanish for every call: it is shut out, its name and address are free, nobody finds
it, and what it wrote has no name. The rest is removed in pieces (see common.upkeep), the account's row last.
"""

from contextlib import suppress

from django.db import IntegrityError
from django.utils import timezone

from common import upkeep
from common.transactions import retried_transaction
from users.models import AuthToken, BlacklistEntry, ContactBookEntry, User
from users.search import SearchEntry

# Rows that a piece of work removes.
PIECE = 500

# Functions that take the id of a deleted account, remove some of what hangs on it, and return whether there was any.
# They are called in this order until there is none. Apps above this one add theirs.
steps = []


def vanish(user):
    """Shut the account out and free its names, within the caller's transaction, which has locked it."""
    SearchEntry.objects.replace(user, user.entries, set())
    # No name can be such a key, since none has a line break.
    key = f"\n{user.pk}"
    emptied = dict.fromkeys(("username", "email", "first_name", "last_name", "bio", "phone_number", "search_text"), "")
    User.objects.filter(pk=user.pk).update(
        **emptied,
        username_key=key,
        email_key=key,
        password="",
        is_active=False,
        is_staff=False,
        is_superuser=False,
        deleted_at=timezone.now(),
    )


def pieces_of(user_id):
    """Remove what hangs on the deleted account, and at last its row; yield after each piece."""
    for step in steps:
        while step(user_id):
            yield
    with suppress(IntegrityError):
        # Something that hangs on it came in at the last moment. The next one who comes by goes on.
        _remove_row(user_id)


def pieces_of_all():
    for user_id in User.objects.filter(deleted_at__isnull=False).values_list("pk", flat=True):
        yield from pieces_of(user_id)
        yield


upkeep.tasks.append(pieces_of_all)


@retried_transaction
def _remove_row(user_id):
    User.objects.filter(pk=user_id, deleted_at__isnull=False).delete()


def remove_some(rows):
    """Remove some of the rows, in a transaction of its own; return whether there were any."""
    ids = list(rows.values_list("pk", flat=True)[:PIECE])
    if ids:
        retried_transaction(rows.model.objects.filter(pk__in=ids).delete)()
    return bool(ids)


def _removing(model, field):
    return lambda user_id: remove_some(model.objects.filter(**{field: user_id}))


steps += [
    _removing(AuthToken, "user"),
    *(_removing(model, field) for model in (ContactBookEntry, BlacklistEntry) for field in ("user1", "user2")),
]
