import pytest
from django.core.exceptions import ValidationError
from django.db import InterfaceError, OperationalError, ProgrammingError

from common.database import database_is_away
from users import actions


@pytest.mark.parametrize(
    "code",
    [
        1021,  # the disk is full
        1040,  # too many connections
        1047,  # a node of a Galera cluster that is not ready
        1053,  # shutting down
        1180,  # a commit that failed, as where a node goes
        1203,  # too many connections of one user
        1205,  # a lock wait
        1213,  # a deadlock
        1290,  # read-only
        1317,  # interrupted
        1836,  # read-only
        1927,  # killed
        1969,  # out of time, on MariaDB
        2002,  # nobody listens
        2006,  # the connection was closed
        2013,  # the connection was lost within a query
        3024,  # out of time, on MySQL
    ],
)
def test_a_code_that_tells_of_the_moment_counts_as_an_outage(code):
    assert database_is_away(OperationalError(code, "x"))


@pytest.mark.parametrize(
    "code",
    [
        1054,  # an unknown column
        1093,  # a table that is read and changed at once
        1364,  # a field without a value
        1999,
        2100,
    ],
)
def test_a_code_that_tells_of_a_mistake_of_ours_is_no_outage(code):
    assert not database_is_away(OperationalError(code, "x"))


def test_other_errors_of_the_database_are_told_apart_by_their_kind_and_text():
    assert database_is_away(InterfaceError(0, ""))
    assert database_is_away(OperationalError("database is locked"))
    assert not database_is_away(OperationalError("no such column: x"))
    assert not database_is_away(OperationalError())
    assert not database_is_away(ProgrammingError(1213, "x"))


@pytest.mark.parametrize(
    ("given", "body"),
    [
        ("plain", {"non_field_errors": ["plain"]}),
        (["one", "two"], {"non_field_errors": ["one", "two"]}),
        ({"bio": ["plain"]}, {"bio": ["plain"]}),
    ],
)
def test_an_invalid_value_found_outside_of_a_serializer_answers_400(as_alice, monkeypatch, given, body):
    def refuse(*args):
        raise ValidationError(given)

    monkeypatch.setattr(actions, "change_profile", refuse)
    answer = as_alice.put("/users/profile", {"bio": "x"})
    assert (answer.status_code, answer.json()) == (400, body)
