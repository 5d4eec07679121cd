"""Transactions on MySQL and MariaDB: how they begin and end, and what they cost."""

from contextlib import contextmanager

import pytest
from django.db import DatabaseError, connection, connections, transaction
from django.utils import timezone

from common.models import RateCounter

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif("connection.vendor != 'mysql'", reason="It is about the backend for MySQL."),
]


def add(key):
    RateCounter.objects.create(key=key, count=1, expires_at=timezone.now())


def seen_by_others():
    """The keys that another connection sees."""
    other = connections.create_connection("default")
    try:
        with other.cursor() as cursor:
            cursor.execute("SELECT `key` FROM common_ratecounter ORDER BY `key`")
            return [key for (key,) in cursor.fetchall()]
    finally:
        other.close()


@contextmanager
def statements(**expected):
    """Fails unless the block makes so many statements of each kind; the kinds are MariaDB's."""

    def counts():
        with connection.cursor() as cursor:
            cursor.execute("SHOW SESSION STATUS LIKE 'Com\\_%%'")
            return {name.lower(): int(value) for name, value in cursor.fetchall()}

    before = counts()
    yield
    after = counts()
    made = {name: after[name] - before[name] for name in after if after[name] != before[name]}
    assert made == {f"com_{kind}": number for kind, number in expected.items()} | {"com_show_status": 1}


def test_a_transaction_is_begun_and_committed_and_costs_nothing_else():
    connection.ensure_connection()
    with statements(begin=1, insert=1, commit=1), transaction.atomic():
        add("a")
        assert seen_by_others() == []
    assert seen_by_others() == ["a"]


def test_after_a_transaction_each_write_is_committed_by_itself():
    with statements(begin=1, insert=1, rollback=1), transaction.atomic():
        add("a")
        transaction.set_rollback(True)
    assert seen_by_others() == []
    add("b")
    assert seen_by_others() == ["b"]
    assert connection.get_autocommit()
    assert connection.connection.get_autocommit()


def test_a_part_of_a_transaction_can_be_undone():
    with transaction.atomic():
        add("a")
        with transaction.atomic():
            add("b")
            transaction.set_rollback(True)
        with pytest.raises(DatabaseError), transaction.atomic():
            add("a")
        add("c")
    assert seen_by_others() == ["a", "c"]


def test_a_transaction_on_a_lost_connection_fails_and_the_next_one_works():
    add("a")
    with connection.cursor() as cursor:
        cursor.execute("SELECT CONNECTION_ID()")
        [number] = cursor.fetchone()
    other = connections.create_connection("default")
    with other.cursor() as cursor:
        cursor.execute(f"KILL {number}")
    other.close()
    with pytest.raises(DatabaseError), transaction.atomic():
        add("b")
    connection.close()
    with transaction.atomic():
        add("c")
    assert seen_by_others() == ["a", "c"]
