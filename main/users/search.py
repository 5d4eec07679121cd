"""The search index.

An account has an entry for every suffix of every word of its names and its address (`quill`: `quill`, `uill`, `ill`,
`ll`, `l`). So "contains `ui`" becomes "has an entry that begins with `ui`": a range read of the index, in its order,
that stops at the end of the page.
"""

from collections.abc import Iterable
from typing import Any, Self

from django.conf import settings
from django.contrib.auth.models import AbstractUser
from django.db import connection, models
from django.db.models import Q
from django.db.models.constants import OnConflict

from common.keys import KEY_LENGTH, ExactCharField

# Ranks of entries: the whole username, one per account, to order the first results; the suffixes of all words; and the
# address of somebody who is found by the whole of it alone.
USERNAME, SUFFIX, ADDRESS = 0, 1, 2

# Suffixes are stored up to this length. A longer word of a search is compared with the account itself.
SUFFIX_LENGTH = 64

# (rank, text), of an account; (rank, text, user id), in the index.
Entry = tuple[int, str]
Place = tuple[int, str, int]


class SearchEntryQuerySet(models.QuerySet["SearchEntry"]):
    def replace(self, user: AbstractUser, before: set[Entry], after: set[Entry]) -> None:
        """Replace the user's entries, in the transaction that changes the account."""
        gone = before - after
        if gone:
            usernames = [text for rank, text in gone if rank == USERNAME]
            suffixes = [text for rank, text in gone if rank == SUFFIX]
            addresses = [text for rank, text in gone if rank == ADDRESS]
            of_ranks = Q(rank=USERNAME, text__in=usernames) | Q(rank=SUFFIX, text__in=suffixes)
            self.filter(of_ranks | Q(rank=ADDRESS, text__in=addresses), user=user).delete()
        if after - before:
            self.add((rank, text, user.pk) for rank, text in after - before)

    def add(self, rows: Iterable[Place]) -> None:
        """Insert entries given as (rank, text, user id). Existing ones stay."""
        # Not with bulk_create: model objects for 40 rows would be most of the cost of a registration.
        insert = connection.ops.insert_statement(on_conflict=OnConflict.IGNORE)
        table = connection.ops.quote_name(SearchEntry._meta.db_table)
        columns = ", ".join(map(connection.ops.quote_name, ("rank", "text", "user_id")))
        with connection.cursor() as cursor:
            cursor.executemany(f"{insert} {table} ({columns}) VALUES (%s, %s, %s)", list(rows))

    def beginning_with(self, prefix: str) -> Self:
        low, high = range_of(prefix[:SUFFIX_LENGTH])
        return self.filter(text__gte=low) if high is None else self.filter(text__gte=low, text__lt=high)

    def after(self, place: Place | None) -> Self:
        """The entries after the place, (rank, text, user id), in the order of the index."""
        if place is None:
            return self
        rank, text, user_id = place
        later = Q(text__gt=text) | Q(text=text, user__gt=user_id)
        of_rank = Q(later, rank=rank) if rank == USERNAME else Q(later, rank=rank, text__gte=text)
        return self.filter(of_rank if rank == ADDRESS else of_rank | Q(rank__gt=rank))

    def places(self, *more: Any) -> "models.QuerySet[SearchEntry, tuple[Any, ...]]":
        """The entries in the order of the index, as (rank, text, user id) and more columns."""
        return self.order_by("rank", "text", "user").values_list("rank", "text", "user", *more)


class SearchEntry(models.Model):
    """A piece of text by which an active account is found.

    An account of seed_users has about 42 entries, 2.3 KB; they take 1 to 2 ms of a registration. The primary key is the
    only index. An index on the user would double the size, and a foreign key in the database would create one. So
    `User.save` and the deletion keep the entries in step, and the command index_search checks them.
    """

    pk = models.CompositePrimaryKey("rank", "text", "user_id")
    rank = models.SmallIntegerField()
    text = ExactCharField(max_length=KEY_LENGTH)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.DO_NOTHING, db_index=False, db_constraint=False, related_name="+"
    )

    objects = SearchEntryQuerySet.as_manager()

    class Meta:
        verbose_name_plural = "search entries"

    def __str__(self) -> str:
        return f"{self.text} ({self.user_id})"


def entries_of(search_text: str, address_text: str = "") -> set[Entry]:
    """The entries of an account, as a set of (rank, text).

    `search_text` has the keys, one per line, the username first; `address_text` an address that only the whole finds.
    """
    entries = {(USERNAME, search_text.partition("\n")[0])}
    if address_text:
        entries.add((ADDRESS, address_text))
    for word in set(search_text.split()):
        entries |= {(SUFFIX, word[start : start + SUFFIX_LENGTH]) for start in range(len(word))}
    return entries


def is_entry_of(rank: int, text: str, search_text: str, address_text: str) -> bool:
    """Whether entries_of has the entry."""
    if rank == USERNAME:
        return text == search_text.partition("\n")[0]
    if rank == ADDRESS:
        return text != "" and text == address_text
    if rank != SUFFIX or not 0 < len(text) <= SUFFIX_LENGTH:
        return False
    return any(word.endswith(text) if len(text) < SUFFIX_LENGTH else text in word for word in search_text.split())


def range_of(prefix: str) -> tuple[str, str | None]:
    """Bounds (low, high) of texts that begin with the prefix: low is included, high is not; None is no bound."""
    for end in range(len(prefix), 0, -1):
        following = ord(prefix[end - 1]) + 1
        if 0xD800 <= following <= 0xDFFF:  # surrogates are not characters
            following = 0xE000
        if following <= 0x10FFFF:
            return prefix, prefix[: end - 1] + chr(following)
    return prefix, None
