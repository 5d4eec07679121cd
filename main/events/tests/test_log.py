"""How changes get into the log, in one order, and out of it again."""

import time
from datetime import timedelta
from threading import Event as Signal

import pytest
from django.db import OperationalError, connection, transaction
from django.utils import timezone

from common.database import DEADLOCK
from events import log
from events.models import Announcement, Event, Kind, Log, Row
from tests.concurrency import at_once

pytestmark = pytest.mark.django_db(transaction=True)

# Seconds after which a test gives up waiting for its other thread.
PATIENCE = 10


def announce(*numbers):
    for number in numbers:
        log.announce(Kind.MESSAGE, conversation_id=1, number=number)


def ordered():
    """The events, in their order, as (position, number)."""
    return list(Event.objects.order_by("position").values_list("position", "number"))


def in_order(*numbers):
    """What `ordered` answers if the log has these numbers, and no others."""
    return list(enumerate(numbers, 1))


def positions():
    return [position for position, _ in ordered()]


@pytest.fixture
def pieces_of_two(monkeypatch):
    monkeypatch.setattr(log, "PIECE", 2)


# Order


def test_announcements_get_positions_without_gaps_in_the_order_of_their_ids():
    announce(30, 10, 20)
    log.order()
    announce(5)
    log.order()
    assert ordered() == in_order(30, 10, 20, 5)
    assert Log.objects.get().last_position == 4
    assert not Announcement.objects.exists()


def test_an_event_tells_all_that_was_announced():
    began = timezone.now()
    log.announce(Kind.READ, user_id=1, conversation_id=2, number=3, other_id=4)
    log.announce(Kind.LOGOUT)
    log.order()
    rows = Event.objects.between(0, 2).rows(10)
    assert rows == [Row(1, Kind.READ, 1, 2, 3, 4), Row(2, Kind.LOGOUT, None, None, None, None)]
    assert all(began <= event.created_at <= timezone.now() for event in Event.objects.all())


def test_events_are_read_after_one_position_up_to_another_and_not_more_than_asked_for():
    announce(10, 20, 30, 40, 50)
    log.order()
    assert [row.number for row in Event.objects.between(1, 4).rows(10)] == [20, 30, 40]
    assert [row.number for row in Event.objects.between(1, 4).rows(2)] == [20, 30]


def test_after_a_rollback_nothing_is_told_and_no_position_is_missing():
    announce(1)
    with transaction.atomic():
        announce(2)
        transaction.set_rollback(True)
    announce(3)
    log.order()
    assert ordered() == in_order(1, 3)


def test_ordering_nothing_asks_once_and_writes_nothing(queries):
    with queries(1):  # whether there is an announcement
        log.order()
    assert not Log.objects.exists()


def test_who_orders_is_given_the_last_position(pieces_of_two):
    assert log.order() == 0
    announce(1, 2, 3)
    assert (log.order(most=1), log.order(), log.order()) == (2, 3, 3)


def test_what_is_ordered_at_once_can_be_bounded_to_a_number_of_pieces(pieces_of_two):
    announce(1, 2, 3, 4, 5)
    log.order(most=1)
    assert ordered() == in_order(1, 2)
    assert list(Announcement.objects.order_by("pk").values_list("number", flat=True)) == [3, 4, 5]
    log.order(most=2)
    assert ordered() == in_order(1, 2, 3, 4, 5)


def test_a_piece_that_was_rolled_back_for_a_deadlock_is_ordered_once():
    attempts = []

    def fail_once(execute, sql, params, many, context):
        result = execute(sql, params, many, context)
        if sql.startswith("UPDATE") and "events_log" in sql:
            attempts.append(sql)
            if len(attempts) == 1:
                raise OperationalError(DEADLOCK, "Deadlock found")
        return result

    announce(1, 2)
    with connection.execute_wrapper(fail_once):
        log.order()
    assert len(attempts) == 2
    assert ordered() == in_order(1, 2)


def test_a_change_that_is_committed_late_gets_a_later_position_and_is_there_once():
    if connection.vendor != "mysql":
        pytest.skip("SQLite has one writer at a time.")
    is_begun, may_go_on = Signal(), Signal()

    def commit_late():
        with transaction.atomic():
            announce(1)
            is_begun.set()
            assert may_go_on.wait(PATIENCE)
            announce(3)

    def commit_early():
        assert is_begun.wait(PATIENCE)
        try:
            announce(2)
            log.order()
            return ordered()
        finally:
            may_go_on.set()

    _, before = at_once(commit_late, commit_early)
    log.order()
    assert before == in_order(2)
    assert ordered() == in_order(2, 1, 3)


def test_of_four_who_order_at_the_same_moment_each_announcement_gets_one_position(monkeypatch):
    monkeypatch.setattr(log, "PIECE", 7)
    with transaction.atomic():
        announce(*range(1, 101))
    assert at_once(*[log.order] * 4) == [100] * 4
    assert ordered() == in_order(*range(1, 101))
    assert Log.objects.get().last_position == 100
    assert not Announcement.objects.exists()


def test_who_follows_the_log_while_it_is_written_sees_each_event_once_in_order(monkeypatch):
    monkeypatch.setattr(log, "PIECE", 3)
    is_done = Signal()

    def write():
        for _ in range(10):
            with transaction.atomic():
                announce(1, 2)
            log.order()

    def write_all():
        try:
            at_once(*[write] * 4)
        finally:
            is_done.set()

    def follow():
        seen, is_last = [0], False
        while not is_last:
            is_last = is_done.is_set()
            rows = Event.objects.between(seen[-1], Log.objects.current().last_position).rows(100)
            seen += [row.position for row in rows]
            time.sleep(0.005)
        return seen

    _, seen = at_once(write_all, follow)
    assert seen == list(range(81))


# The log as a whole


def test_the_log_is_made_once_even_by_six_at_the_same_moment():
    logs = at_once(*[Log.objects.current] * 6)
    assert {(each.pk, each.name, each.last_position) for each in logs} == {(1, Log.objects.get().name, 0)}


def test_a_log_keeps_its_name_and_another_one_has_another():
    first = Log.objects.current().name
    assert Log.objects.current().name == first
    Log.objects.all().delete()
    assert Log.objects.current().name != first
    assert len(first) == 8


# What is removed


@pytest.fixture
def aged():
    """Makes events that are so old, with the next positions."""

    def make(number, **age):
        current = Log.objects.current()
        created_at = timezone.now() - timedelta(**age)
        new = range(current.last_position + 1, current.last_position + number + 1)
        Event.objects.bulk_create(Event(position=each, kind=Kind.LOGOUT, created_at=created_at) for each in new)
        current.last_position += number
        current.save()

    return make


@pytest.fixture
def five_old_three_new(settings, aged):
    settings.EVENTS_KEPT_DAYS = 7
    aged(5, days=7, minutes=1)
    aged(3, days=6, hours=23, minutes=59)


def test_what_is_older_than_the_days_kept_is_removed_in_pieces(five_old_three_new, pieces_of_two):
    left = [positions() for _ in log.pieces_of_old()]
    assert left == [[3, 4, 5, 6, 7, 8], [5, 6, 7, 8], [6, 7, 8]]
    assert list(log.pieces_of_old()) == []


def test_the_days_kept_are_a_setting(five_old_three_new, settings):
    settings.EVENTS_KEPT_DAYS = 8
    assert list(log.pieces_of_old()) == []
    assert positions() == [1, 2, 3, 4, 5, 6, 7, 8]


def test_the_upkeep_removes_what_is_old(five_old_three_new, upkeep):
    upkeep()
    assert positions() == [6, 7, 8]


def test_what_is_not_ordered_yet_is_not_removed(five_old_three_new, upkeep):
    announce(1)
    upkeep()
    log.order()
    assert ordered() == [(6, None), (7, None), (8, None), (9, 1)]


def test_positions_go_on_after_everything_was_removed(aged, upkeep):
    aged(3, days=100)
    upkeep()
    announce(1)
    log.order()
    assert ordered() == [(4, 1)]


def test_the_oldest_position_is_of_the_oldest_event_or_else_the_next_one(five_old_three_new, upkeep):
    assert log.oldest_position(Log.objects.current()) == 1
    upkeep()
    assert log.oldest_position(Log.objects.current()) == 6
    Event.objects.all().delete()
    assert log.oldest_position(Log.objects.current()) == 9


def test_the_oldest_position_of_a_new_log_is_the_first_one():
    assert log.oldest_position(Log.objects.current()) == 1


# Listeners


@pytest.fixture
def heard(monkeypatch):
    """How many announcements there were, each time that a listener was called."""
    counts = []
    monkeypatch.setattr(log, "listeners", [lambda: counts.append(Announcement.objects.count())])
    return counts


def test_listeners_are_called_after_the_commit_and_not_before(heard):
    with transaction.atomic():
        announce(1)
        assert heard == []
    assert heard == [1]


def test_every_listener_is_called(heard):
    log.listeners.append(log.listeners[0])
    announce(1)
    assert heard == [1, 1]


def test_listeners_are_not_called_after_a_rollback(heard):
    with transaction.atomic():
        announce(1)
        transaction.set_rollback(True)
    assert heard == []


def test_a_change_made_by_a_call_calls_the_listeners(heard, as_alice):
    heard.clear()
    assert as_alice.put("/users/profile", {"bio": "New."}).status_code == 200
    assert heard == [1]


def test_a_listener_that_fails_does_not_reach_the_client(monkeypatch, caplog, as_alice, alice):
    def fail():
        raise RuntimeError

    monkeypatch.setattr(log, "listeners", [fail])
    assert as_alice.put("/users/profile", {"bio": "New."}).json()["bio"] == "New."
    alice.refresh_from_db()
    assert alice.bio == "New."
    assert Announcement.objects.get().kind == Kind.PROFILE
    assert [record.levelname for record in caplog.records if record.exc_info] == ["ERROR"]
