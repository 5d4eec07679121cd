from collections.abc import Callable, Mapping, Sequence

from django.contrib.auth.models import AnonymousUser
from django.http import HttpRequest, HttpResponse

from common.access import is_public
from common.handlers import detail
from common.middleware import GetResponse
from users.models import AuthToken


class TokenAuthMiddleware:
    """Turns `Authorization: Token …` into `request.user` and `request.auth_token`, or answers 401.

    It runs before every view, so that a view without any check of its own is still closed. Views marked as public need
    no token; neither does the admin, which has sessions and its own login.
    """

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        # If no view was found, only a user with a token gets the 404.
        return response if request.resolver_match else self.authenticate(request) or response

    def process_view(
        self, request: HttpRequest, view: Callable[..., object], args: Sequence[object], kwargs: Mapping[str, object]
    ) -> HttpResponse | None:
        if is_public(view):
            request.user = AnonymousUser()
            return None
        match = request.resolver_match
        return None if match and match.app_name == "admin" else self.authenticate(request)

    def authenticate(self, request: HttpRequest) -> HttpResponse | None:
        """Set the user and the token of the request, or return the answer 401."""
        scheme, _, text = request.META.get("HTTP_AUTHORIZATION", "").partition(" ")
        token = AuthToken.find(text) if scheme.lower() == "token" else None
        if token is None:
            return detail("A valid token is required.", 401, {"WWW-Authenticate": "Token"})
        if token.should_note_use:
            token.note_use()
        request.auth_token = token  # type: ignore[attr-defined]
        request.user = token.user
        return None
