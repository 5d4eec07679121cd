from datetime import timedelta

import pytest
from django.db.models import F
from rest_framework.exceptions import Throttled

from common import rates
from common.models import RateCounter
from common.rates import Limit, leases, refunded_on_success
from tests.concurrency import at_once


@pytest.fixture(autouse=True)
def _rates(settings):
    settings.LOGIN_RATE = (5, 60)
    settings.SEARCH_RATE = (100, 60)


ALICE, BOB = Limit("LOGIN_RATE", "alice"), Limit("LOGIN_RATE", "bob")


def spend(limit, number):
    """How many of so many were let through."""
    waits = []
    for _ in range(number):
        try:
            limit.spend()
        except Throttled as refusal:
            waits.append(refusal.wait)
    assert all(1 <= wait <= 60 for wait in waits)
    return number - len(waits)


def pass_time(**time):
    RateCounter.objects.update(expires_at=F("expires_at") - timedelta(**time))


def test_so_many_get_through_and_no_more(db):
    assert spend(ALICE, 8) == 5
    assert spend(BOB, 8) == 5
    assert spend(Limit("LOGIN_RATE", "alice", times=20), 101) == 100


def test_after_the_period_there_are_as_many_again(db):
    assert spend(ALICE, 8) == 5
    pass_time(seconds=59)
    assert spend(ALICE, 8) == 0
    pass_time(seconds=1)
    assert spend(ALICE, 8) == 5


def test_a_rate_that_is_off_lets_all_through_and_writes_nothing(db, settings, queries):
    settings.LOGIN_RATE = None
    with queries(0):
        assert spend(ALICE, 8) == 8
        with refunded_on_success(ALICE):
            pass


def test_a_fixed_rate_needs_no_setting(db):
    fixed = Limit("fixed", "alice", fixed_rate=(3, 60))
    assert spend(fixed, 5) == 3
    fixed.refund()
    assert spend(fixed, 5) == 1
    pass_time(seconds=60)
    assert spend(Limit("fixed", "alice", fixed_rate=(3, 60)), 5) == 3


def test_what_succeeds_is_given_back_and_what_fails_is_not(db):
    for _ in range(10):
        with refunded_on_success(ALICE, BOB):
            pass
    for _ in range(5):
        with pytest.raises(ValueError, match="wrong"), refunded_on_success(ALICE, BOB):
            raise ValueError("wrong")
    assert (spend(ALICE, 1), spend(BOB, 1)) == (0, 0)


def test_what_one_limit_refuses_does_not_count_against_the_other(db):
    assert spend(BOB, 5) == 5
    for _ in range(10):
        with pytest.raises(Throttled), refunded_on_success(ALICE, BOB):
            pass
    assert spend(ALICE, 8) == 5


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("known", [False, True])
def test_of_24_at_once_as_many_get_through_as_may(known):
    if known:
        spend(ALICE, 1)
        pass_time(seconds=60)
    assert sum(at_once(*[lambda: spend(ALICE, 1)] * 24)) == 5
    assert RateCounter.objects.get().count == 5


@pytest.mark.django_db(transaction=True)
def test_of_many_who_give_back_at_once_nothing_is_lost():
    def use():
        with refunded_on_success(Limit("LOGIN_RATE", "alice", times=20)):
            return True

    assert at_once(*[use] * 24) == [True] * 24
    assert RateCounter.objects.get().count == 0


def test_a_leased_limit_is_written_once_in_a_while(db, queries):
    search = Limit("SEARCH_RATE", 1, leased=True)
    search.spend()
    with queries(1):  # one reservation of two
        assert spend(search, 3) == 3
    assert RateCounter.objects.get().count == 4
    assert spend(search, 200) == 96


def test_two_processes_share_a_leased_limit(db):
    search = Limit("SEARCH_RATE", 1, leased=True)
    assert spend(search, 51) == 51
    leases.clear()  # as the other process has none
    assert spend(search, 100) == 48


def test_a_process_keeps_no_more_leases_than_it_may(db, monkeypatch):
    monkeypatch.setattr(rates, "MAX_LEASES", 3)
    for user in range(8):
        assert spend(Limit("SEARCH_RATE", user, leased=True), 1) == 1
        assert len(leases) <= 3


def test_what_has_expired_is_pruned(db):
    for number in range(30):
        Limit("LOGIN_RATE", number).spend()
    pass_time(seconds=60)
    for number in range(100, 110):
        Limit("LOGIN_RATE", number).spend()
    assert RateCounter.objects.count() == 10


def test_the_table_names_nobody(db):
    ALICE.spend()
    [counter] = RateCounter.objects.values()
    assert "alice" not in str(counter)
    assert len(counter["key"]) == 64


def test_counting_takes_one_query(db, queries):
    ALICE.spend()
    with queries(1):
        ALICE.spend()
    with queries(1):
        ALICE.refund()


def test_no_count_falls_below_nothing(db):
    ALICE.spend()
    ALICE.refund()
    ALICE.refund()
    assert RateCounter.objects.get().count == 0
