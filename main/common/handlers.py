"""The answers to errors: by field, `{"message"}` where a rule refuses, `{"detail"}` for everything else."""

import sys
from typing import Any

from django.core.exceptions import SuspiciousOperation, ValidationError
from django.http import HttpRequest, JsonResponse
from rest_framework import exceptions
from rest_framework.response import Response
from rest_framework.serializers import as_serializer_error
from rest_framework.views import exception_handler as framework_handler

from common import metrics
from common.database import database_is_away
from common.errors import RuleRefusal


def exception_handler(error: Exception, context: dict[str, Any]) -> Response | None:
    if isinstance(error, RuleRefusal):
        error.detail = {"message": error.detail}
    elif isinstance(error, ValidationError):
        # Raised by a model or a validator, by field or without fields.
        error = exceptions.ValidationError(as_serializer_error(error))
    elif isinstance(error, SuspiciousOperation):
        # Django's limits on forms. Django itself would log a traceback for each.
        error = exceptions.ParseError("The request has more fields or files than any call takes.")
    return framework_handler(error, context)


def detail(message: str, status: int, headers: dict[str, str] | None = None) -> JsonResponse:
    """The answer to a failure outside of REST framework's views."""
    compact = {"separators": (",", ":")}  # as REST framework writes it
    return JsonResponse({"detail": message}, status=status, headers=headers, json_dumps_params=compact)


def bad_request(request: HttpRequest, exception: Exception) -> JsonResponse:
    return detail("The request is malformed.", 400)


def permission_denied(request: HttpRequest, exception: Exception) -> JsonResponse:
    return detail("You may not do this.", 403)


def not_found(request: HttpRequest, exception: Exception) -> JsonResponse:
    return detail("There is nothing here.", 404)


def server_error(request: HttpRequest) -> JsonResponse:
    # Django calls this while the exception is being handled.
    if database_is_away(sys.exception()):
        metrics.database_away.inc()
        return detail("The service cannot reach its data right now. Try again in a moment.", 503, {"Retry-After": "5"})
    return detail("Something went wrong on our side.", 500)
