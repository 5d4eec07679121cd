from django.contrib.auth.backends import ModelBackend
from django.contrib.auth.models import AnonymousUser
from rest_framework.authentication import BaseAuthentication
from rest_framework.request import Request

from users.models import User, ValidToken


class UserRequest(Request):
    """The request of a view that needs a token. It is for type hints alone."""

    user: User
    auth: ValidToken


class TokenAuthentication(BaseAuthentication):
    """Tells REST framework the user that the middleware has found."""

    def authenticate(self, request: Request) -> tuple[User, ValidToken] | None:
        token = getattr(request._request, "auth_token", None)
        return (token.user, token) if token else None

    def authenticate_header(self, request: Request) -> str:
        return "Token"


class AdminBackend(ModelBackend):
    """Who may log in to the admin, and stay there: nobody who is suspended."""

    def user_can_authenticate(self, user: User | AnonymousUser | None) -> bool:
        return super().user_can_authenticate(user) and not getattr(user, "is_suspended", False)
