from datetime import datetime

from django.conf import settings
from django.db import models
from django.db.models import Exists, F, OuterRef, Q
from django.utils import timezone

from common.keys import ExactCharField


class ConversationQuerySet(models.QuerySet):
    def of(self, user):
        """The user's conversations, each with the user's `read_number`."""
        return self.filter(memberships__user=user).annotate(read_number=F("memberships__read_number"))

    def locked_for(self, user_id):
        """The user's conversations, held until the end of the transaction; no other row is.

        Whether they are the user's may have been read before the lock was granted: it has to be asked again.
        """
        own = Membership.objects.filter(conversation=OuterRef("pk"), user=user_id)
        return self.select_for_update().filter(Exists(own))

    def page(self, limit, after=None):
        """The page of them, latest activity first, as (conversations, position of the last if there are more)."""
        conversations = self.order_by("-last_activity", "-pk")
        if after is not None:
            moment, pk = datetime.fromisoformat(after[0]), after[1]
            conversations = conversations.filter(Q(last_activity__lt=moment) | Q(last_activity=moment, pk__lt=pk))
        conversations = list(conversations[: limit + 1])
        if len(conversations) <= limit:
            return conversations, None
        last = conversations[limit - 1]
        return conversations[:limit], (last.last_activity.isoformat(), last.pk)


class Conversation(models.Model):
    class Kind(models.TextChoices):
        PRIVATE = "private"
        GROUP = "group"

    kind = models.CharField(max_length=7, choices=Kind)
    name = models.CharField(max_length=120, blank=True)
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True, related_name="owned_conversations"
    )
    # Of a private one with both its members: their ids, the lower first. A pair has one conversation.
    pair_key = ExactCharField(max_length=41, null=True, editable=False)
    # The number of the last message. Numbers are taken from this row and nowhere else.
    last_number = models.PositiveBigIntegerField(default=0, editable=False)
    last_activity = models.DateTimeField(default=timezone.now, editable=False)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    # When its last member left, while there still are messages to remove. It is nobody's to see.
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

    def __str__(self):
        return f"{self.kind} conversation {self.pk}"

    @staticmethod
    def pair_key_of(user, other):
        return "{}:{}".format(*sorted((user.pk, other.pk)))

    def counterpart_of(self, user):
        """The id of the other member of a private conversation, None if that account is gone."""
        if self.pair_key is None:
            return None
        return next(pk for pk in map(int, self.pair_key.split(":")) if pk != user.pk)

    @property
    def current_owner_id(self):
        """The id of the owner; of a group whose owner was deleted just now, of the one who is to inherit it."""
        is_there = self.memberships.remaining().filter(user=self.owner_id).exists()
        return self.owner_id if is_there or self.is_private else self.memberships.longest_standing()

    @property
    def is_private(self):
        return self.kind == self.Kind.PRIVATE


class MembershipQuerySet(models.QuerySet):
    def remaining(self):
        """Those of accounts that are not deleted, the longest-standing first."""
        return self.filter(user__deleted_at=None).order_by("joined_at", "pk")

    def longest_standing(self):
        """The id of the user who has been a member for longest, None if there is nobody."""
        return self.remaining().values_list("user", flat=True).first()


class Membership(models.Model):
    # Leading in the unique constraint, which makes an index of its own superfluous.
    conversation = models.ForeignKey(Conversation, models.CASCADE, related_name="memberships", db_index=False)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="memberships")
    joined_at = models.DateTimeField(default=timezone.now, editable=False)
    # The last message that the member has read; those after it are unread.
    read_number = models.PositiveBigIntegerField(default=0, editable=False)

    objects = MembershipQuerySet.as_manager()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["conversation", "user"], name="conversations_member_once")]

    def __str__(self):
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

    def __str__(self):
        # Never the text: moderators do not read along.
        return f"Message {self.number} of {self.conversation}"
