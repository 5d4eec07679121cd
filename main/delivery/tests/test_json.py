"""Events as pages of JSON: the form of the answer, cursors and refusals."""

from contextlib import suppress
from datetime import timedelta
from threading import Event as Moment

import pytest
from django.db import connection, transaction
from django.utils import timezone

from conversations import actions
from delivery.tests.conftest import NOTHING, STREAM
from delivery.wire import identify_end
from events.models import Event, Log
from tests.concurrency import at_once

WAIT = ["Must be a whole number from 1 to 25."]
LIMIT = ["Must be a whole number from 1 to 100."]


def texts(events):
    return [data["message"]["text"] for event, data in events]


# The form


def test_without_after_there_are_no_events_and_the_present_cursor(as_alice, as_bob, private, talk):
    talk.send(as_bob, private, "Before")
    answer = as_alice.get("/events")
    assert answer.status_code == 200
    assert answer.json() == NOTHING | {"cursor": answer.json()["cursor"]}
    again = as_alice.get("/events", {"after": answer.json()["cursor"]})
    assert again.json() == answer.json()


def test_an_event_has_an_id_a_name_and_data(as_alice, as_bob, private, listen):
    before = listen(as_alice).cursor
    message = as_bob.post(f"/conversations/{private}/messages", {"text": "Hello"}).json()
    page = as_alice.get("/events", {"after": before}).json()
    data = {"message": message, "silent": False}
    assert page == {
        "events": [{"id": page["cursor"], "event": "message", "data": data}],
        "cursor": page["cursor"],
        "more": False,
    }


def test_an_empty_after_is_none(as_alice, bob):
    as_alice.post("/users/contacts/contact-book/bob")
    page = as_alice.get("/events?after=").json()
    assert page == NOTHING | {"cursor": page["cursor"]}


@pytest.mark.parametrize("method", ["get", "head"])
@pytest.mark.parametrize("accept", ["application/json", STREAM])
def test_no_answer_is_kept_or_held_back_on_its_way(as_alice, method, accept):
    answer = getattr(as_alice, method)("/events", HTTP_ACCEPT=accept)
    assert (answer.status_code, answer["Content-Type"]) == (200, accept)
    assert (answer["Cache-Control"], answer["X-Accel-Buffering"]) == ("no-store", "no")
    assert bool(answer.content) == (method == "get")


@pytest.mark.parametrize("accept", ["application/json", STREAM])
def test_events_need_a_token(anonymous, accept):
    answer = anonymous.get("/events", HTTP_ACCEPT=accept)
    assert (answer.status_code, answer["WWW-Authenticate"]) == (401, "Token")
    assert answer.json() == {"detail": "A valid token is required."}


@pytest.mark.parametrize("method", ["post", "put", "patch", "delete"])
def test_events_are_only_read(as_alice, method):
    answer = getattr(as_alice, method)("/events")
    assert (answer.status_code, answer["Allow"]) == (405, "GET, HEAD, OPTIONS")
    assert list(answer.json()) == ["detail"]


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        (STREAM, STREAM),
        ("Text/Event-Stream", STREAM),
        ("text/event-stream; charset=utf-8", STREAM),
        ("text/event-stream;q=0.5", STREAM),
        ("text/event-stream, */*;q=0.1", STREAM),
        ("application/json, text/event-stream", STREAM),
        ("text/event-stream;q=0", "application/json"),
        ("text/event-stream;q=0, */*", "application/json"),
        ("application/json", "application/json"),
        ("text/*", "application/json"),
        ("*/*", "application/json"),
        ("text/html", "application/json"),
        ("", "application/json"),
        ("nonsense;;, ,/", "application/json"),
    ],
)
def test_a_stream_is_for_those_who_name_it(as_alice, accept, kind):
    answer = as_alice.get("/events", HTTP_ACCEPT=accept)
    assert (answer.status_code, answer["Content-Type"]) == (200, kind)


@pytest.mark.parametrize(
    ("query", "refusal"),
    [
        *((f"limit={value}", {"limit": LIMIT}) for value in ("0", "101", "x", "-1", "1.0", "", "%D9%A3")),
        *((f"wait={value}", {"wait": WAIT}) for value in ("0", "26", "x", "-1", "1.0", "", "%D9%A3")),
    ],
)
def test_a_malformed_number_is_refused_by_its_name(as_alice, listen, query, refusal):
    answer = as_alice.get(f"/events?after={listen(as_alice).cursor}&{query}")
    assert (answer.status_code, answer.json()) == (400, refusal)


# Order and pages


def test_events_come_in_the_order_of_the_changes(as_alice, as_bob, private, group, talk, listen):
    alice = listen(as_alice)
    for conversation, text in [(private, "1"), (group, "2"), (group, "3"), (private, "4")]:
        talk.send(as_bob, conversation, text)
    as_alice.post("/users/contacts/contact-book/bob")
    as_bob.post(f"/conversations/{group}/messages", {"text": "5"})
    *messages, contact, last = alice.news()
    assert texts([*messages, last]) == ["1", "2", "3", "4", "5"]
    assert contact == ("contact", {"username": "bob", "in_contact_book": True})


@pytest.mark.parametrize(("limit", "numbers"), [(1, [1] * 7), (3, [3, 3, 1]), (6, [6, 1]), (7, [7]), (100, [7])])
def test_the_pages_show_every_event_once(as_alice, as_bob, private, talk, listen, limit, numbers):
    alice, whole = listen(as_alice), listen(as_alice)
    talk.send(as_bob, private, *"1234567")
    pages = list(alice.pages(limit=limit))
    assert [len(page["events"]) for page in pages] == numbers
    assert [event for page in pages for event in page["events"]] == whole.page(after=whole.cursor)["events"]
    assert all(page["cursor"] == page["events"][-1]["id"] for page in pages)


def test_a_page_has_100_events_unless_asked_for_less(as_alice, listen):
    alice = listen(as_alice)
    for number in range(101):
        as_alice.put("/users/profile", {"bio": str(number)})
    first, second = alice.pages()
    assert [len(first["events"]), len(second["events"])] == [100, 1]


def test_the_id_of_any_event_goes_on_behind_it(as_alice, as_bob, private, talk, listen):
    alice = listen(as_alice)
    talk.send(as_bob, private, "1", "2", "3")
    events = alice.page(after=alice.cursor)["events"]
    for number, event in enumerate(events, 1):
        assert alice.page(after=event["id"])["events"] == events[number:]


def test_the_id_of_an_end_goes_on_like_the_event_before_it(as_alice, as_bob, private, talk, listen):
    alice = listen(as_alice)
    name, _, position = alice.cursor.partition("-")
    talk.send(as_bob, private, "After")
    end = identify_end(name, int(position))
    assert end != alice.cursor
    assert alice.page(after=end) == alice.page(after=alice.cursor)


def test_what_is_there_already_is_answered_without_waiting(as_alice, as_bob, private, talk, listen):
    alice = listen(as_alice)
    talk.send(as_bob, private, "There")
    assert texts(alice.news(wait=25)) == ["There"]
    # The test client takes what is there at once; the server would wait.
    assert alice.page(after=alice.cursor, wait=25) == NOTHING | {"cursor": alice.cursor}


# What is told, and what is not


def test_what_was_rolled_back_is_never_told(as_alice, bob, private, listen):
    alice = listen(as_alice)
    with suppress(ZeroDivisionError), transaction.atomic():
        actions.send_message(bob, private, "Never said")
        raise ZeroDivisionError
    assert alice.news() == []


@pytest.mark.django_db(transaction=True)
def test_a_change_that_is_committed_late_is_told_once(as_alice, as_charlie, bob, group, talk, listen):
    if connection.vendor != "mysql":
        pytest.skip("On SQLite one change waits for the other.")
    other_group = talk.group(as_charlie, "alice")
    alice, is_announced, is_read = listen(as_alice), Moment(), Moment()

    def speak_late():
        with transaction.atomic():
            actions.send_message(bob, group, "Late")
            is_announced.set()
            assert is_read.wait(5)

    def speak_and_read():
        assert is_announced.wait(5)
        talk.send(as_charlie, other_group, "Early")
        news = alice.news()
        is_read.set()
        return texts(news)

    assert at_once(speak_late, speak_and_read)[1] == ["Early"]
    assert texts(alice.news()) == ["Late"]
    assert alice.news() == []


# Ids


@pytest.mark.parametrize(
    "identifier",
    [
        *("x", "-", "e", "0", "é", "\x00", "😀", "x" * 4000),
        *("{name}", "{name}-", "{name}--1", "{name}-x", "{name}-1.0", "{name}- 1", "{name}-٣", "{name}-1ee"),
        *("{name}-{next}", "{name}-9999999999999999999", "{name}-10000000000000000000"),
        *("ffffffff{name}-1", "{foreign}-1", "-1"),
    ],
)
def test_after_an_unknown_id_there_is_one_reset_that_goes_on(as_alice, as_bob, private, talk, listen, identifier):
    talk.send(as_bob, private, "Before")
    name, _, position = listen(as_alice).cursor.partition("-")
    foreign = "0" * 8 if name != "0" * 8 else "1" * 8
    unknown = identifier.format(name=name, next=int(position) + 1, foreign=foreign)
    page = as_alice.get("/events", {"after": unknown}).json()
    assert page == NOTHING | {
        "events": [{"id": page["cursor"], "event": "reset", "data": {}}],
        "cursor": f"{name}-{position}",
    }
    alice = listen(as_alice)
    alice.cursor = page["cursor"]
    talk.send(as_bob, private, "After")
    assert texts(alice.news()) == ["After"]


def test_an_id_whose_followers_are_not_kept_any_more_is_reset(as_alice, as_bob, private, talk, listen, upkeep):
    alice = listen(as_alice)
    talk.send(as_bob, private, "1", "2", "3")
    ids = [alice.cursor, *(event["id"] for event in alice.page(after=alice.cursor)["events"])]
    old = int(ids[2].partition("-")[2])
    Event.objects.filter(position__lte=old).update(created_at=timezone.now() - timedelta(days=8))
    upkeep()
    names = [[event["event"] for event in alice.page(after=each)["events"]] for each in ids]
    assert names == [["reset"], ["reset"], ["message"], []]


def test_who_has_everything_is_not_reset_when_nothing_is_kept(as_alice, as_bob, private, talk, listen, upkeep):
    talk.send(as_bob, private, "Before")
    alice = listen(as_alice)
    Event.objects.update(created_at=timezone.now() - timedelta(days=8))
    upkeep()
    assert not Event.objects.exists()
    assert alice.news() == []
    talk.send(as_bob, private, "After")
    assert texts(alice.news()) == ["After"]


def test_an_id_has_at_most_32_characters(as_alice, as_bob, private, talk, listen):
    last = 2**63 - 2
    listen(as_alice)
    Log.objects.update(last_position=last)
    alice = listen(as_alice)
    talk.send(as_bob, private, "The last of all")
    page = alice.page(after=alice.cursor)
    assert page["cursor"] == page["events"][0]["id"]
    assert len(page["cursor"]) <= len(identify_end(page["cursor"].partition("-")[0], last + 1)) <= 32
