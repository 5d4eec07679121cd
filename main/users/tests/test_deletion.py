"""The deletion of an account: gone at once for every call, removed in pieces.

In these tests no piece is removed before `upkeep` is called, as if the server was killed after the first transaction.
"""

from datetime import timedelta

import pytest
from django.core.exceptions import ValidationError
from django.db import IntegrityError
from django.utils import timezone
from rest_framework.exceptions import NotFound

from common import upkeep as upkeep_module
from conftest import PASSWORD
from users import actions, deletion, representations
from users.models import AuthToken, BlacklistEntry, ContactBookEntry, User
from users.search import SearchEntry


@pytest.fixture
def remains_of_alice(alice, as_alice, bob):
    """Alice, deleted by herself, of whom the row and all that hangs on it are still there."""
    for model in (ContactBookEntry, BlacklistEntry):
        model.objects.create(user1=alice, user2=bob)
        model.objects.create(user1=bob, user2=alice)
    assert as_alice.delete("/users/profile").status_code == 204
    return User.objects.get(pk=alice.pk)


def test_what_remains_of_an_account_tells_nothing_of_it(remains_of_alice):
    assert set(representations.of_oneself(remains_of_alice).values()) == {""}
    assert remains_of_alice.password == ""
    assert not SearchEntry.objects.filter(user=remains_of_alice).exists()


def test_no_call_knows_of_what_remains(remains_of_alice, as_alice, as_bob, anonymous):
    assert as_alice.get("/users/profile").status_code == 401
    assert anonymous.post("/users/login", {"username": "alice", "password": PASSWORD}).status_code == 400
    assert as_bob.get("/users/contacts/find-users").json() == []
    assert as_bob.get("/users/contacts/contact-book/").json() == []
    for path in ("view-user/alice", "blacklist-user/alice"):
        assert as_bob.get(f"/users/contacts/{path}").status_code == 404
    for path in ("contact-book/alice", "blacklist-user/alice"):
        assert as_bob.post(f"/users/contacts/{path}").status_code == 404
        assert as_bob.delete(f"/users/contacts/{path}").status_code == 404


def test_the_admin_does_not_list_what_remains(remains_of_alice, admin_client):
    page = admin_client.get("/admin/users/user/")
    assert [user.username for user in page.context["cl"].result_list] == ["admin", "bob"]
    assert admin_client.get(f"/admin/users/user/{remains_of_alice.pk}/change/").status_code == 302


@pytest.mark.parametrize("model", ["contactbookentry", "blacklistentry", "authtoken"])
def test_the_admin_does_not_list_entries_of_what_remains(remains_of_alice, admin_client, model):
    assert admin_client.get(f"/admin/users/{model}/").context["cl"].result_count == 0


def test_a_password_that_is_set_for_an_account_just_deleted_is_refused(alice, admin_client, monkeypatch):
    def save(user, **kwargs):
        raise ValidationError({"username": ["This account was deleted just now."]})

    monkeypatch.setattr(User, "save", save)
    path = f"/admin/users/user/{alice.pk}/password/"
    passwords = dict.fromkeys(("password1", "password2"), "battery-staple-horse")
    answer = admin_client.post(path, passwords | {"usable_password": "true"})
    assert (answer.status_code, answer["Location"]) == (302, path)


def test_two_accounts_can_remain_at_the_same_time(remains_of_alice, as_bob, as_charlie, upkeep):
    assert as_bob.delete("/users/profile").status_code == 204
    upkeep()
    assert list(User.objects.values_list("username", flat=True)) == ["charlie"]


def test_an_account_is_deleted_once(remains_of_alice):
    with pytest.raises(actions.AccountGone):
        actions.delete_account(remains_of_alice)


def test_nothing_brings_an_account_back(remains_of_alice, alice):
    with pytest.raises(actions.AccountGone):
        actions.reactivate(alice)
    with pytest.raises(ValidationError, match="deleted just now"):
        alice.save()  # as a form of the admin does, that was filled in before
    assert User.objects.get(pk=alice.pk).deleted_at is not None


def test_nobody_can_note_an_account_that_was_read_before_it_was_deleted(remains_of_alice, alice, charlie):
    for action in (actions.add_contact, actions.blacklist):
        for pair in ((alice, charlie), (charlie, alice)):
            with pytest.raises(NotFound):
                action(*pair)


def test_a_piece_is_small(remains_of_alice, make_user, monkeypatch, queries):
    monkeypatch.setattr(upkeep_module, "PIECE", 2)
    for number in range(5):
        ContactBookEntry.objects.create(user1=make_user(f"fan{number}"), user2=remains_of_alice)
    pieces = deletion.pieces_of(remains_of_alice.pk)
    next(pieces)  # the token
    next(pieces)  # Alice's contact
    with queries(5):  # there are no more contacts; the ids of fans; the savepoint, the deletion, and its end
        next(pieces)
    assert ContactBookEntry.objects.filter(user2=remains_of_alice).count() == 4


def test_what_was_interrupted_is_finished_later(remains_of_alice, upkeep):
    next(deletion.pieces_of(remains_of_alice.pk))
    assert User.objects.filter(pk=remains_of_alice.pk).exists()
    upkeep()
    assert not User.objects.filter(pk=remains_of_alice.pk).exists()
    for model in (ContactBookEntry, BlacklistEntry, AuthToken):
        assert not model.objects.exists()


def test_what_comes_in_at_the_last_moment_is_left_for_the_next(remains_of_alice, upkeep, monkeypatch):
    def refuse(user_id):
        raise IntegrityError

    with monkeypatch.context() as patch:
        patch.setattr(deletion, "_remove_row", refuse)
        upkeep()
    assert User.objects.filter(pk=remains_of_alice.pk).exists()
    upkeep()
    assert not User.objects.filter(pk=remains_of_alice.pk).exists()


def test_the_call_finishes_a_small_account(transactional_db, alice, as_alice):
    assert as_alice.delete("/users/profile").status_code == 204
    assert not User.objects.exists()


def test_the_call_leaves_a_large_account_to_others(transactional_db, alice, as_alice, monkeypatch):
    monkeypatch.setattr(upkeep_module, "SECONDS_OF_CALL", -1)
    assert as_alice.delete("/users/profile").status_code == 204
    assert User.objects.filter(pk=alice.pk).exists()


def test_the_call_is_answered_although_the_rest_fails(transactional_db, alice, as_alice, monkeypatch):
    def fail(user_id):
        raise IntegrityError

    monkeypatch.setattr(deletion, "steps", [fail])
    assert as_alice.delete("/users/profile").status_code == 204


def test_accounts_of_before_are_finished_too(remains_of_alice, upkeep):
    User.objects.filter(pk=remains_of_alice.pk).update(deleted_at=timezone.now() - timedelta(days=30))
    upkeep()
    assert not User.objects.filter(pk=remains_of_alice.pk).exists()
