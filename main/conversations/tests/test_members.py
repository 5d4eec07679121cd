import pytest

from conversations.models import Conversation, Membership, Message
from conversations.tests.conftest import NO_CONVERSATION, REFUSED_PAIR
from users.models import User


def members(client, conversation):
    body = client.get(f"/conversations/{conversation}").json()
    return body["owner"], body["members"]


def test_a_newcomer_sees_the_whole_history_none_of_it_unread(as_alice, as_charlie, group, talk):
    talk.send(as_alice, group, "One", "Two")
    answer = as_alice.post(f"/conversations/{group}/members/CHARLIE")
    assert answer.status_code == 201
    assert answer.json() == as_alice.get(f"/conversations/{group}").json()
    assert answer.json()["members"] == ["alice", "bob", "charlie"]
    assert as_charlie.get(f"/conversations/{group}").json()["unread_count"] == 0
    assert talk.texts(as_charlie.get(f"/conversations/{group}/messages")) == ["Two", "One"]
    talk.send(as_alice, group, "Three")
    assert as_charlie.get(f"/conversations/{group}").json()["unread_count"] == 1


@pytest.mark.parametrize(
    ("who", "username", "status", "body"),
    [
        ("as_bob", "charlie", 403, {"message": "Only the owner of the group may do this."}),
        ("as_alice", "bob", 409, {"message": "This user is a member already."}),
        ("as_alice", "alice", 409, {"message": "This user is a member already."}),
        ("as_alice", "nobody", 404, {"detail": "There is no such user."}),
    ],
)
def test_who_cannot_be_added(request, charlie, group, who, username, status, body):
    answer = request.getfixturevalue(who).post(f"/conversations/{group}/members/{username}")
    assert (answer.status_code, answer.json()) == (status, body)
    assert Membership.objects.count() == 2


def test_the_members_of_a_private_conversation_do_not_change(as_alice, charlie, private):
    refusal = {"message": "The members of a private conversation do not change."}
    for answer in (
        as_alice.post(f"/conversations/{private}/members/charlie"),
        as_alice.delete(f"/conversations/{private}/members/bob"),
        as_alice.delete(f"/conversations/{private}/members/alice"),
    ):
        assert (answer.status_code, answer.json()) == (403, refusal)
    assert Membership.objects.count() == 2


def test_a_blacklisted_pair_is_not_brought_together(as_alice, bob, blacklisted, talk):
    group = talk.group(as_alice)
    blacklisted()
    answer = as_alice.post(f"/conversations/{group}/members/bob")
    assert (answer.status_code, answer.json()) == (403, REFUSED_PAIR)
    assert Membership.objects.count() == 1


def test_a_group_has_at_most_256_members(as_alice, bob, talk):
    users = User.objects.bulk_create(User(username=f"user{n}", email=f"user{n}@example.org") for n in range(255))
    group = talk.group(as_alice, *[user.username for user in users])
    answer = as_alice.post(f"/conversations/{group}/members/bob")
    assert (answer.status_code, answer.json()) == (409, {"message": "A group has at most 256 members."})


def test_a_member_leaves(as_alice, as_bob, group, talk):
    answer = as_bob.delete(f"/conversations/{group}/members/BOB")
    assert (answer.status_code, answer.content) == (204, b"")
    assert as_bob.get(f"/conversations/{group}").json() == NO_CONVERSATION
    assert members(as_alice, group) == ("alice", ["alice"])


def test_the_owner_removes_a_member(as_alice, as_bob, group):
    assert as_alice.delete(f"/conversations/{group}/members/bob").status_code == 204
    assert as_bob.get(f"/conversations/{group}").status_code == 404
    answer = as_alice.delete(f"/conversations/{group}/members/bob")
    assert (answer.status_code, answer.json()) == (404, {"detail": "This user is not a member."})


def test_who_is_no_member_is_404_for_everybody_in_the_group(as_alice, as_bob, charlie, group):
    for client in (as_alice, as_bob):
        for username in ("charlie", "nobody", "x" * 1000):
            answer = client.delete(f"/conversations/{group}/members/{username}")
            assert (answer.status_code, answer.json()) == (404, {"detail": "This user is not a member."})


def test_only_the_owner_removes_others(as_alice, as_bob, charlie, talk):
    group = talk.group(as_alice, "bob", "charlie")
    for username in ("alice", "charlie"):
        answer = as_bob.delete(f"/conversations/{group}/members/{username}")
        assert (answer.status_code, answer.json()) == (403, {"message": "Only the owner of the group may do this."})
    assert Membership.objects.count() == 3


def test_a_deactivated_member_can_be_removed(as_alice, bob, group):
    bob.is_active = False
    bob.save()
    assert as_alice.delete(f"/conversations/{group}/members/bob").status_code == 204


def test_the_longest_standing_member_owns_what_the_owner_leaves(as_alice, as_bob, as_charlie, group):
    as_alice.post(f"/conversations/{group}/members/charlie")
    as_alice.delete(f"/conversations/{group}/members/alice")
    assert members(as_charlie, group) == ("bob", ["bob", "charlie"])
    as_bob.delete(f"/conversations/{group}/members/bob")
    assert members(as_charlie, group) == ("charlie", ["charlie"])


def test_the_last_one_out_ends_it(as_alice, as_bob, group, private, talk, upkeep):
    talk.send(as_alice, group, "Hello")
    as_alice.delete(f"/conversations/{group}/members/alice")
    as_bob.delete(f"/conversations/{group}/members/bob")
    upkeep()
    assert list(Conversation.objects.values_list("pk", flat=True)) == [private]
    assert not Message.objects.exists()


def test_who_comes_back_has_read_everything(as_alice, as_bob, group, talk):
    as_bob.delete(f"/conversations/{group}/members/bob")
    talk.send(as_alice, group, "One")
    as_alice.post(f"/conversations/{group}/members/bob")
    assert as_bob.get(f"/conversations/{group}").json()["unread_count"] == 0
    assert members(as_bob, group) == ("alice", ["alice", "bob"])


# The end of an account


def test_a_deleted_accounts_groups_go_on_with_an_heir(as_alice, as_bob, group, talk):
    talk.send(as_alice, group, "One")
    talk.send(as_bob, group, "Two")
    as_alice.delete("/users/profile")
    assert members(as_bob, group) == ("bob", ["bob"])
    history = as_bob.get(f"/conversations/{group}/messages").json()
    assert [(message["sender"], message["text"]) for message in history] == [("bob", "Two"), (None, "One")]
    talk.send(as_bob, group, "Three")


def test_a_deleted_accounts_private_conversations_stay_to_be_read(as_alice, as_bob, private, talk):
    talk.send(as_alice, private, "One")
    talk.send(as_bob, private, "Two")
    as_alice.delete("/users/profile")
    [conversation] = as_bob.get("/conversations").json()
    assert (conversation["members"], conversation["last_message"]["text"]) == (["bob"], "Two")
    history = as_bob.get(f"/conversations/{private}/messages").json()
    assert [(message["sender"], message["text"]) for message in history] == [("bob", "Two"), (None, "One")]
    gone = {"message": "The other member is gone."}
    for answer in (
        as_bob.post(f"/conversations/{private}/messages", {"text": "Anybody?"}),
        as_bob.put(f"/conversations/{private}/messages/2", {"text": "Changed"}),
    ):
        assert (answer.status_code, answer.json()) == (403, gone)
    assert as_bob.delete(f"/conversations/{private}/messages/2").status_code == 204


def test_a_new_account_of_the_same_name_inherits_nothing(as_alice, as_bob, private, group, talk, make_user, client_of):
    talk.send(as_alice, private, "One")
    as_alice.delete("/users/profile")
    as_new_alice = client_of(make_user("alice"))
    assert as_new_alice.get("/conversations").json() == []
    for conversation in (private, group):
        assert as_new_alice.get(f"/conversations/{conversation}").status_code == 404
    answer = as_bob.post("/conversations/private/alice")
    assert answer.status_code == 201
    assert answer.json()["id"] != private
    assert as_bob.get(f"/conversations/{private}/messages").json()[0]["sender"] is None


def test_what_nobody_is_left_in_ends(as_alice, as_bob, private, group, talk, upkeep):
    talk.send(as_alice, private, "One")
    as_alice.delete("/users/profile")
    as_bob.delete("/users/profile")
    upkeep()
    assert not Conversation.objects.exists()
    assert not Message.objects.exists()


def test_an_account_deleted_in_the_admin_leaves_alike(
    as_alice, as_bob, bob, alice, group, private, admin_client, upkeep
):
    form = {"action": "delete_selected", "_selected_action": [alice.pk], "post": "yes"}
    admin_client.post("/admin/users/user/", form)
    assert members(as_bob, group) == ("bob", ["bob"])
    upkeep()
    assert members(as_bob, group) == ("bob", ["bob"])
    assert Conversation.objects.get(pk=private).pair_key is None
