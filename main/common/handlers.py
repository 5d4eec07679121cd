"""How errors are answered: by field, `{"message"}` where a rule refuses, `{"detail"}` for the rest."""

import sys

from django.core.exceptions import SuspiciousOperation, ValidationError
from django.http import JsonResponse
from rest_framework import exceptions
from rest_framework.serializers import as_serializer_error
from rest_framework.views import exception_handler as framework_handler

from common.database import database_is_away
from common.errors import RuleRefusal


def exception_handler(error, context):
    if isinstance(error, RuleRefusal):
        error.detail = {"message": error.detail}
    elif isinstance(error, ValidationError):
        # From a model or a validator, with a list of why by field, or without fields.
        error = exceptions.ValidationError(as_serializer_error(error))
    elif isinstance(error, SuspiciousOperation):
        # Django's limits on forms; left to Django, each would be a traceback in the log.
        error = exceptions.ParseError("The request has more fields or files than any call takes.")
    return framework_handler(error, context)


def detail(message, status, headers=None):
    """The answer for what fails outside of REST framework."""
    compact = {"separators": (",", ":")}  # as REST framework writes it
    return JsonResponse({"detail": message}, status=status, headers=headers, json_dumps_params=compact)


def bad_request(request, exception):
    return detail("The request is malformed.", 400)


def permission_denied(request, exception):
    return detail("You may not do this.", 403)


def not_found(request, exception):
    return detail("There is nothing here.", 404)


def server_error(request):
    # Django calls this while it handles the error.
    if database_is_away(sys.exception()):
        return detail("The service cannot reach its data right now. Try again in a moment.", 503, {"Retry-After": "5"})
    return detail("Something went wrong on our side.", 500)
