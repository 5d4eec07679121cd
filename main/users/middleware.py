from django.contrib.auth.models import AnonymousUser

from common.access import is_public
from common.handlers import detail
from users.models import AuthToken


class TokenAuthMiddleware:
    """Turns `Authorization: Token …` into `request.user` and `request.auth_token`, or answers 401.

    It comes before every view, so that a view which forgets to ask for a login is closed all the same. Views marked as
    public, and the admin, which has sessions and a login of its own, need no token.
    """

    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        response = self.get_response(request)
        # Where no view was found, a stranger is not told so.
        return response if request.resolver_match else self.authenticate(request) or response

    def process_view(self, request, view, args, kwargs):
        if is_public(view):
            request.user = AnonymousUser()
            return None
        return None if request.resolver_match.app_name == "admin" else self.authenticate(request)

    def authenticate(self, request):
        """Note who is calling, or return the answer 401."""
        scheme, _, text = request.headers.get("Authorization", "").partition(" ")
        token = AuthToken.objects.find(text) if scheme.lower() == "token" else None
        if token is None:
            return detail("A valid token is required.", 401, {"WWW-Authenticate": "Token"})
        if token.should_note_use:
            token.note_use()
        request.auth_token = token
        request.user = token.user
        return None
