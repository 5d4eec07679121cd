"""GET /users/export as clients see it: a real server of one process, real connections."""

import json
import re
import signal
import socket
import time
from contextlib import closing, suppress
from http.client import HTTPConnection, HTTPException
from pathlib import Path

import pytest
from django.db import connection

from conversations import actions as conversations
from conversations.models import Conversation, Message
from delivery.tests.live import DEADLINE, LINGER_NOT, Server, call, call_on, eventually
from users.models import AuthToken

pytestmark = pytest.mark.django_db(transaction=True)

# Too many for what the kernel keeps for a client that does not read, and for the maker to be through at once.
MESSAGES = 15_000


@pytest.fixture(scope="module")
def running(django_db_setup, tmp_path_factory):
    folder = tmp_path_factory.mktemp("exports")
    with Server(1, TMPDIR=str(folder)) as server:
        server.folder = folder
        eventually(server.is_up)
        yield server


@pytest.fixture
def server(running, transactional_db):
    eventually(running.is_up)
    yield running
    eventually(lambda: not files_of(running) and not snapshots())


@pytest.fixture
def token(alice):
    return AuthToken.objects.issue(alice)


@pytest.fixture
def much(alice, bob):
    """Lets alice and bob have talked much."""
    group = conversations.create_group(alice, "Much", [bob.pk])
    Message.objects.bulk_create(
        (Message(conversation=group, number=number, sender=bob, text="x" * 1000) for number in range(1, MESSAGES + 1)),
        batch_size=2000,
    )
    Conversation.objects.filter(pk=group.pk).update(last_number=MESSAGES)


def files_of(server):
    """The open files of exports in the process."""
    found = []
    for path in Path(f"/proc/{server.process.pid}/fd").iterdir():
        with suppress(OSError):
            if str(path.readlink()).startswith(str(server.folder)):
                found.append(path.stat().st_size)
    return found


def snapshots():
    """Connections to the database that read a snapshot."""
    if connection.vendor == "sqlite":
        return []
    time.sleep(0.15)  # InnoDB answers the same for a tenth of a second since it was last asked
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT trx_mysql_thread_id FROM information_schema.innodb_trx"
            " WHERE trx_isolation_level = 'REPEATABLE READ'"
        )
        return [number for (number,) in cursor.fetchall()]


class Download:
    """An export as a client takes it."""

    def __init__(self, server, token):
        self.http = HTTPConnection("127.0.0.1", server.port, timeout=DEADLINE)
        self.http.connect()
        self.socket = self.http.sock
        self.http.request("GET", "/users/export", headers={"Authorization": f"Token {token}"})
        self.answer = self.http.getresponse()
        assert self.answer.status == 200, self.answer.read()
        self.request_id = self.answer.headers["X-Request-ID"]

    def numbers(self, begun=b""):
        """The numbers of the messages, once all is read."""
        [conversation] = json.loads(begun + self.answer.read())["conversations"]
        return [message["number"] for message in conversation["messages"]]

    def close(self):
        self.answer.close()
        self.http.close()


@pytest.fixture
def download(server, token):
    with closing(Download(server, token)) as download:
        yield download


ALL = list(range(1, MESSAGES + 1))


def test_a_short_one_is_what_the_test_client_gets_and_the_connection_stays(server, token, as_alice, alice):
    with closing(HTTPConnection("127.0.0.1", server.port, timeout=DEADLINE)) as http:
        status, body = call_on(http, "GET", "/users/export", token=token)
        expected = as_alice.get("/users/export").json()
        assert status == 200
        assert body.keys() == expected.keys()
        assert {**body, "exported_at": 0} == {**expected, "exported_at": 0}
        assert call_on(http, "GET", "/users/profile", token=token)[0] == 200


def test_a_long_one_comes_whole_and_is_logged(server, much, download):
    assert download.answer.headers["Transfer-Encoding"] == "chunked"
    assert download.answer.headers["Content-Length"] is None
    assert download.numbers() == ALL
    eventually(lambda: len(server.lines_of(download.request_id)) == 2)
    asked, closed = server.lines_of(download.request_id)
    assert re.fullmatch(r"GET /users/export 200 0\.0 ms user \d+", asked)
    assert re.fullmatch(r"GET /users/export closed after 0\.0 s, \d+ bytes, user \d+", closed)


def test_who_does_not_read_holds_nothing_but_the_file(server, much, download, bob):
    begun = download.answer.read(1000)
    eventually(lambda: is_made(server))
    eventually(lambda: not snapshots())
    began = time.monotonic()
    others = AuthToken.objects.issue(bob)
    for _ in range(20):
        assert call(server.port, "GET", "/users/profile", token=others)[0] == 200
    assert time.monotonic() - began < 2
    with closing(Download(server, others)) as second:  # the thread that makes them is free
        assert second.numbers() == ALL
    assert len(files_of(server)) == 1
    assert download.numbers(begun) == ALL


def is_made(server):
    """Whether the file does not grow any more."""
    before = files_of(server)
    time.sleep(0.5)
    return before and files_of(server) == before


@pytest.mark.parametrize("how", ["politely", "with a reset"])
def test_of_a_client_that_leaves_nothing_is_left(server, much, download, how):
    download.answer.read(1000)
    eventually(lambda: files_of(server))
    if how == "with a reset":
        download.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_NOT)
    download.close()
    eventually(lambda: not files_of(server) and not snapshots())
    eventually(lambda: len(server.lines_of(download.request_id)) == 2)
    assert server.lines_of(download.request_id)[1].endswith("it is not complete, since the client has left")
    assert [path for path in server.folder.iterdir() if not path.is_dir()] == []


def test_http_1_0_gets_the_whole_with_its_length(server, much, token):
    with socket.create_connection(("127.0.0.1", server.port), timeout=DEADLINE) as sock:
        sock.sendall(f"GET /users/export HTTP/1.0\r\nAuthorization: Token {token}\r\n\r\n".encode())
        with sock.makefile("rb") as file:
            head, _, body = file.read().partition(b"\r\n\r\n")
    assert b"content-length: %d" % len(body) in head.split(b"\r\n")
    assert b"transfer-encoding" not in head
    assert len(json.loads(body)["conversations"][0]["messages"]) == MESSAGES


def test_a_logout_ends_it_soon(server, much, download, token):
    download.answer.read(1000)
    assert call(server.port, "POST", "/users/logout-all", token=token)[0] == 204
    time.sleep(5)
    with pytest.raises((HTTPException, OSError)):
        download.numbers()
    eventually(lambda: len(server.lines_of(download.request_id)) == 2)
    assert server.lines_of(download.request_id)[1].endswith("it is not complete, since the token has died")


def test_a_database_that_goes_away_ends_it(server, much, download):
    if connection.vendor != "mysql":
        pytest.skip("SQLite does not go away.")
    download.answer.read(1000)
    [number] = snapshots()
    with connection.cursor() as cursor:
        cursor.execute(f"KILL CONNECTION {number}")
    with pytest.raises((HTTPException, OSError)):
        download.numbers()
    eventually(lambda: len(server.lines_of(download.request_id)) == 2)
    assert re.search(r"not complete, since \(20(06|13), ", server.lines_of(download.request_id)[1])


def test_when_the_server_stops_an_export_is_finished(transactional_db, much, token, tmp_path):
    with Server(1, TMPDIR=str(tmp_path)) as server:
        eventually(server.is_up)
        with closing(Download(server, token)) as download:
            begun = download.answer.read(1000)
            server.process.send_signal(signal.SIGTERM)
            assert download.numbers(begun) == ALL
        assert server.process.wait(DEADLINE) in (0, -signal.SIGTERM)
