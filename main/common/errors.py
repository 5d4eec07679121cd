"""Exceptions for rules that refuse a request, and `found` for 404."""

from typing import TypeVar

from rest_framework import exceptions, status

Thing = TypeVar("Thing")


class RuleRefusal(exceptions.APIException):
    """A rule refuses a well-formed request; answered as `{"message": why}`."""


class BadRequest(RuleRefusal):
    status_code = status.HTTP_400_BAD_REQUEST


class Forbidden(RuleRefusal):
    status_code = status.HTTP_403_FORBIDDEN


class Conflict(RuleRefusal):
    status_code = status.HTTP_409_CONFLICT


class NotSetUp(RuleRefusal):
    """The operator of this server has not set up what the call needs."""

    status_code = status.HTTP_501_NOT_IMPLEMENTED


class PreconditionFailed(RuleRefusal):
    status_code = status.HTTP_412_PRECONDITION_FAILED


def found(thing: Thing | None, otherwise: str) -> Thing:
    """Return the thing, or raise 404 with the sentence if it is None."""
    if thing is None:
        raise exceptions.NotFound(otherwise)
    return thing
