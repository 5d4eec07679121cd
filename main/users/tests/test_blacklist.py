import pytest

from users import actions
from users.models import BlacklistEntry

BLACKLIST = "/users/contacts/blacklist-user/"

NONE = {
    "message": "Neither of you has blacklisted the other.",
    "is_blacklisted": False,
    "is_blacklisted_by_user": False,
}
BY_YOU = {"message": "You have blacklisted this user.", "is_blacklisted": True, "is_blacklisted_by_user": True}
BY_THEM = {"message": "This user has blacklisted you.", "is_blacklisted": True, "is_blacklisted_by_user": False}
BY_BOTH = {"message": "You have blacklisted each other.", "is_blacklisted": True, "is_blacklisted_by_user": True}


def test_both_sides_and_the_bystander_see_their_own_state(as_alice, as_bob, as_charlie, queries):
    with queries(2):  # the token; the user with both directions
        answer = as_alice.get(BLACKLIST + "bob")
    assert (answer.status_code, answer.json()) == (200, NONE)

    answer = as_alice.post(BLACKLIST + "BOB")
    assert (answer.status_code, answer.json()) == (201, BY_YOU)
    assert as_alice.get(BLACKLIST + "bob").json() == BY_YOU
    assert as_bob.get(BLACKLIST + "alice").json() == BY_THEM
    assert as_charlie.get(BLACKLIST + "alice").json() == NONE
    assert as_charlie.get(BLACKLIST + "bob").json() == NONE

    answer = as_bob.post(BLACKLIST + "alice")
    assert (answer.status_code, answer.json()) == (201, BY_BOTH)
    assert as_alice.get(BLACKLIST + "bob").json() == BY_BOTH

    answer = as_alice.delete(BLACKLIST + "bob")
    assert (answer.status_code, answer.json()) == (200, BY_THEM)
    assert as_bob.get(BLACKLIST + "alice").json() == BY_YOU

    answer = as_bob.delete(BLACKLIST + "alice")
    assert (answer.status_code, answer.json()) == (200, NONE)


def test_blacklisting_twice_is_refused(as_alice, bob):
    as_alice.post(BLACKLIST + "bob")
    answer = as_alice.post(BLACKLIST + "bob")
    assert (answer.status_code, answer.json()) == (409, {"message": "You have blacklisted this user already."})
    assert BlacklistEntry.objects.count() == 1


@pytest.fixture
def full_blacklist(as_alice, bob, charlie, make_user, monkeypatch):
    """Alice's blacklist, with bob and charlie in it, to which dora cannot be added."""
    monkeypatch.setattr(actions, "MAX_ENTRIES", 2)
    make_user("dora")
    for username in ("bob", "charlie"):
        assert as_alice.post(BLACKLIST + username).status_code == 201


def names_blacklisted_by(user):
    return sorted(BlacklistEntry.objects.filter(user1=user).values_list("user2__username", flat=True))


def test_a_full_blacklist_takes_nobody_more(alice, as_alice, as_bob, full_blacklist):
    answer = as_alice.post(BLACKLIST + "dora")
    assert (answer.status_code, answer.json()) == (409, {"message": "You have blacklisted 2 users."})
    assert names_blacklisted_by(alice) == ["bob", "charlie"]
    assert as_alice.get(BLACKLIST + "dora").json() == NONE
    assert as_bob.post(BLACKLIST + "dora").json() == BY_YOU


def test_who_is_in_a_full_blacklist_is_in_it_already(alice, as_alice, full_blacklist):
    answer = as_alice.post(BLACKLIST + "bob")
    assert (answer.status_code, answer.json()) == (409, {"message": "You have blacklisted this user already."})
    assert names_blacklisted_by(alice) == ["bob", "charlie"]


def test_to_take_one_back_makes_room_in_a_full_blacklist(alice, as_alice, full_blacklist):
    as_alice.delete(BLACKLIST + "bob")
    assert as_alice.post(BLACKLIST + "dora").status_code == 201
    assert names_blacklisted_by(alice) == ["charlie", "dora"]


def test_nobody_blacklists_themselves(as_alice):
    answer = as_alice.post(BLACKLIST + "Alice")
    assert (answer.status_code, answer.json()) == (400, {"message": "This cannot be done with yourself."})
    assert as_alice.get(BLACKLIST + "alice").json() == NONE


@pytest.mark.parametrize("method", ["get", "post", "delete"])
def test_an_unknown_user_answers_404(as_alice, method):
    answer = getattr(as_alice, method)(BLACKLIST + "nobody")
    assert (answer.status_code, answer.json()) == (404, {"detail": "There is no such user."})


def test_only_ones_own_entry_can_be_taken_back(alice, as_alice, as_bob, charlie):
    as_bob.post(BLACKLIST + "alice")
    as_bob.post(BLACKLIST + "charlie")
    answer = as_alice.delete(BLACKLIST + "bob")
    assert (answer.status_code, answer.json()) == (404, {"detail": "You have not blacklisted this user."})
    assert BlacklistEntry.objects.count() == 2
    as_bob.delete(BLACKLIST + "alice")
    assert BlacklistEntry.objects.get().user2 == charlie


def test_a_deactivated_user_is_unknown_but_the_entry_can_be_taken_back(as_alice, bob):
    as_alice.post(BLACKLIST + "bob")
    bob.is_active = False
    bob.save()
    assert as_alice.get(BLACKLIST + "bob").status_code == 404
    assert as_alice.post(BLACKLIST + "bob").status_code == 404
    assert as_alice.delete(BLACKLIST + "bob").json() == NONE
