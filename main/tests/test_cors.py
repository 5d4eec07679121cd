import pytest

from main.settings import origins

PREFLIGHT = {
    "HTTP_ACCESS_CONTROL_REQUEST_METHOD": "PUT",
    "HTTP_ACCESS_CONTROL_REQUEST_HEADERS": "authorization,content-type",
}


@pytest.fixture
def local(settings, monkeypatch):
    monkeypatch.setenv("CORS_ALLOWED_ORIGINS", "http://localhost:*,https://app.example.org")
    settings.CORS_ALLOWED_ORIGINS, settings.CORS_ALLOWED_ORIGIN_REGEXES = origins("CORS_ALLOWED_ORIGINS")


@pytest.mark.parametrize("origin", ["http://localhost", "http://localhost:3000", "https://app.example.org"])
def test_a_page_of_a_listed_origin_may_call(local, anonymous, as_alice, origin):
    preflight = anonymous.options("/users/profile", HTTP_ORIGIN=origin, **PREFLIGHT)
    assert preflight.status_code == 200
    assert preflight["Access-Control-Allow-Origin"] == origin
    allowed = set(preflight["Access-Control-Allow-Headers"].split(", "))
    assert allowed >= {"authorization", "content-type", "if-match", "if-none-match", "last-event-id"}
    answer = as_alice.get("/users/profile", HTTP_ORIGIN=origin)
    assert answer["Access-Control-Allow-Origin"] == origin
    assert answer["Access-Control-Expose-Headers"] == "Content-Disposition, ETag, Link, Retry-After, X-Request-ID"


def test_a_refusal_can_be_read_by_the_page_too(local, anonymous):
    answer = anonymous.get("/users/profile", HTTP_ORIGIN="http://localhost:3000")
    assert answer.status_code == 401
    assert answer["Access-Control-Allow-Origin"] == "http://localhost:3000"


@pytest.mark.parametrize(
    "origin", ["http://localhost.evil.example", "http://localhost:3000.evil.example", "https://localhost:1", "null"]
)
def test_a_page_of_another_origin_may_not(local, as_alice, origin):
    assert "Access-Control-Allow-Origin" not in as_alice.get("/users/profile", HTTP_ORIGIN=origin)


def test_by_default_no_other_origin_may(as_alice):
    assert "Access-Control-Allow-Origin" not in as_alice.get("/users/profile", HTTP_ORIGIN="http://localhost:3000")
