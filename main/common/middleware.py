from django.conf import settings
from django.contrib.auth.middleware import AuthenticationMiddleware
from django.contrib.messages.middleware import MessageMiddleware
from django.contrib.sessions.middleware import SessionMiddleware

from common.errors import detail


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

    # A refused body of up to this size is read all the same: many clients read no answer before they have sent it all.
    HIGHEST_DISCARD = 16 * 1024 * 1024

    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        if "HTTP_TRANSFER_ENCODING" in request.META:
            return detail("The body must come with a Content-Length.", 411)
        length = request.META.get("CONTENT_LENGTH") or "0"
        if not length.isdecimal() or int(length) > settings.DATA_UPLOAD_MAX_MEMORY_SIZE:
            if length.isdecimal() and int(length) <= self.HIGHEST_DISCARD:
                while request.read(64 * 1024):
                    pass
            return detail(f"The body may have at most {settings.DATA_UPLOAD_MAX_MEMORY_SIZE} bytes.", 413)
        if request.content_params.get("charset", "utf-8").lower() not in ("utf-8", "utf8", "us-ascii"):
            return detail("The body must be in UTF-8.", 415)
        return self.get_response(request)
