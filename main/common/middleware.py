import logging
import re
import secrets
import time

from django.conf import settings
from django.contrib.auth.middleware import AuthenticationMiddleware
from django.contrib.messages.middleware import MessageMiddleware
from django.contrib.sessions.middleware import SessionMiddleware
from django.urls import Resolver404, resolve
from django.utils.functional import SimpleLazyObject

from common.addresses import comes_from_proxy
from common.handlers import detail
from common.logs import request_id

logger = logging.getLogger("requests")


class RequestLogMiddleware:
    """Writes a line for each request and gives it an id, which the answer and every line of the log about it carry.

    The line has the route instead of the path, and nothing of query, headers and bodies: those may hold secrets.
    """

    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        started = time.perf_counter()
        token = request_id.set(self.read_id(request) or secrets.token_hex(8))
        try:
            response = self.get_response(request)
            response["X-Request-ID"] = request_id.get()
            fields = {
                "method": request.method if re.fullmatch("[A-Z]{1,20}", request.method) else "-",
                "route": self.route_of(request),
                "status": response.status_code,
                "milliseconds": round(1000 * (time.perf_counter() - started), 1),
                "user": self.user_id_of(request),
            }
            logger.info(
                "{method} {route} {status} {milliseconds} ms user {user}".format(**fields), extra={"fields": fields}
            )
        finally:
            request_id.reset(token)
        return response

    @staticmethod
    def read_id(request):
        """The id that a trusted proxy gave, for its log and this one to be read together."""
        given = request.headers.get("X-Request-ID", "")
        return given if re.fullmatch("[A-Za-z0-9._-]{1,64}", given) and comes_from_proxy(request) else None

    @staticmethod
    def route_of(request):
        match = request.resolver_match
        if match is None:
            # It was answered before a view was looked for.
            try:
                match = resolve(request.path_info)
            except Resolver404:
                return "-"
        return f"/{match.route}"

    @staticmethod
    def user_id_of(request):
        # In the admin the user is looked up when first asked for; whoever has not asked will not be told.
        user = getattr(request, "_cached_user", None) or getattr(request, "user", None)
        return None if isinstance(user, SimpleLazyObject) else getattr(user, "pk", None)


class AdminOnly:
    """Limits a middleware to the admin's pages; the API has no sessions and should not pay for them."""

    def __call__(self, request):
        if request.path_info.startswith("/admin/"):
            return super().__call__(request)
        return self.get_response(request)


class AdminSessionMiddleware(AdminOnly, SessionMiddleware):
    pass


class AdminAuthenticationMiddleware(AdminOnly, AuthenticationMiddleware):
    pass


class AdminMessageMiddleware(AdminOnly, MessageMiddleware):
    pass


class RequestLimitsMiddleware:
    """Refuses bodies without a length (411), too large (413) or in another character set than UTF-8 (415).

    REST framework's parsers know no limit and would look up any codec that a client names; Django takes a body that
    comes in chunks for an empty one.
    """

    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        if "HTTP_TRANSFER_ENCODING" in request.META:
            return detail("The body must come with a Content-Length.", 411)
        length = request.META.get("CONTENT_LENGTH") or "0"
        if not length.isdecimal() or int(length) > settings.DATA_UPLOAD_MAX_MEMORY_SIZE:
            return detail(f"The body may have at most {settings.DATA_UPLOAD_MAX_MEMORY_SIZE} bytes.", 413)
        if request.content_params.get("charset", "utf-8").lower() not in ("utf-8", "utf8", "us-ascii"):
            return detail("The body must be in UTF-8.", 415)
        return self.get_response(request)
