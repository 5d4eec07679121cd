import random
import re

from django.http import HttpResponse
from rest_framework.exceptions import NotAuthenticated, ValidationError
from rest_framework.request import Request
from rest_framework.views import APIView

from common.pagination import read_limit
from delivery.answers import CATCH_UP, GoingOn, PageContinuation, StreamContinuation, as_text, page_as_data
from delivery.descriptions import Told
from delivery.pages import Page, read_page
from delivery.tokens import find_dead
from delivery.wire import as_json, find_position
from events import log
from events.models import Log
from users.authentication import UserRequest

MAX_WAIT = 25
# Milliseconds after which a client comes back when its stream ends, at least and at most: not all at the same moment.
RETRY = (1000, 5000)

HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}


class EventsView(APIView):
    """What happens to the user, as a stream of server-sent events or as pages of JSON."""

    def get(self, request: UserRequest) -> HttpResponse:
        return self.stream(request) if wants_stream(request) else self.page(request)

    def stream(self, request: UserRequest) -> HttpResponse:
        after = request.headers.get("Last-Event-ID") or request.query_params.get("after")
        current, page = read(request, after, CATCH_UP, at_beginning="ready")
        text = b"retry: %d\n\n" % random.randint(*RETRY) + as_text(current.name, page.told)  # noqa: S311
        answer = GoingOn(text, content_type="text/event-stream", headers=HEADERS)
        if request.method == "GET":
            answer.continuation = StreamContinuation(request.user.pk, request.auth.pk, current.name, page.end)
        return answer

    def page(self, request: UserRequest) -> HttpResponse:
        limit, seconds = read_limit(request, default=100), read_wait(request)
        after = request.query_params.get("after")
        current, page = read(request, after, limit)
        body = as_json(page_as_data(current.name, page))
        answer = GoingOn(body, content_type="application/json", headers=HEADERS)
        if seconds and after and not page.told and page.is_last and request.method == "GET":
            place = (request.user.pk, request.auth.pk, current.name, page.end)
            answer.continuation = PageContinuation(*place, seconds=seconds, limit=limit)
        return answer


def read(request: UserRequest, after: str | None, limit: int, at_beginning: str | None = None) -> tuple[Log, Page]:
    """The log, and what came after the id; without one, the present position, and an event of that name if given."""
    # What has happened before this call does not come after it.
    log.order(most=10)
    current = Log.objects.current()
    position = find_position(current, after) if after else None
    if position is not None:
        page = read_page(request.user.pk, position, limit, current.last_position)
        # Asked last: what is told was read while the token was alive.
        if page.told and find_dead({request.auth.pk: request.user.pk}):
            raise NotAuthenticated("A valid token is required.")
        return current, page
    name = "reset" if after else at_beginning
    told = [Told(current.last_position, name, {}, [request.user.pk])] if name else []
    return current, Page(told, current.last_position, is_last=True)


def wants_stream(request: Request) -> bool:
    kinds = request.accepted_types  # without those of quality 0
    return any((kind.main_type, kind.sub_type) == ("text", "event-stream") for kind in kinds)


def read_wait(request: Request) -> int:
    """The seconds for which the client waits; 0 if it does not."""
    text = request.query_params.get("wait")
    if text is None:
        return 0
    if not re.fullmatch("[0-9]{1,2}", text) or not 1 <= int(text) <= MAX_WAIT:
        raise ValidationError({"wait": [f"Must be a whole number from 1 to {MAX_WAIT}."]})
    return int(text)
