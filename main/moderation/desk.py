"""What moderators see of reports: counts for the list, and the page of one report."""

from collections.abc import Sequence
from typing import Any

from django.db.models import Count, OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce

from moderation import evidence
from moderation.actions import is_staff
from moderation.models import Decision, Report
from users.models import User

# How many other reports, and decisions, the page of a report lists.
LISTED = 10


def rows_of(ids: Sequence[int]) -> list[Report]:
    """The reports of a page of the list, in this order, with their history: two queries.

    Read by their ids: to skip whole rows, or to count for them, made the last page of 12 000 reports take a second.
    """
    reports = Report.objects.select_related("reported").defer("text", "evidence_json").in_bulk(ids)
    rows = [reports[pk] for pk in ids if pk in reports]
    add_history(rows)
    return rows


def add_history(reports: Sequence[Report]) -> None:
    """Give each the numbers of earlier reports of the same person, and of decisions about them, in one query."""
    earlier = Report.objects.filter(reported=OuterRef("reported"), pk__lt=OuterRef("pk"))
    decided = Decision.objects.filter(user_id=OuterRef("reported"))
    counted = Report.objects.filter(pk__in=[report.pk for report in reports]).annotate(
        earlier=_count(earlier, "reported"), decided=_count(decided, "user_id")
    )
    numbers = {pk: counts for pk, *counts in counted.values_list("pk", "earlier", "decided")}
    for report in reports:
        report.earlier_reports, report.decisions = numbers.get(report.pk, (0, 0))


def _count(rows: QuerySet[Any], field: str) -> Coalesce:
    numbers = rows.order_by().values(field).annotate(number=Count("pk"))
    return Coalesce(Subquery(numbers.values("number")), 0)


def page_of(report: Report) -> dict[str, Any]:
    """What the page shows of a report: the same queries, whatever there is."""
    add_history([report])
    account = report.reported_account
    others = Report.objects.filter(reported=report.reported_id) if report.reported_id else Report.objects.none()
    return {
        "report": report,
        "account": account,
        "states": states_of(account) if account else ["deleted"],
        "can_be_punished": can_be_punished(report),
        "messages_kept": evidence.shown(report.evidence, report.number),
        "other_reports": others.exclude(pk=report.pk).defer("text", "evidence_json").order_by("-pk")[:LISTED],
        "open_reports": others.exclude(pk=report.pk).open().count(),
        "decisions": Decision.objects.about(report.reported_id).order_by("-pk")[:LISTED] if report.reported_id else [],
        "decision": Decision.objects.filter(report_id=report.pk).first(),
        "listed": LISTED,
    }


def can_be_punished(report: Report) -> bool:
    """Whether more can be decided than to close the report."""
    account = report.reported_account
    return account is not None and not is_staff(account)


def states_of(account: User) -> list[str]:
    states = []
    if is_staff(account):
        states.append("staff")
    if not account.is_active:
        states.append("deactivated")
    if account.suspended_until and account.is_suspended:
        states.append(f"suspended until {account.suspended_until:%Y-%m-%d %H:%M} UTC")
    return states or ["active"]


def reported_as(report: Report) -> str:
    """The present name of the reported person."""
    account = report.reported_account
    return account.username if account else f"{report.username} (deleted)"
