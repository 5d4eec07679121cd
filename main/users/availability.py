"""Who is within their active hours now, as far as the viewer may know."""

from collections.abc import Collection, Sequence
from datetime import UTC, datetime

from django.contrib.auth.models import AbstractUser
from django.db.models import Case, Exists, OuterRef, Q, QuerySet, When
from django.utils import timezone

from common.compiled import compiled
from common.keys import text_key
from users.models import ContactBookEntry, User
from users.user_settings import Audience, UserSettings, read_hours

Availability = dict[str, object]


def of_username(username: str, viewer: AbstractUser) -> Availability | None:
    """Of the active user of that name, whatever its case, or None."""
    for row in _of_username(text_key(username), viewer.pk):
        return at(timezone.now(), *row)
    return None


def of_contacts(viewer: AbstractUser) -> list[Availability]:
    """Of the active users in the viewer's contact book, by username."""
    now = timezone.now()
    return [at(now, *row[1:]) for row in sorted(_of_contacts(viewer.pk), key=lambda row: row[0])]


def at(moment: datetime, username: str, active_hours_json: str | None) -> Availability:
    hours = read_hours(active_hours_json) if active_hours_json else None
    if hours is None:
        return {"username": username, "is_active": None, "changes_at": None}
    second = int(moment.timestamp())
    turn = hours.next_turn(second)
    return {
        "username": username,
        "is_active": hours.are_active(second),
        "changes_at": None if turn is None else datetime.fromtimestamp(turn, UTC),
    }


def those_who_rest(user_ids: Collection[int], moments: Collection[datetime]) -> dict[datetime, set[int]]:
    """By moment, those of the users who have active hours and are outside of them: one query."""
    if not user_ids:
        return {}
    known = [(user_id, read_hours(text)) for user_id, text in _hours_of(list(user_ids))]
    return {
        moment: {user_id for user_id, hours in known if hours and not hours.are_active(int(moment.timestamp()))}
        for moment in moments
    }


def hours(prefix: str, viewer_id: int) -> Case:
    """The active hours as the viewer may see them, for a queryset from which the prefix leads to a user."""
    kept = prefix + "usersettings__"
    book = ContactBookEntry.objects.filter(user1=OuterRef(prefix + "pk"), user2=viewer_id)
    may_see = Q(**{prefix + "pk": viewer_id}) | Q(**{kept + "active_hours_for": Audience.EVERYONE})
    may_see |= Q(Exists(book), **{kept + "active_hours_for": Audience.CONTACTS})
    return Case(When(may_see, then=kept + "active_hours_json"))


@compiled
def _of_username(username_key: str, viewer_id: int) -> QuerySet[User, tuple[str, str | None]]:
    users = User.objects.active().filter(username_key=username_key)
    return users.values_list("username", hours("", viewer_id))


@compiled
def _of_contacts(viewer_id: int) -> QuerySet[ContactBookEntry, tuple[str, str, str | None]]:
    entries = ContactBookEntry.objects.filter(user1=viewer_id, user2__is_active=True)
    return entries.values_list("user2__username_key", "user2__username", hours("user2__", viewer_id))


@compiled
def _hours_of(user_ids: Sequence[int]) -> QuerySet[UserSettings, tuple[int, str]]:
    kept = UserSettings.objects.filter(user__id__in=user_ids).exclude(active_hours_json="")
    return kept.values_list("user", "active_hours_json")
