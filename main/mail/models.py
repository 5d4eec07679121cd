import json
from datetime import timedelta
from typing import Self

from django.db import models
from django.db.models import F
from django.utils import timezone

# For how long a mail is tried, and how long the row of one that is done is kept.
TRIED_FOR, KEPT_FOR = timedelta(days=1), timedelta(days=30)
# Seconds until a mail is tried again, which double with each try, and the most they can become.
FIRST_DISTANCE, LONGEST_DISTANCE = 30, 1800


class MailQuerySet(models.QuerySet["Mail"]):
    def waiting(self) -> Self:
        return self.filter(due_at__isnull=False)

    def due(self) -> Self:
        """Mails that should be tried now, those that have waited longest first."""
        return self.filter(due_at__lte=timezone.now()).order_by("due_at", "pk")


class Mail(models.Model):
    """A mail that is to be sent, or was. Its text is written when it is sent, so that no code is ever in here."""

    # Which function writes the text (see mail.outbox.writers), and what the function needs for it.
    kind = models.CharField(max_length=32)
    data_json = models.TextField(default="{}")
    recipient = models.CharField(max_length=254)
    # Whose mail it is. No foreign key: the users are above this app.
    user_id = models.BigIntegerField(null=True, db_index=True)
    created_at = models.DateTimeField(default=timezone.now)
    tries = models.PositiveSmallIntegerField(default=0)
    # When it is tried next; None when it was sent or given up.
    due_at = models.DateTimeField(default=timezone.now, null=True, db_index=True)
    sent_at = models.DateTimeField(null=True)

    objects = MailQuerySet.as_manager()

    class Meta:
        verbose_name_plural = "mails"

    def __str__(self) -> str:
        return f"Mail {self.pk} ({self.kind})"

    @property
    def data(self) -> dict[str, str]:
        return json.loads(self.data_json)

    @property
    def is_overdue(self) -> bool:
        return timezone.now() > self.created_at + TRIED_FOR

    def claim(self) -> bool:
        """Count a try and set the time of the next one; False if another process has done so since it was read.

        This comes before the try, so that a mail whose try fails, or ends with a killed process, is due again.
        """
        distance = min(FIRST_DISTANCE * 2**self.tries, LONGEST_DISTANCE)
        later = timezone.now() + timedelta(seconds=distance)
        if not Mail.objects.filter(pk=self.pk, due_at=self.due_at).update(tries=F("tries") + 1, due_at=later):
            return False
        self.tries, self.due_at = self.tries + 1, later
        return True

    def assign(self, user_id: int, recipient: str) -> None:
        """Note whose mail it is, before it is sent: the row is removed with the account."""
        self.user_id, self.recipient = user_id, recipient
        Mail.objects.filter(pk=self.pk).update(user_id=user_id, recipient=recipient)

    def finish(self, *, is_sent: bool) -> None:
        """Note that nothing more is to be done, and forget what the text is written from.

        The row may be gone, with its account.
        """
        self.due_at, self.sent_at, self.data_json = None, timezone.now() if is_sent else None, ""
        Mail.objects.filter(pk=self.pk).update(due_at=None, sent_at=self.sent_at, data_json="")
