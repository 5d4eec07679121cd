"""The events of one user: what members are told who come and go, and what a page costs."""

from itertools import pairwise

import pytest

from conversations.models import Conversation, Membership
from delivery import pages


@pytest.fixture
def in_and_out(as_alice, group, talk):
    """Takes somebody out and brings them back, and speaks before, meanwhile and afterwards."""

    def go(username="bob"):
        member = f"/conversations/{group}/members/{username}"
        talk.send(as_alice, group, "Before")
        assert as_alice.delete(member).status_code == 204
        talk.send(as_alice, group, "Meanwhile")
        assert as_alice.post(member).status_code == 201
        talk.send(as_alice, group, "Afterwards")

    return go


def short(news):
    """Events by name; messages by text."""
    return [data["message"]["text"] if event == "message" else event for event, data in news]


# Members who come and go


def test_who_was_taken_out_is_told_nothing_after_that(as_alice, as_bob, group, talk, listen):
    bob = listen(as_bob)
    talk.send(as_alice, group, "Before")
    assert short(bob.news()) == ["Before"]
    as_alice.delete(f"/conversations/{group}/members/bob")
    talk.send(as_alice, group, "After")
    as_alice.put(f"/conversations/{group}", {"name": "Without bob"})
    assert bob.news() == [("conversation_removed", {"conversation": group})]


def test_who_resumes_after_being_taken_out_is_told_only_that(as_alice, as_bob, group, talk, listen):
    bob = listen(as_bob)
    talk.send(as_alice, group, "Before")
    as_bob.post(f"/conversations/{group}/read", {"number": 1})
    as_alice.delete(f"/conversations/{group}/members/bob")
    talk.send(as_alice, group, "After")
    assert bob.news() == [("conversation_removed", {"conversation": group})]


@pytest.mark.parametrize("limit", [1, 2, 3, 100])
def test_who_was_brought_back_is_not_told_what_happened_meanwhile(as_bob, in_and_out, listen, limit):
    bob = listen(as_bob)
    in_and_out()
    assert short(bob.news(limit=limit)) == ["Before", "conversation_removed", "conversation", "Afterwards"]


def test_who_was_brought_back_is_told_the_conversation_as_it_is(as_bob, group, in_and_out, listen):
    bob = listen(as_bob)
    in_and_out()
    news = bob.news()
    assert news[1] == ("conversation_removed", {"conversation": group})
    assert news[2] == ("conversation", {"conversation": as_bob.get(f"/conversations/{group}").json()})


def test_who_went_twice_is_told_of_each_time_of_membership(as_bob, in_and_out, listen):
    bob = listen(as_bob)
    in_and_out()
    in_and_out()
    times = ["conversation_removed", "conversation", "Afterwards"]
    assert short(bob.news()) == ["Before", *times, "Before", *times]


def test_the_others_are_told_everything_meanwhile(as_alice, as_charlie, in_and_out, group, listen):
    as_alice.post(f"/conversations/{group}/members/charlie")
    charlie = listen(as_charlie)
    in_and_out()
    assert short(charlie.news()) == ["Before", "conversation", "Meanwhile", "conversation", "Afterwards"]


@pytest.mark.parametrize("limit", [1, 100])
def test_a_newcomer_is_told_the_conversation_once_and_nothing_of_before(
    as_alice, as_charlie, group, talk, listen, limit
):
    charlie = listen(as_charlie)
    talk.send(as_alice, group, "Before")
    as_alice.put(f"/conversations/{group}", {"name": "Croquet"})
    as_alice.post(f"/conversations/{group}/members/charlie")
    talk.send(as_alice, group, "After")
    assert short(charlie.news(limit=limit)) == ["conversation", "After"]


def test_what_is_edited_after_somebody_left_is_not_told_to_them(as_alice, as_bob, group, talk, listen):
    talk.send(as_alice, group, "Before")
    as_bob.delete(f"/conversations/{group}/members/bob")
    bob, alice = listen(as_bob), listen(as_alice)
    as_alice.put(f"/conversations/{group}/messages/1", {"text": "After"})
    as_alice.delete(f"/conversations/{group}/messages/1")
    assert (short(alice.news()), bob.news()) == (["", ""], [])


def test_what_was_said_in_other_conversations_meanwhile_is_told(as_alice, as_bob, private, in_and_out, talk, listen):
    bob = listen(as_bob)
    in_and_out()
    talk.send(as_alice, private, "In private")
    assert short(bob.news())[-2:] == ["Afterwards", "In private"]


# Windows


@pytest.fixture
def small_windows(monkeypatch):
    """A page goes through at most six positions."""
    monkeypatch.setattr(pages, "WINDOW", 3)
    monkeypatch.setattr(pages, "WINDOWS", 2)


@pytest.fixture
def seldom(as_alice, as_bob, private, talk):
    """Bob speaks to alice now and then, and has much else to do."""

    def speak(*texts):
        for text in texts:
            talk.send(as_bob, private, text)
            for number in range(20):
                as_bob.put("/users/profile", {"bio": f"{text} {number}"})

    return speak


def test_what_others_do_between_is_stepped_over(as_alice, seldom, listen, small_windows):
    alice, whole = listen(as_alice), listen(as_alice)
    seldom("1", "2", "3")
    found = list(alice.pages())
    assert [event["data"]["message"]["text"] for page in found for event in page["events"]] == ["1", "2", "3"]
    assert alice.page(after=alice.cursor) == {"events": [], "cursor": alice.cursor, "more": False}
    assert short(whole.news(limit=1)) == ["1", "2", "3"]


def test_a_page_that_has_stepped_over_enough_ends_and_says_that_there_is_more(as_alice, seldom, listen, small_windows):
    alice = listen(as_alice)
    seldom("1", "2")
    found = list(alice.pages())
    ends = [int(page["cursor"].partition("-")[2]) for page in found]
    assert [later - earlier for earlier, later in pairwise(ends)] == [6] * 6
    assert [len(page["events"]) for page in found] == [1, 0, 0, 1, 0, 0, 0]
    assert [page["more"] for page in found] == [True] * 6 + [False]


def test_a_page_goes_on_through_windows_until_half_of_it_is_there(as_alice, seldom, listen, monkeypatch):
    monkeypatch.setattr(pages, "WINDOW", 3)
    alice = listen(as_alice)
    seldom("1", "2")
    found = [(len(page["events"]), page["more"]) for page in alice.pages(limit=2)]
    assert found == [(1, True), (1, True), (0, False)]


# Many conversations


@pytest.fixture
def busy(as_alice, as_bob, private, group, talk):
    """Something happens in each of alice's three conversations, and in one of bob's."""
    third, foreign = talk.group(as_alice, "bob", name="Third"), talk.group(as_bob, name="Bob's")

    def speak():
        for number, conversation in enumerate([private, foreign, group, third, private, foreign, group]):
            talk.send(as_bob, conversation, str(number))
        as_alice.post(f"/conversations/{group}/read", {"number": 1})
        as_alice.delete(f"/conversations/{third}/members/bob")

    return speak


@pytest.mark.parametrize("few", [0, 1, 2, 3])
def test_a_member_of_many_conversations_is_told_the_same(as_alice, busy, listen, monkeypatch, few):
    alice, usual = listen(as_alice), listen(as_alice)
    busy()
    expected = usual.news()
    assert short(expected) == ["0", "2", "3", "4", "6", "read", "conversation"]
    monkeypatch.setattr(pages, "FEW_CONVERSATIONS", few)
    assert alice.news(limit=2) == expected


# Queries


@pytest.fixture
def rounds(as_alice, as_bob, make_user, talk):
    """Makes four events in each round: of a new conversation, a message, the mark and the contact book."""

    def make(number):
        for turn in range(number):
            conversation = talk.group(as_bob, "alice")
            talk.send(as_bob, conversation, "Hello")
            as_alice.post(f"/conversations/{conversation}/read", {"number": 1})
            as_alice.post(f"/users/contacts/contact-book/{make_user(f'user{turn}').username}")

    return make


@pytest.mark.parametrize("number", [1, 15])
def test_a_page_takes_as_many_queries_whatever_it_holds(as_alice, rounds, listen, order, queries, number):
    listener = listen(as_alice)
    rounds(number)
    order()
    # The token; nothing to order; the log; the oldest position. The user's events; the conversations; their events.
    # Members; messages; active hours; last messages, conversations and their members; of the marks; members again;
    # later changes of membership; other users. Whether the token is alive.
    with queries(18):
        page = listener.page(after=listener.cursor)
    assert [event["event"] for event in page["events"]] == ["conversation", "message", "read", "contact"] * number


@pytest.mark.parametrize("number", [2, 60])
def test_messages_take_as_many_queries_whatever_their_number(as_alice, as_bob, private, listen, order, queries, number):
    alice = listen(as_alice)
    for _ in range(number):
        as_bob.post(f"/conversations/{private}/messages", {"text": "Hello"})
    order()
    with queries(13):  # as above, without conversations, marks and other users
        page = alice.page(after=alice.cursor)
    assert len(page["events"]) == number


def test_a_page_of_a_member_of_600_conversations_takes_as_many(
    as_alice, as_bob, alice, bob, private, talk, listen, order, queries
):
    group = Conversation.Kind.GROUP
    Conversation.objects.bulk_create(Conversation(kind=group, name="x", owner=bob) for _ in range(600))
    groups = Conversation.objects.filter(kind=group)
    Membership.objects.bulk_create(Membership(conversation=each, user=user) for each in groups for user in (alice, bob))
    listener = listen(as_alice)
    talk.send(as_bob, private, "1")
    talk.send(as_bob, groups[599].pk, "2")
    order()
    with queries(13):
        page = listener.page(after=listener.cursor)
    assert [event["data"]["message"]["text"] for event in page["events"]] == ["1", "2"]


def test_a_page_without_events_asks_little(as_alice, private, listen, queries):
    alice = listen(as_alice)
    with queries(4):  # the token; nothing to order; the log; the oldest position
        assert alice.news() == []
