"""How an export reaches its client, with a thread that makes it as the test says: see tests.test_asgi."""

import json
import logging
import time
from threading import Event

import pytest
from django.db import OperationalError

from export import answers
from export.answers import MAX_EXPORTS, PART, TIME_OF_ITS_OWN, ExportAnswer, ExportContinuation, Sending
from export.files import UnwantedError
from export.making import DeadTokenError
from main import asgi
from main.connections import Connection
from tests.test_asgi import NoHub, header, run

SOME = b"x" * PART
LOST = OperationalError(2013, "Lost connection to server during query")


class Refunds:
    number = 0

    def refund(self):
        self.number += 1


@pytest.fixture(autouse=True)
def refunds(monkeypatch):
    """What was given back of the limit."""
    monkeypatch.setattr(asgi.upkeep, "work_in_background", lambda is_stopping: None)
    monkeypatch.setattr(asgi, "Hub", NoHub)
    refunds = Refunds()
    monkeypatch.setattr(answers, "limit_of", lambda user_id: refunds)
    return refunds


@pytest.fixture
def taken(monkeypatch):
    """What is sent of an export that a function of the file makes: (messages, connection)."""

    def taken(make, **scope):
        def make_and_finish(user_id, token_id, file):
            try:
                make(file)
            except UnwantedError:
                pass
            except Exception as error:
                file.finish(error)
            else:
                file.finish()

        monkeypatch.setattr(answers, "make", make_and_finish)

        def export(environ, start_response):
            answer = ExportAnswer(ExportContinuation(1, 2), content_type="application/json")
            answer["X-Request-ID"], answer["Content-Disposition"] = "abc", "attachment"
            answer["Access-Control-Allow-Origin"] = "*"
            start_response("200 OK", list(answer.items()))
            return answer

        sent, connection = run(export, method="GET", **scope)
        assert not [each for each in ExportContinuation.opened if isinstance(each, Sending)]
        return sent, connection

    return taken


def body(sent):
    return b"".join(message["body"] for message in sent[1:])


def test_a_short_one_is_an_ordinary_answer(taken):
    sent, connection = taken(lambda file: file.write(b"[]"))
    assert (body(sent), header(sent, b"content-length"), header(sent, b"connection")) == (b"[]", b"2", None)
    assert not connection.transport.is_aborted


@pytest.fixture
def got_some(monkeypatch):
    """Set once the client has got something."""
    got_some = Event()

    def see(self, size, taking=Connection.taking):
        got_some.set()
        taking(self, size)

    monkeypatch.setattr(Connection, "taking", see)
    return got_some


def test_a_long_one_is_sent_while_it_is_made(taken, got_some):
    def make(file):
        file.write(SOME + b"1")
        assert got_some.wait(10)
        file.write(b"2" * PART)

    sent, _ = taken(make)
    assert body(sent) == SOME + b"1" + b"2" * PART
    assert max(len(message["body"]) for message in sent[1:]) == PART
    assert header(sent, b"content-length") is None
    assert header(sent, b"connection") == b"close"
    assert [message.get("more_body", False) for message in sent[1:]][-2:] == [True, False]


def test_http_1_0_gets_the_length(taken):
    def make(file):
        file.write(SOME)
        time.sleep(0.1)
        file.write(b"y" * PART)

    sent, _ = taken(make, http_version="1.0")
    assert header(sent, b"content-length") == b"%d" % (2 * PART)
    assert body(sent) == SOME + b"y" * PART


@pytest.mark.parametrize("size", [1, 2 * PART])
def test_who_waits_gets_white_space(taken, monkeypatch, size):
    monkeypatch.setattr(answers, "SILENCE", 0.02)

    def make(file):
        time.sleep(0.2)
        file.write(json.dumps("x" * size).encode())

    sent, _ = taken(make)
    assert body(sent).startswith(b"  ")
    assert json.loads(body(sent)) == "x" * size
    assert sent[-1] == {"type": "http.response.body", "body": b""}


def test_http_1_0_waits_longer_than_for_other_answers(taken, monkeypatch):
    monkeypatch.setattr(answers, "SILENCE", 0.02)
    extended = []
    monkeypatch.setattr(Connection, "taking", lambda self, size: extended.append(size))

    def make(file):
        time.sleep(0.2)
        file.write(b"[]")

    sent, _ = taken(make, http_version="1.0")
    assert body(sent) == b"[]"
    assert extended[:3] == [0, 0, 0]


@pytest.mark.parametrize(
    ("error", "status", "refunded"),
    [
        (LOST, 503, 1),
        (OSError(28, "No space left on device"), 503, 1),
        (KeyError("x"), 500, 1),
        (DeadTokenError(), 401, 0),
    ],
)
def test_what_fails_before_its_beginning_is_answered_as_what_it_is(taken, refunds, caplog, error, status, refunded):
    caplog.set_level(logging.INFO)

    def make(file):
        file.write(b"{")
        raise error

    sent, _ = taken(make)
    assert sent[0]["status"] == status
    assert list(json.loads(body(sent))) == ["detail"]
    assert (header(sent, b"retry-after"), header(sent, b"www-authenticate")) == (
        (b"5" if status == 503 else None),
        (b"Token" if status == 401 else None),
    )
    assert (header(sent, b"x-request-id"), header(sent, b"access-control-allow-origin")) == (b"abc", b"*")
    assert header(sent, b"content-disposition") is None
    assert refunds.number == refunded
    assert [bool(record.exc_info) for record in caplog.records if "not complete" in record.message] == [status == 500]


def test_what_fails_later_is_cut_off(taken, refunds, caplog, got_some):
    def make(file):
        file.write(3 * SOME)
        assert got_some.wait(10)
        raise LOST

    sent, connection = taken(make)
    assert connection.transport.is_aborted
    assert all(message.get("more_body") for message in sent[1:])
    assert refunds.number == 1
    [line] = [record.message for record in caplog.records]
    assert line.startswith("GET /users/export closed after 0.")
    assert "not complete" in line
    assert "2013" in line


def test_a_dead_token_ends_it(taken, monkeypatch):
    monkeypatch.setattr(answers, "TOKEN_CHECKED_EVERY", 0)
    dead = iter([{}, {2: "logout"}])
    monkeypatch.setattr(answers, "find_dead", lambda tokens: next(dead))
    sent, connection = taken(lambda file: file.write(3 * SOME))
    assert connection.transport.is_aborted
    assert body(sent) == SOME


def test_while_the_database_is_away_what_is_made_is_sent(taken, monkeypatch):
    def away(tokens):
        raise LOST

    monkeypatch.setattr(answers, "TOKEN_CHECKED_EVERY", 0)
    monkeypatch.setattr(answers, "find_dead", away)
    sent, _ = taken(lambda file: file.write(3 * SOME))
    assert body(sent) == 3 * SOME


def test_one_that_is_not_taken_in_time_is_cut_off(taken, monkeypatch):
    monkeypatch.setattr(answers, "TIME_TO_TAKE", 0.1)
    stopped = Event()

    def make(file):
        try:
            while True:
                file.write(b"")
                time.sleep(0.01)
        except UnwantedError:
            stopped.set()
            raise

    sent, connection = taken(make)
    assert sent == []
    assert connection.transport.is_aborted
    assert stopped.wait(10)


class Old:
    """Another export, which began so many seconds ago."""

    def __init__(self, seconds):
        self.began, self.broken_by = time.monotonic() - seconds, None

    def break_off(self, why):
        self.broken_by = why


def test_beyond_so_many_there_is_no_place(monkeypatch, refunds):
    monkeypatch.setattr(ExportContinuation, "opened", [Old(TIME_OF_ITS_OWN - 1) for _ in range(MAX_EXPORTS)])

    def export(environ, start_response):
        start_response("200 OK", [("X-Request-ID", "abc")])
        return ExportAnswer(ExportContinuation(1, 2))

    sent, _ = run(export, method="GET")
    assert (sent[0]["status"], header(sent, b"retry-after")) == (503, b"5")
    assert json.loads(body(sent)) == {"detail": "Too many exports are being made. Try again in a moment."}
    assert refunds.number == 1


def test_a_slow_one_gives_its_place_to_a_new_one(monkeypatch, taken):
    others = [Old(TIME_OF_ITS_OWN + 1), *(Old(1) for _ in range(MAX_EXPORTS - 1))]
    opened = [*others]
    monkeypatch.setattr(ExportContinuation, "opened", opened)
    sent, _ = taken(lambda file: file.write(b"[]"))
    assert body(sent) == b"[]"
    assert opened == others[1:]
    assert [bool(each.broken_by) for each in others] == [True] + [False] * (MAX_EXPORTS - 1)


def test_a_client_that_leaves_before_the_beginning_is_no_stream(taken, monkeypatch):
    begun = []
    monkeypatch.setattr(Connection, "stream", begun.append)
    monkeypatch.setattr(Connection, "is_closing", property(lambda self: self.when_lost is not None))
    sent, _ = taken(lambda file: file.write(2 * SOME))
    assert (sent, begun) == ([], [])


def test_the_file_of_a_client_that_leaves_is_closed(taken, monkeypatch):
    files = []

    def leave(self, size, taking=Connection.taking):
        taking(self, size)
        self.transport.abort()
        self.when_lost()

    monkeypatch.setattr(Connection, "taking", leave)

    def make(file):
        files.append(file)
        while True:
            file.write(SOME)
            time.sleep(0.001)

    taken(make)
    [file] = files
    assert (file.is_closed, file.file.closed, file.is_finished) == (True, True, False)
    assert file.read(0, 1) == b""
