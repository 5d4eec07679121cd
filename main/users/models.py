import re
import secrets
from contextlib import contextmanager
from datetime import timedelta
from hashlib import sha256

from django.conf import settings
from django.contrib.auth.models import AbstractUser
from django.contrib.auth.models import UserManager as DjangoUserManager
from django.core.exceptions import ValidationError
from django.db import IntegrityError, connection, models, transaction
from django.db.models import F, Q
from django.utils import timezone

from common.keys import ExactCharField, KeyField, text_key
from common.validators import refuse_control_characters, refuse_control_characters_within_lines, refuse_long_keys
from users.search import SearchEntry, entries_of
from users.validators import validate_username


class UserQuerySet(models.QuerySet):
    def active(self):
        return self.filter(is_active=True)

    def locked(self, user):
        """The account as it is now, held until the end of the transaction; nothing where it was deleted."""
        return self.select_for_update().filter(pk=user.pk, deleted_at=None)

    def named(self, username):
        """The user of that name, whatever its case."""
        return self.filter(username_key=text_key(username))

    def containing(self, text):
        """The users in whose names and address every word of the text is a part of one."""
        found = self
        for word in set(text_key(text).split()):
            found = found.filter(search_text__contains=word)
        return found


class UserManager(DjangoUserManager.from_queryset(UserQuerySet)):
    use_in_migrations = False

    def get_by_natural_key(self, username):
        return self.named(username).get()


class User(AbstractUser):
    """An account and its profile. Saving one that is deactivated, or has a new password, ends its tokens."""

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

    # When it was deleted, while something still hangs on it (see users.deletion). No call knows of it any more.
    deleted_at = models.DateTimeField(null=True, editable=False, db_index=True)

    username_key = KeyField("username")
    email_key = KeyField("email")
    search_text = KeyField("username", "first_name", "last_name", "email")

    objects = UserManager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["username_key"], name="users_username_once"),
            models.UniqueConstraint(fields=["email_key"], name="users_email_once"),
        ]
        permissions = [
            ("deactivate_user", "Can deactivate ordinary users"),
            ("reactivate_user", "Can reactivate ordinary users"),
        ]

    def clean(self):
        # Without Django's own, which would change how the name and the address are written.
        if taken := self._taken():
            raise ValidationError(taken)

    def save(self, *, update_fields=None, **kwargs):
        """Save; ValidationError by field where the username or the address is taken, or the account deleted."""
        fields = self._with_keys(update_fields)
        with self._taken_is_told_by_field(), transaction.atomic(), self._search_entries_in_step(fields):
            is_new, has_new_password = self._state.adding, self._password is not None
            super().save(update_fields=fields, **kwargs)
            if not is_new and (has_new_password or not self.has_usable_password() or not self.is_active):
                self.auth_tokens.end()

    @staticmethod
    def _with_keys(update_fields):
        """The fields to save, with the keys that are made from them; None stands for all."""
        if update_fields is None or {"username", "email", "first_name", "last_name"}.isdisjoint(update_fields):
            return update_fields
        return {*update_fields, "username_key", "email_key", "search_text"}

    @contextmanager
    def _search_entries_in_step(self, update_fields):
        """Replace the entries of the search index by those of what is saved in the block."""
        if update_fields is not None and {"search_text", "is_active"}.isdisjoint(update_fields):
            yield
            return
        before = set() if self._state.adding else self._locked_entries()
        yield
        SearchEntry.objects.replace(self, before, self.entries)

    @contextmanager
    def _taken_is_told_by_field(self):
        try:
            yield
        except IntegrityError:
            # Whoever held the name may have given it up meanwhile, so that nothing is found.
            raise ValidationError(self._taken() or {"username": ["This was taken just now. Try again."]}) from None

    @property
    def entries(self):
        """What the account is found by."""
        return entries_of(self.search_text) if self.is_active else set()

    def _locked_entries(self):
        """What the account is found by until now; its row is locked until the end of the transaction."""
        now = User.objects.locked(self).only("search_text", "is_active").first()
        if now is None:
            raise ValidationError({"username": ["This account was deleted just now."]})
        return now.entries

    def _taken(self):
        others = User.objects.exclude(pk=self.pk)
        taken = {}
        if others.named(self.username).exists():
            taken["username"] = ["This username is taken."]
        if others.filter(email_key=text_key(self.email)).exists():
            taken["email"] = ["This e-mail address is taken."]
        return taken


class Pair(models.Model):
    """What one user noted about another: `user1` is the one who did, `user2` the other."""

    # Leading in the unique constraint, which makes an index of its own superfluous.
    user1 = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.CASCADE, related_name="%(class)s_as_user1", db_index=False
    )
    user2 = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="%(class)s_as_user2")
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        abstract = True

    def __str__(self):
        return f"{self.user1} → {self.user2}"


class ContactBookEntry(Pair):
    class Meta:
        verbose_name_plural = "contact book entries"
        constraints = [
            models.UniqueConstraint(fields=["user1", "user2"], name="users_contact_once"),
            models.CheckConstraint(condition=~Q(user1=F("user2")), name="users_contact_not_self"),
        ]


class BlacklistEntryQuerySet(models.QuerySet):
    def status(self, user, username, *, deactivated=False):
        """Whether the user blacklisted the other and whether the other the user, or None if there is no such other.

        In SQL, since to build these two subqueries takes the ORM longer than all the rest of the call.
        """
        with connection.cursor() as cursor:
            cursor.execute(
                """
                SELECT
                    EXISTS (SELECT 1 FROM users_blacklistentry WHERE user1_id = %s AND user2_id = users_user.id),
                    EXISTS (SELECT 1 FROM users_blacklistentry WHERE user1_id = users_user.id AND user2_id = %s)
                FROM users_user
                WHERE username_key = %s AND (is_active OR %s)
                """,
                [user.pk, user.pk, text_key(username), deactivated],
            )
            row = cursor.fetchone()
        return row and tuple(map(bool, row))

    def any_between(self, user, other_ids):
        """Whether there is an entry between the user and any of the others, and how many of the others are active.

        In a transaction the user's row is locked before the entries are read, and until its end, so that no entry comes
        in meanwhile: whoever adds one locks the rows of both users. The lock is a shared one, which Django's ORM does
        not offer; an exclusive one would let a user send one message at a time. SQLite has one writer at a time anyway.

        The entries are joined, and not asked for by EXISTS, for a reason. InnoDB reads joined tables of a locking
        statement as they are once the lock is granted. It reads a subquery from a snapshot that was taken when the
        statement began: while it waited for the lock, an entry may have been committed that the snapshot does not have.

        One row of the join tells all: an outer join is NULL only where nothing matches.
        """
        others = ", ".join(["%s"] * len(other_ids)) or "NULL"
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
            # There is no row where the user was deleted since the request began. Nothing stands between nobody.
            is_blacklisted, active = cursor.fetchone() or (False, 0)
        return bool(is_blacklisted), active


class BlacklistEntry(Pair):
    objects = BlacklistEntryQuerySet.as_manager()

    class Meta:
        verbose_name_plural = "blacklist entries"
        constraints = [
            models.UniqueConstraint(fields=["user1", "user2"], name="users_blacklist_once"),
            models.CheckConstraint(condition=~Q(user1=F("user2")), name="users_blacklist_not_self"),
        ]


class AuthTokenQuerySet(models.QuerySet):
    def end(self):
        """End the tokens: from now on they are not valid."""
        self.delete()

    def unexpired(self):
        return self.filter(last_used__gt=timezone.now() - timedelta(days=settings.TOKEN_TTL_DAYS))

    def expired(self):
        return self.filter(last_used__lte=timezone.now() - timedelta(days=settings.TOKEN_TTL_DAYS))

    def issue(self, user):
        """Make a token for the user and return it, the only time that it is known."""
        token = secrets.token_urlsafe(32)
        self.create(user=user, digest=self.model.digest_of(token))
        return token

    def find(self, token):
        """The token, with its user and whether its use should be noted, or None if it is not good.

        Every request asks this. Put together by the ORM anew each time, the question took longer than its answer and
        all the rest of a short call; hence the SQL.
        """
        if not re.fullmatch("[A-Za-z0-9_-]{43}", token):
            return None
        now = timezone.now()
        moments = (now - AuthToken.LAST_USED_PRECISION, now - timedelta(days=settings.TOKEN_TTL_DAYS))
        note_before, expired_before = map(connection.ops.adapt_datetimefield_value, moments)
        users = User.objects.raw(
            """
            SELECT users_user.*, users_authtoken.id AS token_id, users_authtoken.last_used <= %s AS token_note_use
            FROM users_authtoken JOIN users_user ON users_user.id = users_authtoken.user_id
            WHERE users_authtoken.digest = %s AND users_authtoken.last_used > %s AND users_user.is_active
            """,
            [note_before, self.model.digest_of(token), expired_before],
        )
        for user in users:
            token = AuthToken(pk=user.token_id, user=user)
            token.should_note_use = user.token_note_use
            return token
        return None


class AuthToken(models.Model):
    """A login: 256 random bits, of which only the SHA-256 digest is kept. It expires when it is not used."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="auth_tokens")
    digest = ExactCharField(max_length=64, editable=False)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    last_used = models.DateTimeField(default=timezone.now, editable=False, db_index=True)

    objects = AuthTokenQuerySet.as_manager()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["digest"], name="users_token_once")]

    # Written this seldom, so that reading costs no write.
    LAST_USED_PRECISION = timedelta(minutes=10)

    def __str__(self):
        return f"Token {self.pk} of {self.user}"

    @staticmethod
    def digest_of(token):
        return sha256(token.encode()).hexdigest()

    def note_use(self):
        """Move the expiry on."""
        AuthToken.objects.filter(pk=self.pk).update(last_used=timezone.now())
