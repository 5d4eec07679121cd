from datetime import datetime
from typing import Any, NamedTuple, Self

from django.conf import settings
from django.db import models
from django.db.models import Exists, F, OuterRef, Q
from django.utils import timezone

from common.keys import ExactCharField
from users.models import User, not_deleted


class Seen(NamedTuple):
    """A conversation as it is read, without the cost of a model instance, and the reader's mark."""

    pk: int
    kind: str
    name: str
    owner_id: int | None
    created_at: datetime
    last_number: int
    last_activity: datetime
    read_number: int = 0

    @property
    def is_private(self) -> bool:
        return self.kind == Conversation.Kind.PRIVATE


class Locked(NamedTuple):
    """A conversation that is locked to write a message into it."""

    kind: str
    pair_key: str | None
    last_number: int


class Written(NamedTuple):
    """A message for its sender, without the cost of a model instance."""

    conversation_id: int
    number: int
    text: str
    created_at: datetime
    edited_at: datetime | None
    deleted: bool
    client_id: str | None


class ConversationQuerySet(models.QuerySet["Conversation"]):
    def of(self, user_id: int) -> Self:
        """The user's conversations, each with the user's `read_number`."""
        return self.filter(memberships__user=user_id).annotate(read_number=F("memberships__read_number"))

    def latest_first(self) -> Self:
        return self.order_by("-last_activity", "-pk")

    def before(self, last_activity: datetime, pk: int) -> Self:
        return self.filter(Q(last_activity__lt=last_activity) | Q(last_activity=last_activity, pk__lt=pk))

    def seen(self) -> "models.QuerySet[Conversation, Any]":
        """Of conversations of a user: the values of Seen."""
        return self.values_list(*Seen._fields)

    def locked_for(self, user_id: int) -> Self:
        """The user's conversations, locked until the end of the transaction. No other row is locked.

        The membership may have been read before the lock was granted. The caller has to check it again.
        """
        own = Membership.objects.filter(conversation=OuterRef("pk"), user=user_id)
        return self.select_for_update().filter(Exists(own))


class Conversation(models.Model):
    class Kind(models.TextChoices):
        PRIVATE = "private"
        GROUP = "group"

    kind = models.CharField(max_length=7, choices=Kind)
    name = models.CharField(max_length=120, blank=True)
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True, related_name="owned_conversations"
    )
    # For a private conversation with both members: their ids, the lower one first. A pair has one conversation.
    pair_key = ExactCharField(max_length=41, null=True, editable=False)
    # The number of the last message. New numbers are taken from this row only.
    last_number = models.PositiveBigIntegerField(default=0, editable=False)
    last_activity = models.DateTimeField(default=timezone.now, editable=False)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    # When the last member left; set while its messages are being removed. Nobody sees it any more.
    ended_at = models.DateTimeField(null=True, editable=False, db_index=True)
    members = models.ManyToManyField(settings.AUTH_USER_MODEL, through="Membership", related_name="conversations")

    objects = ConversationQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["pair_key"], name="conversations_pair_once"),
            models.CheckConstraint(
                condition=Q(kind="group", pair_key=None) | Q(kind="private", name="", owner=None),
                name="conversations_kind_fits",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} conversation {self.pk}"

    @staticmethod
    def pair_key_of(user: User, other: User) -> str:
        return "{}:{}".format(*sorted((user.pk, other.pk)))

    @staticmethod
    def counterpart_in(pair_key: str | None, user: User) -> int | None:
        """The id of the other member of a private conversation; None if that account was deleted."""
        if pair_key is None:
            return None
        return next(pk for pk in map(int, pair_key.split(":")) if pk != user.pk)

    @property
    def current_owner_id(self) -> int | None:
        """The id of the owner. If the owner is being deleted, of the member who becomes the owner."""
        is_there = self.memberships.remaining().filter(user=self.owner_id).exists()
        return self.owner_id if is_there or self.is_private else self.memberships.longest_standing()

    @property
    def is_private(self) -> bool:
        return self.kind == self.Kind.PRIVATE


class MembershipQuerySet(models.QuerySet["Membership"]):
    def remaining(self) -> Self:
        """Memberships of accounts that are not deleted, the longest-standing first."""
        return self.filter(not_deleted("user__")).order_by("joined_at", "pk")

    def longest_standing(self) -> int | None:
        """The id of the longest-standing member, None if there is nobody."""
        return self.remaining().values_list("user", flat=True).first()


class Membership(models.Model):
    # No index of its own: the column is the first one of the unique constraint.
    conversation = models.ForeignKey(Conversation, models.CASCADE, related_name="memberships", db_index=False)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="memberships")
    joined_at = models.DateTimeField(default=timezone.now, editable=False)
    # The number of the last message that the member has read.
    read_number = models.PositiveBigIntegerField(default=0, editable=False)

    objects = MembershipQuerySet.as_manager()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["conversation", "user"], name="conversations_member_once")]

    def __str__(self) -> str:
        return f"{self.user} in {self.conversation}"


class Message(models.Model):
    conversation = models.ForeignKey(Conversation, models.CASCADE, related_name="messages", db_index=False)
    number = models.PositiveBigIntegerField()
    sender = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="messages")
    text = models.TextField()
    created_at = models.DateTimeField(default=timezone.now)
    edited_at = models.DateTimeField(null=True)
    deleted = models.BooleanField(default=False)
    client_id = ExactCharField(max_length=64, null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["conversation", "number"], name="conversations_number_once"),
            models.UniqueConstraint(
                fields=["conversation", "sender", "client_id"], name="conversations_client_id_once"
            ),
            models.CheckConstraint(condition=Q(deleted=False) | Q(text=""), name="conversations_deleted_is_empty"),
        ]

    def __str__(self) -> str:
        # Never the text: moderators do not read messages.
        return f"Message {self.number} of {self.conversation}"
