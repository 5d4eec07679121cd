"""The index by which people are found.

"Contains" becomes "begins with": an account has an entry for every suffix of every word of its names and its address
(`quill`: `quill`, `uill`, `ill`, `ll`, `l`), so that the accounts with `ui` in a word are those with an entry from
`ui` up to `uj`: a range of an index, in its order, that is read no further than a page is long.
"""

from django.conf import settings
from django.db import connection, models
from django.db.models import Q
from django.db.models.constants import OnConflict

from common.keys import KEY_LENGTH, ExactCharField, text_key
from users import representations

# Ranks of entries: the whole username, one an account, for the order of the first results; suffixes of all the words.
USERNAME, SUFFIX = 0, 1

# A suffix is kept up to this length. A longer word of a question is looked for in the account itself.
SUFFIX_LENGTH = 64

# So many entries of a word, where there are several, may a page go through in the database, and so many may it fetch,
# before it ends short of its limit.
MOST_READ = 10_000
MOST_FETCHED = 2_000
# How many it fetches at a time, if the first few were not enough.
ROWS_OF_A_QUERY = 500


class SearchEntryQuerySet(models.QuerySet):
    def replace(self, user, before, after):
        """Turn the user's entries from these into those, in the transaction that changes the account."""
        gone = before - after
        if gone:
            usernames = [text for rank, text in gone if rank == USERNAME]
            suffixes = [text for rank, text in gone if rank == SUFFIX]
            self.filter(Q(rank=USERNAME, text__in=usernames) | Q(rank=SUFFIX, text__in=suffixes), user=user).delete()
        if after - before:
            self.add((rank, text, user.pk) for rank, text in after - before)

    def add(self, rows):
        """Insert entries given as (rank, text, user id); those that there are already stay."""
        # Not by bulk_create: an object for each of the 40 rows would be most of a registration's cost.
        insert = connection.ops.insert_statement(on_conflict=OnConflict.IGNORE)
        table = connection.ops.quote_name(SearchEntry._meta.db_table)
        columns = ", ".join(map(connection.ops.quote_name, ("rank", "text", "user_id")))
        with connection.cursor() as cursor:
            cursor.executemany(f"{insert} {table} ({columns}) VALUES (%s, %s, %s)", list(rows))

    def beginning_with(self, prefix):
        low, high = range_of(prefix[:SUFFIX_LENGTH])
        entries = self.filter(text__gte=low)
        return entries if high is None else entries.filter(text__lt=high)

    def after(self, place):
        """Those after the place, (rank, text, user id), in the order of the index."""
        if place is None:
            return self
        rank, text, user_id = place
        later = Q(text__gt=text) | Q(text=text, user__gt=user_id)
        if rank == USERNAME:
            return self.filter(Q(later, rank=USERNAME) | Q(rank=SUFFIX))
        return self.filter(later, rank=SUFFIX, text__gte=text)

    def find(self, text, *, searcher, limit, after=None):
        """The page of the active users, but for the searcher, in whom every word of the text is a part of one.

        Returns the user instances and the position to go on from, None at the end. Somebody named exactly so comes
        first, then usernames that begin so, then the rest. A page can be shorter than the limit, or empty, without
        being the last: it ends, too, where it has read as much as one may.
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
            entries = entries.filter(rank__in=(USERNAME, SUFFIX)).beginning_with(word)
        else:
            entries = entries.filter(rank=SUFFIX).beginning_with(word)
            if is_long:
                last = entries.after(place).places()[MOST_READ - 1 : MOST_READ].first()
        if last:
            _, last_text, last_user = last
            entries = entries.filter(Q(text__lt=last_text) | Q(user__lte=last_user), text__lte=last_text)
        for other in words:
            if other != word or len(word) > SUFFIX_LENGTH:
                entries = entries.filter(user__search_text__contains=other)
        entries = entries.filter(user__is_active=True).exclude(user=searcher)

        columns = ("user__search_text", *(f"user__{field}" for field in representations.FIELDS))
        users, fetched, number = [], 0, 4 * limit
        while fetched < MOST_FETCHED:
            rows = list(entries.after(place).places(*columns)[:number])
            for rank, suffix, user_id, search_text, *row in rows:
                if not _is_repeated(rank, suffix, search_text, words, word):
                    if len(users) == limit:
                        return users, (chosen, place)
                    users.append(representations.from_row(row, viewer=searcher))
                place = (rank, suffix, user_id)
            fetched += len(rows)
            if len(rows) < number:
                return users, (chosen, last) if last else None
            number = ROWS_OF_A_QUERY
        return users, (chosen, place)

    def places(self, *more):
        """Where each stands, (rank, text, user id), in the order of the index, and more columns as asked."""
        return self.order_by("rank", "text", "user").values_list("rank", "text", "user", *more)

    def _rarest(self, words):
        """Which of the words has the fewest entries, as far as it matters, and whether MOST_READ may be too few."""
        counts = []
        for word in words:
            counts.append(self.filter(rank=SUFFIX).beginning_with(word)[:MOST_FETCHED].count())
            if counts[-1] < MOST_FETCHED:
                return len(counts) - 1, False
        counts = [self.filter(rank=SUFFIX).beginning_with(word)[:MOST_READ].count() for word in words[:3]]
        return counts.index(min(counts)), True


class SearchEntry(models.Model):
    """A piece of text by which an active account is found.

    About 42 entries and 2.3 KB an account of seed_users, and 1 to 2 ms of a registration. The one key there is, the
    text first, keeps it at that: a key of the account would double it, and a foreign key in the database would bring
    one along.
    So `User.save` and a receiver of deletions keep the entries in step, and a command checks them.
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

    def __str__(self):
        return f"{self.text} ({self.user_id})"


def entries_of(search_text):
    """The entries of an account, as a set of (rank, text), from its keys one a line, the username's first."""
    entries = {(USERNAME, search_text.partition("\n")[0])}
    for word in set(search_text.split()):
        entries |= {(SUFFIX, word[start : start + SUFFIX_LENGTH]) for start in range(len(word))}
    return entries


def words_of(text):
    """The words that must be found, longest first, without those that are parts of others."""
    words = []
    for word in sorted(set(text_key(text).split()), key=lambda word: (-len(word), word)):
        if not any(word in longer for longer in words):
            words.append(word)
    return words


def range_of(prefix):
    """The bounds (low, high) of the texts that begin with the prefix: low included, high not, None for no bound."""
    for end in range(len(prefix), 0, -1):
        following = ord(prefix[end - 1]) + 1
        if 0xD800 <= following <= 0xDFFF:  # surrogates, which are no characters
            following = 0xE000
        if following <= 0x10FFFF:
            return prefix, prefix[: end - 1] + chr(following)
    return prefix, None


def _is_repeated(rank, suffix, search_text, words, word):
    """Whether an account that has several entries for the word was shown by an earlier one."""
    if rank == USERNAME:  # which a long word is compared with here
        return not search_text.startswith(word)
    if len(words) == 1 and search_text.startswith(word):
        return True
    return suffix != min(_suffixes_beginning_with(word, search_text))


def _suffixes_beginning_with(word, search_text):
    for whole in search_text.split():
        start = whole.find(word)
        while start >= 0:
            yield whole[start : start + SUFFIX_LENGTH]
            start = whole.find(word, start + 1)
