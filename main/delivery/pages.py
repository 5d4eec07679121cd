"""The events of one user since a position, page by page."""

from typing import NamedTuple

from conversations.models import Membership
from delivery.descriptions import Told, describe
from events.models import OWN_KINDS, Event, Row

# Positions that a page goes through at a time, so that its cost is bounded also for members of busy conversations; and
# how often it goes on if it has found little.
WINDOW, WINDOWS = 10_000, 10
# Conversations that are named in a query. For more, the database goes through the whole window.
FEW_CONVERSATIONS = 500


class Page(NamedTuple):
    told: list[Told]
    end: int  # everything up to this position is told
    is_last: bool


def read_page(user_id: int, after: int, limit: int, last: int) -> Page:
    """At most so many events of the user after a position, in their order, up to the last position."""
    told: list[Told] = []
    for _ in range(WINDOWS):
        end = min(after + WINDOW, last)
        rows = rows_of(user_id, after, end, limit - len(told))
        if len(rows) == limit - len(told):
            end = rows[-1].position
        if rows:
            told += describe(rows, [user_id])
        after = end
        if after >= last or 2 * len(told) >= limit:
            break
    return Page(told, after, after >= last)


def rows_of(user_id: int, after: int, end: int, limit: int) -> list[Row]:
    """Events between the positions: the user's own, and those of the user's conversations."""
    if after >= end:
        return []
    events = Event.objects.between(after, end)
    rows = events.filter(user_id=user_id, kind__in=OWN_KINDS).rows(limit)
    memberships = Membership.objects.filter(user=user_id).values_list("conversation", flat=True)
    few = list(memberships[: FEW_CONVERSATIONS + 1])
    if few:
        named = few if len(few) <= FEW_CONVERSATIONS else memberships
        rows += events.filter(conversation_id__in=named, user_id=None).rows(limit)
    return sorted(rows)[:limit]
