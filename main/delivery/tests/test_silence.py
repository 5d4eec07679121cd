"""Which messages are `silent`: those of others that come outside of the receiver's own active hours."""

from datetime import UTC, datetime

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from conversations.models import Message
from delivery.descriptions import describe
from events.models import Event, Kind
from users.user_settings import Audience, UserSettings, as_json

# 08:00 UTC is 09:00 in Oslo and 17:00 in Tokyo, on a Monday.
WORK = {"day": "monday", "start": "09:00", "end": "17:00"}
OSLO, TOKYO = ({"time_zone": zone, "weekly": [WORK]} for zone in ("Europe/Oslo", "Asia/Tokyo"))
MONDAY_AT_NOON = "2026-01-05T12:00:00"
SUNDAY = "2026-01-04T12:00:00"


@pytest.fixture
def keep(db):
    """Gives a user active hours."""

    def keep(user, hours, **fields):
        UserSettings.objects.create(user=user, active_hours_json=as_json(hours), **fields)

    return keep


def sent_at(text, **of):
    """Say that the messages were sent at this time in UTC."""
    assert Message.objects.filter(**of).update(created_at=datetime.fromisoformat(text).replace(tzinfo=UTC))


def silences(news):
    return [(data["message"]["text"], data["silent"]) for event, data in news if event == "message"]


@pytest.mark.parametrize(
    ("moment", "is_silent"),
    [
        ("2026-01-05T07:59:59.999999", True),
        ("2026-01-05T08:00:00", False),
        ("2026-01-05T15:59:59.999999", False),
        ("2026-01-05T16:00:00", True),
        (SUNDAY, True),
    ],
)
def test_a_message_outside_of_the_receivers_hours_is_silent(
    as_alice, as_bob, bob, private, talk, listen, keep, moment, is_silent
):
    keep(bob, OSLO)
    alice, receiver = listen(as_alice), listen(as_bob)
    message = talk.send(as_alice, private, "Hello")
    sent_at(moment)
    shown = f"{moment}Z"
    told = {"message": message | {"created_at": shown}, "silent": is_silent}
    assert receiver.news() == [("message", told)]
    assert alice.news() == [("message", told | {"silent": False})]


def test_ones_own_message_is_never_silent(as_alice, alice, as_bob, client_of, private, talk, listen, keep):
    keep(alice, OSLO)
    device, bob = listen(client_of(alice)), listen(as_bob)
    talk.send(as_alice, private, "Late")
    sent_at(SUNDAY)
    assert (silences(device.news()), silences(bob.news())) == ([("Late", False)], [("Late", False)])


def test_to_somebody_without_hours_no_message_is_silent(as_alice, as_bob, bob, private, talk, listen):
    UserSettings.objects.create(user=bob, theme="dark")
    receiver = listen(as_bob)
    talk.send(as_alice, private, "Late")
    sent_at(SUNDAY)
    assert silences(receiver.news()) == [("Late", False)]


def test_to_somebody_in_a_zone_that_this_machine_does_not_know_no_message_is_silent(
    as_alice, as_bob, bob, private, talk, listen, keep
):
    keep(bob, OSLO | {"time_zone": "Europe/Atlantis"})
    receiver = listen(as_bob)
    talk.send(as_alice, private, "Late")
    sent_at(SUNDAY)
    assert silences(receiver.news()) == [("Late", False)]


def test_hours_that_nobody_sees_count_too(as_alice, as_bob, bob, private, talk, listen, keep):
    keep(bob, OSLO, active_hours_for=Audience.NOBODY)
    receiver = listen(as_bob)
    talk.send(as_alice, private, "Late")
    sent_at(SUNDAY)
    assert silences(receiver.news()) == [("Late", True)]


def test_of_a_group_each_receiver_has_hours_of_their_own(
    as_alice, alice, as_bob, bob, as_charlie, charlie, make_user, client_of, talk, listen, keep
):
    as_dora = client_of(make_user("dora"))
    group = talk.group(as_alice, "bob", "charlie", "dora")
    for user, hours in ((alice, OSLO), (bob, OSLO), (charlie, TOKYO)):
        keep(user, hours)
    listeners = [listen(client) for client in (as_alice, as_bob, as_charlie, as_dora)]
    talk.send(as_alice, group, "Sunday", "Early", "Noon")
    for number, moment in enumerate([SUNDAY, "2026-01-05T03:00:00", MONDAY_AT_NOON], 1):
        sent_at(moment, number=number)
    assert [[silent for _, silent in silences(listener.news())] for listener in listeners] == [
        [False, False, False],
        [True, True, False],
        [True, False, True],
        [False, False, False],
    ]


def test_the_hours_are_those_at_the_delivery_and_the_time_is_the_messages(
    as_alice, as_bob, private, talk, listen, keep
):
    early, late = listen(as_bob), listen(as_bob)
    talk.send(as_alice, private, "Hello")
    sent_at(SUNDAY)
    assert silences(early.news()) == [("Hello", False)]
    as_bob.patch("/users/settings", {"active_hours": OSLO})
    assert silences(late.news()) == [("Hello", True)]


def test_a_message_of_a_deleted_account_is_silent_like_any(as_alice, as_bob, bob, as_charlie, talk, listen, keep):
    group = talk.group(as_alice, "bob", "charlie")
    keep(bob, OSLO)
    receiver = listen(as_bob)
    talk.send(as_charlie, group, "Farewell")
    sent_at(SUNDAY)
    as_charlie.delete("/users/profile")
    assert silences(receiver.news()) == [("Farewell", True)]


def test_a_client_id_is_shown_to_its_sender_only_whether_silent_or_not(as_alice, as_bob, bob, private, listen, keep):
    keep(bob, OSLO)
    alice, receiver = listen(as_alice), listen(as_bob)
    as_alice.post(f"/conversations/{private}/messages", {"text": "Hello", "client_id": "mine"})
    sent_at(SUNDAY)
    told = [(data["message"]["client_id"], data["silent"]) for each in (alice, receiver) for _, data in each.news()]
    assert told == [("mine", False), (None, True)]


def queries_of(act):
    """How many queries ask for settings, and how many there are."""
    with CaptureQueriesContext(connection) as made:
        act()
    return len([query for query in made if "users_usersettings" in query["sql"]]), len(made)


def test_a_page_asks_once_for_the_hours_whatever_the_number_of_messages(
    as_alice, as_bob, bob, private, talk, listen, keep
):
    keep(bob, OSLO)
    few = listen(as_bob)
    talk.send(as_alice, private, "1")
    asked, of_few = queries_of(few.news)
    talk.send(as_alice, private, *"2345678")
    assert (asked, queries_of(few.news)) == (1, (1, of_few))


def test_an_event_asks_once_for_the_hours_whatever_the_number_of_receivers(
    as_alice, alice, make_user, talk, keep, order
):
    users = [make_user(f"user{number}") for number in range(20)]
    group = talk.group(as_alice, *(user.username for user in users))
    for user in users[:10]:
        keep(user, OSLO)
    talk.send(as_alice, group, "Hello")
    sent_at(SUNDAY)
    order()
    row = Event.objects.between(0, 10**6).rows(1000)[-1]
    of_one = queries_of(lambda: describe([row], {users[0].pk}))
    told = []
    asked = queries_of(lambda: told.extend(describe([row], {alice.pk, *(user.pk for user in users)})))
    assert asked == of_one == (1, of_one[1])
    silent = {user_id: each.data["silent"] for each in told for user_id in each.user_ids}
    assert silent == {alice.pk: False} | {user.pk: user in users[:10] for user in users}


def test_events_without_a_message_do_not_ask_for_hours(as_alice, alice, as_bob, bob, group, keep, order):
    keep(alice, OSLO)
    as_alice.put(f"/conversations/{group}", {"name": "Tea"})
    as_alice.post("/users/contacts/contact-book/bob")
    order()
    rows = [row for row in Event.objects.between(0, 10**6).rows(1000) if row.kind != Kind.MESSAGE]
    assert rows
    assert queries_of(lambda: describe(rows, {alice.pk, bob.pk}))[0] == 0


def test_an_edited_message_is_silent_by_the_time_of_its_edit(as_alice, as_bob, bob, private, talk, listen, keep):
    keep(bob, OSLO)
    receiver = listen(as_bob)
    message = talk.send(as_alice, private, "Hello")
    as_alice.put(f"/conversations/{private}/messages/{message['number']}", {"text": "Hello again"})
    sent_at(MONDAY_AT_NOON)
    Message.objects.update(edited_at=datetime.fromisoformat(SUNDAY).replace(tzinfo=UTC))
    assert silences(receiver.news()) == [("Hello again", True)] * 2
