"""The least that a call can cost: a bare view, without middleware, that checks the token by hand in one joined SELECT.

Once through the ORM and once with a raw cursor; and with a second SELECT, for the calls that need one.
"""

from datetime import UTC, datetime, timedelta
from hashlib import sha256

from django.db import connection
from django.http import JsonResponse

from users.models import PROFILE_FIELDS, AuthToken, User

COLUMNS = ", ".join(f"u.{field}" for field in PROFILE_FIELDS)


def digest_of(request):
    return sha256(request.META["HTTP_AUTHORIZATION"].removeprefix("Token ").encode()).hexdigest()


def orm(request):
    token = AuthToken.objects.unexpired().select_related("user").get(digest=digest_of(request), user__is_active=True)
    return JsonResponse({field: getattr(token.user, field) for field in PROFILE_FIELDS})


def orm_twice(request):
    AuthToken.objects.unexpired().select_related("user").get(digest=digest_of(request), user__is_active=True)
    other = User.objects.get(username_key="bob", is_active=True)
    return JsonResponse({field: getattr(other, field) for field in PROFILE_FIELDS})


def raw(request):
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT {COLUMNS} FROM users_authtoken t JOIN users_user u ON u.id = t.user_id "  # noqa: S608
            "WHERE t.digest = %s AND t.last_used > %s AND u.is_active",
            [digest_of(request), datetime.now(UTC).replace(tzinfo=None) - timedelta(days=30)],
        )
        return JsonResponse(dict(zip(PROFILE_FIELDS, cursor.fetchone(), strict=True)))
