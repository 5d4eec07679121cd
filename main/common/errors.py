"""The exceptions by which a rule of the service refuses, and `found`."""

from rest_framework import exceptions, status


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
