import pytest

from conftest import represent

VIEW = "/users/contacts/view-user/"


@pytest.mark.parametrize("username", ["alice", "ALICE", "Alice"])
def test_a_user_is_found_by_name_whatever_its_case(alice, as_bob, queries, username):
    with queries(2):  # the token; the user
        answer = as_bob.get(VIEW + username)
    assert (answer.status_code, answer.json()) == (200, represent(alice))


def test_oneself_can_be_viewed(alice, as_alice):
    assert as_alice.get(VIEW + "alice").json() == represent(alice)


@pytest.mark.parametrize("username", ["nobody", "ali", "alice%20", "%00", "%ff", "%25", "x" * 3000])
def test_an_unknown_name_answers_404(alice, as_bob, username):
    answer = as_bob.get(VIEW + username)
    if username == "alice%20":  # white space around a name is no part of it
        assert answer.status_code == 200
    else:
        assert (answer.status_code, answer.json()) == (404, {"detail": "There is no such user."})


def test_a_deactivated_user_answers_404(alice, as_bob):
    alice.is_active = False
    alice.save()
    assert as_bob.get(VIEW + "alice").status_code == 404
