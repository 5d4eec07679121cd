"""Which changes of conversations are announced, and to whom."""

import pytest

from conversations import actions
from conversations.models import Message
from events import log
from events.models import Announcement, Event, Kind
from tests.concurrency import at_once, copies, statuses
from users.models import User

MESSAGE, CONVERSATION, JOINED, LEFT, READ = Kind.MESSAGE, Kind.CONVERSATION, Kind.JOINED, Kind.LEFT, Kind.READ


def told():
    """What was announced, in order, as (kind, the ids and the number that are given)."""
    rows = Announcement.objects.order_by("pk").values("kind", "user_id", "conversation_id", "number", "other_id")
    given = [{name: value for name, value in row.items() if value is not None} for row in rows]
    return [(Kind(row.pop("kind")), row) for row in given]


def forget():
    Announcement.objects.all().delete()


@pytest.fixture
def dora(make_user):
    return make_user("dora")


@pytest.fixture
def as_dora(dora, client_of):
    return client_of(dora)


@pytest.fixture
def party(as_alice, as_bob, as_charlie, as_dora, talk):
    """A group that alice owns, bob and charlie are in, with a message of alice's. Dora stays outside."""
    group = talk.group(as_alice, "bob", "charlie")
    talk.send(as_alice, group, "One")
    forget()
    return group


@pytest.fixture
def pair(private, as_alice, talk):
    """The private conversation of alice and bob, with a message of alice's."""
    talk.send(as_alice, private, "One")
    forget()
    return private


@pytest.fixture
def call(request):
    """Makes a call as somebody, given by name."""

    def make(who, method, path, body=None):
        return getattr(request.getfixturevalue(f"as_{who}"), method)(path, body)

    return make


CHANGES = {
    "a new name": ("alice", "put", "", {"name": "Croquet"}, [(CONVERSATION, {})]),
    "a new member": (
        "alice",
        "post",
        "/members/dora",
        None,
        [(JOINED, {"user_id": "dora"}), (CONVERSATION, {"other_id": "dora"})],
    ),
    "a member taken out": ("alice", "delete", "/members/bob", None, [(LEFT, {"user_id": "bob"}), (CONVERSATION, {})]),
    "a member who leaves": ("bob", "delete", "/members/bob", None, [(LEFT, {"user_id": "bob"}), (CONVERSATION, {})]),
    "an owner who leaves": (
        "alice",
        "delete",
        "/members/alice",
        None,
        [(LEFT, {"user_id": "alice"}), (CONVERSATION, {})],
    ),
    "a message": ("bob", "post", "/messages", {"text": "Two"}, [(MESSAGE, {"number": 2})]),
    "an edited message": ("alice", "put", "/messages/1", {"text": "1"}, [(MESSAGE, {"number": 1})]),
    "a deleted message": ("alice", "delete", "/messages/1", None, [(MESSAGE, {"number": 1})]),
    "a mark": ("bob", "post", "/read", {"number": 1}, [(READ, {"user_id": "bob", "number": 1})]),
    "a mark beyond the end": ("bob", "post", "/read", {"number": 9}, [(READ, {"user_id": "bob", "number": 1})]),
}


@pytest.mark.parametrize(("who", "method", "path", "body", "expected"), CHANGES.values(), ids=CHANGES)
def test_a_change_is_announced_once(party, call, who, method, path, body, expected):
    assert call(who, method, f"/conversations/{party}{path}", body).status_code < 300
    ids = dict(User.objects.values_list("username", "pk"))
    in_ids = [(kind, {name: ids.get(value, value) for name, value in given.items()}) for kind, given in expected]
    assert told() == [(kind, {"conversation_id": party} | given) for kind, given in in_ids]


def test_a_new_conversation_is_announced_to_all_its_members_at_once(as_alice, as_bob, talk):
    conversations = [talk.group(as_alice), talk.group(as_alice, "bob"), talk.open(as_alice, "bob")]
    assert told() == [(CONVERSATION, {"conversation_id": pk}) for pk in conversations]


def test_of_the_last_one_who_leaves_only_that_is_announced(as_alice, alice, talk):
    group = talk.group(as_alice)
    forget()
    assert as_alice.delete(f"/conversations/{group}/members/alice").status_code == 204
    assert told() == [(LEFT, {"conversation_id": group, "user_id": alice.pk})]


def test_a_change_that_cannot_be_announced_is_not_made(alice, pair, monkeypatch):
    def fail(*args, **kwargs):
        raise RuntimeError

    monkeypatch.setattr(actions, "announce", fail)
    with pytest.raises(RuntimeError):
        actions.send_message(alice, pair, "Two")
    assert list(Message.objects.values_list("text", flat=True)) == ["One"]


@pytest.mark.django_db(transaction=True)
def test_messages_sent_at_the_same_moment_are_told_in_the_order_of_their_numbers(as_alice, as_bob, pair):
    def sender(client):
        return lambda: client.post(f"/conversations/{pair}/messages", {"text": "x"})

    sends = [sender(client) for original in (as_alice, as_bob) for client in copies(original, 6)]
    *answers, _, _ = at_once(*sends, log.order, log.order)
    log.order()
    assert statuses(answers) == [201] * 12
    numbers = Event.objects.order_by("position").filter(kind=MESSAGE).values_list("number", flat=True)
    assert list(numbers) == list(range(2, 14))


# What changes nothing

REPEATED = {
    "a client_id": ("post", "/messages", {"text": "Two", "client_id": "1"}),
    "a deletion": ("delete", "/messages/1", None),
    "a mark": ("post", "/read", {"number": 1}),
}


@pytest.mark.parametrize(("method", "path", "body"), REPEATED.values(), ids=REPEATED)
def test_what_is_so_already_is_not_announced_again(party, call, method, path, body):
    call("alice", method, f"/conversations/{party}{path}", body)
    forget()
    assert call("alice", method, f"/conversations/{party}{path}", body).status_code < 300
    assert told() == []


def test_a_mark_that_would_go_back_is_not_announced(party, as_bob):
    as_bob.post(f"/conversations/{party}/read", {"number": 1})
    forget()
    assert as_bob.post(f"/conversations/{party}/read", {"number": 0}).status_code == 204
    assert told() == []


def test_a_mark_set_to_where_sending_has_moved_it_is_not_announced(party, as_bob, talk):
    talk.send(as_bob, party, "Two")
    forget()
    assert as_bob.post(f"/conversations/{party}/read", {"number": 2}).status_code == 204
    assert told() == []


@pytest.mark.parametrize(("who", "other"), [("alice", "bob"), ("bob", "alice")])
def test_opening_what_exists_is_not_announced(pair, call, who, other):
    assert call(who, "post", f"/conversations/private/{other}").json()["id"] == pair
    assert told() == []


def test_looking_is_not_announced(party, as_alice):
    for path in ("", f"/{party}", f"/{party}/messages"):
        assert as_alice.get(f"/conversations{path}").status_code == 200
    assert told() == []


REFUSED = {
    "a name from a member": (403, "bob", "put", "", {"name": "Mine"}),
    "no name": (400, "alice", "put", "", {"name": ""}),
    "a member brought in by a member": (403, "bob", "post", "/members/dora", None),
    "a member for the second time": (409, "alice", "post", "/members/bob", None),
    "nobody brought in": (404, "alice", "post", "/members/nobody", None),
    "a member taken out by a member": (403, "bob", "delete", "/members/charlie", None),
    "somebody taken out who is outside": (404, "alice", "delete", "/members/dora", None),
    "an empty message": (400, "alice", "post", "/messages", {"text": " "}),
    "an edit of another's message": (403, "bob", "put", "/messages/1", {"text": "1"}),
    "an empty edit": (400, "alice", "put", "/messages/1", {"text": ""}),
    "a deletion of another's message": (403, "bob", "delete", "/messages/1", None),
    "an edit of no message": (404, "alice", "put", "/messages/2", {"text": "2"}),
    "a mark below zero": (400, "bob", "post", "/read", {"number": -1}),
    "a name from outside": (404, "dora", "put", "", {"name": "Mine"}),
    "a message from outside": (404, "dora", "post", "/messages", {"text": "x"}),
    "a mark from outside": (404, "dora", "post", "/read", {"number": 1}),
}


@pytest.mark.parametrize(("status", "who", "method", "path", "body"), REFUSED.values(), ids=REFUSED)
def test_what_is_refused_is_not_announced(party, call, status, who, method, path, body):
    assert call(who, method, f"/conversations/{party}{path}", body).status_code == status
    assert told() == []


def test_an_edit_of_a_deleted_message_is_not_announced(party, as_alice):
    as_alice.delete(f"/conversations/{party}/messages/1")
    forget()
    assert as_alice.put(f"/conversations/{party}/messages/1", {"text": "1"}).status_code == 409
    assert told() == []


REFUSED_OF_PAIR = {
    "a name": (400, "put", "", {"name": "Ours"}),
    "a new member": (403, "post", "/members/charlie", None),
    "a member who leaves": (403, "delete", "/members/alice", None),
}


@pytest.mark.parametrize(("status", "method", "path", "body"), REFUSED_OF_PAIR.values(), ids=REFUSED_OF_PAIR)
def test_what_a_private_conversation_refuses_is_not_announced(pair, charlie, call, status, method, path, body):
    assert call("alice", method, f"/conversations/{pair}{path}", body).status_code == status
    assert told() == []


REFUSED_OPENINGS = {
    "with oneself": (400, "private/alice", None),
    "with nobody": (404, "private/nobody", None),
    "of a group without a name": (400, "groups", {"name": "", "members": []}),
    "of a group with nobody": (400, "groups", {"name": "x", "members": ["nobody"]}),
}


@pytest.mark.parametrize(("status", "path", "body"), REFUSED_OPENINGS.values(), ids=REFUSED_OPENINGS)
def test_a_conversation_that_is_not_opened_is_not_announced(as_alice, status, path, body):
    assert as_alice.post(f"/conversations/{path}", body).status_code == status
    assert told() == []


REFUSED_BY_BLACKLIST = {
    "a message": ("post", "{pair}/messages", {"text": "Two"}),
    "an edit": ("put", "{pair}/messages/1", {"text": "1"}),
    "an opening": ("post", "private/bob", None),
    "a group": ("post", "groups", {"name": "x", "members": ["bob"]}),
}


@pytest.mark.parametrize(("method", "path", "body"), REFUSED_BY_BLACKLIST.values(), ids=REFUSED_BY_BLACKLIST)
def test_what_a_blacklist_refuses_is_not_announced(pair, blacklisted, call, method, path, body):
    blacklisted()
    assert call("alice", method, "/conversations/" + path.format(pair=pair), body).status_code == 403
    assert told() == []


# The deletion of an account. Its rows are removed by the upkeep, since the transaction of a test is not committed.


def departure(user, conversation):
    """What is announced of an account that is removed from a conversation in which others remain."""
    return [
        (LEFT, {"conversation_id": conversation, "user_id": user.pk}),
        (CONVERSATION, {"conversation_id": conversation}),
    ]


@pytest.mark.parametrize("who", ["alice", "bob"])
def test_a_deleted_account_leaves_its_conversations_and_the_others_are_told(party, private, call, upkeep, who):
    user = User.objects.get(username=who)
    forget()
    assert call(who, "delete", "/users/profile").status_code == 204
    upkeep()
    expected = [(Kind.DELETED, {"user_id": user.pk}), *departure(user, party), *departure(user, private)]
    assert told() == expected


def test_an_account_deleted_without_the_api_leaves_its_conversations_too(party, bob):
    pk = bob.pk
    bob.delete()
    assert told() == [
        (LEFT, {"conversation_id": party, "user_id": pk}),
        (CONVERSATION, {"conversation_id": party}),
    ]


def test_where_all_members_are_being_deleted_nobody_is_told_of_changes(as_alice, as_bob, alice, bob, group, upkeep):
    for client in (as_alice, as_bob):
        client.delete("/users/profile")
    forget()
    upkeep()
    by_user = sorted(told(), key=lambda each: each[1]["user_id"])
    assert by_user == [(LEFT, {"conversation_id": group, "user_id": user.pk}) for user in (alice, bob)]
