"""The line that each request leaves in the log."""

import io
import json
import logging
import re
from ipaddress import ip_network
from threading import Event, Thread

import pytest
from django.db import InterfaceError, OperationalError

from common import logs
from common.logs import Completion, ConsoleHandler, JSONFormatter
from conftest import PASSWORD
from delivery.tests.live import eventually
from users import representations
from users.models import AuthToken


@pytest.fixture
def lines(caplog):
    def read():
        return [record.fields for record in caplog.records if record.name == "requests"]

    return read


@pytest.mark.parametrize(
    ("call", "route", "status"),
    [
        (lambda client: client.get("/users/profile"), "/users/profile", 200),
        (lambda client: client.get("/users/contacts/view-user/bob"), "/users/contacts/view-user/<username>", 404),
        (lambda client: client.get("/conversations/7?x=y"), "/conversations/<int:pk>", 404),
        (lambda client: client.get("/no/such/secret"), "-", 404),
        (lambda client: client.generic("odd method", "/users/profile"), "/users/profile", 405),
    ],
)
def test_it_has_the_route_the_status_the_time_and_the_user(alice, as_alice, lines, call, route, status):
    call(as_alice)
    [line] = lines()
    milliseconds = line.pop("milliseconds")
    assert 0 < milliseconds < 60_000
    assert line.pop("method") in ("GET", "-")
    assert line == {"route": route, "status": status, "user": alice.pk}


def test_who_is_refused_at_the_door_has_a_line_too(anonymous, lines):
    anonymous.get("/users/contacts/contact-book/bob")
    [line] = lines()
    assert (line["route"], line["status"], line["user"]) == ("/users/contacts/contact-book/<username>", 401, None)


def test_in_the_admin_the_user_is_known_too(admin_user, admin_client, lines):
    admin_client.get("/admin/")
    assert lines()[-1]["user"] == admin_user.pk


def test_a_refusal_is_one_line_and_holds_nothing_of_what_was_sent(as_alice, caplog):
    token = as_alice._credentials["HTTP_AUTHORIZATION"].removeprefix("Token ")
    as_alice.post("/users/login", {"username": "alice", "password": PASSWORD})
    as_alice.get(f"/users/{PASSWORD}?token={token}")
    assert len(caplog.records) == 2
    assert all(secret not in caplog.text for secret in (PASSWORD, token))


def test_the_answer_names_its_line(as_alice, caplog):
    ids = [as_alice.get("/users/profile")["X-Request-ID"] for _ in range(2)]
    assert len(set(ids)) == 2
    assert all(re.fullmatch("[0-9a-f]{16}", each) for each in ids)


def test_the_id_of_a_proxy_is_taken_on_and_no_strangers(anonymous, settings):
    assert anonymous.get("/healthz", HTTP_X_REQUEST_ID="abc")["X-Request-ID"] != "abc"
    settings.TRUSTED_PROXIES = [ip_network("127.0.0.1")]
    assert anonymous.get("/healthz", HTTP_X_REQUEST_ID="abc")["X-Request-ID"] == "abc"
    for odd in ("", "a b", "a\nb", "x" * 65, "é"):
        assert anonymous.get("/healthz", HTTP_X_REQUEST_ID=odd)["X-Request-ID"] != odd


def formatted(caplog, formatter):
    completion = Completion()
    lines = []
    for record in caplog.records:
        completion.filter(record)
        lines.append(formatter.format(record))
    return lines


def test_a_line_can_be_json(alice, as_alice, caplog):
    as_alice.get("/users/profile")
    [line] = formatted(caplog, JSONFormatter())
    fields = json.loads(line)
    assert set(fields) == {"time", "level", "logger", "request_id", "method", "route", "status", "milliseconds", "user"}
    logging.getLogger("x").error("two\nlines")
    assert json.loads(formatted(caplog, JSONFormatter())[-1])["message"] == "two\nlines"


@pytest.mark.parametrize(
    "error", [OperationalError(2003, "Can't connect"), OperationalError("database is locked"), InterfaceError(0, "")]
)
def test_where_the_database_is_away_every_call_is_503_and_a_line(
    as_alice, anonymous, alice, monkeypatch, caplog, error
):
    def fail(*args, **kwargs):
        raise error

    as_alice.raise_request_exception = anonymous.raise_request_exception = False
    monkeypatch.setattr(representations, "of_oneself", fail)
    answers = [as_alice.get("/users/profile")]
    monkeypatch.setattr(AuthToken, "find", fail)
    answers.append(as_alice.get("/conversations"))
    for answer in answers:
        assert answer.status_code == 503
        assert answer["Retry-After"] == "5"
        assert answer.json() == {"detail": "The service cannot reach its data right now. Try again in a moment."}
    lines = formatted(caplog, logging.Formatter("%(message)s"))
    assert [line for line in lines if "\n" in line] == []
    assert len(lines) == 4
    assert f"The database is away: {error}" in lines


@pytest.mark.parametrize("error", [OperationalError(1054, "Unknown column 'x'"), OperationalError("no such column: x")])
def test_a_mistake_of_ours_is_no_absence_of_the_database(as_alice, monkeypatch, caplog, error):
    def fail(*args, **kwargs):
        raise error

    as_alice.raise_request_exception = False
    monkeypatch.setattr(representations, "of_oneself", fail)
    assert as_alice.get("/users/profile").status_code == 500
    assert any("Traceback" in line for line in formatted(caplog, logging.Formatter("%(message)s")))


def test_a_failure_is_logged_with_its_traceback_and_without_the_path(as_alice, alice, monkeypatch, caplog):
    def fail(*args, **kwargs):
        raise RuntimeError("a mistake")

    as_alice.raise_request_exception = False
    monkeypatch.setattr(representations, "of_username", fail)
    assert as_alice.get("/users/contacts/view-user/somebody-secret").status_code == 500
    lines = formatted(caplog, logging.Formatter("%(message)s"))
    assert any("RuntimeError: a mistake" in line for line in lines)
    assert not [line for line in lines if "somebody-secret" in line]


def test_nobody_fills_the_log_with_a_header(anonymous, caplog):
    assert anonymous.get("/", HTTP_HOST="x" * 60_000).status_code == 400
    assert all(len(line) < 400 for line in formatted(caplog, logging.Formatter("%(message)s")))


# How lines are written


class Stream(io.StringIO):
    """Keeps what is written to it, each write for itself; takes nothing while it is stalled."""

    def __init__(self):
        super().__init__()
        self.writes, self.may_write = [], Event()
        self.may_write.set()

    def write(self, text):
        self.may_write.wait()
        if text:
            self.writes.append(text)


@pytest.fixture
def console(monkeypatch):
    """A handler of the root logger, as the settings make it, that writes to a stream of its own."""
    handler = ConsoleHandler()
    handler.setStream(Stream())
    monkeypatch.setattr(logging.getLogger(), "handlers", [handler])
    yield handler
    handler.stream.may_write.set()
    handler.stop()


def say(*numbers):
    for number in numbers:
        logging.getLogger("said").warning("line %d", number)


def written(console):
    return "".join(console.stream.writes).splitlines()


def expected(numbers):
    return [f"line {number}" for number in numbers]


def test_a_command_writes_each_line_at_once(console):
    for number in range(3):
        say(number)
        assert written(console) == expected(range(number + 1))


def test_a_server_writes_some_lines_at_a_time_in_their_order(console):
    with logs.written_in_background():
        say(*range(500))
    assert written(console) == expected(range(500))
    assert len(console.stream.writes) < 100


def test_a_line_is_written_soon_while_the_server_runs(console):
    with logs.written_in_background():
        for number in range(3):
            say(number)
            eventually(lambda number=number: written(console) == expected(range(number + 1)))


def test_who_logs_does_not_wait_for_a_stream_that_takes_nothing(console):
    console.stream.may_write.clear()
    with logs.written_in_background():
        say(*range(100))
        assert written(console) == []
        console.stream.may_write.set()
    assert written(console) == expected(range(100))


def test_no_more_lines_wait_than_fit_into_memory(console, monkeypatch):
    monkeypatch.setattr(logs, "MOST_WAITING", 10)
    console.stream.may_write.clear()
    with logs.written_in_background():
        saying = Thread(target=say, args=range(30))
        saying.start()
        saying.join(timeout=0.5)
        assert saying.is_alive()
        assert console.waiting.qsize() <= 10
        console.stream.may_write.set()
        saying.join(timeout=10)
    assert sorted(written(console)) == sorted(expected(range(30)))


def test_a_stream_that_is_full_stops_nothing(console, monkeypatch):
    def fail(text):
        raise OSError("No space left on device")

    with logs.written_in_background():
        with monkeypatch.context() as broken:
            broken.setattr(console.stream, "write", fail)
            say(1)
            console.flush()
        say(2)
    assert written(console) == expected([2])


def test_a_line_that_cannot_be_formatted_stops_nothing(console, capsys):
    with logs.written_in_background():
        console.handle(logging.LogRecord("said", logging.WARNING, "", 0, "line %d", ("x",), None))
        say(1)
    assert written(console) == expected([1])
    assert "Logging error" in capsys.readouterr().err
