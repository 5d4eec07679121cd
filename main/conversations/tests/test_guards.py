"""What holds back somebody who opens conversations without end, and nobody else."""

import pytest

from conversations.models import Conversation
from users.models import BlacklistEntry
from users.tests.test_guards import assert_too_many


@pytest.fixture(autouse=True)
def _rate(settings):
    settings.OPEN_RATE = (2, 60)


def open_group(client):
    return client.post("/conversations/groups", {"name": "Tea party", "members": []})


def open_private(client, username):
    return client.post(f"/conversations/private/{username}")


@pytest.mark.parametrize("first", ["two groups", "two private ones", "one of each"])
def test_a_third_new_conversation_within_the_period_is_refused_whatever_its_kind(
    as_alice, bob, charlie, make_user, first
):
    make_user("dora")
    for number, username in enumerate(("bob", "charlie")):
        is_group = first == "two groups" or (first == "one of each" and number == 0)
        answer = open_group(as_alice) if is_group else open_private(as_alice, username)
        assert answer.status_code == 201
    assert_too_many(open_group(as_alice))
    assert_too_many(open_private(as_alice, "dora"))
    assert Conversation.objects.count() == 2


def test_each_user_is_counted_alone(as_alice, as_bob):
    for _ in range(2):
        open_group(as_alice)
    assert_too_many(open_group(as_alice))
    assert open_group(as_bob).status_code == 201
    assert open_private(as_bob, "alice").status_code == 201


def test_to_open_one_again_costs_nothing_and_is_answered_still(as_alice, bob):
    first = open_private(as_alice, "bob")
    for _ in range(3):
        assert open_private(as_alice, "bob").status_code == 200
    assert open_group(as_alice).status_code == 201
    assert_too_many(open_group(as_alice))
    again = open_private(as_alice, "bob")
    assert (again.status_code, again.json()) == (200, first.json())


def test_what_is_malformed_costs_nothing(as_alice, bob):
    for _ in range(3):
        assert as_alice.post("/conversations/groups", {"name": "", "members": []}).status_code == 400
        assert open_private(as_alice, "alice").status_code == 400
        assert open_private(as_alice, "nobody").status_code == 404
    assert open_group(as_alice).status_code == 201
    assert open_private(as_alice, "bob").status_code == 201


def test_what_a_blacklist_refuses_costs_nothing(as_alice, alice, bob, charlie):
    BlacklistEntry.objects.create(user1=bob, user2=alice)
    for _ in range(3):
        assert as_alice.post("/conversations/private/bob").status_code == 403
        assert as_alice.post("/conversations/groups", {"name": "x", "members": ["bob"]}).status_code == 403
    assert as_alice.post("/conversations/private/charlie").status_code == 201


def test_the_rate_can_be_off(as_alice, bob, settings):
    settings.OPEN_RATE = None
    assert {open_group(as_alice).status_code for _ in range(5)} == {201}
    assert open_private(as_alice, "bob").status_code == 201
