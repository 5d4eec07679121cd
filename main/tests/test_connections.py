"""What the guard of a connection lets through to the server, keeps back, and cuts off."""

from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common import metrics
from main import connections
from main.connections import Connection, current

HEAD = b"POST /users/login HTTP/1.1\r\nHost: localhost\r\n"
BODY = b'{"username": "alice"}'
POST = HEAD + b"Content-Length: %d\r\n\r\n" % len(BODY) + BODY
GET = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"


class Transport:
    """Stands for the transport of the event loop; what is written is taken at once unless `untaken` says otherwise."""

    def __init__(self):
        self.written, self.untaken = b"", 0
        self.has_eof = self.is_aborted = self.is_paused = False

    def write(self, data):
        self.written += data

    def write_eof(self):
        self.has_eof = True

    def abort(self):
        self.is_aborted = True

    close = abort

    def is_closing(self):
        return self.is_aborted

    def get_write_buffer_size(self):
        return self.untaken

    def set_write_buffer_limits(self, high=None):
        pass

    def get_extra_info(self, name):
        raise OSError  # there is no socket

    def pause_reading(self):
        self.is_paused = True

    def resume_reading(self):
        self.is_paused = False


class Server:
    """Stands for the protocol of the HTTP server."""

    def __init__(self):
        self.received = b""
        self.refuses = False

    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        self.received += data
        if self.refuses:
            self.transport.write(b"HTTP/1.1 400 Bad Request\r\n\r\nIn plain text.")
            self.transport.close()

    def connection_lost(self, exc):
        pass

    def pause_writing(self):
        pass

    def resume_writing(self):
        pass


@pytest.fixture(autouse=True)
def connect(monkeypatch):
    """Makes connections; none is there before or after."""
    made = []

    def make():
        connection = Connection(Server())
        connection.connection_made(Transport())
        made.append(connection)
        return connection

    monkeypatch.setattr(Connection, "opened", {})
    monkeypatch.setattr(Connection, "total_held", 0)
    yield make
    for connection in made:
        connection.connection_lost(None)
    assert (Connection.opened, Connection.total_held) == ({}, 0)


def answer(connection, length=0):
    """What the application does with a request."""
    connection.expect(length)
    connection.received()
    connection.take_body()
    connection.answered()


def at_work(connect):
    """A connection whose request is being answered."""
    connection = connect()
    connection.data_received(GET)
    connection.expect(0)
    connection.received()
    return connection


def untaken(connect):
    """A connection whose client has not taken the answer yet."""
    connection = at_work(connect)
    connection.transport.untaken = 1
    connection.answered()
    return connection


def statuses(connection):
    return [line.split()[1] for line in connection.transport.written.split(b"\r\n") if line.startswith(b"HTTP/")]


# One request at a time


@given(size=st.integers(1, 200), requests=st.lists(st.sampled_from([GET, POST, b"\r\n" + GET]), min_size=1, max_size=5))
def test_the_server_gets_one_request_at_a_time_in_whatever_pieces_they_come(size, requests):
    connection = Connection(Server())
    connection.connection_made(Transport())
    waiting, has_asked = [request.lstrip() for request in requests], False
    data = b"".join(requests)
    for start in range(0, len(data), size):
        connection.data_received(data[start : start + size])
        while waiting and connection.server.received:
            head, separator, body = waiting[0].partition(b"\r\n\r\n")
            assert waiting[0].startswith(connection.server.received)
            if not has_asked and connection.server.received == head + separator:
                connection.expect(len(body))
                has_asked = True
            if connection.server.received != waiting[0]:
                break
            connection.server.received, has_asked = b"", False
            waiting.pop(0)
            connection.received()
            connection.answered()
    connection.connection_lost(None)
    assert not waiting


def test_the_next_request_waits_until_the_answer_is_taken(connect):
    connection = untaken(connect)
    connection.data_received(POST)
    assert connection.server.received == GET
    connection.transport.untaken = 0
    connection.resume_writing()
    assert connection.server.received == GET + POST[: -len(BODY)]


def test_a_client_that_sends_ahead_is_not_read_without_end(connect):
    connection = connect()
    connection.data_received(GET + b"x" * connections.MAX_AHEAD)
    assert not connection.transport.is_paused
    connection.data_received(b"x")
    assert connection.transport.is_paused


def test_the_task_of_a_request_knows_its_connection(connect):
    connection = connect()
    connection.data_received(GET)
    assert current.get() is connection


# What is refused here


def test_a_head_that_is_too_large_is_refused_whether_or_not_it_ends(connect):
    for data in (b"GET /" + b"x" * connections.MAX_HEAD, GET[:-2] + b"X: " + b"x" * connections.MAX_HEAD + b"\r\n\r\n"):
        connection = connect()
        connection.data_received(data)
        assert statuses(connection) == [b"431"]
        assert connection.transport.has_eof
        assert connection.server.received == b""


def test_what_the_server_refuses_is_answered_in_json(connect):
    connection = connect()
    connection.server.refuses = True
    connection.data_received(b"x\r\n\r\n")
    head, _, body = connection.transport.written.partition(b"\r\n\r\n")
    assert statuses(connection) == [b"400"]
    assert body == b'{"detail":"This is not a well-formed HTTP/1.1 request."}'
    assert b"x-request-id: " in head


def test_nothing_is_written_after_the_end(connect):
    connection = connect()
    connection.end()
    connection.server.transport.write(b"late")
    assert connection.transport.written == b""


def test_head_and_body_of_an_answer_are_written_at_once(connect):
    connection = connect()
    connection.cork()
    for data in (b"head, ", b"body"):
        connection.server.transport.write(data)
        assert connection.transport.written == b""
    connection.uncork()
    connection.server.transport.write(b", more")
    assert connection.transport.written == b"head, body, more"


def test_what_was_collected_is_written_before_the_end(connect):
    connection = connect()
    connection.cork()
    connection.server.transport.write(b"head")
    connection.end()
    connection.uncork()
    assert (connection.transport.written, connection.transport.has_eof) == (b"head", True)


# Time


def cut_off(reason):
    """How many connections were closed for the reason."""
    return metrics.connections_cut_off.labels(reason)._value.get()


def test_the_reason_why_a_connection_is_cut_off_counts(connect):
    before = cut_off("nothing sent"), cut_off("answer not taken"), cut_off("not closed")
    connect().expire()
    connection = connect()
    connection.data_received(GET)
    answer(connection)
    connection.transport.untaken = 1
    connection.expire()
    connection = connect()
    connection.data_received(HEAD)
    connection.expire()
    connection.expire()
    after = cut_off("nothing sent"), cut_off("answer not taken"), cut_off("not closed")
    assert after == tuple(number + 1 for number in before)


def test_who_sends_half_a_request_is_told_and_cut_off(connect):
    connection = connect()
    connection.data_received(HEAD)
    connection.expire()
    assert statuses(connection) == [b"408"]
    connection.expire()
    assert connection.transport.is_aborted


def test_who_sends_nothing_is_cut_off(connect):
    connection = connect()
    connection.expire()
    assert (connection.transport.is_aborted, connection.transport.written) == (True, b"")


def test_who_does_not_take_the_answer_is_cut_off(connect):
    connection = connect()
    connection.data_received(GET)
    answer(connection)
    connection.transport.untaken = 1
    connection.expire()
    assert connection.transport.is_aborted


def test_who_has_taken_the_answer_is_left_to_the_server(connect):
    connection = connect()
    connection.data_received(GET)
    answer(connection)
    connection.expire()
    assert (connection.transport.is_aborted, connection.deadline) == (False, inf)


def test_the_time_to_receive_begins_with_the_first_byte(connect):
    connection = connect()
    connection.data_received(GET)
    answer(connection)
    connection.deadline = inf
    connection.data_received(HEAD)
    assert connection.deadline - connection.since == connections.TIME_TO_RECEIVE


# The end


def test_an_idle_connection_answers_one_more_request_before_it_closes(connect):
    connection = connect()
    connection.data_received(GET)
    answer(connection)
    connection.server.transport.close()  # it was idle for long, or the process stops
    assert not connection.is_closing
    connection.data_received(GET)
    assert connection.server.received == GET + GET
    assert connection.is_last
    connection.expect(0)
    connection.received()
    connection.server.transport.close()
    assert connection.transport.has_eof


def test_an_idle_connection_closes_when_nothing_comes(connect):
    connection = connect()
    connection.data_received(GET)
    answer(connection)
    connection.server.transport.close()
    connection.expire()
    assert connection.transport.is_aborted


def test_a_client_that_sends_no_more_still_gets_its_answer(connect):
    connection = connect()
    connection.data_received(GET)
    assert connection.eof_received()
    connection.expect(0)
    connection.received()
    assert connection.is_last
    connection.server.transport.close()
    assert connection.transport.is_aborted  # without waiting for a client that has closed


def test_a_client_that_leaves_within_its_request_is_not_waited_for(connect):
    connection = connect()
    connection.data_received(HEAD)
    assert not connection.eof_received()
    connection = connect()
    connection.data_received(POST[:-1])
    connection.eof_received()
    connection.expect(len(BODY))
    assert connection.is_closing


def test_a_client_that_sends_no_more_gets_all_the_answers_that_it_has_asked_for(connect):
    connection = untaken(connect)
    connection.data_received(GET + GET)
    assert connection.eof_received()
    connection.transport.untaken = 0
    connection.resume_writing()
    assert not connection.is_last
    answer(connection)
    assert connection.is_last
    answer(connection)
    assert connection.server.received == GET * 3
    assert connection.transport.is_aborted


def test_a_client_that_is_done_during_the_last_answer_is_not_waited_for(connect):
    connection = at_work(connect)
    connection.eof_received()
    connection.answered()
    assert connection.transport.is_aborted


def test_the_server_does_not_close_before_a_request_that_has_arrived_is_answered(connect):
    """Its timer for idle connections runs while the client takes the answer."""
    connection = untaken(connect)
    connection.data_received(GET)
    connection.server.transport.close()
    connection.transport.untaken = 0
    connection.resume_writing()
    assert connection.server.received == GET + GET
    assert connection.is_last


def test_a_closing_connection_begins_no_request(connect):
    connection = untaken(connect)
    connection.data_received(GET)
    connection.end()
    connection.transport.untaken = 0
    connection.resume_writing()
    assert connection.phase is connections.CLOSING
    assert connection.server.received == GET


def test_a_failure_of_the_application_ends_the_connection(connect):
    connection = connect()
    connection.data_received(POST)  # the application has the head
    connection.server.transport.close()
    assert connection.is_closing


# Room


def test_the_oldest_idle_connection_goes_when_there_are_too_many(connect, monkeypatch):
    monkeypatch.setattr(connections, "MAX_CONNECTIONS", 3)
    half, oldest, newer = connect(), connect(), connect()
    half.data_received(HEAD)
    connect()
    assert [each.transport.is_aborted for each in (half, oldest, newer)] == [False, True, False]
    connect().data_received(HEAD)
    assert newer.transport.is_aborted


def test_the_oldest_half_request_goes_when_none_is_idle(connect, monkeypatch):
    monkeypatch.setattr(connections, "MAX_CONNECTIONS", 2)
    working, half = connect(), connect()
    working.data_received(GET)
    working.expect(0)
    working.received()
    half.data_received(HEAD)
    connect()
    assert (working.transport.is_aborted, half.transport.is_aborted) == (False, True)


def test_a_new_connection_is_refused_when_all_are_at_work(connect, monkeypatch):
    monkeypatch.setattr(connections, "MAX_CONNECTIONS", 1)
    working = connect()
    working.data_received(GET)
    working.expect(0)
    working.received()
    new = connect()
    assert statuses(new) == [b"503"]
    assert (working.transport.is_aborted, new.is_closing) == (False, True)


def test_what_costs_most_goes_when_too_much_is_held(connect, monkeypatch):
    monkeypatch.setattr(connections, "MAX_HELD", 1000)
    large, small = connect(), connect()
    large.data_received(HEAD + b"Content-Length: 5000\r\n\r\n" + b"x" * 700)
    small.data_received(HEAD + b"Content-Length: 5000\r\n\r\n" + b"x" * 400)
    assert statuses(large) == [b"503"]
    assert b"retry-after: 5" in large.transport.written
    assert small.phase is connections.RECEIVING
    assert Connection.total_held == small.held < 1000


def test_what_was_taken_is_no_longer_held(connect, monkeypatch):
    monkeypatch.setattr(connections, "MAX_HELD", 1000)
    first, second = connect(), connect()
    first.data_received(GET)
    first.expect(0)
    first.received()
    first.taking(900)
    first.answered()
    second.data_received(HEAD + b"Content-Length: 5000\r\n\r\n" + b"x" * 400)
    assert (first.is_closing, second.is_closing, first.held) == (False, False, 0)


def test_an_answer_for_a_client_that_is_gone_is_not_held(connect):
    connection = at_work(connect)
    connection.connection_lost(None)
    connection.taking(1000)
    assert (connection.held, Connection.total_held) == (0, 0)


def test_who_was_ended_for_what_it_held_is_closed_in_time(connect, monkeypatch):
    monkeypatch.setattr(connections, "MAX_HELD", 1000)
    connection = connect()
    connection.data_received(HEAD + b"Content-Length: 5000\r\n\r\n" + b"x" * 1000)
    assert statuses(connection) == [b"503"]
    assert connection in Connection.opened
    assert connection.deadline - connection.since == connections.TIME_TO_CLOSE
    assert (connection.ahead, connection.held) == (b"", 0)
