import pytest

from conftest import PASSWORD, represent
from users.models import AuthToken

NEW = "another-horse-battery"


def change(client, **body):
    return client.post("/users/password", {"current_password": PASSWORD, "new_password": NEW} | body)


def test_changing_the_password_answers_a_new_token_and_ends_the_others(alice, as_alice, as_bob, client_of, anonymous):
    elsewhere = client_of(alice)
    answer = change(as_alice)
    assert answer.status_code == 200
    assert list(answer.json()) == ["token"]
    assert as_alice.get("/users/profile").status_code == 401
    assert elsewhere.get("/users/profile").status_code == 401
    assert as_bob.get("/users/profile").status_code == 200
    anonymous.credentials(HTTP_AUTHORIZATION=f"Token {answer.json()['token']}")
    assert anonymous.get("/users/profile").json() == represent(alice)


def test_the_new_password_is_the_one_to_log_in_with(as_alice, anonymous):
    change(as_alice)
    assert anonymous.post("/users/login", {"username": "alice", "password": NEW}).status_code == 200
    assert anonymous.post("/users/login", {"username": "alice", "password": PASSWORD}).status_code == 400


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("current_password", "wrong"),
        ("current_password", None),
        ("current_password", 7),
        ("new_password", ""),
        ("new_password", None),
        ("new_password", ["x"]),
        ("new_password", "short"),
        ("new_password", "alice-liddell"),
        ("new_password", "password123"),
        ("new_password", "57489310246"),
        ("new_password", "x" * 1025),
    ],
)
def test_a_refused_change_changes_nothing(alice, as_alice, field, value):
    alice.last_name = "alice-liddell"
    alice.save()
    answer = change(as_alice, **{field: value})
    assert answer.status_code == 400
    assert list(answer.json()) == [field]
    assert AuthToken.objects.count() == 1
    old_hash = alice.password
    alice.refresh_from_db()
    assert alice.password == old_hash
