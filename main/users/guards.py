"""Checks that end a call with 400, 403, 404 or 501."""

from collections.abc import Collection, Mapping

from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError

from common.errors import Forbidden, found
from mail import outbox
from users import representations
from users.codes import SETTING_PASSWORD, Code
from users.models import BlacklistEntry, User

NO_USER = "There is no such user."


def require_strength(password: str, user: User, *, field: str) -> None:
    """Refuse with 400 under the field a password that one of Django's validators refuses for this user."""
    try:
        validate_password(password, user)
    except ValidationError as error:
        raise ValidationError({field: error.messages}) from None


def find_user(username: str) -> User:
    """The active account of that name, or 404."""
    return found(User.objects.active().named(username).first(), NO_USER)


def find_user_as_seen(username: str, viewer: User) -> tuple[User, representations.Representation]:
    """The active account of that name, of which only the id is read, and what the viewer sees of it; or 404."""
    pk, representation = found(representations.with_id(username, viewer), NO_USER)
    return User(pk=pk), representation


def find_noted_user(username: str) -> User:
    """The account of that name, active or not, or 404: entries about inactive accounts can be removed, too."""
    return found(User.objects.named(username).first(), NO_USER)


def require_exchange(user: User, other_ids: Collection[int]) -> int:
    """Refuse with 403 if there is a blacklist entry, in either direction, between the user and any of the others.

    Return how many of the others are active. Within a transaction the result holds until its end: new entries wait.
    """
    is_blacklisted, active = BlacklistEntry.objects.any_between(user, other_ids)
    if is_blacklisted:
        raise Forbidden("One of you has blacklisted the other.")
    return active


def require_mail_or_code(body: object) -> None:
    """Refuse with 501 on a server without mail, except for a code that an operator has handed out."""
    if outbox.is_set_up():
        return
    code = body.get("code") if isinstance(body, Mapping) else None
    if not isinstance(code, str) or Code.objects.find(code, *SETTING_PASSWORD) is None:
        outbox.require_set_up()
