"""The writes that touch several rows, or that must not meet each other halfway."""

from django.contrib.auth.hashers import UNUSABLE_PASSWORD_PREFIX, check_password, make_password
from django.db import IntegrityError
from django.utils import timezone
from rest_framework.exceptions import NotAuthenticated, NotFound, ValidationError

from common import upkeep
from common.errors import BadRequest, Conflict
from common.keys import text_key
from common.rates import Limit, refunded_on_success
from common.transactions import retried_transaction
from users import deletion
from users.guards import NO_USER
from users.models import AuthToken, BlacklistEntry, ContactBookEntry, User


class AccountGone(NotAuthenticated):
    """The account was deleted since the request began."""


# Entries of one user in the contact book, and in the blacklist.
MAX_ENTRIES = 5000


def guessing(username, address):
    """The limits on wrong passwords, to be spent before one is checked; the same whether or not there is the account.

    Those on an address alone would let somebody with many of them guess on; those on a name as low as that would let
    somebody with one lock out its owner.
    """
    return refunded_on_success(Limit("LOGIN_RATE", address), Limit("LOGIN_RATE", text_key(username), times=20))


def register(*, password, address, **profile):
    """Create the account; ValidationError by field where the username or e-mail address is taken."""
    Limit("REGISTER_RATE", address).spend()
    user = User(**profile, password=make_password(password))
    retried_transaction(user.save)(force_insert=True)
    return user


def log_in(username, password, address):
    """Return a new token, after the same work whether or not the account exists and is active."""
    with guessing(username, address):
        user = User.objects.named(username).first()
        correct = check_password(password, user.password if user else UNUSABLE_PASSWORD_PREFIX)
        token = _issue_token(user) if correct else None
        if token is None:
            raise BadRequest("Unable to log in with this username and password.")
        return token


@retried_transaction
def _issue_token(user):
    """Return a new token, or None if the account is not active or its password is not what was checked."""
    # The update locks the account, so that a deactivation or a change of password comes before or after, and sees it.
    current = User.objects.active().filter(pk=user.pk, password=user.password)
    return AuthToken.objects.issue(user) if current.update(last_login=timezone.now()) else None


@retried_transaction
def log_out(token):
    token.delete()


@retried_transaction
def log_out_everywhere(user):
    user.auth_tokens.end()


def change_password(user, current_password, new_password, address):
    """Set the password, end every token, and return a new one."""
    with guessing(user.username, address):
        if not check_password(current_password, user.password):
            raise ValidationError({"current_password": ["This is not your password."]})
    return _set_password(user, user.password, make_password(new_password))


@retried_transaction
def _set_password(user, old_hash, new_hash):
    if not User.objects.active().filter(pk=user.pk, password=old_hash).update(password=new_hash):
        raise ValidationError({"current_password": ["Your password was changed just now."]})
    user.auth_tokens.end()
    return AuthToken.objects.issue(user)


@retried_transaction
def change_profile(user, changes):
    """Change the fields given, no others, and return the account as it is then."""
    user = _lock(user)
    for field, value in changes.items():
        setattr(user, field, value)
    user.save(update_fields=changes.keys())
    return user


@retried_transaction
def delete_account(user):
    """Delete the account: it is gone at once, and all that hangs on it soon (see users.deletion)."""
    user = _lock(user)
    deletion.vanish(user)
    upkeep.work_after_commit(deletion.pieces_of(user.pk))


@retried_transaction
def deactivate(user):
    """Shut the account out, tokens and all, until it is reactivated."""
    user = _lock(user)
    user.is_active = False
    user.save(update_fields=["is_active"])


@retried_transaction
def reactivate(user):
    """Let the account in again; its former tokens stay dead."""
    user = _lock(user)
    user.auth_tokens.end()
    user.is_active = True
    user.save(update_fields=["is_active"])


def add_contact(owner, other):
    already, full = "This user is in your contact book already.", f"Your contact book has {MAX_ENTRIES} users."
    _add(ContactBookEntry, owner, other, already, full)


def blacklist(owner, other):
    already, full = "You have blacklisted this user already.", f"You have blacklisted {MAX_ENTRIES} users."
    _add(BlacklistEntry, owner, other, already, full)


def _add(model, user1, user2, already, full):
    if user1 == user2:
        raise BadRequest("This cannot be done with yourself.")
    try:
        _add_pair(model, user1, user2, full)
    except IntegrityError:
        if model.objects.filter(user1=user1, user2=user2).exists():
            raise Conflict(already) from None
        # One of the two accounts was deleted since it was read.
        raise NotFound(NO_USER) from None


@retried_transaction
def _add_pair(model, user1, user2, full):
    # In the order in which all lock accounts. A blacklisting so waits for what require_exchange has allowed.
    pair = User.objects.select_for_update().filter(pk__in=[user1.pk, user2.pk], deleted_at=None).order_by("pk")
    if len(pair.values("pk")) < 2:
        raise NotFound(NO_USER)
    entries = model.objects.filter(user1=user1)
    if entries.count() >= MAX_ENTRIES and not entries.filter(user2=user2).exists():
        raise Conflict(full)
    model.objects.create(user1=user1, user2=user2)


def remove_contact(owner, other):
    _remove(ContactBookEntry, owner, other, "This user is not in your contact book.")


def unblacklist(owner, other):
    _remove(BlacklistEntry, owner, other, "You have not blacklisted this user.")


@retried_transaction
def _remove(model, user1, user2, missing):
    deleted, _ = model.objects.filter(user1=user1, user2=user2).delete()
    if not deleted:
        raise NotFound(missing)


def _lock(user):
    """The account as it is now, held until the end of the transaction."""
    locked = User.objects.locked(user).first()
    if locked is None:
        raise AccountGone
    return locked
