from django.utils import timezone
from rest_framework.views import APIView

from export.answers import ExportAnswer, ExportContinuation
from export.throttles import ExportThrottle
from users.authentication import UserRequest


class ExportView(APIView):
    """All that the server has of the user, as a file."""

    throttle_classes = [ExportThrottle]

    def get(self, request: UserRequest) -> ExportAnswer:
        is_wanted = request.method == "GET"  # and not HEAD
        continuation = ExportContinuation(request.user.pk, request.auth.pk) if is_wanted else None
        headers = {
            "Cache-Control": "no-store",
            "Content-Disposition": f'attachment; filename="chat-export-{timezone.now():%Y-%m-%d}.json"',
        }
        return ExportAnswer(continuation, content_type="application/json", headers=headers)
