import logging
import re
import time
from collections.abc import Awaitable, Callable
from random import getrandbits

from corsheaders.middleware import CorsMiddleware as BaseCorsMiddleware
from django.conf import settings
from django.contrib.auth.middleware import AuthenticationMiddleware
from django.contrib.messages.middleware import MessageMiddleware
from django.contrib.sessions.middleware import SessionMiddleware
from django.http import HttpRequest, HttpResponse, HttpResponsePermanentRedirect
from django.http.response import HttpResponseBase
from django.middleware.common import CommonMiddleware
from django.urls import Resolver404, resolve
from django.utils.cache import patch_vary_headers
from django.utils.functional import SimpleLazyObject

from common import metrics
from common.addresses import comes_from_proxy
from common.handlers import detail
from common.logs import request_id

logger = logging.getLogger("requests")
LINE = "%(method)s %(route)s %(status)s %(milliseconds)s ms user %(user)s"

GetResponse = Callable[[HttpRequest], HttpResponse]


def new_id() -> str:
    """An id for a request. It is no secret; asking the system for random bytes would let other threads go first."""
    return f"{getrandbits(64):016x}"


class RequestLogMiddleware:
    """Logs one line per request and gives the request an id, which its answer and all its log lines have.

    The line has the route, not the path, and nothing of query, headers and bodies: those may contain secrets.
    """

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        started = time.perf_counter()
        token = request_id.set(self.read_id(request) or new_id())
        try:
            response = self.get_response(request)
            response["X-Request-ID"] = request_id.get()
            seconds = time.perf_counter() - started
            method = request.method or ""
            fields = {
                "method": method if re.fullmatch("[A-Z]{1,20}", method) else "-",
                "route": self.route_of(request),
                "status": response.status_code,
                "milliseconds": round(1000 * seconds, 1),
                "user": self.user_id_of(request),
            }
            logger.info(LINE, fields, extra={"fields": fields})
            metrics.note_request(method, str(fields["route"]), response.status_code, seconds)
        finally:
            request_id.reset(token)
        return response

    @staticmethod
    def read_id(request: HttpRequest) -> str | None:
        """The id that a trusted proxy has given, so that both logs can be read together."""
        given = request.META.get("HTTP_X_REQUEST_ID", "")
        return given if re.fullmatch("[A-Za-z0-9._-]{1,64}", given) and comes_from_proxy(request) else None

    @staticmethod
    def route_of(request: HttpRequest) -> str:
        match = request.resolver_match
        if match is None:
            # A middleware answered before the URL was resolved.
            try:
                match = resolve(request.path_info)
            except Resolver404:
                return "-"
        return f"/{match.route}"

    @staticmethod
    def user_id_of(request: HttpRequest) -> int | None:
        # The admin loads the user lazily. Logging must not cause that query.
        user = getattr(request, "_cached_user", None) or getattr(request, "user", None)
        return None if isinstance(user, SimpleLazyObject) else getattr(user, "pk", None)


class HostMiddleware(CommonMiddleware):
    """Refuses unknown hosts, as Django's does. Health checks and Prometheus ask a machine by its address."""

    def process_request(self, request: HttpRequest) -> HttpResponsePermanentRedirect | None:
        return None if request.path_info in ("/healthz", "/readyz", "/metrics") else super().process_request(request)


class CorsMiddleware(BaseCorsMiddleware):
    """Does nothing for the many requests that come from no page."""

    def add_response_headers(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        if "HTTP_ORIGIN" in request.META:
            return super().add_response_headers(request, response)
        if response.has_header("Vary"):  # for caches that keep the answer
            patch_vary_headers(response, ["origin"])
        else:
            response["Vary"] = "origin"
        return response


class AdminMiddleware(SessionMiddleware, AuthenticationMiddleware, MessageMiddleware):
    """What the admin's pages need, for them alone: the API has no sessions and should not pay for them.

    It is one class of all three, since the admin's system checks look for each of them among the settings' middleware.
    """

    def __init__(self, get_response: GetResponse) -> None:
        super().__init__(get_response)
        self.get_response: GetResponse = get_response
        self.answer = SessionMiddleware(AuthenticationMiddleware(MessageMiddleware(get_response)))

    def __call__(self, request: HttpRequest) -> HttpResponseBase | Awaitable[HttpResponseBase]:
        return self.answer(request) if request.path_info.startswith("/admin/") else self.get_response(request)


class RequestLimitsMiddleware:
    """Refuses bodies without a length (411), too large (413), or in another character set than UTF-8 (415).

    REST framework's parsers have no limit, and would use any codec that a client names. Django reads a body in chunks
    as an empty one.
    """

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if "HTTP_TRANSFER_ENCODING" in request.META:
            return detail("The body must come with a Content-Length.", 411)
        length = request.META.get("CONTENT_LENGTH") or "0"
        if not length.isdecimal() or int(length) > settings.DATA_UPLOAD_MAX_MEMORY_SIZE:
            return detail(f"The body may have at most {settings.DATA_UPLOAD_MAX_MEMORY_SIZE} bytes.", 413)
        if (request.content_params or {}).get("charset", "utf-8").lower() not in ("utf-8", "utf8", "us-ascii"):
            return detail("The body must be in UTF-8.", 415)
        return self.get_response(request)
