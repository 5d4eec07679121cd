import re

import pytest
from django.db import connection

from conversations import actions, guards
from conversations.models import Conversation, Locked, Message
from conversations.tests.conftest import REFUSED_PAIR

TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{6})?Z")


def messages(conversation, query=""):
    return f"/conversations/{conversation}/messages{query}"


def send(client, conversation, **body):
    return client.post(messages(conversation), body)


def unread(client, conversation):
    return client.get(f"/conversations/{conversation}").json()["unread_count"]


# Sending


@pytest.mark.parametrize("which", ["private", "group"])
def test_sending_answers_the_message(request, as_alice, as_bob, which):
    conversation = request.getfixturevalue(which)
    answer = send(as_alice, conversation, text="Hello", client_id="a-1")
    assert answer.status_code == 201
    body = answer.json()
    assert TIME.fullmatch(body["created_at"])
    assert body == {
        "conversation": conversation,
        "number": 1,
        "sender": "alice",
        "text": "Hello",
        "created_at": body["created_at"],
        "edited_at": None,
        "deleted": False,
        "client_id": "a-1",
    }
    assert as_alice.get(messages(conversation)).json() == [body]
    assert as_bob.get(messages(conversation)).json() == [body | {"client_id": None}]
    assert as_bob.get("/conversations").json()[0]["last_message"] == body | {"client_id": None}


def test_numbers_are_each_conversations_own(as_alice, as_bob, private, group, talk):
    assert [talk.send(as_alice, private, "x")["number"], talk.send(as_bob, private, "x")["number"]] == [1, 2]
    assert talk.send(as_bob, group, "x")["number"] == 1


@pytest.mark.parametrize("text", ["x" * 4000, "😀" * 4000, "  kept \n as sent\t ", "\u0007\u200b", "<b>&amp;</b>", "٣"])
def test_a_text_is_kept_as_it_was_sent(as_alice, as_bob, private, text):
    assert send(as_alice, private, text=text).json()["text"] == text
    assert as_bob.get(messages(private)).json()[0]["text"] == text


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *(("text", value) for value in (None, "", " \n\t\u00a0", "x" * 4001, 7, True, [], {}, "a\x00b", "\ud800")),
        *(("client_id", value) for value in ("", " ", "a ", "\na", "x" * 65, 7, False, [], {}, "a\x00b", "\ud800")),
    ],
)
def test_a_malformed_message_is_refused(as_alice, private, field, value):
    answer = send(as_alice, private, **{"text": "Hello"} | {field: value})
    assert answer.status_code == 400
    assert list(answer.json()) == [field]
    assert not Message.objects.exists()
    assert send(as_alice, private, text="Hello").json()["number"] == 1


def test_the_same_client_id_is_the_same_message(as_alice, private):
    first = send(as_alice, private, text="Hello", client_id="1")
    again = send(as_alice, private, text="Something else", client_id="1")
    assert (again.status_code, again.json()) == (200, first.json())
    assert Message.objects.count() == 1
    assert send(as_alice, private, text="Hello", client_id=None).json()["number"] == 2


def test_a_client_id_means_nothing_elsewhere(as_alice, as_bob, private, group):
    answers = [
        send(as_alice, private, text="a", client_id="1"),
        send(as_bob, private, text="b", client_id="1"),
        send(as_alice, group, text="c", client_id="1"),
        send(as_alice, private, text="d", client_id="1x"),
        send(as_alice, private, text="e", client_id="É"),
        send(as_alice, private, text="f", client_id="é"),
    ]
    assert [answer.status_code for answer in answers] == [201] * 6


def test_a_message_that_arrived_is_answered_again_whatever_came_between(as_alice, private, blacklisted):
    first = send(as_alice, private, text="Hello", client_id="1")
    blacklisted()
    again = send(as_alice, private, text="Hello", client_id="1")
    assert (again.status_code, again.json()) == (200, first.json())


def test_who_was_removed_is_not_answered_again(as_alice, as_bob, group, monkeypatch):
    assert send(as_bob, group, text="Hello", client_id="1").status_code == 201
    assert as_alice.delete(f"/conversations/{group}/members/bob").status_code == 204
    # The membership may have been read before the lock was granted.
    monkeypatch.setattr(guards, "lock_to_send", lambda user, pk: Locked("group", None, 1))
    answer = send(as_bob, group, text="Hello", client_id="1")
    assert (answer.status_code, answer.json()) == (404, {"detail": "There is no such conversation."})


def test_a_blacklisted_pair_sends_nothing_from_either_side(as_alice, as_bob, private, talk, blacklisted):
    talk.send(as_alice, private, "Before")
    blacklisted()
    for client in (as_alice, as_bob):
        answer = send(client, private, text="After")
        assert (answer.status_code, answer.json()) == (403, REFUSED_PAIR)
        assert talk.texts(client.get(messages(private))) == ["Before"]
    assert unread(as_bob, private) == 1


def test_once_the_entry_is_gone_they_talk_again(as_alice, as_bob, private, talk):
    as_bob.post("/users/contacts/blacklist-user/alice")
    assert send(as_alice, private, text="x").status_code == 403
    as_bob.delete("/users/contacts/blacklist-user/alice")
    assert talk.send(as_alice, private, "x")["number"] == 1


def test_a_blacklist_concerns_neither_groups_nor_others(as_alice, as_bob, as_charlie, group, talk, blacklisted):
    other = talk.open(as_charlie, "alice")
    blacklisted()
    assert send(as_alice, group, text="x").status_code == 201
    assert send(as_bob, group, text="x").status_code == 201
    assert send(as_charlie, other, text="x").status_code == 201
    assert send(as_alice, other, text="x").status_code == 201


@pytest.mark.parametrize("which", ["private", "group"])
def test_a_send_takes_few_queries(request, as_alice, which, queries):
    conversation = request.getfixturevalue(which)
    send(as_alice, conversation, text="x")  # The first of a number of them; see SEND_RATE.
    # In a transaction already, the action's own is a savepoint: two queries that a server does not make. The others:
    # the token; the conversation; of a private one the blacklist; and the writes, which MariaDB takes together: the
    # sender's mark; the number; the message; its announcement. One in 24 has another query, for the rate.
    writes = 1 if connection.vendor == "mysql" else 4
    with queries(2 + (2 if which == "group" else 3) + writes):
        send(as_alice, conversation, text="x", client_id="1")


@pytest.mark.skipif("connection.vendor == 'sqlite'", reason="It finds before that there is no membership.")
def test_a_sender_whose_account_is_removed_meanwhile_gets_404(as_alice, group, monkeypatch):
    insert = actions._insert_message.bind
    nobody = 1 << 62
    monkeypatch.setattr(
        actions._insert_message, "bind", lambda pk, number, sender_id, *rest: insert(pk, number, nobody, *rest)
    )
    answer = send(as_alice, group, text="x")
    assert (answer.status_code, answer.json()) == (404, {"detail": "There is no such conversation."})
    assert Conversation.objects.get(pk=group).last_number == Message.objects.count() == 0


# Reading


def test_history_comes_newest_first_in_pages(as_alice, as_bob, private, talk):
    talk.send(as_alice, private, *"abcdefg")
    assert talk.texts(as_bob.get(messages(private))) == list("gfedcba")
    page = as_bob.get(messages(private, "?limit=3"))
    assert talk.texts(page) == list("gfe")
    assert page["Link"] == f'<http://testserver{messages(private)}?before=5&limit=3>; rel="next"'
    page = as_bob.get(messages(private, "?before=5&limit=3"))
    assert talk.texts(page) == list("dcb")
    page = as_bob.get(messages(private, "?before=2&limit=3"))
    assert talk.texts(page) == ["a"]
    assert "Link" not in page


def test_what_came_after_comes_oldest_first_in_pages(as_alice, private, talk):
    talk.send(as_alice, private, *"abcdefg")
    page = as_alice.get(messages(private, "?after=2&limit=3"))
    assert talk.texts(page) == list("cde")
    assert page["Link"] == f'<http://testserver{messages(private)}?after=5&limit=3>; rel="next"'
    page = as_alice.get(messages(private, "?after=5&limit=3"))
    assert talk.texts(page) == list("fg")
    assert "Link" not in page
    assert talk.texts(as_alice.get(messages(private, "?after=7"))) == []
    assert talk.texts(as_alice.get(messages(private, "?after=0"))) == list("abcdefg")


def test_fifty_are_shown_unless_the_limit_says_otherwise(as_alice, private, talk):
    talk.send(as_alice, private, *map(str, range(51)))
    assert len(talk.texts(as_alice.get(messages(private)))) == 50
    assert len(talk.texts(as_alice.get(messages(private, "?after=0")))) == 50


@pytest.mark.parametrize(
    "query", ["before=x", "before=-1", "after=", "after=1.5", "after=٣", "before=" + "9" * 19, "limit=0"]
)
def test_a_bad_query_is_refused(as_alice, private, query):
    answer = as_alice.get(messages(private, f"?{query}"))
    assert answer.status_code == 400
    assert list(answer.json()) == [query.split("=")[0]]


def test_before_and_after_do_not_go_together(as_alice, private):
    answer = as_alice.get(messages(private, "?before=5&after=1"))
    assert (answer.status_code, answer.json()) == (400, {"after": ["Cannot go together with before."]})


def test_a_page_of_history_takes_three_queries(as_alice, as_bob, private, talk, queries):
    talk.send(as_alice, private, "a", "b")
    talk.send(as_bob, private, "c", "d")
    for query in ("", "?before=4&limit=2", "?after=1&limit=2"):
        with queries(3):  # the token; the conversation; the messages with their senders
            as_alice.get(messages(private, query))


# The mark


def test_sending_moves_the_senders_mark_alone(as_alice, as_bob, private, talk):
    talk.send(as_alice, private, "a", "b")
    assert (unread(as_alice, private), unread(as_bob, private)) == (0, 2)
    talk.send(as_bob, private, "c")
    assert (unread(as_alice, private), unread(as_bob, private)) == (1, 0)


@pytest.mark.parametrize(
    ("number", "left"), [(0, 3), (1, 2), (3, 0), (4, 0), (10**30, 0), ("2", 1)], ids=lambda value: str(value)[:5]
)
def test_the_mark_moves_to_the_number_and_never_past_the_last(as_alice, as_bob, private, talk, number, left):
    talk.send(as_alice, private, "a", "b", "c")
    answer = as_bob.post(f"/conversations/{private}/read", {"number": number})
    assert (answer.status_code, answer.content) == (204, b"")
    assert unread(as_bob, private) == left
    talk.send(as_alice, private, "d")
    assert unread(as_bob, private) == left + 1


def test_the_mark_only_moves_forward(as_alice, as_bob, private, talk):
    talk.send(as_alice, private, "a", "b", "c")
    for number in (2, 1, 0):
        as_bob.post(f"/conversations/{private}/read", {"number": number})
        assert unread(as_bob, private) == 1


@pytest.mark.parametrize("number", [None, -1, "x", "", 1.5, True, [], {}, "absent", "9" * 2000])
def test_what_is_no_number_is_refused(as_alice, as_bob, private, talk, number):
    talk.send(as_alice, private, "a")
    answer = as_bob.post(f"/conversations/{private}/read", {} if number == "absent" else {"number": number})
    assert answer.status_code == 400
    assert list(answer.json()) == ["number"]
    assert unread(as_bob, private) == 1


# Editing


def test_an_edit_shows_when_it_was_made(as_alice, as_bob, private, talk):
    sent = talk.send(as_alice, private, "Helo")
    answer = as_alice.put(messages(private, "/1"), {"text": " Hello "})
    assert answer.status_code == 200
    assert TIME.fullmatch(answer.json()["edited_at"])
    assert answer.json() == sent | {"text": " Hello ", "edited_at": answer.json()["edited_at"]}
    assert as_bob.get(messages(private)).json() == [answer.json()]
    assert unread(as_bob, private) == 1


@pytest.mark.parametrize("text", [None, "", "  ", "x" * 4001, 7, "\x00"])
def test_a_malformed_edit_is_refused(as_alice, private, talk, text):
    talk.send(as_alice, private, "Hello")
    answer = as_alice.put(messages(private, "/1"), {"text": text})
    assert answer.status_code == 400
    assert list(answer.json()) == ["text"]
    assert talk.texts(as_alice.get(messages(private))) == ["Hello"]


def test_somebody_elses_message_is_left_alone(as_alice, as_bob, group, talk):
    talk.send(as_bob, group, "Hello")
    refusal = {"message": "This is somebody else's message."}
    # The owner of the group included.
    for answer in (as_alice.put(messages(group, "/1"), {"text": "x"}), as_alice.delete(messages(group, "/1"))):
        assert (answer.status_code, answer.json()) == (403, refusal)
    assert talk.texts(as_alice.get(messages(group))) == ["Hello"]


@pytest.mark.parametrize("number", ["0", "2", "9" * 30])
def test_an_unknown_message_is_404(as_alice, private, talk, number):
    talk.send(as_alice, private, "Hello")
    for answer in (
        as_alice.put(messages(private, f"/{number}"), {"text": "x"}),
        as_alice.delete(messages(private, f"/{number}")),
    ):
        assert (answer.status_code, answer.json()) == (404, {"detail": "There is no such message."})


def test_a_blacklisted_pair_edits_nothing_but_deletes(as_alice, private, talk, blacklisted):
    talk.send(as_alice, private, "Hello")
    blacklisted()
    answer = as_alice.put(messages(private, "/1"), {"text": "x"})
    assert (answer.status_code, answer.json()) == (403, REFUSED_PAIR)
    assert talk.texts(as_alice.get(messages(private))) == ["Hello"]
    assert as_alice.delete(messages(private, "/1")).status_code == 204


# Deleting


def test_a_deleted_message_stays_in_its_place(as_alice, as_bob, private, talk):
    talk.send(as_alice, private, "One")
    sent = talk.send(as_alice, private, "Two")
    answer = as_alice.delete(messages(private, "/2"))
    assert (answer.status_code, answer.content) == (204, b"")
    gone = sent | {"text": "", "deleted": True}
    assert as_bob.get(messages(private)).json()[0] == gone
    assert as_bob.get("/conversations").json()[0]["last_message"] == gone
    assert unread(as_bob, private) == 2
    assert not Message.objects.filter(text="Two").exists()
    assert as_alice.delete(messages(private, "/2")).status_code == 204
    assert talk.send(as_alice, private, "Three")["number"] == 3


def test_a_deleted_message_cannot_be_edited(as_alice, private, talk):
    talk.send(as_alice, private, "One")
    as_alice.delete(messages(private, "/1"))
    answer = as_alice.put(messages(private, "/1"), {"text": "x"})
    assert (answer.status_code, answer.json()) == (409, {"message": "The message is deleted."})
