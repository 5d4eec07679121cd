"""What others see of a deleted account's conversations, before and after its rows are removed."""

import pytest

from common import upkeep as upkeep_module
from conversations import actions
from conversations.models import Conversation, Membership, Message


@pytest.fixture(params=[False, True], ids=["at once", "in the end"])
def end_of(request, upkeep):
    """Deletes the account of a client; its rows are still there, or not."""

    def end(client):
        assert client.delete("/users/profile").status_code == 204
        if request.param:
            upkeep()

    return end


def test_a_deleted_account_is_no_member(as_alice, as_bob, as_charlie, group, end_of):
    as_alice.post(f"/conversations/{group}/members/charlie")
    end_of(as_bob)
    conversation = as_alice.get(f"/conversations/{group}").json()
    assert (conversation["owner"], conversation["members"]) == ("alice", ["alice", "charlie"])


def test_the_heir_of_a_deleted_owner_has_the_owners_rights(as_alice, as_bob, as_charlie, group, end_of):
    end_of(as_alice)
    assert as_bob.put(f"/conversations/{group}", {"name": "Bob's"}).json()["owner"] == "bob"
    assert as_bob.post(f"/conversations/{group}/members/charlie").json()["members"] == ["bob", "charlie"]
    assert as_charlie.put(f"/conversations/{group}", {"name": "Mine"}).status_code == 403
    assert as_bob.delete(f"/conversations/{group}/members/charlie").status_code == 204


def test_messages_of_a_deleted_account_have_no_name(as_alice, as_bob, group, talk, end_of):
    talk.send(as_alice, group, "One")
    end_of(as_alice)
    [message] = as_bob.get(f"/conversations/{group}/messages").json()
    assert (message["sender"], message["text"], message["number"]) == (None, "One", 1)
    assert as_bob.get(f"/conversations/{group}").json()["last_message"]["sender"] is None


def test_a_private_conversation_with_a_deleted_account_is_read_only(as_alice, as_bob, private, end_of):
    end_of(as_alice)
    answer = as_bob.post(f"/conversations/{private}/messages", {"text": "Anybody?"})
    assert (answer.status_code, answer.json()) == (403, {"message": "The other member is gone."})


def test_a_group_that_only_the_deleted_were_in_is_nobodys(as_alice, as_bob, group, admin_client, end_of, upkeep):
    end_of(as_alice)
    [listed] = admin_client.get("/admin/conversations/conversation/").context["cl"].result_list
    assert listed.number_of_members == 1
    end_of(as_bob)
    assert admin_client.get("/admin/conversations/conversation/").context["cl"].result_count == 0
    upkeep()
    assert not Conversation.objects.exists()


def test_the_last_message_of_somebody_leaving_with_everything_pending(as_alice, as_bob, group, talk, upkeep):
    """One owner after the other is deleted before any rows are removed."""
    talk.send(as_alice, group, "One")
    as_alice.delete("/users/profile")
    as_bob.delete("/users/profile")
    upkeep()
    for model in (Conversation, Membership, Message):
        assert not model.objects.exists()


def test_a_full_group_has_room_where_a_member_was_deleted(as_alice, as_bob, as_charlie, group, monkeypatch, end_of):
    monkeypatch.setattr(actions, "MAX_MEMBERS", 2)
    assert as_alice.post(f"/conversations/{group}/members/charlie").status_code == 409
    end_of(as_bob)
    assert as_alice.post(f"/conversations/{group}/members/charlie").status_code == 201


def test_a_piece_takes_the_account_out_of_one_conversation(as_alice, alice, group, private):
    as_alice.delete("/users/profile")
    assert actions.leave_one(alice.pk)
    assert Membership.objects.filter(user=alice.pk).count() == 1
    assert actions.leave_one(alice.pk)
    assert not actions.leave_one(alice.pk)


def test_a_piece_takes_the_name_from_some_messages(as_alice, as_bob, alice, group, talk, monkeypatch):
    monkeypatch.setattr(upkeep_module, "PIECE", 2)
    for number in range(3):
        talk.send(as_alice, group, str(number))
    talk.send(as_bob, group, "Mine")
    as_alice.delete("/users/profile")
    assert actions.disown_some(alice.pk)
    assert Message.objects.filter(sender=None).count() == 2
    assert actions.disown_some(alice.pk)
    assert not actions.disown_some(alice.pk)
    assert Message.objects.exclude(sender=None).count() == 1


def test_an_ended_group_is_nobodys_while_its_messages_are_removed(as_alice, as_bob, group, talk, monkeypatch, upkeep):
    monkeypatch.setattr(upkeep_module, "PIECE", 2)
    for number in range(5):
        talk.send(as_alice, group, str(number))
    as_bob.delete(f"/conversations/{group}/members/bob")
    as_alice.delete(f"/conversations/{group}/members/alice")
    assert Message.objects.count() == 5
    assert as_alice.get(f"/conversations/{group}").status_code == 404
    assert as_alice.get("/conversations").json() == []
    next(actions.pieces_of_ended(group))
    assert Message.objects.count() == 3
    upkeep()
    assert not Message.objects.exists()
    assert not Conversation.objects.exists()


def test_a_deactivated_person_gets_no_direct_messages(as_alice, as_bob, bob, private, group):
    bob.is_active = False
    bob.save()
    answer = as_alice.post(f"/conversations/{private}/messages", {"text": "Hello?"})
    assert (answer.status_code, answer.json()) == (403, {"message": "The other member is gone."})
    assert as_alice.post(f"/conversations/{group}/messages", {"text": "Hello!"}).status_code == 201
    bob.is_active = True
    bob.save()
    assert as_alice.post(f"/conversations/{private}/messages", {"text": "Hello!"}).status_code == 201
