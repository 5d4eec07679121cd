"""How a request reaches Django, and how the answer leaves: the application, run without a server."""

import asyncio
import json

import pytest
from django.conf import settings
from django.http import FileResponse

from main import asgi, connections
from main.asgi import PART, Application, environ_of
from main.connections import Connection
from tests.test_connections import Server, Transport

SCOPE = {
    "type": "http",
    "http_version": "1.1",
    "method": "POST",
    "raw_path": b"/users/login",
    "query_string": b"",
    "server": ("127.0.0.1", 8000),
    "client": ("192.0.2.1", 50000),
    "headers": [(b"host", b"localhost")],
}


def echo(environ, start_response):
    """A WSGI application that answers with what it was asked."""
    body = environ.pop("wsgi.input").read()
    asked = {key: value for key, value in environ.items() if isinstance(value, str)}
    start_response("200 OK", [("Content-Type", "application/json")])
    return Closing([json.dumps(asked | {"body": body.decode()}).encode()])


class Closing(list):
    closed = 0

    def close(self):
        Closing.closed += 1


def run(wsgi, *bodies, headers=(), host=True, **scope):
    """The messages that the application sends for a request whose body arrives in these pieces, and the connection."""
    connection = Connection(Server())
    connection.connection_made(Transport())
    sent, pieces = [], list(bodies)

    async def receive():
        if not pieces:
            return {"type": "http.disconnect"}
        piece = pieces.pop(0)
        return {"type": "http.request", "body": piece, "more_body": bool(pieces)}

    async def send(message):
        sent.append(message)

    async def live():
        application = Application(wsgi)
        starting, stopping = asyncio.Event(), asyncio.Event()

        async def receive_life():
            if starting.is_set():
                await stopping.wait()
            starting.set()

        async def send_life(message):
            if message["type"] == "lifespan.startup.complete":
                connections.current.set(connection)
                try:
                    hosts = SCOPE["headers"] if host else []
                    await application(SCOPE | scope | {"headers": [*hosts, *headers]}, receive, send)
                finally:
                    stopping.set()

        await application({"type": "lifespan"}, receive_life, send_life)

    asyncio.run(live())
    connection.connection_lost(None)
    return sent, connection


def asked(*bodies, **options):
    sent, _ = run(echo, *bodies, **options)
    return json.loads(sent[1]["body"])


def header(sent, name):
    return dict(sent[0]["headers"]).get(name)


class NoHub:
    def __init__(self, run):
        pass

    def stop(self):
        pass

    async def close(self):
        pass


@pytest.fixture(autouse=True)
def _no_upkeep(monkeypatch):
    monkeypatch.setattr(asgi.upkeep, "work_in_background", lambda is_stopping: None)
    monkeypatch.setattr(asgi, "Hub", NoHub)


def test_the_body_is_the_pieces_that_arrive():
    assert asked(b'{"a"', b": 1}", headers=[(b"content-length", b"8")])["body"] == '{"a": 1}'


def test_a_body_that_is_too_long_is_read_and_not_kept():
    length = settings.DATA_UPLOAD_MAX_MEMORY_SIZE + 1
    half = b"x" * (length // 2)
    answer = asked(half, half, b"x", headers=[(b"content-length", b"%d" % length)])
    assert (answer["body"], answer["CONTENT_LENGTH"]) == ("", str(length))


@pytest.mark.parametrize(
    "header_of_it",
    [
        (b"content-length", b"%d" % (asgi.MAX_DISCARDED + 1)),
        (b"transfer-encoding", b"chunked"),
        (b"upgrade", b"websocket"),
    ],
)
def test_after_a_body_that_is_not_read_the_connection_ends(header_of_it):
    sent, _ = run(echo, headers=[header_of_it, (b"connection", b"keep-alive, Upgrade")])
    assert (sent[0]["status"], header(sent, b"connection")) == (200, b"close")


def test_a_length_of_thousands_of_digits_is_a_number():
    assert asked(b"{}", headers=[(b"content-length", b"0" * 5000 + b"2")])["body"] == "{}"


def test_an_upgrade_that_is_only_named_changes_nothing():
    assert asked(b"{}", headers=[(b"content-length", b"2"), (b"upgrade", b"h2c")])["body"] == "{}"


def test_a_client_that_leaves_within_the_body_asks_nothing():
    sent, _ = run(echo, b"{", headers=[(b"content-length", b"8")])
    assert sent == []


def test_a_request_without_a_host_is_refused():
    sent, connection = run(echo, host=False)
    assert sent == []
    assert connection.transport.written.startswith(b"HTTP/1.1 400 Bad Request\r\n")


def test_http_1_0_knows_no_host():
    sent, _ = run(echo, host=False, http_version="1.0")
    assert sent[0]["status"] == 200


def test_a_header_with_an_underscore_is_left_out():
    headers = [(b"x_forwarded_for", b"10.0.0.1"), (b"script_name", b"/x"), (b"x-forwarded-for", b"192.0.2.7")]
    answer = asked(headers=headers)
    assert answer["HTTP_X_FORWARDED_FOR"] == "192.0.2.7"
    assert answer["SCRIPT_NAME"] == ""


def test_a_header_given_twice_is_a_list():
    headers = [(b"x-forwarded-for", b"192.0.2.7"), (b"x-forwarded-for", b"192.0.2.8"), (b"cookie", b"a=1")]
    answer = asked(headers=[*headers, (b"cookie", b"b=2")])
    assert (answer["HTTP_X_FORWARDED_FOR"], answer["HTTP_COOKIE"]) == ("192.0.2.7,192.0.2.8", "a=1;b=2")


def test_no_header_becomes_another_key_of_the_environment():
    environ = environ_of(SCOPE | {"headers": [(b"remote-addr", b"10.0.0.1"), (b"content-type", b"text/plain")]})
    assert (environ["REMOTE_ADDR"], environ["HTTP_REMOTE_ADDR"]) == ("192.0.2.1", "10.0.0.1")
    assert environ["CONTENT_TYPE"] == "text/plain"


def test_the_path_is_what_the_bytes_say():
    assert environ_of(SCOPE | {"raw_path": b"/a%2Fb%ff%C3%A9"})["PATH_INFO"] == "/a/b\xff\xc3\xa9"


def test_through_a_unix_socket_there_is_no_address():
    environ = environ_of(SCOPE | {"client": None, "server": None})
    assert (environ["REMOTE_ADDR"], environ["SERVER_NAME"], environ["SERVER_PORT"]) == ("", "localhost", "80")


def test_a_short_answer_has_a_length_and_is_closed():
    closed = Closing.closed
    sent, connection = run(echo)
    assert int(header(sent, b"content-length")) == len(sent[1]["body"])
    assert len(sent) == 2
    assert Closing.closed == closed + 1
    assert connection.held == 0


def test_an_answer_without_a_body_has_no_length():
    def nothing(environ, start_response):
        start_response("204 No Content", [("Content-Length", "0")])
        return Closing()

    sent, _ = run(nothing)
    assert header(sent, b"content-length") is None


def test_the_length_of_nothing_is_not_told_as_that_of_an_answer():
    def nothing(environ, start_response):
        start_response("200 OK", [])
        return Closing()

    assert header(run(nothing, method="GET")[0], b"content-length") == b"0"
    assert header(run(nothing, method="HEAD")[0], b"content-length") is None


def test_a_long_answer_is_made_part_by_part():
    chunks = [b"x" * 1000] * 200
    made = []

    class Chunks(Closing):
        def __iter__(self):
            for chunk in chunks:
                made.append(chunk)
                yield chunk

    def long(environ, start_response):
        start_response("200 OK", [("Content-Length", "200000")])
        return Chunks()

    closed = Closing.closed
    sent, _ = run(long)
    parts = [message["body"] for message in sent[1:]]
    assert b"".join(parts) == b"".join(chunks)
    assert max(map(len, parts)) < PART + 1000
    assert [message.get("more_body", False) for message in sent[1:]] == [True] * (len(parts) - 1) + [False]
    assert (len(made), Closing.closed) == (200, closed + 1)


def test_a_file_is_closed_when_the_client_is_gone(tmp_path, monkeypatch):
    path = tmp_path / "file"
    path.write_bytes(b"x" * 10 * PART)
    opened = path.open("rb")

    def file(environ, start_response):
        response = FileResponse(opened)
        start_response("200 OK", list(response.items()))
        monkeypatch.setattr(Connection, "is_closing", True)
        return response

    run(file)
    assert opened.closed


def test_an_answer_that_fails_is_closed_once():
    class Failing(Closing):
        def __iter__(self):
            yield b"x"
            raise OSError

    closed = Closing.closed
    with pytest.raises(OSError, match=r"^$"):
        asgi.begin_answer(lambda environ, start_response: Failing(), {})
    assert Closing.closed == closed + 1


def test_an_answer_is_not_ended_for_a_client_that_is_gone(monkeypatch):
    class Chunks(Closing):
        def __iter__(self):
            yield b"x" * PART
            monkeypatch.setattr(Connection, "is_closing", True)
            yield b"x" * PART
            yield b"x"

    def long(environ, start_response):
        start_response("200 OK", [])
        return Chunks()

    closed = Closing.closed
    sent, _ = run(long)
    assert [message.get("more_body") for message in sent[1:]] == [True]
    assert Closing.closed == closed + 1
