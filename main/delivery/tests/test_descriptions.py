"""What each kind of event tells, and whom."""

import pytest

from conftest import represent
from conversations import actions, representations
from delivery.descriptions import Told, describe, was_member
from events.models import Event, Kind, Row

BOOK, BLACKLIST = "/users/contacts/contact-book/bob", "/users/contacts/blacklist-user/bob"


@pytest.fixture
def everybody(as_alice, as_bob, as_charlie):
    return as_alice, as_bob, as_charlie


@pytest.fixture
def seen():
    """The event `conversation`, with the conversation as the client sees it now."""
    return lambda client, pk: ("conversation", {"conversation": client.get(f"/conversations/{pk}").json()})


@pytest.fixture
def rows(order):
    """All events, as they are read."""

    def read():
        order()
        return Event.objects.between(0, 10**6).rows(1000)

    return read


# Messages


@pytest.mark.parametrize("which", ["private", "group"])
def test_a_sent_message_is_told_to_all_members_and_to_nobody_else(request, everybody, which, talk, listen, told):
    conversation = request.getfixturevalue(which)
    listeners = [listen(client) for client in everybody]
    message = talk.send(everybody[0], conversation, "Hello")
    assert [each.news() for each in listeners] == [[told(message)], [told(message)], []]


def test_an_edited_message_is_told_as_it_is_now(everybody, private, talk, listen, told):
    talk.send(everybody[0], private, "Helo")
    listeners = [listen(client) for client in everybody]
    message = everybody[0].put(f"/conversations/{private}/messages/1", {"text": "Hello"}).json()
    assert (message["text"], message["edited_at"] is None) == ("Hello", False)
    assert [each.news() for each in listeners] == [[told(message)], [told(message)], []]


def test_a_deleted_message_is_told_without_its_text(everybody, private, talk, listen, told):
    message = talk.send(everybody[0], private, "Oops")
    listeners = [listen(client) for client in everybody]
    everybody[0].delete(f"/conversations/{private}/messages/1")
    deleted = told(message | {"text": "", "deleted": True})
    assert [each.news() for each in listeners] == [[deleted], [deleted], []]


def test_every_change_of_a_message_tells_it_as_it_is_when_delivered(as_alice, as_bob, private, talk, listen, told):
    bob = listen(as_bob)
    talk.send(as_alice, private, "Helo")
    message = as_alice.put(f"/conversations/{private}/messages/1", {"text": "Hello"}).json()
    assert bob.news() == [told(message), told(message)]


def test_a_client_id_is_shown_to_its_sender_only(as_alice, as_bob, private, listen, told):
    alice, bob = listen(as_alice), listen(as_bob)
    message = as_alice.post(f"/conversations/{private}/messages", {"text": "Hello", "client_id": "a-1"}).json()
    assert message["client_id"] == "a-1"
    assert alice.news() == [told(message)]
    assert bob.news() == [told(message | {"client_id": None})]


def test_a_message_that_arrives_twice_is_told_once(as_alice, as_bob, private, listen, told):
    bob = listen(as_bob)
    body = {"text": "Hello", "client_id": "a-1"}
    message = [as_alice.post(f"/conversations/{private}/messages", body).json() for _ in range(2)][0]
    assert bob.news() == [told(message | {"client_id": None})]


def test_a_message_that_is_deleted_twice_is_told_once(as_alice, private, talk, listen):
    talk.send(as_alice, private, "Oops")
    alice = listen(as_alice)
    for _ in range(2):
        as_alice.delete(f"/conversations/{private}/messages/1")
    assert len(alice.news()) == 1


@pytest.mark.parametrize("rows_are_removed", [False, True])
def test_a_message_whose_sender_is_gone_has_no_sender(
    as_alice, as_bob, group, talk, listen, told, upkeep, rows_are_removed
):
    alice = listen(as_alice)
    message = talk.send(as_bob, group, "Farewell")
    as_bob.delete("/users/profile")
    if rows_are_removed:
        upkeep()
    assert alice.news()[0] == told(message | {"sender": None})


# Conversations


def test_a_new_conversation_is_told_to_its_members(everybody, talk, listen, seen):
    listeners = [listen(client) for client in everybody]
    private = talk.open(everybody[0], "bob")
    group = talk.group(everybody[0], "bob")
    expected = [[seen(client, private), seen(client, group)] for client in everybody[:2]]
    assert [each.news() for each in listeners] == [*expected, []]


def test_opening_a_conversation_again_tells_nothing(as_alice, as_bob, private, talk, listen):
    listeners = [listen(as_alice), listen(as_bob)]
    assert talk.open(as_bob, "alice") == private
    assert [each.news() for each in listeners] == [[], []]


def test_a_new_name_is_told_to_the_members_each_as_they_see_it(everybody, group, listen, seen):
    everybody[0].post(f"/conversations/{group}/messages", {"text": "Hello", "client_id": "a-1"})
    listeners = [listen(client) for client in everybody]
    everybody[0].put(f"/conversations/{group}", {"name": "Croquet"})
    news = [each.news() for each in listeners]
    assert news == [[seen(everybody[0], group)], [seen(everybody[1], group)], []]
    shown = [data["conversation"] for [(_, data)] in news[:2]]
    assert [(each["name"], each["unread_count"]) for each in shown] == [("Croquet", 0), ("Croquet", 1)]
    assert [each["last_message"]["client_id"] for each in shown] == ["a-1", None]


def test_a_new_member_and_the_others_are_told_once(everybody, group, talk, listen, seen):
    talk.send(everybody[0], group, "Before")
    listeners = [listen(client) for client in everybody]
    everybody[0].post(f"/conversations/{group}/members/charlie")
    news = [each.news() for each in listeners]
    assert news == [[seen(client, group)] for client in everybody]
    assert news[2][0][1]["conversation"]["members"] == ["alice", "bob", "charlie"]


def test_who_is_taken_out_is_told_that_and_the_others_who_is_left(everybody, group, listen, seen):
    listeners = [listen(client) for client in everybody]
    everybody[0].delete(f"/conversations/{group}/members/bob")
    left = seen(everybody[0], group)
    assert left[1]["conversation"]["members"] == ["alice"]
    assert [each.news() for each in listeners] == [[left], [("conversation_removed", {"conversation": group})], []]


def test_when_the_owner_leaves_the_others_are_told_who_owns_the_group(everybody, group, listen, seen):
    listeners = [listen(client) for client in everybody]
    everybody[0].delete(f"/conversations/{group}/members/alice")
    inherited = seen(everybody[1], group)
    assert inherited[1]["conversation"]["owner"] == "bob"
    assert [each.news() for each in listeners] == [[("conversation_removed", {"conversation": group})], [inherited], []]


@pytest.mark.parametrize("rows_are_removed", [False, True])
def test_the_last_one_out_is_told_that_the_conversation_is_gone(as_alice, talk, listen, upkeep, rows_are_removed):
    group = talk.group(as_alice)
    alice = listen(as_alice)
    as_alice.delete(f"/conversations/{group}/members/alice")
    if rows_are_removed:
        upkeep()
    assert alice.news() == [("conversation_removed", {"conversation": group})]


@pytest.mark.parametrize("which", ["private", "group"])
def test_when_an_account_is_deleted_its_conversations_are_told_to_the_others(
    request, as_alice, as_bob, as_charlie, which, listen, seen, upkeep
):
    conversation = request.getfixturevalue(which)
    alice, charlie = listen(as_alice), listen(as_charlie)
    as_bob.delete("/users/profile")
    upkeep()
    left = seen(as_alice, conversation)
    assert left[1]["conversation"]["members"] == ["alice"]
    assert (alice.news(), charlie.news()) == ([left], [])


# Marks


def test_a_mark_that_moves_is_told_to_its_owner_alone(everybody, private, talk, listen):
    talk.send(everybody[0], private, "1", "2", "3")
    listeners = [listen(client) for client in everybody]
    everybody[1].post(f"/conversations/{private}/read", {"number": 2})
    expected = ("read", {"conversation": private, "number": 2, "unread_count": 1})
    assert [each.news() for each in listeners] == [[], [expected], []]


@pytest.mark.parametrize("number", [0, 1, 2])
def test_a_mark_that_does_not_move_is_not_told(as_alice, as_bob, private, talk, listen, number):
    talk.send(as_alice, private, "1", "2")
    as_bob.post(f"/conversations/{private}/read", {"number": 2})
    bob = listen(as_bob)
    as_bob.post(f"/conversations/{private}/read", {"number": number})
    assert bob.news() == []


def test_a_mark_past_the_end_is_told_as_it_is_kept(as_alice, as_bob, private, talk, listen):
    talk.send(as_alice, private, "1", "2")
    bob = listen(as_bob)
    as_bob.post(f"/conversations/{private}/read", {"number": 1000})
    assert bob.news() == [("read", {"conversation": private, "number": 2, "unread_count": 0})]


# The account


def test_a_changed_profile_is_told_to_its_owner_alone(everybody, alice, private, listen):
    listeners = [listen(client) for client in everybody]
    everybody[0].put("/users/profile", {"bio": "Late for tea.", "username": "Alice2"})
    alice.refresh_from_db()
    expected = ("profile", {"profile": represent(alice)})
    assert expected[1]["profile"]["username"] == "Alice2"
    assert [each.news() for each in listeners] == [[expected], [], []]


@pytest.mark.parametrize("body", [{}, {"bio": "Curious."}, {"bio": "New", "username": "bob"}])
def test_a_profile_that_stays_as_it_was_is_not_told(as_alice, bob, listen, body):
    alice = listen(as_alice)
    as_alice.put("/users/profile", body)
    assert alice.news() == []


def test_a_login_and_a_logout_are_not_told(as_alice, alice, client_of, listen):
    listener = listen(as_alice)
    client_of(alice).post("/users/logout")
    assert listener.news() == []


@pytest.mark.parametrize(
    ("path", "name", "key"), [(BOOK, "contact", "in_contact_book"), (BLACKLIST, "blacklist", "is_blacklisted_by_user")]
)
def test_an_entry_that_is_made_and_removed_is_told_to_its_owner_alone(everybody, private, listen, path, name, key):
    listeners = [listen(client) for client in everybody]
    for method, value in [("post", True), ("delete", False)]:
        getattr(everybody[0], method)(path)
        expected = (name, {"username": "bob", key: value})
        assert [each.news() for each in listeners] == [[expected], [], []]


@pytest.mark.parametrize("path", [BOOK, BLACKLIST])
def test_an_entry_that_is_refused_is_not_told(as_alice, bob, listen, path):
    as_alice.post(path)
    alice = listen(as_alice)
    assert [as_alice.post(path).status_code, as_alice.post(path.replace("bob", "alice")).status_code] == [409, 400]
    assert alice.news() == []


@pytest.mark.parametrize("rows_are_removed", [False, True])
def test_an_entry_of_a_deleted_account_is_left_out(as_alice, as_bob, charlie, listen, upkeep, rows_are_removed):
    alice = listen(as_alice)
    for path in (BOOK, BLACKLIST, BOOK.replace("bob", "charlie")):
        as_alice.post(path)
    as_bob.delete("/users/profile")
    if rows_are_removed:
        upkeep()
    assert alice.news() == [("contact", {"username": "charlie", "in_contact_book": True})]


def test_an_entry_tells_the_name_that_the_other_has_now(as_alice, as_bob, listen):
    alice = listen(as_alice)
    as_alice.post(BOOK)
    as_bob.put("/users/profile", {"username": "robert"})
    assert alice.news() == [("contact", {"username": "robert", "in_contact_book": True})]


# Of several users at a time, as for the streams of a process


def test_a_message_is_described_once_for_its_sender_and_once_for_the_others(as_alice, alice, bob, charlie, talk, rows):
    group = talk.group(as_alice, "bob", "charlie")
    as_alice.post(f"/conversations/{group}/messages", {"text": "Hello", "client_id": "a-1"})
    own, others = describe(rows()[-1:], {alice.pk, bob.pk, charlie.pk})
    assert (own.name, own.data["message"]["client_id"], own.user_ids) == ("message", "a-1", [alice.pk])
    assert (others.name, others.data["message"]["client_id"]) == ("message", None)
    assert sorted(others.user_ids) == [bob.pk, charlie.pk]


def test_a_conversation_is_described_once_for_all_who_see_the_same(as_alice, alice, bob, charlie, talk, rows):
    group = talk.group(as_alice, "bob", "charlie")
    talk.send(as_alice, group, "1")
    as_alice.put(f"/conversations/{group}", {"name": "Croquet"})
    told = describe(rows()[-1:], {alice.pk, bob.pk, charlie.pk})
    seen_by = {tuple(sorted(each.user_ids)): each.data["conversation"]["unread_count"] for each in told}
    assert seen_by == {(alice.pk,): 0, (bob.pk, charlie.pk): 1}


def test_only_those_who_were_asked_for_are_told(as_alice, alice, bob, private, talk, rows):
    talk.send(as_alice, private, "1")
    as_alice.post(BOOK)
    named = [[each.name for each in describe(rows(), {user_id})] for user_id in (alice.pk, bob.pk, 10**6)]
    assert named == [["conversation", "message", "contact"], ["conversation", "message"], []]
    assert {user_id for each in describe(rows(), {bob.pk}) for user_id in each.user_ids} == {bob.pk}


def test_an_event_whose_conversation_is_gone_is_left_out(alice):
    kinds = [(Kind.MESSAGE, None), (Kind.CONVERSATION, None), (Kind.JOINED, alice.pk), (Kind.READ, alice.pk)]
    rows = [Row(position, kind, user_id, 7, 1, None) for position, (kind, user_id) in enumerate(kinds, 1)]
    left = Row(5, Kind.LEFT, alice.pk, 7, None, None)
    assert describe([*rows, left], {alice.pk}) == [Told(5, "conversation_removed", {"conversation": 7}, [alice.pk])]


def test_who_is_taken_out_while_a_message_is_read_does_not_get_it(as_alice, alice, bob, group, talk, rows, monkeypatch):
    talk.send(as_alice, group, "1")
    with_senders = representations.with_senders

    def take_out_first(messages):
        actions.remove_member(alice, group, "bob")
        return with_senders(messages)

    last = rows()[-1:]
    monkeypatch.setattr(representations, "with_senders", take_out_first)
    assert [list(each.user_ids) for each in describe(last, {alice.pk, bob.pk})] == [[alice.pk]]


@pytest.mark.parametrize("members", [1, 40])
def test_a_conversation_takes_as_many_queries_whatever_its_members(
    as_alice, alice, make_user, talk, rows, queries, members
):
    others = [make_user(f"user{number}") for number in range(members)]
    group = talk.group(as_alice, *(user.username for user in others))
    talk.send(as_alice, group, "1")
    as_alice.put(f"/conversations/{group}", {"name": "Croquet"})
    last = rows()[-1:]
    with queries(6):  # the members; last messages; conversations; their members; the members again; their changes
        told = describe(last, {alice.pk, *(user.pk for user in others)})
    assert sorted(len(each.user_ids) for each in told) == [1, members]


@pytest.mark.parametrize(
    ("kinds", "was_one"),
    [
        ([], [True] * 4),
        ([(2, Kind.JOINED)], [False, True, True, True]),
        ([(2, Kind.LEFT), (4, Kind.JOINED)], [True, False, False, True]),
        ([(1, Kind.JOINED), (2, Kind.LEFT), (3, Kind.JOINED)], [True, False, True, True]),
    ],
)
def test_changes_tell_when_somebody_was_a_member(kinds, was_one):
    changes = [Row(position, kind, 1, 1, None, None) for position, kind in kinds]
    assert [was_member(changes, position) for position in (1, 2, 3, 4)] == was_one
