"""The deletion of accounts, however many rows belong to one.

A short transaction makes the account disappear for every call: it is blocked, its name and address are free, nobody
finds it, and its messages have no sender. The rows are removed in pieces (see common.upkeep), the account's row last.
"""

from collections.abc import Callable, Iterator
from contextlib import suppress

from django.db import IntegrityError
from django.db.models import Model
from django.utils import timezone

from common import upkeep
from common.transactions import retried_transaction
from events.log import announce
from events.models import Kind
from mail.models import Mail
from users.codes import Code
from users.models import PROFILE_FIELDS, SEARCHED, AuthToken, BlacklistEntry, ContactBookEntry, User
from users.search import SearchEntry
from users.user_settings import UserSettings

# Functions that take the id of a deleted account, remove some of its rows, and return whether there were any. They run
# in this order, each until nothing is left. Apps above this one add theirs.
steps: list[Callable[[int], bool]] = []


def vanish(user: User) -> None:
    """Block the account and free its names. The caller's transaction has locked it."""
    SearchEntry.objects.replace(user, user.entries, set())
    # No name has such a key: names have no line breaks.
    key = f"\n{user.pk}"
    emptied = dict.fromkeys((*PROFILE_FIELDS, *SEARCHED), "")
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
    announce(Kind.DELETED, user_id=user.pk)


def pieces_of(user_id: int) -> Iterator[None]:
    """Remove the rows of the deleted account, its own row last; yield after each piece."""
    for step in steps:
        while step(user_id):
            yield
    with suppress(IntegrityError):
        # Another request has just added a row for this account. The next run removes it.
        _remove_row(user_id)


def pieces_of_all() -> Iterator[None]:
    for user_id in User.objects.filter(deleted_at__isnull=False).values_list("pk", flat=True):
        yield from pieces_of(user_id)
        yield


upkeep.tasks.append(pieces_of_all)


@retried_transaction
def _remove_row(user_id: int) -> None:
    User.objects.filter(pk=user_id, deleted_at__isnull=False).delete()


def _removing(model: type[Model], field: str) -> Callable[[int], bool]:
    return lambda user_id: upkeep.remove_some(model._default_manager.filter(**{field: user_id}))


steps += [
    _removing(AuthToken, "user"),
    _removing(Code, "user"),
    _removing(Mail, "user_id"),
    _removing(UserSettings, "user"),
    *(_removing(model, field) for model in (ContactBookEntry, BlacklistEntry) for field in ("user1", "user2")),
]
