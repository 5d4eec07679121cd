"""Errors as the contract words them: by field, `{"message"}` where a rule refuses, `{"detail"}` for the rest."""

import sys

from django.core.exceptions import SuspiciousOperation, ValidationError
from django.db import InterfaceError, OperationalError
from django.http import JsonResponse
from rest_framework import exceptions, status
from rest_framework.views import exception_handler as framework_handler


class RuleRefusal(exceptions.APIException):
    """A rule of the service refuses a well-formed request; answered as `{"message": why}`."""


class BadRequest(RuleRefusal):
    status_code = status.HTTP_400_BAD_REQUEST


class Forbidden(RuleRefusal):
    status_code = status.HTTP_403_FORBIDDEN


class Conflict(RuleRefusal):
    status_code = status.HTTP_409_CONFLICT


def found(thing, otherwise):
    """The thing, or 404 with the sentence if it is None."""
    if thing is None:
        raise exceptions.NotFound(otherwise)
    return thing


def exception_handler(error, context):
    if isinstance(error, RuleRefusal):
        error.detail = {"message": error.detail}
    elif isinstance(error, ValidationError):
        # From a model, whose errors are by field.
        error = exceptions.ValidationError(error.message_dict)
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
    if isinstance(sys.exception(), (OperationalError, InterfaceError)):
        return detail("The service cannot reach its data right now. Try again in a moment.", 503, {"Retry-After": "5"})
    return detail("Something went wrong on our side.", 500)
