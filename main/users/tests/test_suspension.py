"""A suspended account: nobody can log in to it until a moment, and then its owner can again."""

from datetime import UTC, datetime, timedelta
from unittest.mock import patch

import pytest
from django.contrib.auth import hashers
from django.test import Client as Browser
from django.utils import timezone

from common.errors import Forbidden
from conftest import PASSWORD, Client
from delivery.tokens import reason
from events.models import Announcement, Kind
from tests.concurrency import at_once, copies, statuses
from users import actions
from users.models import AuthToken, User

REFUSED = {"message": "Unable to log in with this username and password."}
IN_2030 = datetime(2030, 12, 1, 10, 0, tzinfo=UTC)


def log_in(password=PASSWORD, username="alice"):
    return Client().post("/users/login", {"username": username, "password": password})


def in_days(days):
    return timezone.now() + timedelta(days=days)


def suspended_until(user):
    return User.objects.get(pk=user.pk).suspended_until


def test_who_knows_the_password_is_told_until_when(alice):
    actions.suspend(alice, IN_2030)
    answer = log_in()
    assert answer.status_code == 403
    assert answer.json() == {"message": "This account is suspended until 2030-12-01T10:00:00Z."}
    assert User.objects.get(pk=alice.pk).last_login is None
    assert not AuthToken.objects.exists()


def test_who_does_not_is_told_nothing_after_the_same_work(alice):
    actions.suspend(alice, IN_2030)
    hash_secret, verify = hashers.Argon2PasswordHasher.encode, hashers.Argon2PasswordHasher.verify
    with (
        patch.object(hashers.Argon2PasswordHasher, "encode", autospec=True, side_effect=hash_secret) as encoded,
        patch.object(hashers.Argon2PasswordHasher, "verify", autospec=True, side_effect=verify) as verified,
    ):
        answer = log_in("wrong")
    assert (answer.status_code, answer.json()) == (400, REFUSED)
    assert encoded.call_count + verified.call_count == 1


def test_a_login_takes_no_query_more_for_it(alice, queries):
    log_in()  # which makes the counters of the limits
    # Two limits, spent and refunded; the account; the update that locks it and the token, within a savepoint.
    with queries(9):
        assert log_in().status_code == 200


def test_the_right_password_of_a_suspended_account_costs_nothing(alice, settings):
    settings.LOGIN_RATE = (2, 60)
    actions.suspend(alice, IN_2030)
    assert statuses(log_in() for _ in range(5)) == [403] * 5
    assert statuses(log_in("wrong") for _ in range(3)) == [400, 400, 429]


def test_a_deactivated_account_is_as_unknown_when_it_is_suspended_too(alice):
    actions.suspend(alice, IN_2030)
    actions.deactivate(alice)
    answer = log_in()
    assert (answer.status_code, answer.json()) == (400, REFUSED)


def test_it_ends_all_tokens_of_this_user_and_says_why(alice, as_alice, as_bob):
    token = AuthToken.objects.get(user=alice)
    actions.suspend(alice, in_days(1))
    assert as_alice.get("/users/profile").status_code == 401
    assert as_bob.get("/users/profile").status_code == 200
    assert not AuthToken.objects.filter(user=alice).exists()
    assert list(Announcement.objects.values_list("kind", "user_id")) == [(Kind.SUSPENDED, alice.pk)]
    assert reason(token.pk, alice.pk) == "suspended"


def test_a_token_of_a_suspended_account_is_not_good_however_it_came_about(alice, as_alice):
    User.objects.filter(pk=alice.pk).update(suspended_until=in_days(1))
    token = AuthToken.objects.get()
    assert as_alice.get("/users/profile").status_code == 401
    assert AuthToken.objects.valid_among([token.pk]) == set()
    assert reason(token.pk, alice.pk) == "suspended"


def test_it_ends_by_itself_and_tokens_of_before_stay_dead(alice, as_alice, client_of):
    # A token of the time of the suspension, as a race might leave one.
    during = AuthToken.objects.get()
    User.objects.filter(pk=alice.pk).update(suspended_until=timezone.now())
    assert as_alice.get("/users/profile").status_code == 401
    assert AuthToken.objects.valid_among([during.pk]) == set()
    assert log_in().status_code == 200
    after = client_of(alice)
    assert after.get("/users/profile").status_code == 200
    assert AuthToken.objects.valid_among(list(AuthToken.objects.values_list("pk", flat=True))) == set(
        AuthToken.objects.exclude(pk=during.pk).values_list("pk", flat=True)
    )


def test_a_second_suspension_makes_it_longer_and_never_shorter(alice):
    long = in_days(30)
    assert actions.suspend(alice, in_days(1)) < long
    assert actions.suspend(alice, long) == long
    assert actions.suspend(alice, in_days(7)) == long
    assert suspended_until(alice) == long


def test_a_suspension_that_is_over_does_not_count_for_the_next(alice):
    User.objects.filter(pk=alice.pk).update(suspended_until=in_days(-1))
    until = in_days(1)
    assert actions.suspend(alice, until) == until


def test_an_end_before_its_time_lets_in_again(alice):
    actions.suspend(alice, in_days(30))
    actions.end_suspension(alice)
    assert suspended_until(alice) is None
    assert log_in().status_code == 200


def test_the_end_of_a_suspension_that_is_none_ends_no_token(alice, as_alice):
    actions.end_suspension(alice)
    assert as_alice.get("/users/profile").status_code == 200


@pytest.mark.parametrize("right", ["is_staff", "is_superuser"])
def test_staff_cannot_be_suspended(make_user, client_of, right):
    user = make_user("root", **{right: True})
    client = client_of(user)
    with pytest.raises(Forbidden, match="Staff cannot be suspended"):
        actions.suspend(user, in_days(1))
    assert suspended_until(user) is None
    assert client.get("/users/profile").status_code == 200


def test_others_see_a_suspended_person_and_write_to_them(alice, as_alice, as_bob):
    conversation = as_bob.post("/conversations/private/alice").json()["id"]
    actions.suspend(alice, in_days(1))
    assert as_bob.get("/users/contacts/view-user/alice").status_code == 200
    assert [user["username"] for user in as_bob.get("/users/contacts/find-users?search=ali").json()] == ["alice"]
    assert as_bob.post("/users/contacts/contact-book/alice").status_code == 201
    answer = as_bob.post(f"/conversations/{conversation}/messages", {"text": "See you tomorrow"})
    assert answer.status_code == 201
    actions.end_suspension(alice)
    alice_again = Client()
    alice_again.credentials(HTTP_AUTHORIZATION=f"Token {log_in().json()['token']}")
    assert alice_again.get(f"/conversations/{conversation}").json()["unread_count"] == 1


# The admin


def test_staff_who_is_suspended_is_not_let_in_and_does_not_stay(alice):
    browser = Browser()
    browser.force_login(alice)
    User.objects.filter(pk=alice.pk).update(is_staff=True, suspended_until=in_days(1))
    assert browser.get("/admin/").status_code == 302
    page = Browser().post("/admin/login/", {"username": "alice", "password": PASSWORD})
    assert page.status_code == 200
    User.objects.filter(pk=alice.pk).update(suspended_until=in_days(-1))
    assert browser.get("/admin/").status_code == 200
    assert Browser().post("/admin/login/", {"username": "alice", "password": PASSWORD}).status_code == 302


def test_a_form_that_was_read_before_a_suspension_does_not_end_it(alice):
    as_read = User.objects.get(pk=alice.pk)
    until = actions.suspend(alice, in_days(1))
    as_read.bio = "Changed by a superuser"
    as_read.save()
    assert suspended_until(alice) == until


# At the same moment


@pytest.mark.django_db(transaction=True)
def test_no_token_survives_a_suspension_while_logins_run(alice, as_alice):
    until = in_days(1)
    logins = [log_in] * 5
    changes = [
        lambda c=client: c.post("/users/password", {"current_password": PASSWORD, "new_password": PASSWORD + "s"})
        for client in copies(as_alice, 2)
    ]
    _, *answers = at_once(lambda: actions.suspend(alice, until), *logins, *changes)
    assert set(statuses(answers)) <= {200, 400, 401, 403}
    assert AuthToken.objects.valid_among(list(AuthToken.objects.values_list("pk", flat=True))) == set()
    for token in [answer.json()["token"] for answer in answers if answer.status_code == 200]:
        assert AuthToken.find(token) is None
    User.objects.filter(pk=alice.pk).update(suspended_until=timezone.now())
    for token in [answer.json()["token"] for answer in answers if answer.status_code == 200]:
        assert AuthToken.find(token) is None


@pytest.mark.django_db(transaction=True)
def test_of_a_suspension_and_a_deletion_at_once_the_account_goes(alice, as_alice):
    def suspend():
        try:
            return actions.suspend(alice, in_days(1))
        except actions.AccountGone:
            return None

    _, answer = at_once(suspend, lambda: as_alice.delete("/users/profile"))
    assert answer.status_code in (204, 401)
    assert User.objects.filter(pk=alice.pk, deleted_at=None).exists() == (answer.status_code == 401)
