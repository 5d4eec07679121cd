"""The least that a call can cost: a bare view, without middleware, that checks the token by hand in one joined SELECT.

Once through the ORM and once with a raw cursor; with a second SELECT, for calls that need one; and a transaction of the
two writes that every message needs.
"""

import json
from datetime import UTC, datetime, timedelta
from hashlib import sha256

from django.db import connection, transaction
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


def find(cursor, request, columns):
    cursor.execute(
        f"SELECT {columns} FROM users_authtoken t JOIN users_user u ON u.id = t.user_id "  # noqa: S608
        "WHERE t.digest = %s AND t.last_used > %s AND u.is_active",
        [digest_of(request), now() - timedelta(days=30)],
    )
    return cursor.fetchone()


def now():
    return datetime.now(UTC).replace(tzinfo=None)


def raw(request):
    with connection.cursor() as cursor:
        return JsonResponse(dict(zip(PROFILE_FIELDS, find(cursor, request, COLUMNS), strict=True)))


def send(request, pk):
    text, moment = json.loads(request.body)["text"], now()
    with connection.cursor() as cursor:
        [user_id] = find(cursor, request, "u.id")
        with transaction.atomic():
            cursor.execute(
                "UPDATE conversations_conversation SET last_number = last_number + 1, last_activity = %s WHERE id = %s",
                [moment, pk],
            )
            cursor.execute(
                "INSERT INTO conversations_message (conversation_id, number, sender_id, text, created_at, deleted)"
                " SELECT id, last_number, %s, %s, %s, 0 FROM conversations_conversation WHERE id = %s",
                [user_id, text, moment, pk],
            )
    return JsonResponse({"text": text}, status=201)
