from io import StringIO

import pytest
from django.core.management import call_command
from django.db import transaction

from common import upkeep
from conversations.events import announce, changed
from users import deletion
from users.models import User

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def heard():
    events = []

    def listen(event, conversation_id, signal, sender, **details):
        events.append((event, conversation_id, details))

    changed.connect(listen)
    yield events
    changed.disconnect(listen)


@pytest.fixture
def party(as_alice, as_bob, as_charlie, talk):
    """A group that alice owns, bob and charlie are in, with a message of alice's."""
    group = talk.group(as_alice, "bob", "charlie")
    talk.send(as_alice, group, "One")
    return group


CHANGES = {
    "a new name": ("alice", "put", "", {"name": "Croquet"}, "conversation_renamed", {}),
    "a new member": ("alice", "post", "/members/dora", None, "member_added", {"user_id": "dora"}),
    "a member taken out": ("alice", "delete", "/members/bob", None, "member_removed", {"user_id": "bob"}),
    "a member who leaves": ("bob", "delete", "/members/bob", None, "member_removed", {"user_id": "bob"}),
    "a message": ("bob", "post", "/messages", {"text": "Two"}, "message_sent", {"number": 2}),
    "an edited message": ("alice", "put", "/messages/1", {"text": "1"}, "message_edited", {"number": 1}),
    "a deleted message": ("alice", "delete", "/messages/1", None, "message_deleted", {"number": 1}),
    "a mark": ("bob", "post", "/read", {"number": 1}, "messages_read", {"user_id": "bob", "number": 1}),
}


@pytest.mark.parametrize(("who", "method", "path", "body", "event", "details"), CHANGES.values(), ids=CHANGES)
def test_a_change_is_told_once(who, method, path, body, event, details, request, party, heard, make_user):
    client = request.getfixturevalue(f"as_{who}")
    make_user("dora")
    heard.clear()
    getattr(client, method)(f"/conversations/{party}{path}", body)
    if "user_id" in details:
        details = details | {"user_id": User.objects.get(username=details["user_id"]).pk}
    assert heard == [(event, party, details)]


def test_a_new_conversation_is_told(as_alice, as_bob, heard, talk):
    conversations = [talk.group(as_alice), talk.open(as_alice, "bob")]
    assert heard == [("conversation_created", pk, {}) for pk in conversations]


@pytest.mark.parametrize(
    ("method", "path", "body"), [("delete", "/messages/1", None), ("post", "/read", {"number": 1})]
)
def test_what_is_so_already_is_not_told_again(method, path, body, as_alice, as_bob, party, heard):
    client = as_alice if method == "delete" else as_bob
    getattr(client, method)(f"/conversations/{party}{path}", body)
    heard.clear()
    getattr(client, method)(f"/conversations/{party}{path}", body)
    assert heard == []


def test_the_end_of_a_conversation_is_told(as_alice, heard, talk):
    group = talk.group(as_alice)
    heard.clear()
    as_alice.delete(f"/conversations/{group}/members/alice")
    assert heard == [("conversation_ended", group, {})]


def test_a_deleted_account_leaves_its_conversations(as_bob, bob, party, heard):
    heard.clear()
    as_bob.delete("/users/profile")
    assert heard == [("member_removed", party, {"user_id": bob.pk})]


def test_the_end_is_told_once_where_several_accounts_are_being_removed(as_alice, as_bob, heard, talk, monkeypatch):
    group = talk.group(as_alice, "bob")
    monkeypatch.setattr(upkeep, "SECONDS_OF_CALL", -1)
    monkeypatch.setattr(deletion, "steps", [lambda user_id: True])  # nobody gets anywhere yet
    for client in (as_alice, as_bob):
        client.delete("/users/profile")
    heard.clear()
    monkeypatch.undo()
    call_command("upkeep", stdout=StringIO())
    assert heard == [("conversation_ended", group, {})]


def test_what_is_refused_or_answered_again_is_not_told(as_alice, as_bob, private, heard):
    body = {"text": "Hello", "client_id": "1"}
    for _ in range(2):
        as_alice.post(f"/conversations/{private}/messages", body)
    as_bob.post("/users/contacts/blacklist-user/alice")
    as_alice.post(f"/conversations/{private}/messages", {"text": "x"})
    as_alice.post("/conversations/private/bob")
    assert heard == [("message_sent", private, {"number": 1})]


def test_nothing_is_told_before_the_commit_or_after_a_rollback(heard):
    with transaction.atomic():
        announce("message_sent", 1, number=1)
        assert heard == []
    assert heard == [("message_sent", 1, {"number": 1})]
    with transaction.atomic():
        announce("message_sent", 1, number=2)
        transaction.set_rollback(True)
    assert len(heard) == 1


def test_a_receiver_that_fails_does_not_reach_the_client(as_alice, private, heard):
    def fail(**kwargs):
        raise RuntimeError

    changed.connect(fail)
    try:
        assert as_alice.post(f"/conversations/{private}/messages", {"text": "x"}).status_code == 201
    finally:
        changed.disconnect(fail)
    assert heard == [("message_sent", private, {"number": 1})]
