"""Lists in pages: bare arrays, with `Link: <…>; rel="next"` (RFC 8288) while there is more."""

import re

from django.core import signing
from rest_framework.exceptions import ValidationError
from rest_framework.response import Response
from rest_framework.utils.urls import replace_query_param

HIGHEST_LIMIT = 100


def read_limit(request, default):
    text = request.query_params.get("limit", str(default))
    if not re.fullmatch("[0-9]{1,3}", text) or not 1 <= int(text) <= HIGHEST_LIMIT:
        raise ValidationError({"limit": [f"Must be a whole number from 1 to {HIGHEST_LIMIT}."]})
    return int(text)


def read_cursor(request):
    """The position after which the page begins: the list that `paged` was given, or None at the beginning."""
    cursor = request.query_params.get("cursor")
    if cursor is None:
        return None
    try:
        return signing.loads(cursor, salt=_list_of(request))
    except signing.BadSignature:
        raise ValidationError({"cursor": ["Must be taken from a Link header."]}) from None


def _list_of(request):
    """Which list a cursor belongs to: the path with all that is asked of it."""
    query = sorted(request.query_params.lists())  # in a link they come in another order
    return repr((request.path, [parameter for parameter in query if parameter[0] not in ("cursor", "limit")]))


def paged(request, items, more_after=None):
    """The answer for a page; where there is more, `more_after` is the position of its last item."""
    if more_after is None:
        return Response(items)
    return paged_by(request, items, "cursor", signing.dumps(more_after, salt=_list_of(request), compress=True))


def read_number(request, parameter):
    """A whole number from the query, or None if it is not there."""
    text = request.query_params.get(parameter)
    if text is None:
        return None
    if not re.fullmatch("[0-9]{1,18}", text):
        raise ValidationError({parameter: ["Must be a whole number."]})
    return int(text)


def paged_by(request, items, parameter, value):
    """The answer for a page that is followed by the one at the same URL with that parameter."""
    url = replace_query_param(request.build_absolute_uri(), parameter, value)
    return Response(items, headers={"Link": f'<{url}>; rel="next"'})
