import pytest
from django.db import OperationalError, connection, transaction

from common.transactions import ATTEMPTS, retried_transaction


def failing(times, code, calls):
    @retried_transaction
    def action():
        calls.append(connection.in_atomic_block)
        if len(calls) <= times:
            raise OperationalError(code, "given up for another's sake")
        return "done"

    return action


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("code", [1213, 1205])
def test_a_transaction_given_up_is_run_again(code):
    calls = []
    assert failing(ATTEMPTS - 1, code, calls)() == "done"
    assert calls == [True] * ATTEMPTS


@pytest.mark.django_db(transaction=True)
def test_it_is_not_run_for_ever():
    calls = []
    with pytest.raises(OperationalError):
        failing(ATTEMPTS, 1213, calls)()
    assert len(calls) == ATTEMPTS


@pytest.mark.django_db(transaction=True)
def test_other_failures_are_not_run_again():
    calls = []
    with pytest.raises(OperationalError):
        failing(1, 2006, calls)()
    assert len(calls) == 1


@pytest.mark.django_db(transaction=True)
def test_a_part_of_another_transaction_is_not_run_again():
    calls = []
    with pytest.raises(OperationalError), transaction.atomic():
        failing(1, 1213, calls)()
    assert len(calls) == 1
