"""The search for people, in the index of `users.search`."""

from collections.abc import Iterator, Sequence
from typing import Any

from django.contrib.auth.models import AbstractUser
from django.db.models import Q, QuerySet

from common.compiled import compiled
from common.keys import KEY_LENGTH, text_key
from users import representations
from users.search import ADDRESS, SUFFIX, SUFFIX_LENGTH, USERNAME, Place, SearchEntry, range_of

# Limits per page, after which it ends short: entries that the database reads for one of several words, and entries
# that are fetched.
MAX_READ = 10_000
MAX_FETCHED = 2_000
# Entries of the first query, the least of these that is four times the page, so that it is compiled for few sizes; and
# entries per query if that was not enough.
FIRST_ROWS = (8, 40, 80, 200, 400)
ROWS_PER_QUERY = 500
# After every text of the index.
HIGHEST = "\U0010ffff" * (KEY_LENGTH + 1)


def find(
    text: str, *, searcher: AbstractUser, limit: int, after: Sequence[Any] | None = None
) -> tuple[list[representations.Representation], tuple[int, Place | None] | None]:
    """One page of the active users, without the searcher, that have every word of the text in a name or address.

    Return the representations and the position to continue from, None at the end. The user with exactly this name
    comes first, then usernames that begin with the text, then the rest. A page may be short or empty without being
    the last: it also ends at the limits above.
    """
    words = words_of(text)
    (chosen, place), is_long = (after, True) if after else ((0, None), False)
    if len(words) > 1 and not after:
        chosen, is_long = _rarest(words)
    word = words[chosen] if words else ""
    last = _last_to_read(word, place) if len(words) > 1 and is_long else None

    users: list[representations.Representation] = []
    fetched, number = 0, next(rows for rows in FIRST_ROWS if rows >= 4 * limit)
    while fetched < MAX_FETCHED:
        rows = _rows(words, word, place, last, searcher.pk, number)
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


def _rows(
    words: Sequence[str], word: str, place: Place | None, last: Place | None, searcher_id: int, number: int
) -> Sequence[tuple[Any, ...]]:
    """So many entries for the word after the place, with what is shown of their users, who have all words."""
    low, high = range_of(word[:SUFFIX_LENGTH])
    rank, after_text, after_user = place or (None, "", 0)
    _, last_text, last_user = last or (None, "", 0)
    others = [other for other in words if other != word]
    return _entries(
        low,
        high or HIGHEST,
        word,
        others,
        after_text,
        after_user,
        last_text,
        last_user,
        searcher_id,
        ranks=(SUFFIX,) if others else (USERNAME, SUFFIX) if words else (USERNAME,),
        # Only an address can be the whole of one.
        is_address="@" in word and not others,
        is_long=len(word) > SUFFIX_LENGTH,
        after_rank=rank,
        has_end=last is not None,
        number=number,
    )


@compiled
def _entries(
    low: str,
    high: str,
    word: str,
    others: Sequence[str],
    after_text: str,
    after_user: int,
    last_text: str,
    last_user: int,
    searcher_id: int,
    *,
    ranks: Sequence[int],
    is_address: bool,
    is_long: bool,
    after_rank: int | None,
    has_end: bool,
    number: int,
) -> QuerySet[SearchEntry, tuple[Any, ...]]:
    of_word = Q(rank__in=ranks, text__gte=low, text__lt=high)
    if is_long:
        of_word &= Q(user__search_text__contains=word)
    if is_address:
        of_word |= Q(rank=ADDRESS, text=word)
    entries = SearchEntry.objects.filter(of_word, user__is_active=True)
    if after_rank is not None:
        entries = entries.after((after_rank, after_text, after_user))
    if has_end:
        entries = entries.filter(Q(text__lt=last_text) | Q(user__lte=last_user), text__lte=last_text)
    for other in others:
        entries = entries.filter(user__search_text__contains=other)
    return entries.places("user__search_text", *representations.columns("user__", searcher_id))[:number]


def _last_to_read(word: str, place: Place | None) -> Place | None:
    """The last entry for a word of several that a page reads, if there are more."""
    entries = SearchEntry.objects.filter(rank=SUFFIX).beginning_with(word).after(place)
    return entries.places()[MAX_READ - 1 : MAX_READ].first()


def _rarest(words: list[str]) -> tuple[int, bool]:
    """The index of a word with few entries, and whether even that word may have more than MAX_READ."""
    entries = SearchEntry.objects.filter(rank=SUFFIX)
    counts = []
    for word in words:
        counts.append(entries.beginning_with(word)[:MAX_FETCHED].count())
        if counts[-1] < MAX_FETCHED:
            return len(counts) - 1, False
    counts = [entries.beginning_with(word)[:MAX_READ].count() for word in words[:3]]
    return counts.index(min(counts)), True


def words_of(text: str) -> list[str]:
    """The words to find, longest first, without words that are part of another."""
    words: list[str] = []
    for word in sorted(set(text_key(text).split()), key=lambda word: (-len(word), word)):
        if not any(word in longer for longer in words):
            words.append(word)
    return words


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
