"""Which tokens of open streams have died, and of what."""

from collections.abc import Mapping

from events.models import END_KINDS, Announcement, Event, Kind
from users.models import AuthToken, User

# Tokens that are asked for in one query.
PIECE = 500


def find_dead(tokens: Mapping[int, int]) -> dict[int, str]:
    """Of tokens, given as {token id: user id}, those that are dead: {token id: the reason for the event `end`}."""
    ids = list(tokens)
    alive: set[int] = set()
    for start in range(0, len(ids), PIECE):
        alive |= AuthToken.objects.valid_among(ids[start : start + PIECE])
    return {token_id: reason(token_id, tokens[token_id]) for token_id in ids if token_id not in alive}


def reason(token_id: int, user_id: int) -> str:
    """Why the token, which is dead, has died."""
    user = User.objects.filter(pk=user_id).values("is_active", "deleted_at", "suspended_until").first()
    if user is None or user["deleted_at"]:
        return "deleted"
    created_at = AuthToken.objects.filter(pk=token_id).values_list("created_at", flat=True).first()
    if created_at is not None:
        if not user["is_active"]:
            return "deactivated"
        return "suspended" if user["suspended_until"] and user["suspended_until"] > created_at else "expired"
    # The latest of the reasons that were announced. Some may have no position yet.
    ends = Announcement.objects.filter(user_id=user_id, kind__in=END_KINDS).order_by("-pk")
    ordered = Event.objects.filter(user_id=user_id, kind__in=END_KINDS).order_by("-position")
    for latest in (ends, ordered):
        kind = latest.values_list("kind", flat=True).first()
        if kind is not None:
            return Kind(kind).name.lower()
    # Removed without an announcement, when it had expired.
    return "expired"
