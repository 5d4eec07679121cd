"""When writers to SQLite have their turn, on a database of its own, whichever the tests run on."""

import gc
import sqlite3
from contextlib import closing, suppress
from threading import Thread

import pytest
from django.db import Error, IntegrityError, OperationalError, connections, transaction

from common.database import database_is_away
from common.sqlite.base import WRITES
from common.turns import queue_for

NAME = "queued"
INSERT = "INSERT INTO note (text) VALUES ('x')"


@pytest.fixture
def database(tmp_path, monkeypatch, django_db_blocker):
    """A connection to a database with the options of the settings, but little patience."""
    path = str(tmp_path / "db.sqlite3")
    options = {"timeout": 0.2, "transaction_mode": "IMMEDIATE", "init_command": "PRAGMA journal_mode=WAL"}
    settings = {"ENGINE": "common.sqlite", "NAME": path, "OPTIONS": options}
    monkeypatch.setitem(
        connections.settings, NAME, connections.configure_settings({NAME: settings, "default": {}})[NAME]
    )
    with django_db_blocker.unblock():
        execute("CREATE TABLE note (id INTEGER PRIMARY KEY, text TEXT)")
        execute("CREATE TABLE answer (note INTEGER REFERENCES note (id) DEFERRABLE INITIALLY DEFERRED)")
        yield path
        connections[NAME].close()
        del connections[NAME]


@pytest.fixture
def queue(database):
    return queue_for(database)


def execute(sql):
    with connections[NAME].cursor() as cursor:
        cursor.execute(sql)
        return cursor.fetchall()


def is_free(queue):
    turn = queue.take(0)
    if turn:
        queue.give_back(turn)
    return turn is not None


def notes():
    return execute("SELECT count(*) FROM note")[0][0]


def test_the_turn_lasts_for_the_transaction(queue):
    with transaction.atomic(NAME):
        assert not is_free(queue)
        execute(INSERT)
        execute("SELECT 1")
        with transaction.atomic(NAME):
            execute(INSERT)
        assert not is_free(queue)
    assert is_free(queue)
    assert notes() == 2


def fail():
    raise ValueError


def fail_in_savepoint():
    with suppress(IntegrityError), transaction.atomic(NAME):
        execute("INSERT INTO note (id, text) VALUES (1, 'x'), (1, 'x')")
    assert not is_free(queue_for(connections[NAME].settings_dict["NAME"]))
    fail()


@pytest.mark.parametrize(
    "end",
    [
        fail,
        fail_in_savepoint,
        lambda: execute("SELECT nothing"),
        lambda: execute("INSERT INTO answer (note) VALUES (17)"),  # refused by the COMMIT
        lambda: transaction.set_rollback(True, NAME),
        lambda: connections[NAME].close(),
        lambda: connections[NAME].connection.close(),
        lambda: execute("ROLLBACK"),
    ],
)
def test_however_a_transaction_fails_the_turn_is_free(queue, end):
    with suppress(ValueError, Error), transaction.atomic(NAME):
        execute(INSERT)
        end()
    assert is_free(queue)
    assert notes() == 0


def test_a_transaction_that_cannot_begin_leaves_the_turn_free(database, queue):
    with closing(sqlite3.connect(database, isolation_level=None)) as stranger:
        stranger.execute("BEGIN IMMEDIATE")
        with pytest.raises(OperationalError, match="database is locked"), transaction.atomic(NAME):
            pytest.fail("Two transactions write.")
        assert is_free(queue)
    with transaction.atomic(NAME):
        execute(INSERT)
    assert notes() == 1


def test_the_turn_of_a_thread_that_ends_within_a_transaction_is_free(queue):
    def run():
        connections[NAME].set_autocommit(False, force_begin_transaction_with_broken_autocommit=True)
        assert not is_free(queue)

    thread = Thread(target=run)
    thread.start()
    thread.join()
    gc.collect()
    assert is_free(queue)


def write_in_transaction():
    with transaction.atomic(NAME):
        execute(INSERT)


def write_many():
    with connections[NAME].cursor() as cursor:
        cursor.executemany("INSERT INTO note (text) VALUES (%s)", [["x"]])


@pytest.mark.parametrize("write", [write_in_transaction, write_many, lambda: execute(INSERT)])
def test_those_who_write_wait_for_their_turn_and_give_up_like_sqlite(queue, write):
    turn = queue.take(1)
    with pytest.raises(OperationalError, match="database is locked") as failure:
        write()
    assert database_is_away(failure.value)
    queue.give_back(turn)
    assert notes() == 0
    write()
    assert notes() == 1
    assert is_free(queue)


def test_those_who_read_do_not_wait(queue):
    turn = queue.take(1)
    assert notes() == 0
    execute("BEGIN DEFERRED")
    assert notes() == 0
    execute("ROLLBACK")
    queue.give_back(turn)


def test_a_write_that_gives_rows_is_done_when_its_cursor_is_closed(queue):
    with connections[NAME].cursor() as cursor:
        cursor.execute(INSERT + " RETURNING id")
        assert not is_free(queue)
        assert cursor.fetchone() == (1,)
    assert is_free(queue)
    connections[NAME].cursor().execute(INSERT + " RETURNING id")  # and nobody reads it
    assert is_free(queue)
    assert notes() == 2


@pytest.mark.parametrize(
    ("sql", "writes"),
    [
        ("BEGIN IMMEDIATE", True),
        ("\n  insert INTO note VALUES (1)", True),
        ("WITH a AS (SELECT 1)\nDELETE FROM note", True),
        ("UPDATE note SET text = ''", True),
        ("CREATE TABLE a (b)", True),
        ("BEGIN", False),
        ("BEGIN DEFERRED", False),
        ("SELECT 'INSERT'", False),
        ("WITH a AS (SELECT updated FROM note) SELECT * FROM a", False),
        ("SAVEPOINT a", False),
        ("COMMIT", False),
        ("PRAGMA foreign_keys = ON", False),
        ("VACUUM INTO 'copy'", False),
    ],
)
def test_what_writes(sql, writes):
    assert bool(WRITES.match(sql)) == writes


def test_a_database_in_memory_has_no_queue(monkeypatch, django_db_blocker):
    settings = connections.configure_settings({NAME: {"ENGINE": "common.sqlite", "NAME": ":memory:"}, "default": {}})
    monkeypatch.setitem(connections.settings, NAME, settings[NAME])
    with django_db_blocker.unblock():
        execute("CREATE TABLE note (id INTEGER PRIMARY KEY, text TEXT)")
        write_in_transaction()
        assert notes() == 1
        assert connections[NAME].connection.queue is None
        connections[NAME].connection.close()
        del connections[NAME]
