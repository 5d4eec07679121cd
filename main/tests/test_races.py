"""Requests at the same moment, each with a connection of its own."""

import time
from threading import Event

import pytest
from django.db import transaction

from conftest import PASSWORD, Client, represent
from tests.concurrency import at_once, copies, statuses
from users import actions
from users.models import AuthToken, BlacklistEntry, ContactBookEntry, User

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.parametrize("same", ["username", "email"])
def test_six_registrations_of_one_name_make_one_account(anonymous, same):
    def register(number):
        body = {"username": f"alice{number}", "email": f"alice{number}@example.org", "password": PASSWORD}
        body[same] = ["Alice@example.org", "aLICE@example.org"][number % 2]
        return lambda: Client().post("/users/register", body)

    answers = at_once(*[register(number) for number in range(6)])
    assert statuses(answers) == [201, 400, 400, 400, 400, 400]
    assert all(list(answer.json()) == [same] for answer in answers if answer.status_code == 400)
    assert User.objects.count() == 1


@pytest.mark.parametrize(("call", "model"), [("contact-book", ContactBookEntry), ("blacklist-user", BlacklistEntry)])
def test_six_additions_of_one_entry_make_one(as_alice, bob, call, model):
    path = f"/users/contacts/{call}/bob"
    answers = at_once(*[lambda client=client: client.post(path) for client in copies(as_alice, 6)])
    assert statuses(answers) == [201, 409, 409, 409, 409, 409]
    assert model.objects.count() == 1
    answers = at_once(*[lambda client=client: client.delete(path) for client in copies(as_alice, 6)])
    gone = 204 if call == "contact-book" else 200
    assert statuses(answers) == [gone, 404, 404, 404, 404, 404]
    assert not model.objects.exists()


@pytest.mark.parametrize(("call", "model"), [("contact-book", ContactBookEntry), ("blacklist-user", BlacklistEntry)])
def test_of_two_additions_with_room_for_one_more_one_is_made(as_alice, alice, make_user, monkeypatch, call, model):
    names = [make_user(f"user{number}").username for number in range(4)]
    for name in names[:2]:
        as_alice.post(f"/users/contacts/{call}/{name}")
    monkeypatch.setattr(actions, "MAX_ENTRIES", 3)
    create = model.objects.create
    # The moment between the count and the new entry, made longer.
    monkeypatch.setattr(model.objects, "create", lambda **fields: time.sleep(0.2) or create(**fields))
    additions = [
        lambda c=client, n=name: c.post(f"/users/contacts/{call}/{n}")
        for client, name in zip(copies(as_alice, 2), names[2:], strict=True)
    ]
    assert statuses(at_once(*additions)) == [201, 409]
    assert model.objects.filter(user1=alice).count() == 3


@pytest.mark.parametrize("call", ["contact-book", "blacklist-user"])
def test_an_account_that_goes_while_others_note_it_leaves_nothing(as_alice, alice, make_user, client_of, call):
    others = [client_of(make_user(f"user{number}")) for number in range(5)]
    notes = [lambda client=client: client.post(f"/users/contacts/{call}/alice") for client in others]
    deletion, *answers = at_once(lambda: as_alice.delete("/users/profile"), *notes)
    assert deletion.status_code == 204
    assert set(statuses(answers)) <= {201, 404}
    assert not ContactBookEntry.objects.exists()
    assert not BlacklistEntry.objects.exists()
    assert User.objects.count() == 5


def test_an_account_that_goes_while_it_notes_others_leaves_nothing(as_alice, make_user):
    names = [make_user(f"user{number}").username for number in range(5)]
    clients = copies(as_alice, 6)
    notes = [
        lambda c=client, n=name: c.post(f"/users/contacts/contact-book/{n}")
        for client, name in zip(clients, names, strict=False)
    ]
    deletion, *answers = at_once(lambda: clients[-1].delete("/users/profile"), *notes)
    assert deletion.status_code == 204
    assert set(statuses(answers)) <= {201, 401, 404}
    assert not ContactBookEntry.objects.exists()


def test_contacts_taken_out_while_their_account_goes_are_gone(as_alice, alice, make_user, client_of):
    users = [make_user(f"user{number}") for number in range(7)]
    for user in users:
        ContactBookEntry.objects.create(user1=user, user2=alice)
        BlacklistEntry.objects.create(user1=alice, user2=user)
    clients = [client_of(user) for user in users]
    removals = [lambda client=client: client.delete("/users/contacts/contact-book/alice") for client in clients]
    deletion, *answers = at_once(lambda: as_alice.delete("/users/profile"), *removals)
    assert deletion.status_code == 204
    assert set(statuses(answers)) <= {204, 404}
    assert not ContactBookEntry.objects.exists()
    assert not BlacklistEntry.objects.exists()


def test_of_six_deletions_of_one_account_each_is_answered(as_alice):
    answers = at_once(*[lambda client=client: client.delete("/users/profile") for client in copies(as_alice, 6)])
    assert set(statuses(answers)) <= {204, 401}
    assert not User.objects.exists()


def test_no_login_with_the_old_password_outlives_its_change(as_alice, alice):
    new = {"current_password": PASSWORD, "new_password": "another-horse-battery"}
    logins = [lambda: Client().post("/users/login", {"username": "alice", "password": PASSWORD})] * 5
    change, *answers = at_once(lambda: as_alice.post("/users/password", new), *logins)
    assert change.status_code == 200
    assert set(statuses(answers)) <= {200, 400}
    assert AuthToken.objects.get().digest == AuthToken.digest_of(change.json()["token"])


def test_of_two_changes_of_password_one_wins(as_alice):
    passwords = ["another-horse-battery", "second-horse-battery"]
    changes = [
        lambda c=client, p=password: c.post("/users/password", {"current_password": PASSWORD, "new_password": p})
        for client, password in zip(copies(as_alice, 2), passwords, strict=True)
    ]
    answers = at_once(*changes)
    assert statuses(answers)[0] == 200
    assert statuses(answers)[1] in (400, 401)
    assert AuthToken.objects.count() == 1


def test_changes_of_different_fields_all_stay(as_alice):
    changes = {"first_name": "A", "last_name": "B", "bio": "C", "phone_number": "1", "email": "new@example.org"}
    calls = [
        lambda c=client, f=field, v=value: c.put("/users/profile", {f: v})
        for client, (field, value) in zip(copies(as_alice, 5), changes.items(), strict=True)
    ]
    assert statuses(at_once(*calls)) == [200] * 5
    user = User.objects.get()
    assert represent(user) == {"username": "alice"} | changes
    assert user.search_text == "alice\na\nb\nnew@example.org"


def test_two_who_take_one_name_end_with_one_each(as_alice, as_bob):
    calls = [lambda client=client: client.put("/users/profile", {"username": "Same"}) for client in (as_alice, as_bob)]
    assert statuses(at_once(*calls)) == [200, 400]
    assert User.objects.named("same").count() == 1


def test_an_entry_that_is_committed_while_the_check_waits_for_the_lock_is_seen(alice, bob):
    """A subquery would read a snapshot from before the lock was granted: see any_between."""
    is_inserted = Event()

    def blacklist():
        with transaction.atomic():
            actions.blacklist(bob, alice)
            is_inserted.set()
            time.sleep(0.5)

    def check():
        assert is_inserted.wait(5)
        with transaction.atomic():
            return BlacklistEntry.objects.any_between(alice, [bob.pk])

    assert at_once(blacklist, check)[1] == (True, 1)
