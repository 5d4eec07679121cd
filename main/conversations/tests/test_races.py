import time
from collections import Counter
from threading import Event

import pytest
from django.core.management import call_command
from django.db import transaction
from rest_framework.exceptions import NotFound

from conversations import actions, guards
from conversations.models import Conversation, Membership, Message
from tests.concurrency import at_once, copies, statuses

pytestmark = pytest.mark.django_db(transaction=True)


def sender(client, conversation, **body):
    return lambda: client.post(f"/conversations/{conversation}/messages", body)


def numbers():
    return list(Message.objects.order_by("number").values_list("number", flat=True))


def test_of_24_messages_sent_at_once_by_both_none_is_lost(as_alice, as_bob, private):
    calls = [
        sender(client, private, text=f"{name} {number}")
        for name, original in (("alice", as_alice), ("bob", as_bob))
        for number, client in enumerate(copies(original, 12))
    ]
    answers = at_once(*calls)
    assert statuses(answers) == [201] * 24
    assert numbers() == list(range(1, 25))
    stored = {message.number: message.text for message in Message.objects.all()}
    assert stored == {answer.json()["number"]: answer.json()["text"] for answer in answers}
    assert Conversation.objects.get().last_number == 24


def test_five_sends_with_one_client_id_make_one_message(as_alice, private):
    clients = copies(as_alice, 5)
    answers = at_once(*[sender(client, private, text="Hello", client_id="1") for client in clients])
    assert statuses(answers) == [200, 200, 200, 200, 201]
    assert len({answer.content for answer in answers}) == 1
    assert numbers() == [1]


def test_eight_openings_of_one_pair_make_one_conversation(as_alice, as_bob):
    calls = [lambda client=client: client.post("/conversations/private/bob") for client in copies(as_alice, 4)]
    calls += [lambda client=client: client.post("/conversations/private/alice") for client in copies(as_bob, 4)]
    answers = at_once(*calls)
    assert statuses(answers) == [200] * 7 + [201]
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert Conversation.objects.count() == 1
    assert Membership.objects.count() == 2


def test_a_reader_who_follows_sees_each_of_1_000_messages_once_in_order(as_alice, as_bob, private):
    done = Event()

    def write(client, name):
        for number in range(125):
            assert sender(client, private, text=f"{name} {number}")().status_code == 201

    def read():
        seen, last = [], 0
        while True:
            finished = done.is_set()
            page = as_bob.get(f"/conversations/{private}/messages?after={last}&limit=100").json()
            seen += page
            if page:
                last = page[-1]["number"]
            elif finished:
                return seen
            else:
                time.sleep(0.01)

    def write_all():
        clients = copies(as_alice, 4) + copies(as_bob, 4)
        try:
            at_once(*[lambda c=client, n=name: write(c, n) for name, client in enumerate(clients)])
        finally:
            done.set()

    _, seen = at_once(write_all, read)
    assert [message["number"] for message in seen] == list(range(1, 1001))
    # Each writer's own in the order in which they were sent.
    places = Counter()
    for message in seen:
        writer, number = message["text"].split()
        assert int(number) == places[writer]
        places[writer] += 1
    assert places == dict.fromkeys(map(str, range(8)), 125)


@pytest.mark.parametrize("what", ["send", "edit"])
def test_once_a_blacklisting_has_answered_nothing_gets_in(as_alice, as_bob, private, talk, what):
    talk.send(as_alice, private, "0")
    answered = Event()

    def blacklist():
        time.sleep(0.05)
        answer = as_bob.post("/users/contacts/blacklist-user/alice")
        answered.set()
        return answer

    def write(client):
        """The statuses of what was begun after the blacklisting had answered."""
        late = []
        while len(late) < 3:
            too_late = answered.is_set()
            if what == "send":
                answer = client.post(f"/conversations/{private}/messages", {"text": "x"})
            else:
                answer = client.put(f"/conversations/{private}/messages/1", {"text": "x"})
            assert answer.status_code in (200, 201, 403)
            if too_late:
                late.append(answer.status_code)
        return late

    answer, *late = at_once(blacklist, *[lambda client=client: write(client) for client in copies(as_alice, 4)])
    assert answer.status_code == 201
    assert late == [[403] * 3] * 4
    assert numbers() == list(range(1, len(numbers()) + 1))


def test_a_blacklisting_waits_for_what_was_allowed_before_it(as_alice, as_bob, private, monkeypatch):
    """The narrowest moment: the message has passed the check and is not yet written."""
    checked, may_go_on = Event(), Event()
    check = guards.require_exchange

    def slow_check(user, other_ids):
        answer = check(user, other_ids)
        checked.set()
        may_go_on.wait(0.5)
        return answer

    monkeypatch.setattr(guards, "require_exchange", slow_check)

    def blacklist():
        assert checked.wait(5)
        answer = as_bob.post("/users/contacts/blacklist-user/alice")
        messages = Message.objects.count()
        may_go_on.set()
        return answer.status_code, messages

    entry, message = at_once(blacklist, sender(as_alice, private, text="x"))
    assert message.status_code == 201
    # When it answered, the message was there: nothing came in afterwards.
    assert entry == (201, 1)


@pytest.mark.parametrize(
    "write",
    [
        lambda user, pk: actions.send_message(user, pk, "x"),
        lambda user, pk: actions.send_message(user, pk, "x", client_id="1"),
        lambda user, pk: actions.edit_message(user, pk, 1, "x"),
        lambda user, pk: actions.delete_message(user, pk, 1),
    ],
)
def test_who_is_removed_while_waiting_for_the_lock_writes_nothing(as_bob, bob, group, write):
    assert sender(as_bob, group, text="0", client_id="1")().status_code == 201
    held = Event()

    def remove():
        with transaction.atomic():
            Conversation.objects.select_for_update().get(pk=group)
            held.set()
            time.sleep(0.3)
            Membership.objects.filter(user=bob).delete()

    def wait_and_write():
        assert held.wait(5)
        with pytest.raises(NotFound):
            write(bob, group)

    at_once(remove, wait_and_write)
    assert Message.objects.get().text == "0"
    assert Conversation.objects.get().last_number == 1


def test_members_added_removed_and_leaving_at_once_leave_the_group_whole(as_alice, talk, make_user, client_of):
    users = [make_user(f"user{number}") for number in range(6)]
    clients = [client_of(user) for user in users]
    group = talk.group(as_alice, *[user.username for user in users])
    calls = [
        lambda c=client, u=user: c.delete(f"/conversations/{group}/members/{u.username}")
        for client, user in zip(clients[:3], users[:3], strict=True)
    ]
    owners = copies(as_alice, 4)
    calls += [
        lambda c=owner, u=user: c.delete(f"/conversations/{group}/members/{u.username}")
        for owner, user in zip(owners, users[1:4], strict=False)
    ]
    calls += [sender(client, group, text="x") for client in copies(clients[4], 2) + copies(clients[2], 2)]
    calls.append(lambda: owners[3].delete(f"/conversations/{group}/members/alice"))
    answers = at_once(*calls)
    assert set(statuses(answers)) <= {201, 204, 403, 404}
    conversation = Conversation.objects.get()
    members = set(conversation.members.values_list("pk", flat=True))
    assert {users[4].pk, users[5].pk} <= members
    assert conversation.owner_id in members
    assert numbers() == list(range(1, conversation.last_number + 1))


def test_an_account_deleted_while_it_talks_leaves_every_conversation_whole(as_alice, as_bob, private, group, talk):
    calls = [sender(client, private, text="x") for client in copies(as_alice, 3) + copies(as_bob, 3)]
    calls += [sender(client, group, text="x") for client in copies(as_alice, 2) + copies(as_bob, 2)]
    deletion, *answers = at_once(lambda: as_alice.delete("/users/profile"), *calls)
    assert deletion.status_code == 204
    assert set(statuses(answers)) <= {201, 401, 403, 404}
    call_command("upkeep")  # on a busy machine the call leaves a part of its work to others
    for conversation in Conversation.objects.all():
        in_order = list(conversation.messages.order_by("number").values_list("number", flat=True))
        assert in_order == list(range(1, conversation.last_number + 1))
    assert not Conversation.objects.exclude(pair_key=None).exists()
    assert Conversation.objects.get(pk=group).owner.username == "bob"
    assert set(Message.objects.values_list("sender__username", flat=True)) <= {None, "bob"}


def test_a_pair_opened_while_one_of_them_goes_is_no_pair(as_alice, as_bob):
    calls = [lambda client=client: client.post("/conversations/private/alice") for client in copies(as_bob, 5)]
    deletion, *answers = at_once(lambda: as_alice.delete("/users/profile"), *calls)
    assert deletion.status_code == 204
    assert set(statuses(answers)) <= {200, 201, 404}
    assert not Conversation.objects.exclude(pair_key=None).exists()
    assert set(Membership.objects.values_list("user__username", flat=True)) <= {"bob"}
