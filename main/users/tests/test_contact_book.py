import pytest

from conftest import represent
from users import actions
from users.models import ContactBookEntry

BOOK = "/users/contacts/contact-book/"


@pytest.mark.parametrize("path", [BOOK, BOOK[:-1]])
def test_a_new_book_is_empty(as_alice, path):
    answer = as_alice.get(path)
    assert (answer.status_code, answer.json()) == (200, [])


def test_the_book_lists_all_contacts_by_username_in_two_queries(alice, as_alice, make_user, queries):
    for number in range(150):
        ContactBookEntry.objects.create(
            user1=alice, user2=make_user(f"User{number:03}" if number % 2 else f"user{number:03}")
        )
    with queries(2):  # the token; the contacts
        answer = as_alice.get(BOOK)
    assert [contact["username"].lower() for contact in answer.json()] == [f"user{number:03}" for number in range(150)]
    assert "Link" not in answer


def test_adding_answers_the_contact_and_tells_nobody(bob, as_alice, as_bob, as_charlie):
    answer = as_alice.post(BOOK + "BOB")
    assert (answer.status_code, answer.json()) == (201, represent(bob))
    assert as_alice.get(BOOK).json() == [represent(bob)]
    assert as_bob.get(BOOK).json() == []
    assert as_charlie.get(BOOK).json() == []


def test_adding_twice_is_refused(as_alice, bob):
    as_alice.post(BOOK + "bob")
    answer = as_alice.post(BOOK + "bob")
    assert (answer.status_code, answer.json()) == (409, {"message": "This user is in your contact book already."})
    assert ContactBookEntry.objects.count() == 1


@pytest.fixture
def full_book(as_alice, bob, charlie, make_user, monkeypatch):
    """Alice's book, with bob and charlie in it, to which dora cannot be added."""
    monkeypatch.setattr(actions, "MAX_ENTRIES", 2)
    make_user("dora")
    for username in ("bob", "charlie"):
        assert as_alice.post(BOOK + username).status_code == 201


def names_in_the_book_of(client):
    return [contact["username"] for contact in client.get(BOOK).json()]


def test_a_full_book_takes_nobody_more(as_alice, as_bob, full_book):
    answer = as_alice.post(BOOK + "dora")
    assert (answer.status_code, answer.json()) == (409, {"message": "Your contact book has 2 users."})
    assert names_in_the_book_of(as_alice) == ["bob", "charlie"]
    assert as_bob.post(BOOK + "dora").status_code == 201


def test_who_is_in_a_full_book_is_in_it_already(as_alice, full_book):
    answer = as_alice.post(BOOK + "bob")
    assert (answer.status_code, answer.json()) == (409, {"message": "This user is in your contact book already."})
    assert names_in_the_book_of(as_alice) == ["bob", "charlie"]


def test_a_removal_makes_room_in_a_full_book(as_alice, full_book):
    as_alice.delete(BOOK + "bob")
    assert as_alice.post(BOOK + "dora").status_code == 201
    assert names_in_the_book_of(as_alice) == ["charlie", "dora"]


def test_nobody_adds_themselves(as_alice):
    answer = as_alice.post(BOOK + "ALICE")
    assert (answer.status_code, answer.json()) == (400, {"message": "This cannot be done with yourself."})


def test_an_unknown_user_answers_404(as_alice):
    answer = as_alice.post(BOOK + "nobody")
    assert (answer.status_code, answer.json()) == (404, {"detail": "There is no such user."})
    assert as_alice.delete(BOOK + "nobody").status_code == 404


def test_removing_takes_ones_own_entry_alone(as_alice, as_bob, alice, charlie):
    as_alice.post(BOOK + "bob")
    as_bob.post(BOOK + "alice")
    as_bob.post(BOOK + "charlie")
    answer = as_alice.delete(BOOK + "Bob")
    assert (answer.status_code, answer.content) == (204, b"")
    assert as_alice.get(BOOK).json() == []
    assert as_bob.get(BOOK).json() == [represent(alice), represent(charlie)]
    answer = as_alice.delete(BOOK + "bob")
    assert (answer.status_code, answer.json()) == (404, {"detail": "This user is not in your contact book."})


def test_a_deactivated_contact_is_hidden_until_it_is_back(as_alice, bob):
    as_alice.post(BOOK + "bob")
    bob.is_active = False
    bob.save()
    assert as_alice.get(BOOK).json() == []
    bob.is_active = True
    bob.save()
    assert as_alice.get(BOOK).json() == [represent(bob)]


def test_a_renamed_contact_stays(as_alice, as_bob):
    as_alice.post(BOOK + "bob")
    as_bob.put("/users/profile", {"username": "robert"})
    assert [contact["username"] for contact in as_alice.get(BOOK).json()] == ["robert"]
