from django.contrib.auth.models import AnonymousUser

from common.errors import detail
from users.models import AuthToken

# Everything else takes a token. What is served below /admin/ has a session and a login of its own.
OPEN_PATHS = {"/", "/admin", "/docs", "/schema", "/healthz", "/readyz", "/users/login", "/users/register"}
OPEN_PREFIX = "/admin/"


class TokenAuthMiddleware:
    """Turns `Authorization: Token …` into `request.user` and `request.auth_token`, or answers 401.

    It comes before every view, so that one that forgets to ask for a login is closed all the same.
    """

    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        if request.path_info.startswith(OPEN_PREFIX):
            return self.get_response(request)
        if request.path_info in OPEN_PATHS:
            request.user = AnonymousUser()
            return self.get_response(request)

        token = self.find_token(request.headers.get("Authorization", ""))
        if token is None:
            return detail("A valid token is required.", 401, {"WWW-Authenticate": "Token"})
        if token.should_note_use:
            token.note_use()
        request.auth_token = token
        request.user = token.user
        return self.get_response(request)

    @staticmethod
    def find_token(header):
        scheme, _, token = header.partition(" ")
        return AuthToken.objects.find(token) if scheme.lower() == "token" else None
