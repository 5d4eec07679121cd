"""Errors as the contract words them: by field, `{"message"}` where a rule refuses, `{"detail"}` for the rest."""

import sys

from django.core.exceptions import SuspiciousOperation, ValidationError
from django.db import InterfaceError, OperationalError
from django.http import JsonResponse
from rest_framework import exceptions, status
from rest_framework.serializers import as_serializer_error
from rest_framework.views import exception_handler as framework_handler

# Of MySQL and MariaDB, besides all from 2000 to 2099, which are of the connection: too many connections, shutting down,
# lock wait, deadlock, read-only, interrupted, no disk, killed, out of time; and of a node of a Galera cluster that is
# not ready, or goes: 1047, 1180.
MYSQL_AWAY = {1040, 1047, 1053, 1180, 1203, 1205, 1213, 1290, 1317, 1021, 1836, 1927, 1969, 3024}
SQLITE_AWAY = (
    "database is locked",
    "unable to open",
    "disk I/O",
    "database or disk is full",
    "attempt to write a readonly",
)


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


def database_is_away(error):
    """Whether the error tells of the moment, and not of a mistake of ours in what was asked of the database."""
    if not isinstance(error, OperationalError):
        return isinstance(error, InterfaceError)
    what = error.args[0] if error.args else None
    if isinstance(what, int):
        return 2000 <= what < 2100 or what in MYSQL_AWAY
    return str(what).startswith(SQLITE_AWAY)


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
