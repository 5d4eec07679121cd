from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle
from rest_framework.views import APIView

from common.rates import Limit

# Exports of a user in so many seconds. An export may be long work, so that operators cannot allow more.
EXPORTS = (3, 3600)


def limit_of(user_id: int | None) -> Limit:
    return Limit("exports", user_id, fixed_rate=EXPORTS)


class ExportThrottle(BaseThrottle):
    def allow_request(self, request: Request, view: APIView) -> bool:
        if request.method == "GET":
            limit_of(request.user.pk).spend()
        return True
