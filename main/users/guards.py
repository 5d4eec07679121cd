"""What a call needs before it may go on, or it ends with 404 or 403."""

from common.errors import Forbidden, found
from users.models import BlacklistEntry, User

NO_USER = "There is no such user."


def find_user(username):
    """The active account of that name, or 404."""
    return found(User.objects.active().named(username).first(), NO_USER)


def find_noted_user(username):
    """The account of that name, active or not, or 404: everybody may take back what they noted about somebody."""
    return found(User.objects.named(username).first(), NO_USER)


def require_exchange(user, other_ids):
    """Refuse with 403 if there is a blacklist entry, in either direction, between the user and any of the others.

    Returns how many of the others are active. Within a transaction this holds until its end: whoever adds an entry
    waits for it.
    """
    is_blacklisted, active = BlacklistEntry.objects.any_between(user, other_ids)
    if is_blacklisted:
        raise Forbidden("One of you has blacklisted the other.")
    return active
