import pytest
from django.db import transaction

from conversations.events import announce, changed

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def heard():
    events = []

    def listen(event, conversation_id, signal, sender, **details):
        events.append((event, conversation_id, details))

    changed.connect(listen)
    yield events
    changed.disconnect(listen)


def test_every_change_is_told_once(as_alice, as_bob, alice, bob, charlie, heard, talk):
    group = talk.group(as_alice, "bob")
    as_alice.put(f"/conversations/{group}", {"name": "Croquet"})
    as_alice.post(f"/conversations/{group}/members/charlie")
    talk.send(as_alice, group, "One")
    as_bob.post(f"/conversations/{group}/read", {"number": 1})
    as_bob.post(f"/conversations/{group}/read", {"number": 1})
    as_alice.put(f"/conversations/{group}/messages/1", {"text": "Two"})
    as_alice.delete(f"/conversations/{group}/messages/1")
    as_alice.delete(f"/conversations/{group}/messages/1")
    as_alice.delete(f"/conversations/{group}/members/charlie")
    as_alice.delete(f"/conversations/{group}/members/alice")
    as_bob.delete("/users/profile")
    assert heard == [
        ("conversation_created", group, {}),
        ("conversation_renamed", group, {}),
        ("member_added", group, {"user_id": charlie.pk}),
        ("message_sent", group, {"number": 1}),
        ("messages_read", group, {"user_id": bob.pk, "number": 1}),
        ("message_edited", group, {"number": 1}),
        ("message_deleted", group, {"number": 1}),
        ("member_removed", group, {"user_id": charlie.pk}),
        ("member_removed", group, {"user_id": alice.pk}),
        ("conversation_ended", group, {}),
    ]


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
