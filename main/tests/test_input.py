"""Whatever is sent: a 4xx in the contract's shape, nothing changed, and no more than a line in the log."""

import json

import pytest

from conftest import PASSWORD, represent
from users import representations
from users.models import AuthToken, BlacklistEntry, ContactBookEntry, User

JSON = "application/json"
FORM = "application/x-www-form-urlencoded"
MULTIPART = "multipart/form-data; boundary=x"


def part(name, value, filename=""):
    return f'--x\r\nContent-Disposition: form-data; name="{name}"{filename}\r\n\r\n{value}\r\n'


BODIES = {
    "nothing": (JSON, b""),
    "broken": (JSON, b'{"username": "al'),
    "two values": (JSON, b"{} {}"),
    "10 000 brackets": (JSON, b"[" * 10_000),
    "10 000 closed brackets": (JSON, b"[" * 10_000 + b"]" * 10_000),
    "10 000 braces": (JSON, b'{"a":' * 10_000 + b"1" + b"}" * 10_000),
    "a list": (JSON, b'["username"]'),
    "a string": (JSON, b'"username"'),
    "a number": (JSON, b"1"),
    "null": (JSON, b"null"),
    "NaN": (JSON, b'{"username": NaN}'),
    "a number of 5 000 digits": (JSON, b'{"username": ' + b"1" * 5000 + b"}"),
    "a huge exponent": (JSON, b'{"username": 1e999999}'),
    "Latin-1": (JSON, b'{"username": "\xe9"}'),
    "UTF-16": (JSON, '{"username": "a"}'.encode("utf-16")),
    "a byte order mark": (JSON, b"\xef\xbb\xbf{}"),
    "1 001 fields in a form": (FORM, b"&".join(b"a%d=1" % number for number in range(1001))),
    "1 001 parts": (MULTIPART, "".join(part(f"a{n}", 1) for n in range(1001)).encode() + b"--x--"),
    "a file for a name": (MULTIPART, (part("username", "x", '; filename="a.txt"') + "--x--").encode()),
    "no boundary": ("multipart/form-data", b"--x"),
    "a boundary of bytes": ("multipart/form-data; boundary=é", b"--x"),
    "another type": ("text/plain", b"username=alice"),
    "a type that is none": ("nonsense", b"{}"),
    "another character set": ("application/json; charset=utf-16", b"{}"),
    "a character set that is none": ("application/json; charset=base64", b"{}"),
    "bytes in a form": (FORM, b"username=\xff\xfe"),
    "odd escapes in a form": (FORM, b"bio=%ff%00&username=%ED%A0%80"),
    "bytes in a part": (MULTIPART, b'--x\r\nContent-Disposition: form-data; name="bio"\r\n\r\n\xff\r\n--x--'),
    "no parts": (MULTIPART, b"hello"),
    "a codec for a form": (FORM + "; charset=rot13", b"username=alice"),
}
CALLS = [
    ("post", "/users/register"),
    ("post", "/users/login"),
    ("post", "/users/password"),
    ("put", "/users/profile"),
    ("patch", "/users/profile"),
]


def everything():
    models = (User, AuthToken, ContactBookEntry, BlacklistEntry)
    return [list(model.objects.order_by("pk").values()) for model in models]


def assert_well_refused(answer, caplog):
    assert 400 <= answer.status_code < 500, answer.content
    assert answer["Content-Type"] == JSON
    body = json.loads(answer.content.decode("utf-8"))
    assert isinstance(body, dict)
    if set(body) & {"detail", "message"}:
        assert len(body) == 1
        assert isinstance(next(iter(body.values())), str)
    else:
        assert all(isinstance(why, str) for reasons in body.values() for why in reasons)
    assert len(caplog.records) <= 2
    assert all("\n" not in record.getMessage() and not record.exc_info for record in caplog.records)


@pytest.mark.parametrize(("method", "path"), CALLS)
@pytest.mark.parametrize("body", BODIES)
def test_an_odd_body_is_refused(as_alice, bob, caplog, method, path, body):
    before = everything()
    content_type, content = BODIES[body]
    answer = getattr(as_alice, method)(path, content, content_type=content_type)
    if path == "/users/profile" and answer.status_code == 200:
        # Nothing in it that the profile knows.
        assert body == "nothing"
    else:
        assert_well_refused(answer, caplog)
    assert everything() == before


@pytest.mark.parametrize(("method", "path"), CALLS)
def test_a_body_of_8_mb_is_refused(as_alice, caplog, method, path):
    answer = getattr(as_alice, method)(path, {"username": "x" * 8_000_000, "password": PASSWORD})
    assert answer.status_code == 413
    assert_well_refused(answer, caplog)


def test_a_body_without_a_length_is_refused(as_alice, caplog):
    answer = as_alice.put("/users/profile", {"bio": "x"}, HTTP_TRANSFER_ENCODING="chunked")
    assert answer.status_code == 411
    assert_well_refused(answer, caplog)


@pytest.mark.parametrize("length", ["x", "-1", "1" * 30])
def test_an_odd_content_length_is_refused(as_alice, caplog, length):
    answer = as_alice.put("/users/profile", {"bio": "x"}, CONTENT_LENGTH=length)
    assert answer.status_code == 413
    assert_well_refused(answer, caplog)


@pytest.mark.parametrize(
    "value", ["x" * 100_000, "\x00", "\x1f", "new@example.org\x1f", "\x7f", "\ud800", {"a": {"b": []}}, [[[]]], 1, True]
)
@pytest.mark.parametrize("field", ["username", "email", "first_name", "last_name", "bio", "phone_number", "password"])
def test_an_odd_value_is_refused_by_field(as_alice, caplog, field, value):
    before = everything()
    answer = as_alice.put("/users/profile", {field: value})
    assert_well_refused(answer, caplog)
    assert list(answer.json()) == [field]
    body = {"username": "new", "email": "new@example.org", "password": PASSWORD} | {field: value}
    answer = as_alice.post("/users/register", body)
    assert_well_refused(answer, caplog)
    assert list(answer.json()) == [field]
    assert everything() == before


def test_an_odd_key_is_ignored(alice, as_alice):
    answer = as_alice.put("/users/profile", {"\ud800": "\ud800", "": 1, "__class__": {}, "x" * 1000: None})
    assert (answer.status_code, answer.json()) == (200, represent(alice))


@pytest.mark.parametrize("accept", ["text/html", "application/xml", "", "garbage", "*/*;q=é"])
def test_whatever_is_accepted_the_answer_is_json(as_alice, accept):
    answer = as_alice.get("/users/profile?format=xml", HTTP_ACCEPT=accept)
    assert (answer.status_code, answer["Content-Type"]) == (200, JSON)


def test_an_unknown_path_is_404_in_json(as_alice):
    for path in ("/nope", "/users", "/users/", "/users/profile/", "/users/contacts/view-user/", "//users/profile"):
        answer = as_alice.get(path)
        assert (answer.status_code, answer.json()) == (404, {"detail": "There is nothing here."}), path


@pytest.mark.parametrize("method", ["post", "put", "patch", "delete", "trace"])
def test_a_wrong_method_is_405_with_allow(as_alice, method):
    answer = getattr(as_alice, method)("/users/contacts/view-user/alice")
    assert answer.status_code == 405
    assert answer["Allow"] == "GET, HEAD, OPTIONS"
    assert answer.json() == {"detail": f'Method "{method.upper()}" not allowed.'}


@pytest.mark.parametrize("method", ["post", "put", "delete"])
def test_the_first_page_can_only_be_read(anonymous, method):
    answer = getattr(anonymous, method)("/")
    assert (answer.status_code, answer["Allow"]) == (405, "GET, HEAD, OPTIONS")
    assert answer.json() == {"detail": f'Method "{method.upper()}" not allowed.'}


def test_a_query_of_1_001_parameters_is_refused(as_alice, caplog):
    answer = as_alice.get("/users/contacts/find-users?" + "&".join(f"a{number}=1" for number in range(1001)))
    assert answer.status_code == 400
    assert_well_refused(answer, caplog)


@pytest.mark.parametrize("host", ["evil.example", "a b", "x" * 5000, "é"])
def test_an_unknown_host_is_400_in_json(as_alice, caplog, host):
    answer = as_alice.get("/users/profile", HTTP_HOST=host)
    assert (answer.status_code, answer.json()) == (400, {"detail": "The request is malformed."})
    assert_well_refused(answer, caplog)


def test_an_unexpected_failure_is_500_in_json_without_a_word_of_it(as_alice, monkeypatch):
    def fail(*args, **kwargs):
        raise RuntimeError("secret text of the database")

    monkeypatch.setattr(representations, "of_oneself", fail)
    as_alice.raise_request_exception = False
    answer = as_alice.get("/users/profile")
    assert (answer.status_code, answer.json()) == (500, {"detail": "Something went wrong on our side."})
