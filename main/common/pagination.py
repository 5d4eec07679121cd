"""Pages of lists: bare arrays, with `Link: <…>; rel="next"` (RFC 8288) while there is more."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from django.core import signing
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.utils.urls import replace_query_param

MAX_LIMIT = 100

Items = Sequence[Mapping[str, object]]


def read_limit(request: Request, default: int) -> int:
    text = request.query_params.get("limit", str(default))
    if not re.fullmatch("[0-9]{1,3}", text) or not 1 <= int(text) <= MAX_LIMIT:
        raise ValidationError({"limit": [f"Must be a whole number from 1 to {MAX_LIMIT}."]})
    return int(text)


def read_cursor(request: Request) -> list[Any] | None:
    """The position after which the page begins, as it was given to `paged`; None for the first page."""
    cursor = request.query_params.get("cursor")
    if cursor is None:
        return None
    try:
        return signing.loads(cursor, salt=_list_of(request))
    except signing.BadSignature:
        raise ValidationError({"cursor": ["Must be taken from a Link header."]}) from None


def _list_of(request: Request) -> str:
    """Identifies the list that a cursor belongs to: its path and query."""
    query = sorted(request.query_params.lists())  # the order in a link differs
    return repr((request.path, [parameter for parameter in query if parameter[0] not in ("cursor", "limit")]))


def paged(request: Request, items: Items, more_after: Sequence[object] | None = None) -> Response:
    """The answer with a page; if there is more, `more_after` is the position of its last item."""
    if more_after is None:
        return Response(items)
    return paged_by(request, items, "cursor", signing.dumps(more_after, salt=_list_of(request), compress=True))


def read_number(request: Request, parameter: str) -> int | None:
    """A whole number from the query, or None if it is missing."""
    text = request.query_params.get(parameter)
    if text is None:
        return None
    if not re.fullmatch("[0-9]{1,18}", text):
        raise ValidationError({parameter: ["Must be a whole number."]})
    return int(text)


def paged_by(request: Request, items: Items, parameter: str, value: object) -> Response:
    """The answer with a page; the next one is at the same URL with this parameter."""
    url = replace_query_param(request.build_absolute_uri(), parameter, value)
    return Response(items, headers={"Link": f'<{url}>; rel="next"'})
