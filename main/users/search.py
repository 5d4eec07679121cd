"""The search index.

An account has an entry for every suffix of every word of its names and its address (`quill`: `quill`, `uill`, `ill`,
`ll`, `l`). So "contains `ui`" becomes "has an entry that begins with `ui`": a range read of the index, in its order,
that stops at the end of the page.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Self

from django.conf import settings
from django.contrib.auth.models import AbstractUser
from django.db import connection, models
from django.db.models import Q
from django.db.models.constants import OnConflict

from common.keys import KEY_LENGTH, ExactCharField, text_key
from users import representations

# Ranks of entries: the whole username, one per account, to order the first results; the suffixes of all words; and the
# address of somebody who is found by the whole of it alone.
USERNAME, SUFFIX, ADDRESS = 0, 1, 2

# Suffixes are stored up to this length. A longer word of a search is compared with the account itself.
SUFFIX_LENGTH = 64

# Limits per page, after which it ends short: entries that the database reads for one of several words, and entries
# that are fetched.
MAX_READ = 10_000
MAX_FETCHED = 2_000
# Entries per query, if the first query was not enough.
ROWS_PER_QUERY = 500


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

    def find(
        self, text: str, *, searcher: AbstractUser, limit: int, after: Sequence[Any] | None = None
    ) -> tuple[list[representations.Representation], tuple[int, Place | None] | None]:
        """One page of the active users, without the searcher, that have every word of the text in a name or address.

        Return the representations and the position to continue from, None at the end. The user with exactly this name
        comes first, then usernames that begin with the text, then the rest. A page may be short or empty without being
        the last: it also ends at the limits above.
        """
        words = words_of(text)
        (chosen, place), is_long = (after, True) if after else ((0, None), False)
        if len(words) > 1 and not after:
            chosen, is_long = self._rarest(words)
        word = words[chosen] if words else ""

        entries, last = self, None
        if not words:
            entries = entries.filter(rank=USERNAME)
        elif len(words) == 1:
            by_parts = self.filter(rank__in=(USERNAME, SUFFIX)).beginning_with(word)
            # Only an address can be the whole of one.
            entries = by_parts | self.filter(rank=ADDRESS, text=word) if "@" in word else by_parts
        else:
            entries = entries.filter(rank=SUFFIX).beginning_with(word)
            if is_long:
                last = entries.after(place).places()[MAX_READ - 1 : MAX_READ].first()
        if last:
            _, last_text, last_user = last
            entries = entries.filter(Q(text__lt=last_text) | Q(user__lte=last_user), text__lte=last_text)
        for other in words:
            if other != word:
                entries = entries.filter(user__search_text__contains=other)
            elif len(word) > SUFFIX_LENGTH:
                entries = entries.filter(Q(user__search_text__contains=word) | Q(rank=ADDRESS))
        entries = entries.filter(user__is_active=True)

        columns = ("user__search_text", *representations.lookups("user__", searcher))
        users: list[representations.Representation] = []
        fetched, number = 0, 4 * limit
        while fetched < MAX_FETCHED:
            rows = list(entries.after(place).places(*columns)[:number])
            for rank, suffix, user_id, search_text, *row in rows:
                if user_id != searcher.pk and not _is_repeated(rank, suffix, search_text, words, word):
                    if len(users) == limit:
                        return users, (chosen, place)
                    users.append(representations.from_row(row, viewer=searcher))
                place = (rank, suffix, user_id)
            fetched += len(rows)
            if len(rows) < number:
                return users, (chosen, last) if last else None
            number = ROWS_PER_QUERY
        return users, (chosen, place)

    def places(self, *more: Any) -> "models.QuerySet[SearchEntry, tuple[Any, ...]]":
        """The entries in the order of the index, as (rank, text, user id) and more columns."""
        return self.order_by("rank", "text", "user").values_list("rank", "text", "user", *more)

    def _rarest(self, words: list[str]) -> tuple[int, bool]:
        """The index of a word with few entries, and whether even that word may have more than MAX_READ."""
        counts = []
        for word in words:
            counts.append(self.filter(rank=SUFFIX).beginning_with(word)[:MAX_FETCHED].count())
            if counts[-1] < MAX_FETCHED:
                return len(counts) - 1, False
        counts = [self.filter(rank=SUFFIX).beginning_with(word)[:MAX_READ].count() for word in words[:3]]
        return counts.index(min(counts)), True


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


def words_of(text: str) -> list[str]:
    """The words to find, longest first, without words that are part of another."""
    words: list[str] = []
    for word in sorted(set(text_key(text).split()), key=lambda word: (-len(word), word)):
        if not any(word in longer for longer in words):
            words.append(word)
    return words


def range_of(prefix: str) -> tuple[str, str | None]:
    """Bounds (low, high) of texts that begin with the prefix: low is included, high is not; None is no bound."""
    for end in range(len(prefix), 0, -1):
        following = ord(prefix[end - 1]) + 1
        if 0xD800 <= following <= 0xDFFF:  # surrogates are not characters
            following = 0xE000
        if following <= 0x10FFFF:
            return prefix, prefix[: end - 1] + chr(following)
    return prefix, None


def _is_repeated(rank: int, suffix: str, search_text: str, words: list[str], word: str) -> bool:
    """Whether the account was shown already, by an earlier entry for the word."""
    if rank == USERNAME:  # a word longer than a suffix is compared here
        return not search_text.startswith(word)
    if rank == ADDRESS:
        return word in search_text
    if len(words) == 1 and search_text.startswith(word):
        return True
    return suffix != min(_suffixes_beginning_with(word, search_text))


def _suffixes_beginning_with(word: str, search_text: str) -> Iterator[str]:
    for whole in search_text.split():
        start = whole.find(word)
        while start >= 0:
            yield whole[start : start + SUFFIX_LENGTH]
            start = whole.find(word, start + 1)
