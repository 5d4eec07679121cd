"""The log of changes: what happened, whose it is, in which conversation, in one order.

A change inserts an announcement in its own transaction. After the commit, whoever reads next gives announcements their
positions and moves them to the log. So a position never becomes visible behind a later one, there are no gaps, and
nobody who writes waits for somebody who writes elsewhere.
"""

import secrets
from typing import NamedTuple, Self

from django.db import models


class Kind(models.IntegerChoices):
    # In a conversation, for all its members.
    MESSAGE = 1  # sent, edited or deleted; `number` is the message's
    CONVERSATION = 2  # created, renamed, its members or owner changed; `other_id` joined, and has an event for that

    # For one user.
    JOINED = 10  # became a member of the conversation
    LEFT = 11
    READ = 12  # `number` is the mark
    PROFILE = 13
    CONTACT_ADDED = 14  # `other_id` is the other user
    CONTACT_REMOVED = 15
    BLACKLISTED = 16
    UNBLACKLISTED = 17
    SETTINGS = 18

    # The death of tokens of one user; what remains is in the table of tokens.
    LOGOUT = 30
    PASSWORD = 31
    DEACTIVATED = 32
    DELETED = 33
    SUSPENDED = 34

    @property
    def ends_tokens(self) -> bool:
        return self >= Kind.LOGOUT


MEMBERSHIP_KINDS = (Kind.JOINED, Kind.LEFT)
END_KINDS = tuple(kind for kind in Kind if kind.ends_tokens)
# Kinds for one user that are told to clients.
OWN_KINDS = tuple(kind for kind in Kind if Kind.JOINED <= kind < Kind.LOGOUT)


class Row(NamedTuple):
    """An event as it is read, without the cost of a model instance."""

    position: int
    kind: int
    user_id: int | None
    conversation_id: int | None
    number: int | None
    other_id: int | None


class Change(models.Model):
    """What happened. The ids are no foreign keys: these would lock the rows that they refer to."""

    kind = models.PositiveSmallIntegerField()  # a Kind
    # Whose the event is. Without a user it is for all members of the conversation.
    user_id = models.BigIntegerField(null=True)
    conversation_id = models.BigIntegerField(null=True)
    number = models.PositiveBigIntegerField(null=True)
    other_id = models.BigIntegerField(null=True)

    class Meta:
        abstract = True


class Announcement(Change):
    """A change that has no position yet. Within a conversation the ids are in the order of the commits."""

    def __str__(self) -> str:
        return f"{Kind(self.kind).label} without a position"


class EventQuerySet(models.QuerySet["Event"]):
    def between(self, after: int, end: int) -> Self:
        """Events after the first position, up to and with the second, in their order."""
        return self.filter(position__gt=after, position__lte=end).order_by("position")

    def rows(self, limit: int) -> list[Row]:
        return list(map(Row._make, self.values_list(*Row._fields)[:limit]))


class Event(Change):
    """A change with its place in the order."""

    position = models.BigIntegerField(primary_key=True)
    created_at = models.DateTimeField()

    objects = EventQuerySet.as_manager()

    class Meta:
        indexes = [
            models.Index(fields=["conversation_id", "position"], name="events_of_conversation"),
            models.Index(fields=["user_id", "kind", "position"], name="events_of_user"),
        ]

    def __str__(self) -> str:
        return f"{Kind(self.kind).label} at {self.position}"


def new_name() -> str:
    return secrets.token_hex(4)


class LogQuerySet(models.QuerySet["Log"]):
    def current(self) -> "Log":
        """The log, locked until the end of the transaction if the queryset is."""
        return self.filter(pk=1).first() or self.get_or_create(pk=1)[0]


class Log(models.Model):
    """The log as a whole, one row: its last position, and a name that tells it from the log of another database."""

    name = models.CharField(max_length=8, default=new_name)
    last_position = models.BigIntegerField(default=0)

    objects = LogQuerySet.as_manager()

    def __str__(self) -> str:
        return f"{self.name}, {self.last_position} events"
