"""Codes that come by mail: to confirm an address, and to set a new password."""

import re
import secrets
from collections.abc import Iterator
from datetime import timedelta
from hashlib import sha256

from django.conf import settings
from django.contrib.auth.models import AbstractUser
from django.db import models
from django.utils import timezone
from django.utils.crypto import constant_time_compare, salted_hmac

from common import backups, upkeep
from common.keys import ExactCharField, text_key
from common.transactions import retried_transaction


class Purpose(models.TextChoices):
    CONFIRM = "confirm"  # confirms the address
    RESET = "reset"  # sets a password, and confirms the address that it was sent to
    HANDED_OUT = "handed_out"  # sets a password; an operator has given it to the owner


SETTING_PASSWORD = (Purpose.RESET, Purpose.HANDED_OUT)

LIFETIMES = {
    Purpose.CONFIRM: timedelta(hours=24),
    Purpose.RESET: timedelta(hours=1),
    Purpose.HANDED_OUT: timedelta(hours=1),
}


class CodeQuerySet(models.QuerySet["Code"]):
    @retried_transaction
    def issue(self, user: AbstractUser, purpose: Purpose) -> str:
        """Make a code for the user, as the account was read, and return it. Only its digest is stored."""
        code = secrets.token_urlsafe(24)
        # First the account's row, as everywhere: the new row refers to it, which takes a lock on it as well.
        type(user)._default_manager.select_for_update().filter(pk=user.pk).values("pk").first()
        self.create(
            user=user,
            purpose=purpose,
            digest=digest_of(code),
            tie=tie_of(user, purpose),
            expires_at=timezone.now() + LIFETIMES[purpose],
        )
        return code

    def find(self, code: str, *purposes: Purpose) -> "Code | None":
        """The code with its user, or None if it is not valid for these purposes."""
        if not re.fullmatch("[A-Za-z0-9_-]{32}", code):
            return None
        found = self.filter(digest=digest_of(code), purpose__in=purposes).select_related("user").first()
        return found if found and found.is_valid_for(found.user) else None


class Code(models.Model):
    """A code that works once. It is tied to the address, and, if it sets a password, to the present password."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="codes")
    purpose = models.CharField(max_length=16, choices=Purpose)
    digest = ExactCharField(max_length=64)
    tie = ExactCharField(max_length=64)
    expires_at = models.DateTimeField(db_index=True)

    objects = CodeQuerySet.as_manager()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["digest"], name="users_code_once")]

    def __str__(self) -> str:
        return f"Code {self.pk} of {self.user}"

    def is_valid_for(self, user: AbstractUser) -> bool:
        """Whether the code, which is the user's, is valid for the account as it is now."""
        is_tied = constant_time_compare(self.tie, tie_of(user, Purpose(self.purpose)))
        return is_tied and user.is_active and self.expires_at > timezone.now()


def digest_of(code: str) -> str:
    return sha256(code.encode()).hexdigest()


def tie_of(user: AbstractUser, purpose: Purpose) -> str:
    """A digest of what of the account must not change until the code is used."""
    password = "" if purpose == Purpose.CONFIRM else user.password
    address = text_key(user.email)
    return salted_hmac("users.codes", f"{purpose} {address} {password}", algorithm="sha256").hexdigest()


def pieces_of_expired_codes() -> Iterator[None]:
    """Remove expired codes; yield after each piece."""
    while upkeep.remove_some(Code.objects.filter(expires_at__lt=timezone.now())):
        yield


upkeep.tasks.append(pieces_of_expired_codes)
# One that was used since the backup would work again.
backups.of_the_moment.append(Code)
