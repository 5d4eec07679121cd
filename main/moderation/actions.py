"""Writes: a report, and what moderators decide."""

from collections.abc import Callable
from datetime import timedelta

from django.db import IntegrityError
from django.utils import timezone
from rest_framework.exceptions import NotFound, ValidationError

from common import upkeep
from common.errors import BadRequest, Conflict, Forbidden, found
from common.transactions import retried_transaction
from conversations.guards import NO_CONVERSATION, find_conversation
from moderation import evidence
from moderation.models import JSON, Decision, Report, What
from users import actions
from users.actions import AccountGone
from users.guards import NO_USER
from users.models import User

# For how many days somebody can be suspended.
DAYS = (1, 7, 30)

# Reports


def report(
    reporter: User,
    reported: User,
    *,
    reason: str,
    text: str = "",
    conversation: int | None = None,
    number: int | None = None,
) -> Report:
    """Keep a report, with the message and some before it as they are now."""
    if reporter == reported:
        raise BadRequest("This cannot be done with yourself.")
    made = Report(
        reporter=reporter,
        reported=reported,
        username=reported.username,
        reason=reason,
        text=text,
        conversation_id=conversation,
        number=number,
    )
    try:
        return _report(made)
    except IntegrityError:
        present = set(User.objects.filter(pk__in=[reporter.pk, reported.pk]).values_list("pk", flat=True))
        if reporter.pk not in present:
            raise AccountGone from None
        if reported.pk not in present:
            raise NotFound(NO_USER) from None
        raise Conflict("You have reported this already.") from None


@retried_transaction
def _report(report: Report) -> Report:
    report.evidence_json = evidence.stored(_read_evidence(report))
    report.open_key = report.compute_open_key()
    report.save(force_insert=True)
    return report


def _read_evidence(report: Report) -> list[JSON]:
    if report.reporter is None or report.conversation_id is None or report.number is None:
        return []
    try:
        conversation = find_conversation(report.reporter, report.conversation_id)
    except NotFound:
        raise ValidationError({"conversation": [NO_CONVERSATION]}) from None
    messages = []
    # A number may be too large for the database.
    if report.number <= conversation.last_number:
        messages = evidence.read(conversation.pk, report.number)
    if not messages or messages[-1]["number"] != report.number:
        raise ValidationError({"number": ["There is no such message."]})
    if messages[-1]["sender_id"] != report.reported_id:
        raise ValidationError({"number": ["This is not a message of that user."]})
    return messages


def forget_some_reporters(user_id: int) -> bool:
    """Remove a deleted account from some of the reports that it made; return whether there were any."""
    return upkeep.update_some(Report.objects.filter(reporter=user_id), reporter=None)


def forget_some_reported(user_id: int) -> bool:
    """Remove a deleted account from some of the reports about it; return whether there were any."""
    return upkeep.update_some(Report.objects.filter(reported=user_id), reported=None)


# Decisions


@retried_transaction
def decide(report_id: int, moderator: User, what: What, why: str, days: int | None = None) -> Decision:
    """Close the report, do to the reported account what is decided, and note it in the audit trail."""
    # The report first, then the account, as everywhere: of two moderators the second one finds it closed.
    report = found(Report.objects.select_for_update().filter(pk=report_id).first(), "There is no such report.")
    if report.closed_at is not None:
        raise Conflict(f"This report was decided by {_decider_of(report)} just now.")
    if report.reported_id == moderator.pk:
        raise Forbidden("This report is about yourself. Somebody else decides it.")
    user = User.objects.locked(report.reported).first() if report.reported else None
    until = None
    if what != What.DISMISSED:
        if user is None:
            raise Conflict("This account was deleted. The report can only be closed without consequence.")
        if is_staff(user):
            raise Forbidden("This account belongs to the staff. The report can only be closed without consequence.")
        if what == What.SUSPENDED and days in DAYS:
            until = actions.suspend(user, timezone.now().replace(microsecond=0) + timedelta(days=days))
        elif what == What.DEACTIVATED:
            actions.deactivate(user)
        else:
            raise ValueError(f"{what} for {days} days cannot be decided about a report.")
    report.closed_at = timezone.now()
    report.open_key = None
    report.save(update_fields=["closed_at", "open_key"])
    return Decision.objects.create(
        moderator_id=moderator.pk,
        moderator=moderator.username,
        what=what,
        until=until,
        user_id=report.reported_id,
        username=user.username if user else report.username,
        why=why,
        report_id=report.pk,
    )


def _decider_of(report: Report) -> str:
    return Decision.objects.filter(report_id=report.pk).values_list("moderator", flat=True).first() or "somebody"


def is_staff(user: User) -> bool:
    return user.is_staff or user.is_superuser


# Whether a decision without a report would change anything.
CHANGES: dict[What, Callable[[User], bool]] = {
    What.DEACTIVATED: lambda user: user.is_active,
    What.REACTIVATED: lambda user: not user.is_active,
    What.SUSPENSION_ENDED: lambda user: user.is_suspended,
}


@retried_transaction
def decide_without_report(moderator: User, user: User, what: What, action: Callable[[User], None]) -> None:
    """Apply the action to the account and note it, if it changes anything; AccountGone if this may not be."""
    current = User.objects.locked(user).first()
    # Somebody may have become staff since the list was read.
    if current is None or (is_staff(current) and not moderator.is_superuser):
        raise AccountGone
    changes = CHANGES[what](current)
    action(user)
    if changes:
        note_without_report(moderator, current, what, "From the list of accounts, without a report.")


def note_without_report(moderator: User, user: User, what: What, why: str) -> None:
    Decision.objects.create(
        moderator_id=moderator.pk,
        moderator=moderator.username,
        what=what,
        user_id=user.pk,
        username=user.username,
        why=why,
    )
