from rest_framework.authentication import BaseAuthentication


class TokenAuthentication(BaseAuthentication):
    """Hands on the user whom the middleware found."""

    def authenticate(self, request):
        token = getattr(request._request, "auth_token", None)
        return (token.user, token) if token else None

    def authenticate_header(self, request):
        return "Token"
