"""What an export has of the user's reports."""

from common.exports import Items, Parts, chunks
from moderation import representations
from moderation.models import Report
from users.models import User


def parts_of(user: User) -> Parts:
    return {"reports": reports_of(user)}


def reports_of(user: User) -> Items:
    own = Report.objects.filter(reporter=user)
    for chunk in chunks(own.values_list("pk"), "pk"):
        ids = [pk for (pk,) in chunk]
        reports = own.filter(pk__in=ids).only(*representations.FIELDS).order_by("pk")
        yield [representations.of_report(report) for report in reports]
