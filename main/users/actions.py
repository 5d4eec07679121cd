"""Writes that touch several rows, or that must be atomic."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Any

from django.contrib.auth.hashers import UNUSABLE_PASSWORD_PREFIX, check_password, make_password
from django.db import IntegrityError
from django.db.models import QuerySet
from django.utils import timezone
from rest_framework.exceptions import NotAuthenticated, NotFound, ValidationError

from common import upkeep
from common.compiled import compiled
from common.errors import BadRequest, Conflict, Forbidden, PreconditionFailed
from common.keys import text_key
from common.rates import Limit, refunded_on_success, spend_all
from common.transactions import retried_transaction
from events.log import announce
from events.models import Kind
from mail import outbox
from users import deletion
from users.codes import SETTING_PASSWORD, Code, Purpose
from users.guards import NO_USER, require_strength
from users.models import AuthToken, BlacklistEntry, ContactBookEntry, User, ValidToken, not_deleted
from users.search import Entry, SearchEntry
from users.user_settings import JSON, UserSettings, as_json

PairModel = type[ContactBookEntry] | type[BlacklistEntry]


class AccountGone(NotAuthenticated):
    """The account was deleted after the request began."""


class Suspended(Forbidden):
    def __init__(self, until: datetime) -> None:
        super().__init__(f"This account is suspended until {until:%Y-%m-%dT%H:%M:%SZ}.")


def require_not_suspended(user: User) -> None:
    if user.suspended_until and user.is_suspended:
        raise Suspended(user.suspended_until)


# Entries of one user in the contact book, and as many in the blacklist.
MAX_ENTRIES = 5000
# Mails that confirm an address, to one account and to one address, as (number, seconds).
CONFIRMATION_RATES = ((1, 60), (10, 24 * 3600))

NO_CODE = "This code is wrong, was used, or has expired."


def guessing(username: str, address: str) -> AbstractContextManager[None]:
    """Limits on wrong passwords, to be spent before a password is checked; the same whether or not the account exists.

    A limit per address alone would let an attacker with many addresses continue. A limit per name as low as that would
    let an attacker with one address lock the owner out.
    """
    return refunded_on_success(Limit("LOGIN_RATE", address), Limit("LOGIN_RATE", text_key(username), times=20))


def register(*, password: str, address: str, **profile: Any) -> User:
    """Create the account; ValidationError by field if the username or e-mail address is taken."""
    Limit("REGISTER_RATE", address).spend()
    user = User(**profile, password=make_password(password))
    retried_transaction(user.save)(force_insert=True)
    return user


def log_in(username: str, password: str, address: str) -> str:
    """Return a new token. The work is the same whether or not the account exists and is active."""
    with guessing(username, address):
        user = User.objects.named(username).first()
        correct = check_password(password, user.password if user else UNUSABLE_PASSWORD_PREFIX)
        token = _issue_token(user) if user and correct else None
        if token is None:
            raise BadRequest("Unable to log in with this username and password.")
    if isinstance(token, Suspended):
        # Told to those alone who know the password, and no wrong one that counts.
        raise token
    return token


@retried_transaction
def _issue_token(user: User) -> str | Suspended | None:
    """Return a new token, or, of a suspended account, the refusal.

    None if the account is not active, or its password is no longer the one checked.
    """
    # The update locks the account, so that a deactivation or a change of password happens before or after.
    current = User.objects.active().filter(pk=user.pk, password=user.password)
    if current.not_suspended().update(last_login=timezone.now()):
        return AuthToken.objects.issue(user)
    until = current.values_list("suspended_until", flat=True).first()
    return Suspended(until) if until else None


@retried_transaction
def log_out(token: ValidToken) -> None:
    AuthToken.objects.filter(pk=token.pk).delete()
    announce(Kind.LOGOUT, user_id=token.user.pk)


@retried_transaction
def log_out_everywhere(user: User) -> None:
    user.end_tokens(Kind.LOGOUT)


def change_password(user: User, current_password: str, new_password: str, address: str) -> str:
    """Set the password, end all tokens, and return a new one."""
    with guessing(user.username, address):
        if not check_password(current_password, user.password):
            raise ValidationError({"current_password": ["This is not your password."]})
    return _set_password(user, user.password, make_password(new_password))


@retried_transaction
def _set_password(user: User, old_hash: str, new_hash: str) -> str:
    current = User.objects.active().filter(password=old_hash).locked(user).first()
    if current is None:
        raise ValidationError({"current_password": ["Your password was changed just now."]})
    return _replace_password(current, new_hash)


def _replace_password(user: User, new_hash: str) -> str:
    """Set the password of the account, which is locked; end all tokens, and return a new one."""
    User.objects.filter(pk=user.pk).update(password=new_hash)
    user.end_tokens(Kind.PASSWORD)
    user.tell_of_new_password()
    return AuthToken.objects.issue(user)


# By mail


def send_confirmation(user: User) -> None:
    """Send a code to the user's address; 409 if it is verified already, 429 if there were too many."""
    if UserSettings.objects.of(user).email_verified:
        raise Conflict("Your e-mail address is verified already.")
    # Counted by address, too: it may be another account's again and again.
    spend_all(
        *(
            Limit(f"confirmations in {rate[1]} s", subject, fixed_rate=rate)
            for subject in (user.pk, user.email_key)
            for rate in CONFIRMATION_RATES
        )
    )
    outbox.post("confirm_address", user.email, user_id=user.pk)


@retried_transaction
def confirm_address(code: str) -> None:
    redeemed = _redeem(code, Purpose.CONFIRM)
    if redeemed is None:
        raise ValidationError({"code": [NO_CODE]})
    redeemed.user.set_email_verified(True)


def send_reset(email: str, address: str) -> None:
    """Have a code sent, if this is the e-mail address of an account. Whether it is decides who sends, not this call."""
    Limit("LOGIN_RATE", f"reset {address}").spend()
    outbox.post("reset_password", email, asked_from=address)


def send_reset_by_operator(user: User) -> None:
    outbox.post("reset_password", user.email)


def reset_password(code: str, new_password: str) -> str:
    """Set the password of the account whose code this is, end all tokens, and return a new one."""
    found = Code.objects.find(code, *SETTING_PASSWORD)
    if found is None:
        raise ValidationError({"code": [NO_CODE]})
    require_not_suspended(found.user)
    require_strength(new_password, found.user, field="new_password")
    return _reset_password(code, make_password(new_password))


@retried_transaction
def _reset_password(code: str, new_hash: str) -> str:
    redeemed = _redeem(code, *SETTING_PASSWORD)
    if redeemed is None:
        raise ValidationError({"code": [NO_CODE]})
    user = redeemed.user
    if redeemed.purpose == Purpose.RESET:  # the code has come by mail
        user.set_email_verified(True)
    user.codes.all().delete()
    return _replace_password(user, new_hash)


def _redeem(text: str, *purposes: Purpose) -> Code | None:
    """Use the code up and return it with its account, which is locked; None if it is not valid for these purposes."""
    code = Code.objects.find(text, *purposes)
    user = User.objects.locked(code.user).first() if code else None
    # Locked, so that a code is used once, and before or after a change of the account.
    if code is None or user is None or not code.is_valid_for(user) or not code.delete()[0]:
        return None
    code.user = user
    return code


@retried_transaction
def change_profile(user: User, changes: Mapping[str, Any]) -> User:
    """Change these fields and no others; return the account as it is then."""
    user = _lock(user)
    different = {field: value for field, value in changes.items() if getattr(user, field) != value}
    for field, value in different.items():
        setattr(user, field, value)
    user.save(update_fields=different.keys())
    return user


@retried_transaction
def change_settings(user: User, change: Callable[[JSON], JSON], if_match: Callable[[str], bool]) -> UserSettings:
    """Change the settings to what the function makes of the present ones, if their ETag matches; return them."""
    user = _lock(user)
    kept = UserSettings.objects.of(user)
    if not if_match(kept.etag):
        raise PreconditionFailed("The settings are not those of this ETag any more.")
    before = kept.as_data
    after = change(before)
    if as_json(after) != as_json(before):  # for Python 1 and true are equal
        entries = user.entries
        kept.set(after)
        kept.version += 1
        kept.save()
        user.kept_settings = kept
        _update_search(user, entries)
        announce(Kind.SETTINGS, user_id=user.pk)
    return kept


def _update_search(user: User, entries: set[Entry]) -> None:
    """Update what the account is found by, in step with its settings; the entries are those before the change."""
    if user.compute_searched():
        user.save_searched()
        SearchEntry.objects.replace(user, entries, user.entries)


@retried_transaction
def delete_account(user: User) -> None:
    """Delete the account: for all calls at once, its rows in pieces (see users.deletion)."""
    user = _lock(user)
    deletion.vanish(user)
    upkeep.work_after_commit(deletion.pieces_of(user.pk))


@retried_transaction
def deactivate(user: User) -> None:
    """Block the account and end its tokens, until it is reactivated."""
    user = _lock(user)
    user.is_active = False
    user.save(update_fields=["is_active"])


@retried_transaction
def reactivate(user: User) -> None:
    """Unblock the account. Its former tokens stay invalid."""
    user = _lock(user)
    user.end_tokens(Kind.DEACTIVATED)
    user.is_active = True
    user.save(update_fields=["is_active"])


@retried_transaction
def suspend(user: User, until: datetime) -> datetime:
    """Refuse logins until then, and end the account's tokens; return the end. A suspension never becomes shorter."""
    user = _lock(user)
    if user.is_staff or user.is_superuser:
        raise Forbidden("Staff cannot be suspended.")
    user.suspended_until = max(until, user.suspended_until or until)
    user.save(update_fields=["suspended_until"])
    user.end_tokens(Kind.SUSPENDED)
    return user.suspended_until


@retried_transaction
def end_suspension(user: User) -> None:
    """Let the user log in again. Former tokens stay invalid."""
    user = _lock(user)
    if user.is_suspended:
        user.end_tokens(Kind.SUSPENDED)
        user.suspended_until = None
        user.save(update_fields=["suspended_until"])


def add_contact(owner: User, other: User) -> None:
    already, full = "This user is in your contact book already.", f"Your contact book has {MAX_ENTRIES} users."
    _add(ContactBookEntry, owner, other, already, full)


def blacklist(owner: User, other: User) -> None:
    already, full = "You have blacklisted this user already.", f"You have blacklisted {MAX_ENTRIES} users."
    _add(BlacklistEntry, owner, other, already, full)


def _add(model: PairModel, user1: User, user2: User, already: str, full: str) -> None:
    if user1 == user2:
        raise BadRequest("This cannot be done with yourself.")
    try:
        _add_pair(model, user1, user2, full)
    except IntegrityError:
        if model.objects.filter(user1=user1, user2=user2).exists():
            raise Conflict(already) from None
        # One of the two accounts was deleted after it was read.
        raise NotFound(NO_USER) from None


@retried_transaction
def _add_pair(model: PairModel, user1: User, user2: User, full: str) -> None:
    # Locked in order of id, as everywhere. So a new entry waits for messages that require_exchange has allowed.
    if len(_lock_all([user1.pk, user2.pk])) < 2:
        raise NotFound(NO_USER)
    entries = model.objects.filter(user1=user1)
    if entries.count() >= MAX_ENTRIES and not entries.filter(user2=user2).exists():
        raise Conflict(full)
    model.objects.create(user1=user1, user2=user2)
    announce(model.added, user_id=user1.pk, other_id=user2.pk)


@compiled
def _lock_all(ids: Sequence[int]) -> QuerySet[User, tuple[int]]:
    return User.objects.select_for_update().filter(not_deleted(), pk__in=ids).order_by("pk").values_list("pk")


def remove_contact(owner: User, other: User) -> None:
    _remove(ContactBookEntry, owner, other, "This user is not in your contact book.")


def unblacklist(owner: User, other: User) -> None:
    _remove(BlacklistEntry, owner, other, "You have not blacklisted this user.")


@retried_transaction
def _remove(model: PairModel, user1: User, user2: User, missing: str) -> None:
    deleted, _ = model.objects.filter(user1=user1, user2=user2).delete()
    if not deleted:
        raise NotFound(missing)
    announce(model.removed, user_id=user1.pk, other_id=user2.pk)


def _lock(user: User) -> User:
    """The account as it is now, locked until the end of the transaction."""
    locked = User.objects.locked(user).first()
    if locked is None:
        raise AccountGone
    return locked
