import pytest
from django.db import OperationalError, connection, transaction

from common.transactions import retried_transaction

# Of MySQL and MariaDB
DEADLOCK, LOCK_WAIT, LOST, UNKNOWN_COLUMN = 1213, 1205, 2006, 1054


def failing(codes, calls):
    """An action that fails once with each of the codes, and then is done."""

    @retried_transaction
    def action():
        calls.append(connection.in_atomic_block)
        if len(calls) <= len(codes):
            raise OperationalError(codes[len(calls) - 1], "given up for another's sake")
        return "done"

    return action


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("code", "attempts"), [(DEADLOCK, 5), (LOCK_WAIT, 2)])
def test_a_transaction_given_up_is_run_again(code, attempts):
    calls = []
    assert failing([code] * (attempts - 1), calls)() == "done"
    assert calls == [True] * attempts


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("code", "attempts"), [(DEADLOCK, 5), (LOCK_WAIT, 2), (LOST, 1), (UNKNOWN_COLUMN, 1)])
def test_it_is_not_run_more_often_than_its_failure_is_worth(code, attempts):
    calls = []
    with pytest.raises(OperationalError) as failure:
        failing([code] * attempts, calls)()
    assert failure.value.args[0] == code
    assert len(calls) == attempts


@pytest.mark.django_db(transaction=True)
def test_each_kind_of_failure_is_counted_by_itself():
    calls = []
    assert failing([DEADLOCK, LOCK_WAIT, DEADLOCK, DEADLOCK, DEADLOCK], calls)() == "done"
    assert len(calls) == 6


@pytest.mark.django_db(transaction=True)
def test_a_part_of_another_transaction_is_not_run_again():
    calls = []
    with pytest.raises(OperationalError), transaction.atomic():
        failing([DEADLOCK], calls)()
    assert len(calls) == 1


def test_a_failure_without_a_code_is_raised_as_it_is(transactional_db):
    @retried_transaction
    def fail():
        raise OperationalError

    with pytest.raises(OperationalError):
        fail()
