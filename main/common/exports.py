"""How apps read what they give to an export: values, and iterators where there may be many."""

from collections.abc import Iterator
from typing import Any

from django.db.models import QuerySet

# Rows that are read at a time: 200 of the longest messages take some megabytes.
CHUNK = 200

# What an app gives, by key: JSON, in which an iterator may stand for an array. The iterator yields lists of items, or
# single items that have iterators in turn.
Parts = dict[str, Any]
Items = Iterator[list[Parts]]


def chunks(rows: QuerySet[Any, Any], key: str, size: int = CHUNK) -> Iterator[list[Any]]:
    """The rows in the order of the key, so many at a time. The rows are tuples that begin with the key."""
    after = 0
    while chunk := list(rows.filter(**{f"{key}__gt": after}).order_by(key)[:size]):
        yield chunk
        if len(chunk) < size:
            return
        after = chunk[-1][0]
