import re
import secrets
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any, ClassVar, Self

from django.conf import settings
from django.contrib.auth.models import AbstractUser
from django.contrib.auth.models import UserManager as DjangoUserManager
from django.core.exceptions import ValidationError
from django.db import IntegrityError, connection, models, transaction
from django.db.models import Exists, F, OuterRef, Q, QuerySet
from django.utils import timezone
from django.utils.functional import cached_property

from common import backups
from common.compiled import compiled
from common.database import placeholders
from common.keys import ExactCharField, KeyField, text_key
from common.validators import refuse_control_characters, refuse_control_characters_within_lines, refuse_long_keys
from events.log import announce
from events.models import Kind
from mail import outbox
from users.codes import SETTING_PASSWORD
from users.search import Entry, SearchEntry, entries_of, is_entry_of
from users.user_settings import UserSettings
from users.validators import validate_username

# What the API shows of a user.
PROFILE_FIELDS = ("username", "email", "first_name", "last_name", "bio", "phone_number")
# The columns of a user from which the search index is made.
SEARCHED = ("search_text", "address_text")


def not_deleted(prefix: str = "") -> Q:
    """For a queryset from which the prefix leads to a user.

    `deleted_at=None` means the same, but SQLite takes the index on it for the best one, and reads all accounts.
    """
    return ~Q(**{f"{prefix}deleted_at__isnull": False})


class UserQuerySet(models.QuerySet["User"]):
    def active(self) -> Self:
        return self.filter(is_active=True)

    def locked(self, user: "User") -> Self:
        """The account as it is now, locked until the end of the transaction; empty if it was deleted."""
        return self.select_for_update().filter(pk=user.pk, deleted_at=None)

    def suspended(self) -> Self:
        return self.filter(suspended_until__gt=timezone.now())

    def not_suspended(self) -> Self:
        return self.filter(Q(suspended_until=None) | Q(suspended_until__lte=timezone.now()))

    def named(self, username: str) -> Self:
        """The user of that name, whatever its case."""
        return self.filter(username_key=text_key(username))

    def containing(self, text: str) -> Self:
        """Users that have every word of the text in a name or the address, hidden or not: for moderators."""
        found = self
        for word in set(text_key(text).split()):
            found = found.filter(Q(search_text__contains=word) | Q(email_key__contains=word))
        return found


UserQuerySetManager = models.Manager.from_queryset(UserQuerySet)


class UserManager(DjangoUserManager["User"], UserQuerySetManager["User"]):
    use_in_migrations = False

    def get_by_natural_key(self, username: str | None) -> "User":
        return self.named(username or "").get()


class User(AbstractUser):
    """An account and its profile.

    Saving a deactivated account, or a new password, ends its tokens. Saving another address makes it unverified.
    """

    username = models.CharField(
        max_length=150,
        validators=[validate_username, refuse_long_keys],
        help_text="Up to 150 characters without white space. Names that differ in case alone are the same.",
    )
    email = models.EmailField("email address", max_length=254, validators=[refuse_control_characters, refuse_long_keys])
    first_name = models.CharField(max_length=150, blank=True, validators=[refuse_control_characters, refuse_long_keys])
    last_name = models.CharField(max_length=150, blank=True, validators=[refuse_control_characters, refuse_long_keys])
    bio = models.TextField(max_length=500, blank=True, validators=[refuse_control_characters_within_lines])
    phone_number = models.CharField(max_length=32, blank=True, validators=[refuse_control_characters])

    _password: str | None  # Django's: the new password as text, until it is saved

    # When the account was deleted; set while its rows are being removed (see users.deletion).
    deleted_at = models.DateTimeField(null=True, editable=False, db_index=True)
    # Until when nobody can log in. Tokens that were made before this moment are not valid, then or later.
    suspended_until = models.DateTimeField(null=True, editable=False)

    username_key = KeyField("username")
    email_key = KeyField("email")
    # What parts of others find, and an address of which only the whole finds (see users.search).
    search_text = KeyField("username", "first_name", "last_name", "searched_email")
    address_text = KeyField("whole_address", default="")

    objects: ClassVar[UserManager] = UserManager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["username_key"], name="users_username_once"),
            models.UniqueConstraint(fields=["email_key"], name="users_email_once"),
        ]
        permissions = [
            ("deactivate_user", "Can deactivate ordinary users"),
            ("reactivate_user", "Can reactivate ordinary users"),
        ]

    def clean(self) -> None:
        # Not Django's clean(), which would normalise the name and the address.
        if taken := self._taken():
            raise ValidationError(taken)

    def save(self, *, update_fields: Iterable[str] | None = None, **kwargs: Any) -> None:
        """Save; ValidationError by field if the username or the address is taken, or the account was deleted."""
        self.__dict__.pop("kept_settings", None)
        fields = self._with_keys(update_fields)
        with self._taken_is_told_by_field(), transaction.atomic(), self._rest_in_step(fields):
            is_new, has_new_password = self._state.adding, self._password is not None
            super().save(update_fields=fields, **kwargs)
            if is_new:
                return
            if fields is None or not set(PROFILE_FIELDS).isdisjoint(fields):
                announce(Kind.PROFILE, user_id=self.pk)
            if has_new_password or not self.has_usable_password():
                self.end_tokens(Kind.PASSWORD)
                if has_new_password:
                    self.tell_of_new_password()
            elif not self.is_active:
                self.end_tokens(Kind.DEACTIVATED)

    @property
    def is_suspended(self) -> bool:
        return self.suspended_until is not None and self.suspended_until > timezone.now()

    def end_tokens(self, why: Kind) -> None:
        """End all tokens of the account: they are invalid from now on, and their streams are told why."""
        deleted, _ = self.auth_tokens.all().delete()
        if deleted:
            announce(why, user_id=self.pk)

    def tell_of_new_password(self) -> None:
        outbox.post("password_changed", self.email, user_id=self.pk, username=self.username)

    def set_email_verified(self, value: bool) -> None:
        """The caller's transaction has locked the account."""
        kept = UserSettings.objects.of(self)
        if kept.email_verified != value:
            kept.email_verified = value
            kept.version += 1
            kept.save()
            announce(Kind.SETTINGS, user_id=self.pk)

    def _end_verification(self, former_address: str) -> None:
        """The account has another address from now on. Tell the former one, if it was the owner's."""
        if UserSettings.objects.of(self).email_verified:
            self.set_email_verified(False)
            outbox.post("address_changed", former_address, user_id=self.pk, username=self.username)

    @staticmethod
    def _with_keys(update_fields: Iterable[str] | None) -> Iterable[str] | None:
        """The fields to save, with the keys computed from them; None means all."""
        if update_fields is None or {"username", "email", "first_name", "last_name"}.isdisjoint(update_fields):
            return update_fields
        return {*update_fields, *SEARCHED, "username_key", "email_key"}

    @contextmanager
    def _rest_in_step(self, update_fields: Iterable[str] | None) -> Iterator[None]:
        """Update the search index, and whether the address is verified, to what is saved in the block."""
        if update_fields is not None and {*SEARCHED, "is_active"}.isdisjoint(update_fields):
            yield
            return
        before = None if self._state.adding else self._locked()
        yield
        SearchEntry.objects.replace(self, before.entries if before else set(), self.entries)
        if before and before.email_key != self.email_key and (update_fields is None or "email_key" in update_fields):
            # Codes for the former address stay dead, also if it becomes the account's again.
            self.codes.filter(purpose__in=SETTING_PASSWORD).delete()
            self._end_verification(before.email)

    @contextmanager
    def _taken_is_told_by_field(self) -> Iterator[None]:
        try:
            yield
        except IntegrityError:
            # The other account may have given the name up in between, so that nothing is found.
            raise ValidationError(self._taken() or {"username": ["This was taken just now. Try again."]}) from None

    @property
    def entries(self) -> set[Entry]:
        """The account's entries in the search index, as (rank, text)."""
        return entries_of(self.search_text, self.address_text) if self.is_active else set()

    def has_entry(self, rank: int, text: str) -> bool:
        """Whether this is one of the entries, without making all of them."""
        return self.is_active and is_entry_of(rank, text, self.search_text, self.address_text)

    def _locked(self) -> "User":
        """The account before the change. Its row is locked until the end of the transaction."""
        fields = (*SEARCHED, "is_active", "email", "email_key", "suspended_until")
        now = User.objects.locked(self).only(*fields).first()
        if now is None:
            raise ValidationError({"username": ["This account was deleted just now."]})
        # A form that was read before a suspension does not end it.
        self.suspended_until = now.suspended_until
        return now

    @cached_property
    def kept_settings(self) -> UserSettings:
        """The settings, as they are when they are first asked for."""
        return UserSettings.objects.of(self)

    @property
    def searched_email(self) -> str:
        return self.email if self.kept_settings.is_found_by_parts_of_address else ""

    @property
    def whole_address(self) -> str:
        return self.email if self.kept_settings.is_found_by_whole_address else ""

    def compute_searched(self) -> bool:
        """Compute SEARCHED anew, from the names and the settings; return whether anything is different."""
        before = [getattr(self, field) for field in SEARCHED]
        for field in SEARCHED:
            User._meta.get_field(field).pre_save(self, add=False)  # type: ignore[union-attr]
        return before != [getattr(self, field) for field in SEARCHED]

    def save_searched(self) -> None:
        User.objects.filter(pk=self.pk).update(**{field: getattr(self, field) for field in SEARCHED})

    def _taken(self) -> dict[str, list[str]]:
        others = User.objects.exclude(pk=self.pk)
        taken = {}
        if others.named(self.username).exists():
            taken["username"] = ["This username is taken."]
        if others.filter(email_key=text_key(self.email)).exists():
            taken["email"] = ["This e-mail address is taken."]
        return taken


class Pair(models.Model):
    """An entry of one user, `user1`, about another, `user2`."""

    # The events of a new entry and of its removal.
    added: ClassVar[Kind]
    removed: ClassVar[Kind]

    # No index of its own: the column is the first one of the unique constraint.
    user1 = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.CASCADE, related_name="%(class)s_as_user1", db_index=False
    )
    user2 = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="%(class)s_as_user2")
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        abstract = True

    def __str__(self) -> str:
        return f"{self.user1} → {self.user2}"


class ContactBookEntry(Pair):
    added, removed = Kind.CONTACT_ADDED, Kind.CONTACT_REMOVED

    class Meta:
        verbose_name_plural = "contact book entries"
        constraints = [
            models.UniqueConstraint(fields=["user1", "user2"], name="users_contact_once"),
            models.CheckConstraint(condition=~Q(user1=F("user2")), name="users_contact_not_self"),
        ]


class BlacklistEntryQuerySet(models.QuerySet["BlacklistEntry"]):
    def status(self, user: User, username: str, *, deactivated: bool = False) -> tuple[bool, bool] | None:
        """Whether the user has blacklisted the other, and the other the user; None if there is no such other."""
        find = _status if not deactivated else _status_of_any
        rows = find(user.pk, text_key(username))
        return rows[0] if rows else None

    def any_between(self, user: User, other_ids: Collection[int]) -> tuple[bool, int]:
        """Whether there is an entry between the user and any of the others, and how many of the others are active.

        In a transaction the user's row is locked before the entries are read, and until its end, so that no entry comes
        in meanwhile: whoever adds one locks the rows of both users. The lock is a shared one, which Django's ORM does
        not offer; an exclusive one would let a user send one message at a time. SQLite has one writer at a time anyway.

        The entries are joined, and not asked for by EXISTS, for a reason. InnoDB reads joined tables of a locking
        statement as they are once the lock is granted. It reads a subquery from a snapshot that was taken when the
        statement began: while it waited for the lock, an entry may have been committed that the snapshot does not have.

        One row of the join tells all: an outer join is NULL only where nothing matches.
        """
        others = placeholders(other_ids) or "NULL"
        with connection.cursor() as cursor:
            cursor.execute(
                f"""
                SELECT by_user.id IS NOT NULL OR by_other.id IS NOT NULL,
                    (SELECT COUNT(*) FROM users_user other WHERE other.id IN ({others}) AND other.is_active)
                FROM users_user
                LEFT JOIN users_blacklistentry by_user
                    ON by_user.user1_id = users_user.id AND by_user.user2_id IN ({others})
                LEFT JOIN users_blacklistentry by_other
                    ON by_other.user2_id = users_user.id AND by_other.user1_id IN ({others})
                WHERE users_user.id = %s
                LIMIT 1
                {"LOCK IN SHARE MODE" if connection.vendor == "mysql" else ""}
                """,  # noqa: S608
                [*other_ids, *other_ids, *other_ids, user.pk],
            )
            # There is no row if the user's row was removed after the request began.
            is_blacklisted, active = cursor.fetchone() or (False, 0)
        return bool(is_blacklisted), active


class BlacklistEntry(Pair):
    added, removed = Kind.BLACKLISTED, Kind.UNBLACKLISTED

    objects = BlacklistEntryQuerySet.as_manager()

    class Meta:
        verbose_name_plural = "blacklist entries"
        constraints = [
            models.UniqueConstraint(fields=["user1", "user2"], name="users_blacklist_once"),
            models.CheckConstraint(condition=~Q(user1=F("user2")), name="users_blacklist_not_self"),
        ]


class AuthTokenQuerySet(models.QuerySet["AuthToken"]):
    def unexpired(self) -> Self:
        return self.filter(last_used__gt=AuthToken.expired_before())

    def of_open_accounts(self) -> Self:
        """Of accounts that are active and not suspended. No token outlives a suspension, whenever it was made."""
        not_suspended = Q(user__suspended_until=None) | Q(user__suspended_until__lte=F("created_at"))
        return self.filter(not_suspended, user__is_active=True)

    def valid_among(self, ids: Sequence[int]) -> set[int]:
        """Those of the ids whose tokens are valid."""
        return {pk for (pk,) in _valid_tokens(ids, AuthToken.expired_before())}

    def expired(self) -> Self:
        return self.filter(last_used__lte=AuthToken.expired_before())

    def issue(self, user: User) -> str:
        """Create a token for the user and return it. Only its digest is stored."""
        token = secrets.token_urlsafe(32)
        self.create(user=user, digest=self.model.digest_of(token))
        return token


@dataclass(slots=True)
class ValidToken:
    """A token that was found to be valid, without the cost of a model instance."""

    pk: int
    user: User
    last_used: datetime

    @property
    def should_note_use(self) -> bool:
        return self.last_used <= timezone.now() - AuthToken.LAST_USED_PRECISION

    def note_use(self) -> None:
        """Postpone the expiry."""
        AuthToken.objects.filter(pk=self.pk).update(last_used=timezone.now())


class AuthToken(models.Model):
    """A login: 256 random bits, of which only the SHA-256 digest is stored. It expires if it is not used."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="auth_tokens")
    digest = ExactCharField(max_length=64, editable=False)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    last_used = models.DateTimeField(default=timezone.now, editable=False, db_index=True)

    objects = AuthTokenQuerySet.as_manager()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["digest"], name="users_token_once")]

    # `last_used` is written once in this time, so that most requests write nothing.
    LAST_USED_PRECISION = timedelta(minutes=10)

    def __str__(self) -> str:
        return f"Token {self.pk} of {self.user}"

    @staticmethod
    def expired_before() -> datetime:
        """Tokens that were last used before this moment are not valid."""
        return timezone.now() - timedelta(days=settings.TOKEN_TTL_DAYS)

    @staticmethod
    def digest_of(token: str) -> str:
        return sha256(token.encode()).hexdigest()

    @classmethod
    def find(cls, token: str) -> ValidToken | None:
        """The token with its user; None if it is not valid."""
        if re.fullmatch("[A-Za-z0-9_-]{43}", token):
            for pk, last_used, *values in _valid_token(cls.digest_of(token), cls.expired_before()):
                return ValidToken(pk, User.from_db(connection.alias, USER_COLUMNS, values), last_used)
        return None


backups.sessions.append(AuthToken)

# Queries that many calls run, compiled once.

USER_COLUMNS = [field.attname for field in User._meta.concrete_fields]


@compiled
def _valid_token(digest: str, expired_before: datetime) -> QuerySet[AuthToken, Any]:
    found = AuthToken.objects.of_open_accounts().filter(digest=digest, last_used__gt=expired_before)
    return found.values_list("pk", "last_used", *(f"user__{column}" for column in USER_COLUMNS))


@compiled
def _valid_tokens(ids: Sequence[int], expired_before: datetime) -> QuerySet[AuthToken, tuple[int]]:
    return AuthToken.objects.of_open_accounts().filter(pk__in=ids, last_used__gt=expired_before).values_list("pk")


def _statuses(user_id: int, username_key: str) -> QuerySet[User, tuple[bool, bool]]:
    by_user = BlacklistEntry.objects.filter(user1=user_id, user2=OuterRef("pk"))
    by_other = BlacklistEntry.objects.filter(user1=OuterRef("pk"), user2=user_id)
    return User.objects.filter(username_key=username_key).values_list(Exists(by_user), Exists(by_other))


_status_of_any = compiled(_statuses)


@compiled
def _status(user_id: int, username_key: str) -> QuerySet[User, tuple[bool, bool]]:
    return _statuses(user_id, username_key).filter(is_active=True)
