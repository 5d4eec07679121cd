"""Which changes of accounts are announced. All of them are for one user, and the other user is told nothing."""

import pytest

from conftest import PASSWORD
from events.models import Announcement, Kind
from users import actions
from users.models import AuthToken, ContactBookEntry, User

USERS = "/admin/users/user/"
PROFILE, DEACTIVATED = Kind.PROFILE, Kind.DEACTIVATED


def told():
    """What was announced, in order, as (kind, the ids that are given)."""
    rows = Announcement.objects.order_by("pk").values("kind", "user_id", "conversation_id", "number", "other_id")
    given = [{name: value for name, value in row.items() if value is not None} for row in rows]
    return [(Kind(row.pop("kind")), row) for row in given]


def forget():
    Announcement.objects.all().delete()


# The profile


@pytest.mark.parametrize("method", ["put", "patch"])
@pytest.mark.parametrize("field", ["username", "email", "first_name", "last_name", "bio", "phone_number"])
def test_a_changed_profile_is_announced(as_alice, alice, method, field):
    assert getattr(as_alice, method)("/users/profile", {field: "new@example.org"}).status_code == 200
    assert told() == [(PROFILE, {"user_id": alice.pk})]


def test_a_profile_that_changes_in_many_fields_is_announced_once(as_alice, alice, as_bob):
    body = {"username": "alicia", "email": "alicia@example.org", "first_name": "A", "last_name": "B", "bio": "C"}
    assert as_alice.put("/users/profile", body).status_code == 200
    assert told() == [(PROFILE, {"user_id": alice.pk})]


UNCHANGED = {
    "the same values": {"username": "alice", "first_name": "Alice", "last_name": "Liddell", "bio": "Curious."},
    "unknown keys": {"nickname": "Al", "is_staff": True},
    "nothing": {},
}


@pytest.mark.parametrize("method", ["put", "patch"])
@pytest.mark.parametrize("body", UNCHANGED.values(), ids=UNCHANGED)
def test_a_profile_that_stays_as_it_is_is_not_announced(as_alice, method, body):
    assert getattr(as_alice, method)("/users/profile", body).status_code == 200
    assert told() == []


FORM = {
    "username": "alicia",
    "email": "alice@example.org",
    "first_name": "Alice",
    "last_name": "Liddell",
    "bio": "Curious.",
    "phone_number": "",
}


def test_a_profile_that_a_superuser_changes_is_announced(admin_client, alice, as_alice):
    assert admin_client.post(f"{USERS}{alice.pk}/change/", FORM | {"is_active": "on"}).status_code == 302
    assert told() == [(PROFILE, {"user_id": alice.pk})]


def test_a_profile_that_a_superuser_may_not_change_so_is_not_announced(admin_client, alice, bob):
    form = FORM | {"username": "BOB", "is_active": "on"}
    assert admin_client.post(f"{USERS}{alice.pk}/change/", form).status_code == 200
    assert told() == []


# Contact book and blacklist

ENTRIES = {
    "contact-book": (Kind.CONTACT_ADDED, Kind.CONTACT_REMOVED),
    "blacklist-user": (Kind.BLACKLISTED, Kind.UNBLACKLISTED),
}


@pytest.mark.parametrize(("call", "kinds"), ENTRIES.items(), ids=ENTRIES)
def test_an_entry_and_its_removal_are_announced_to_its_owner(as_alice, alice, bob, call, kinds):
    path = f"/users/contacts/{call}/bob"
    assert as_alice.post(path).status_code == 201
    assert as_alice.delete(path).status_code < 300
    assert told() == [(kind, {"user_id": alice.pk, "other_id": bob.pk}) for kind in kinds]


@pytest.mark.parametrize("call", ENTRIES)
def test_an_entry_that_is_refused_is_not_announced(as_alice, bob, call):
    path = f"/users/contacts/{call}"
    as_alice.post(f"{path}/bob")
    forget()
    assert [as_alice.post(f"{path}/{name}").status_code for name in ("bob", "alice", "nobody")] == [409, 400, 404]
    assert told() == []


@pytest.mark.parametrize("call", ENTRIES)
def test_an_entry_for_which_there_is_no_room_is_not_announced(as_alice, bob, monkeypatch, call):
    monkeypatch.setattr(actions, "MAX_ENTRIES", 0)
    assert as_alice.post(f"/users/contacts/{call}/bob").status_code == 409
    assert told() == []


@pytest.mark.parametrize("call", ENTRIES)
def test_the_removal_of_an_entry_that_is_not_there_is_not_announced(as_alice, as_bob, call):
    as_bob.post(f"/users/contacts/{call}/alice")
    forget()
    answers = [as_alice.delete(f"/users/contacts/{call}/{name}") for name in ("bob", "nobody")]
    assert [answer.status_code for answer in answers] == [404, 404]
    assert told() == []


# The end of tokens

NEW_PASSWORD = "another-horse-battery"


@pytest.mark.parametrize("call", ["logout", "logout-all"])
@pytest.mark.parametrize("tokens", [1, 3])
def test_a_logout_is_announced_once_however_many_tokens_end(as_alice, alice, as_bob, call, tokens):
    for _ in range(tokens - 1):
        AuthToken.objects.issue(alice)
    assert as_alice.post(f"/users/{call}").status_code == 204
    assert told() == [(Kind.LOGOUT, {"user_id": alice.pk})]


def test_a_changed_password_is_announced_once(as_alice, alice, client_of):
    client_of(alice)
    body = {"current_password": PASSWORD, "new_password": NEW_PASSWORD}
    assert as_alice.post("/users/password", body).status_code == 200
    assert told() == [(Kind.PASSWORD, {"user_id": alice.pk})]


SET_PASSWORDS = {
    "a password": {"password1": NEW_PASSWORD, "password2": NEW_PASSWORD, "usable_password": "true"},
    "no password": {"usable_password": "false", "unset-password": "1"},
}


@pytest.mark.parametrize("form", SET_PASSWORDS.values(), ids=SET_PASSWORDS)
def test_a_password_that_a_superuser_sets_or_takes_away_is_announced(admin_client, as_alice, alice, form):
    assert admin_client.post(f"{USERS}{alice.pk}/password/", form).status_code == 302
    assert [each for each in told() if each[0].ends_tokens] == [(Kind.PASSWORD, {"user_id": alice.pk})]


def test_a_deactivation_is_announced(admin_client, as_alice, alice, as_bob):
    admin_client.post(USERS, {"action": "deactivate", "_selected_action": [alice.pk]})
    assert told() == [(DEACTIVATED, {"user_id": alice.pk})]


def test_a_deactivation_in_the_form_is_announced(admin_client, as_alice, alice):
    assert admin_client.post(f"{USERS}{alice.pk}/change/", FORM).status_code == 302
    assert told() == [(PROFILE, {"user_id": alice.pk}), (DEACTIVATED, {"user_id": alice.pk})]


def test_the_deactivation_of_somebody_without_tokens_ends_nothing(admin_client, alice):
    for action in ("deactivate", "reactivate"):
        admin_client.post(USERS, {"action": action, "_selected_action": [alice.pk]})
    assert User.objects.get(pk=alice.pk).is_active
    assert told() == []


def test_a_deleted_account_is_announced_once(as_alice, alice, bob, client_of, upkeep):
    client_of(alice)
    ContactBookEntry.objects.create(user1=alice, user2=bob)
    assert as_alice.delete("/users/profile").status_code == 204
    upkeep()
    assert not User.objects.filter(pk=alice.pk).exists()
    assert told() == [(Kind.DELETED, {"user_id": alice.pk})]


def test_an_account_that_a_superuser_deletes_is_announced(admin_client, alice):
    assert admin_client.post(f"{USERS}{alice.pk}/delete/", {"post": "yes"}).status_code == 302
    assert told() == [(Kind.DELETED, {"user_id": alice.pk})]


# What announces nothing


def test_a_new_account_and_its_login_are_not_announced(anonymous):
    body = {"username": "dora", "password": PASSWORD}
    assert anonymous.post("/users/register", body | {"email": "dora@example.org"}).status_code == 201
    assert anonymous.post("/users/login", body).status_code == 200
    assert told() == []


def test_an_account_that_a_superuser_adds_is_not_announced(admin_client):
    form = {"username": "dora", "email": "dora@example.org", "usable_password": "true"}
    passwords = {"password1": PASSWORD, "password2": PASSWORD}
    assert admin_client.post(f"{USERS}add/", form | passwords).status_code == 302
    assert told() == []


def test_looking_is_not_announced(as_alice, bob):
    for path in ("profile", "contacts/find-users", "contacts/view-user/bob", "contacts/contact-book/"):
        assert as_alice.get(f"/users/{path}").status_code == 200
    assert as_alice.get("/users/contacts/blacklist-user/bob").status_code == 200
    assert told() == []


REFUSED = {
    "a malformed address": ("put", "profile", {"email": "alice", "bio": "New."}),
    "a name that is taken": ("put", "profile", {"username": "BOB", "bio": "New."}),
    "an address that is taken": ("patch", "profile", {"email": "BOB@example.org"}),
    "a password in the profile": ("put", "profile", {"password": NEW_PASSWORD, "bio": "New."}),
    "a wrong password": ("post", "password", {"current_password": "wrong", "new_password": NEW_PASSWORD}),
    "a weak password": ("post", "password", {"current_password": PASSWORD, "new_password": "1234"}),
    "a wrong login": ("post", "login", {"username": "alice", "password": "wrong"}),
    "a registration": ("post", "register", {"username": "ALICE", "password": PASSWORD, "email": "a@example.org"}),
}


@pytest.mark.parametrize(("method", "path", "body"), REFUSED.values(), ids=REFUSED)
def test_what_is_refused_is_not_announced(as_alice, bob, method, path, body):
    assert getattr(as_alice, method)(f"/users/{path}", body).status_code == 400
    assert told() == []


CALLS = {
    "a profile": ("put", "profile"),
    "a deletion": ("delete", "profile"),
    "a logout": ("post", "logout"),
    "a logout everywhere": ("post", "logout-all"),
    "a password": ("post", "password"),
    "a contact": ("post", "contacts/contact-book/alice"),
    "a blacklisting": ("post", "contacts/blacklist-user/alice"),
}


@pytest.mark.parametrize(("method", "path"), CALLS.values(), ids=CALLS)
def test_what_a_stranger_tries_is_not_announced(anonymous, alice, method, path):
    assert getattr(anonymous, method)(f"/users/{path}").status_code == 401
    assert told() == []
