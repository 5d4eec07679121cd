import json
from collections.abc import Sequence
from typing import Any, NoReturn, Self

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone

from common.keys import ExactCharField, KeyField
from users.models import User


class Reason(models.TextChoices):
    SPAM = "spam", "Spam"
    HARASSMENT = "harassment", "Harassment"
    ILLEGAL = "illegal", "Illegal content"
    IMPERSONATION = "impersonation", "Impersonation"
    OTHER = "other", "Something else"


REASONS = Reason.values
STATES = ["open", "closed"]

JSON = dict[str, Any]


class ReportQuerySet(models.QuerySet["Report"]):
    def open(self) -> Self:
        return self.filter(closed_at=None)

    def closed(self) -> Self:
        return self.filter(closed_at__isnull=False)

    def page(self, limit: int, after: Sequence[Any] | None = None) -> tuple[Sequence["Report"], tuple[int] | None]:
        """One page, newest first, as (reports, position of the last one if there are more)."""
        reports = self.order_by("-pk")
        if after is not None:
            reports = reports.filter(pk__lt=after[0])
        reports = list(reports[: limit + 1])
        if len(reports) <= limit:
            return reports, None
        return reports[:limit], (reports[limit - 1].pk,)


class Report(models.Model):
    """What somebody told moderators about somebody else. It outlives the message and both accounts."""

    reporter = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="reports_made")
    reported = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="reports")
    # The name of the reported, as it was then.
    username = models.CharField(max_length=150)
    reason = models.CharField(max_length=13, choices=Reason)
    text = models.TextField(max_length=1000, blank=True)
    # The reported message. No foreign keys: the report stays as it is, whatever becomes of the conversation.
    conversation_id = models.BigIntegerField(null=True)
    number = models.BigIntegerField(null=True)
    # The message and some before it, as they stood then, as JSON (see moderation.evidence).
    evidence_json = models.TextField(default="[]")
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    closed_at = models.DateTimeField(null=True, editable=False, db_index=True)
    # What makes two open reports the same; NULL once it is closed, so that the same can be reported again.
    open_key = ExactCharField(max_length=100, null=True, editable=False)

    objects = ReportQuerySet.as_manager()

    # Of the same person, and decisions about them, where moderation.desk has counted.
    earlier_reports: int
    decisions: int

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["open_key"], name="moderation_open_report_once"),
            models.CheckConstraint(
                condition=Q(closed_at=None, open_key__isnull=False) | Q(closed_at__isnull=False, open_key=None),
                name="moderation_open_has_key",
            ),
            models.CheckConstraint(
                condition=Q(conversation_id=None, number=None) | Q(conversation_id__isnull=False, number__isnull=False),
                name="moderation_message_is_whole",
            ),
        ]
        # The desk by reason; without one, and in the order of time, by the index of the column.
        indexes = [models.Index(fields=["closed_at", "reason"], name="moderation_desk_by_reason")]
        permissions = [("decide_report", "Can decide reports about ordinary users")]

    def __str__(self) -> str:
        return f"Report {self.pk}"

    def compute_open_key(self) -> str:
        return f"{self.reporter_id}:{self.reported_id}:{self.reason}:{self.conversation_id}:{self.number}"

    @property
    def state(self) -> str:
        return "open" if self.closed_at is None else "closed"

    @property
    def evidence(self) -> list[JSON]:
        return json.loads(self.evidence_json)

    @property
    def reported_account(self) -> User | None:
        """The reported account; None once it is deleted, also while its rows are being removed."""
        return self.reported if self.reported and self.reported.deleted_at is None else None

    @property
    def reporter_account(self) -> User | None:
        return self.reporter if self.reporter and self.reporter.deleted_at is None else None


class What(models.TextChoices):
    """What was decided."""

    DISMISSED = "dismissed", "Closed without consequence"
    SUSPENDED = "suspended", "Suspended"
    DEACTIVATED = "deactivated", "Deactivated"
    REACTIVATED = "reactivated", "Reactivated"
    SUSPENSION_ENDED = "suspension_ended", "Suspension ended"


class AppendOnly(Exception):  # noqa: N818
    """A decision is neither changed nor deleted."""


class DecisionQuerySet(models.QuerySet["Decision"]):
    def about(self, user_id: int | None) -> Self:
        return self.filter(user_id=user_id)

    def update(self, **kwargs: Any) -> NoReturn:
        raise AppendOnly

    def delete(self) -> NoReturn:
        raise AppendOnly


class Decision(models.Model):
    """A row of the audit trail: it is only ever added.

    Who and whom are ids and names as they were, not foreign keys: no deletion reaches this table.
    """

    decided_at = models.DateTimeField(default=timezone.now, editable=False)
    moderator_id = models.BigIntegerField()
    moderator = models.CharField(max_length=150)
    what = models.CharField(max_length=16, choices=What)
    until = models.DateTimeField("suspended until", null=True)
    user_id = models.BigIntegerField(null=True, db_index=True)
    username = models.CharField("user", max_length=150)
    why = models.TextField(max_length=1000)
    report_id = models.BigIntegerField(null=True, db_index=True)
    # By which decisions are searched.
    names_key = KeyField("username", "moderator")

    objects = DecisionQuerySet.as_manager()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(what="suspended", until__isnull=False) | (~Q(what="suspended") & Q(until=None)),
                name="moderation_until_fits",
            ),
        ]

    def __str__(self) -> str:
        return f"Decision {self.pk}"

    def save(self, **kwargs: Any) -> None:
        if not self._state.adding:
            raise AppendOnly
        # Never an update, also with the key of a row that exists.
        super().save(force_insert=True)

    def delete(self, **kwargs: Any) -> NoReturn:  # type: ignore[override]
        raise AppendOnly
