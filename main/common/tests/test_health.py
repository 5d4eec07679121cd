import socket
import time

import pytest
from django.db import connection, connections
from django.db.migrations.recorder import MigrationRecorder

from common import health


def test_the_process_answers_whatever_the_database_does(anonymous, queries):
    with queries(0):
        answer = anonymous.get("/healthz")
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


@pytest.mark.django_db(transaction=True)
def test_it_is_ready_while_the_database_answers_with_every_migration(anonymous):
    answer = anonymous.get("/readyz")
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


@pytest.mark.django_db(transaction=True)
def test_it_is_not_ready_without_every_migration(anonymous):
    recorder = MigrationRecorder(connection)
    recorder.record_unapplied("users", "0001_initial")
    try:
        answer = anonymous.get("/readyz")
    finally:
        recorder.record_applied("users", "0001_initial")
    assert (answer.status_code, answer.json()) == (503, {"detail": "There are migrations to apply."})


@pytest.fixture
def silent_port():
    """Of a server that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.mark.parametrize("how", ["silent", "closed"])
def test_it_is_not_ready_within_two_seconds_without_the_database(anonymous, monkeypatch, silent_port, how):
    create = connections.create_connection

    def elsewhere(alias):
        made = create(alias)
        port = silent_port if how == "silent" else 1
        made.settings_dict = made.settings_dict | {"PORT": port, "NAME": "/no/such/folder/file"}
        return made

    monkeypatch.setattr(connections, "create_connection", elsewhere)
    started = time.monotonic()
    assert health.what_is_missing() == "The database does not answer, or was never migrated."
    assert time.monotonic() - started < 2
    answer = anonymous.get("/readyz")
    assert (answer.status_code, answer.json()) == (
        503,
        {"detail": "The database does not answer, or was never migrated."},
    )


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_a_checker_may_ask_by_address(db, anonymous, path):
    assert anonymous.get(path, headers={"host": "10.0.0.7:8000"}).status_code == 200


@pytest.mark.parametrize("path", ["/", "/users/profile", "/healthz/", "/readyz/x"])
def test_others_have_to_know_the_name(anonymous, path):
    assert anonymous.get(path, headers={"host": "10.0.0.7:8000"}).status_code == 400
