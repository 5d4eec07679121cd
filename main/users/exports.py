"""What an export has of the account."""

from common.exports import Items, Parts, chunks
from users import representations
from users.models import BlacklistEntry, ContactBookEntry, User
from users.user_settings import UserSettings


def parts_of(user: User) -> Parts:
    return {
        "profile": representations.of_oneself(user),
        "settings": UserSettings.objects.of(user).as_data,
        "contacts": contacts_of(user),
        "blacklist": blacklist_of(user),
        "tokens": tokens_of(user),
    }


def contacts_of(user: User) -> Items:
    entries = ContactBookEntry.objects.filter(user1=user).values_list("user2", "created_at")
    for chunk in chunks(entries, "user2"):
        added_at = dict(chunk)
        people = User.objects.active().filter(pk__in=added_at)
        rows = people.values_list("pk", *representations.columns("", user.pk))
        yield [{"user": representations.from_row(row, user), "created_at": added_at[pk]} for pk, *row in rows]


def blacklist_of(user: User) -> Items:
    entries = BlacklistEntry.objects.filter(user1=user, user2__is_active=True)
    for chunk in chunks(entries.values_list("user2", "user2__username", "created_at"), "user2"):
        yield [{"username": username, "created_at": created_at} for _, username, created_at in chunk]


def tokens_of(user: User) -> Items:
    """When each token was made and last used. Nothing of the token itself leaves the database."""
    for chunk in chunks(user.auth_tokens.unexpired().values_list("pk", "created_at", "last_used"), "pk"):
        yield [{"created_at": created_at, "last_used": last_used} for _, created_at, last_used in chunk]
