from datetime import timedelta
from hashlib import sha256
from io import StringIO

import pytest
from django.core.management import call_command
from django.utils import timezone

from users import actions
from users.models import AuthToken

CALLS = [
    ("post", "/users/logout"),
    ("post", "/users/logout-all"),
    ("post", "/users/password"),
    ("get", "/users/profile"),
    ("put", "/users/profile"),
    ("patch", "/users/profile"),
    ("delete", "/users/profile"),
    ("get", "/users/contacts/find-users"),
    ("get", "/users/contacts/view-user/alice"),
    ("get", "/users/contacts/blacklist-user/alice"),
    ("post", "/users/contacts/blacklist-user/alice"),
    ("delete", "/users/contacts/blacklist-user/alice"),
    ("get", "/users/contacts/contact-book"),
    ("get", "/users/contacts/contact-book/"),
    ("post", "/users/contacts/contact-book/alice"),
    ("delete", "/users/contacts/contact-book/alice"),
    ("get", "/no/such/path"),
]


def assert_refused(answer):
    assert answer.status_code == 401
    assert answer["WWW-Authenticate"] == "Token"
    assert answer.json() == {"detail": "A valid token is required."}


@pytest.mark.parametrize(("method", "path"), CALLS)
def test_every_call_takes_a_token(anonymous, method, path):
    assert_refused(getattr(anonymous, method)(path))


@pytest.mark.parametrize(
    "header",
    [
        "",
        "Token",
        "Token ",
        "Token  {token}",
        "Token {token} {token}",
        "Token {token}x",
        "Token {upper}",
        "Bearer {token}",
        "Basic {token}",
        "{token}",
        "Token " + "x" * 43,
        "Token " + "x" * 10_000,
        "Token ÿþ\x00",
        "Tökén {token}",
        "Token " + "é" * 43,
    ],
)
def test_garbage_is_no_token(alice, anonymous, header):
    token = AuthToken.objects.issue(alice)
    anonymous.credentials(HTTP_AUTHORIZATION=header.format(token=token, upper=token.swapcase()))
    assert_refused(anonymous.get("/users/profile"))


def test_a_token_in_the_query_counts_for_nothing(alice, anonymous):
    token = AuthToken.objects.issue(alice)
    assert_refused(anonymous.get(f"/users/profile?token={token}&Authorization=Token%20{token}"))


def test_the_word_token_may_be_in_any_case(alice, anonymous):
    anonymous.credentials(HTTP_AUTHORIZATION=f"token {AuthToken.objects.issue(alice)}")
    assert anonymous.get("/users/profile").status_code == 200


def test_a_token_is_256_bits_and_kept_as_a_digest_alone(alice):
    token = AuthToken.objects.issue(alice)
    assert len(token) == 43
    assert AuthToken.objects.values_list("digest", flat=True).get() == sha256(token.encode()).hexdigest()


def test_a_token_expires_without_use(settings, as_alice):
    settings.TOKEN_TTL_DAYS = 3
    AuthToken.objects.update(last_used=timezone.now() - timedelta(days=3))
    assert_refused(as_alice.get("/users/profile"))


def test_use_moves_the_expiry_on(settings, as_alice):
    settings.TOKEN_TTL_DAYS = 3
    AuthToken.objects.update(last_used=timezone.now() - timedelta(days=2, hours=23))
    assert as_alice.get("/users/profile").status_code == 200
    assert AuthToken.objects.get().last_used > timezone.now() - timedelta(minutes=1)


def test_use_is_written_once_in_ten_minutes(as_alice, queries):
    AuthToken.objects.update(last_used=timezone.now() - timedelta(minutes=11))
    with queries(2):  # the token with its user; last_used
        as_alice.get("/users/profile")
    AuthToken.objects.update(last_used=timezone.now() - timedelta(minutes=9))
    with queries(1):
        as_alice.get("/users/profile")


def test_logging_out_ends_this_token_alone(alice, as_alice, client_of):
    elsewhere = client_of(alice)
    answer = as_alice.post("/users/logout")
    assert (answer.status_code, answer.content) == (204, b"")
    assert_refused(as_alice.get("/users/profile"))
    assert_refused(as_alice.post("/users/logout"))
    assert elsewhere.get("/users/profile").status_code == 200


def test_logging_out_everywhere_ends_all_tokens_of_this_user(alice, as_alice, as_bob, client_of):
    elsewhere = client_of(alice)
    assert as_alice.post("/users/logout-all").status_code == 204
    assert_refused(as_alice.get("/users/profile"))
    assert_refused(elsewhere.get("/users/profile"))
    assert as_bob.get("/users/profile").status_code == 200


def test_a_deactivated_account_has_no_tokens_then_or_later(alice, as_alice):
    actions.deactivate(alice)
    assert not AuthToken.objects.exists()
    assert_refused(as_alice.get("/users/profile"))
    actions.reactivate(alice)
    assert_refused(as_alice.get("/users/profile"))


def test_a_token_made_while_the_account_was_deactivated_stays_dead_when_it_is_back(alice, client_of):
    actions.deactivate(alice)
    late = client_of(alice)
    actions.reactivate(alice)
    assert_refused(late.get("/users/profile"))


def test_a_token_of_a_deactivated_account_is_not_good_however_that_came_about(alice, as_alice):
    type(alice).objects.update(is_active=False)
    assert AuthToken.objects.exists()
    assert_refused(as_alice.get("/users/profile"))


@pytest.mark.parametrize("change", ["password", "no password", "deactivated"])
def test_saving_the_end_of_an_account_ends_its_tokens(alice, as_alice, as_bob, change):
    if change == "password":
        alice.set_password("another-horse-battery")
    elif change == "no password":
        alice.set_unusable_password()
    else:
        alice.is_active = False
    alice.save()
    assert_refused(as_alice.get("/users/profile"))
    assert as_bob.get("/users/profile").status_code == 200


def test_a_command_removes_the_expired_tokens(alice, as_bob):
    AuthToken.objects.issue(alice)
    AuthToken.objects.filter(user=alice).update(last_used=timezone.now() - timedelta(days=31))
    out = StringIO()
    call_command("remove_expired_tokens", stdout=out)
    assert out.getvalue() == "1 expired tokens removed.\n"
    assert as_bob.get("/users/profile").status_code == 200
    assert AuthToken.objects.count() == 1


def test_of_no_tokens_none_is_valid(db):
    assert AuthToken.objects.valid_among([]) == set()
