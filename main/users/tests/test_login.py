from unittest.mock import patch

import pytest
from django.contrib.auth import hashers

from conftest import PASSWORD, represent
from users import actions
from users.models import AuthToken, User


def log_in(client, username="alice", password=PASSWORD):
    return client.post("/users/login", {"username": username, "password": password})


@pytest.mark.parametrize("username", ["alice", "ALICE", "ａlice"])
def test_a_login_answers_a_token_that_works(alice, anonymous, username):
    answer = log_in(anonymous, username)
    assert answer.status_code == 200
    assert list(answer.json()) == ["token"]
    anonymous.credentials(HTTP_AUTHORIZATION=f"Token {answer.json()['token']}")
    assert anonymous.get("/users/profile").json() == represent(alice)


def test_every_login_makes_a_token_and_earlier_ones_stay_good(as_alice, anonymous):
    assert log_in(anonymous).json() != log_in(anonymous).json()
    assert AuthToken.objects.count() == 3
    assert as_alice.get("/users/profile").status_code == 200


def test_a_stale_token_does_not_stop_a_login(alice, anonymous):
    anonymous.credentials(HTTP_AUTHORIZATION="Token stale")
    assert log_in(anonymous).status_code == 200


def test_a_login_is_noted(alice, anonymous):
    assert alice.last_login is None
    log_in(anonymous)
    alice.refresh_from_db()
    assert alice.last_login is not None


REFUSAL = {"message": "Unable to log in with this username and password."}


def test_unknown_wrong_and_deactivated_answer_alike_after_the_same_work(alice, bob, make_user, anonymous):
    bob.is_active = False
    bob.save()
    never = make_user("never")
    never.set_unusable_password()
    never.save()
    hash_secret, verify = hashers.Argon2PasswordHasher.encode, hashers.Argon2PasswordHasher.verify
    for username, password in (("nobody", PASSWORD), ("alice", "wrong"), ("bob", PASSWORD), ("never", PASSWORD)):
        with (
            patch.object(hashers.Argon2PasswordHasher, "encode", autospec=True, side_effect=hash_secret) as encoded,
            patch.object(hashers.Argon2PasswordHasher, "verify", autospec=True, side_effect=verify) as verified,
        ):
            answer = log_in(anonymous, username, password)
        assert (answer.status_code, answer.json()) == (400, REFUSAL)
        assert encoded.call_count + verified.call_count == 1
    assert not AuthToken.objects.exists()


def test_a_login_whose_password_is_changed_after_the_check_gets_no_token(alice, anonymous, monkeypatch):
    def check_before_the_change(password, encoded):
        User.objects.filter(pk=alice.pk).update(password=hashers.make_password("another-horse-battery"))
        return True

    monkeypatch.setattr(actions, "check_password", check_before_the_change)
    answer = log_in(anonymous)
    assert (answer.status_code, answer.json()) == (400, REFUSAL)
    assert not AuthToken.objects.exists()


@pytest.mark.parametrize("field", ["username", "password"])
@pytest.mark.parametrize("value", ["absent", None, "", 7, [], {}, "a\x00b", "a\ud800b", "x" * 1025])
def test_a_malformed_login_is_refused(alice, anonymous, field, value):
    body = {"username": "alice", "password": PASSWORD} | {field: value}
    if value == "absent":
        del body[field]
    answer = anonymous.post("/users/login", body)
    assert answer.status_code == 400
    assert list(answer.json()) == [field]


def test_a_get_is_not_allowed(anonymous):
    answer = anonymous.get("/users/login")
    assert answer.status_code == 405
    assert answer["Allow"] == "POST, OPTIONS"
    assert answer.json() == {"detail": 'Method "GET" not allowed.'}
