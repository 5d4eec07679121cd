"""Who has streams open, for the limit per user. Nothing else is kept of a stream."""

from datetime import timedelta
from typing import Self

from django.db import models
from django.utils import timezone


class ProcessQuerySet(models.QuerySet["Process"]):
    def gone(self) -> Self:
        return self.filter(seen_at__lte=timezone.now() - Process.TIME_TO_LIVE)

    def just_seen(self) -> Self:
        return self.filter(seen_at__gt=timezone.now() - Process.TIME_TO_LIVE / 4)


class Process(models.Model):
    """A process of the server with open streams. It says regularly that it lives."""

    id = models.BigIntegerField(primary_key=True)  # random
    seen_at = models.DateTimeField(db_index=True)

    objects = ProcessQuerySet.as_manager()

    # A process that was killed is taken for gone after this time.
    TIME_TO_LIVE = timedelta(seconds=20)

    def __str__(self) -> str:
        return f"Process {self.pk}"


class Slot(models.Model):
    """One of the streams that a user may have open at a time."""

    user_id = models.BigIntegerField()
    number = models.PositiveSmallIntegerField()
    process = models.ForeignKey(Process, models.CASCADE, related_name="slots")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["user_id", "number"], name="delivery_slot_once")]

    def __str__(self) -> str:
        return f"Stream {self.number} of user {self.user_id}"
