"""The limit of open streams per user."""

from contextlib import suppress
from datetime import timedelta

import pytest
from django.utils import timezone
from rest_framework.exceptions import Throttled

from delivery import pages, slots
from delivery.models import Process, Slot
from delivery.tests.conftest import STREAM
from tests.concurrency import at_once, copies

REFUSAL = {"detail": "You have 16 streams open. Expected available in 5 seconds."}


@pytest.fixture
def other_process(db):
    """Makes another process that was seen so many seconds ago and holds all streams of the user."""

    def make(user, seconds):
        process = Process.objects.create(pk=1, seen_at=timezone.now() - timedelta(seconds=seconds))
        Slot.objects.bulk_create(Slot(user_id=user.pk, number=number, process=process) for number in range(16))

    return make


def open_stream(client):
    return client.get("/events", HTTP_ACCEPT=STREAM)


def test_the_seventeenth_stream_of_a_user_is_refused(as_alice, alice, ask):
    for _ in range(16):
        ask(as_alice)
    refused = open_stream(as_alice)
    assert (refused.status_code, refused["Retry-After"], refused.json()) == (429, "5", REFUSAL)
    assert sorted(Slot.objects.values_list("user_id", "number")) == [(alice.pk, number) for number in range(16)]


def test_the_limit_counts_all_tokens_of_a_user(alice, client_of, ask):
    for _ in range(16):
        ask(client_of(alice))
    assert open_stream(client_of(alice)).status_code == 429


def test_the_streams_of_others_do_not_count(as_alice, as_bob, ask):
    for _ in range(16):
        ask(as_alice)
    assert open_stream(as_bob).status_code == 200


def test_a_stream_that_is_closed_makes_room_for_another(as_alice, ask):
    answers = [ask(as_alice) for _ in range(16)]
    for answer in answers[3:5]:
        answer.close()
    ask(as_alice)
    ask(as_alice)
    assert open_stream(as_alice).status_code == 429


def test_an_answer_that_is_closed_twice_gives_up_one_stream(as_alice, ask):
    first, *_ = [ask(as_alice) for _ in range(16)]
    first.close()
    ask(as_alice)
    first.close()
    assert open_stream(as_alice).status_code == 429


def test_pages_are_read_by_who_has_all_streams_open(as_alice, as_bob, private, talk, listen, ask):
    alice = listen(as_alice)
    for _ in range(16):
        ask(as_alice)
    refused = as_alice.get("/events", {"after": alice.cursor, "wait": 5})
    assert (refused.status_code, refused["Retry-After"], refused.json()) == (429, "5", REFUSAL)
    talk.send(as_bob, private, "Hello")
    assert [event for event, _ in alice.news(wait=5)] == ["message"]
    assert alice.news() == []


@pytest.mark.parametrize(
    ("query", "reserved"),
    [
        ("", 0),
        ("?wait=5", 0),
        ("?after=unknown&wait=5", 0),
        ("?after={before}", 0),
        ("?after={before}&wait=5", 0),
        ("?after={present}", 0),
        ("?after={present}&wait=5", 1),
    ],
)
def test_a_page_counts_only_while_it_waits(as_alice, as_bob, private, talk, listen, ask, query, reserved):
    before = listen(as_alice).cursor
    talk.send(as_bob, private, "Hello")
    answer = ask(as_alice, query.format(before=before, present=listen(as_alice).cursor), "application/json")
    assert Slot.objects.count() == reserved
    answer.close()
    assert not Slot.objects.exists()


def test_a_page_that_has_more_to_look_through_does_not_wait(as_alice, as_bob, listen, ask, monkeypatch):
    monkeypatch.setattr(pages, "WINDOW", 1)
    monkeypatch.setattr(pages, "WINDOWS", 1)
    before = listen(as_alice).cursor
    for bio in ("1", "2"):
        as_bob.put("/users/profile", {"bio": bio})
    answer = ask(as_alice, f"?after={before}&wait=5", "application/json")
    assert b'"events":[]' in answer.content
    assert b'"more":true' in answer.content
    assert not Slot.objects.exists()


@pytest.mark.parametrize(("query", "accept"), [("", STREAM), ("?after={present}&wait=5", "application/json")])
def test_a_head_request_reserves_nothing(as_alice, listen, ask, query, accept):
    ask(as_alice, query.format(present=listen(as_alice).cursor), accept, method="head")
    assert not Slot.objects.exists()


def test_a_server_that_ends_answers_after_the_view_holds_no_streams(as_alice):
    assert [open_stream(as_alice).status_code for _ in range(20)] == [200] * 20
    assert not Slot.objects.exists()


# Processes


@pytest.mark.parametrize(("seconds", "status"), [(0, 429), (15, 429), (21, 200)])
def test_the_streams_of_a_process_that_is_gone_are_free(as_alice, alice, other_process, seconds, status):
    other_process(alice, seconds)
    assert open_stream(as_alice).status_code == status


@pytest.mark.parametrize(("seconds", "left"), [(15, (1, 32)), (21, (0, 0))])
def test_the_upkeep_removes_a_process_that_is_gone_with_its_streams(alice, bob, other_process, upkeep, seconds, left):
    other_process(alice, seconds)
    Slot.objects.bulk_create(Slot(user_id=bob.pk, number=number, process_id=1) for number in range(16))
    upkeep()
    assert (Process.objects.count(), Slot.objects.count()) == left


def test_a_process_that_goes_releases_its_own_streams_alone(alice, bob, other_process):
    other_process(alice, 0)
    slots.reserve(bob.pk)
    slots.release_all()
    assert set(Slot.objects.values_list("user_id", "process")) == {(alice.pk, 1)}
    assert list(Process.objects.values_list("pk", flat=True)) == [1]


@pytest.mark.parametrize(("seconds", "is_said"), [(1, False), (6, True), (21, True)])
def test_a_process_says_with_a_new_stream_that_it_lives(alice, seconds, is_said):
    seen_at = timezone.now() - timedelta(seconds=seconds)
    Process.objects.create(pk=slots.ME, seen_at=seen_at)
    slots.reserve(alice.pk)
    assert (Process.objects.get().seen_at > seen_at) == is_said


# At the same moment


@pytest.mark.django_db(transaction=True)
def test_of_24_reservations_at_once_16_succeed(alice, bob):
    def reserve():
        with suppress(Throttled):
            return slots.reserve(alice.pk)

    slots.reserve(bob.pk)
    results = at_once(*[reserve] * 24)
    assert results.count(None) == 8
    reserved = Slot.objects.filter(user_id=alice.pk)
    assert sorted(reserved.values_list("pk", flat=True)) == sorted(pk for pk in results if pk)
    assert sorted(reserved.values_list("number", flat=True)) == list(range(16))


@pytest.mark.django_db(transaction=True)
def test_streams_opened_and_closed_at_once_leave_none_reserved(as_alice):
    calls = [lambda client=client: open_stream(client).status_code for client in copies(as_alice, 24)]
    assert set(at_once(*calls)) <= {200, 429}
    assert not Slot.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_a_process_whose_row_is_removed_meanwhile_reserves_all_the_same(alice, monkeypatch):
    gone = Process.objects.gone

    def lose_the_process_first():
        monkeypatch.setattr(Process.objects, "gone", gone)
        slots.release_all()
        return gone()

    monkeypatch.setattr(Process.objects, "gone", lose_the_process_first)
    slots.reserve(alice.pk)
    assert Slot.objects.count() == 1
