"""The mails to users. Each is written when it is sent, from a template, with a new code if it has one."""

from collections.abc import Callable
from datetime import timedelta
from urllib.parse import urlsplit

from django.conf import settings
from django.template.loader import render_to_string
from rest_framework.exceptions import Throttled

from common.keys import text_key
from common.rates import Limit, spend_all
from mail.models import Mail
from mail.outbox import Letter, writers
from users.codes import LIFETIMES, Code, Purpose
from users.models import User
from users.user_settings import UserSettings

Writer = Callable[[Mail], Letter | None]

# Mails of one kind to one account, and to one address, as (number, seconds).
ENOUGH = (5, 3600)


def writes(kind: str) -> Callable[[Writer], Writer]:
    """Register the function as the one that writes mails of this kind."""

    def register(writer: Writer) -> Writer:
        writers[kind] = writer
        return writer

    return register


@writes("confirm_address")
def write_confirm_address(mail: Mail) -> Letter | None:
    user = User.objects.active().filter(pk=mail.user_id or 0, email_key=text_key(mail.recipient)).first()
    if user is None or UserSettings.objects.of(user).email_verified:
        return None
    mail.assign(user.pk, user.email)
    return _with_code(mail, user, Purpose.CONFIRM)


@writes("reset_password")
def write_reset_password(mail: Mail) -> Letter | None:
    """The recipient is an address as somebody has entered it. There is a mail if it is an active account's."""
    user = User.objects.active().filter(email_key=text_key(mail.recipient)).first()
    if user is None or _has_enough(user, mail):
        return None
    # To the account's own address: another one with the same key may be somebody else's.
    mail.assign(user.pk, user.email)
    return _with_code(mail, user, Purpose.RESET)


@writes("password_changed")
def write_password_changed(mail: Mail) -> Letter | None:
    user = User.objects.active().filter(pk=mail.user_id or 0).first()
    return None if user is None or _has_enough(user, mail) else _of_template(mail)


@writes("address_changed")
def write_address_changed(mail: Mail) -> Letter:
    return _of_template(mail)


def _has_enough(user: User, mail: Mail) -> bool:
    """Whether the account, or its address, has had enough of such mails. A mail counts with its first try."""
    if mail.tries > 1:
        return False
    try:
        # Counted by address, too: it may be another account's again and again.
        spend_all(*(Limit(mail.kind, subject, fixed_rate=ENOUGH) for subject in (user.pk, user.email_key)))
    except Throttled:
        return True
    return False


def _with_code(mail: Mail, user: User, purpose: Purpose) -> Letter:
    hours = LIFETIMES[purpose] // timedelta(hours=1)
    return _of_template(mail, username=user.username, code=Code.objects.issue(user, purpose), hours=hours)


def _of_template(mail: Mail, **more: object) -> Letter:
    """From the template of this kind of mail, whose first line is the subject."""
    place = {"place": urlsplit(settings.PUBLIC_URL).netloc, "public_url": settings.PUBLIC_URL}
    context = place | {"caused_at": mail.created_at} | mail.data | more
    subject, _, body = render_to_string(f"users/mails/{mail.kind}.txt", context).partition("\n")
    return Letter(mail.recipient, subject, body.strip() + "\n")
