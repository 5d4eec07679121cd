"""GET /events as clients see it: real servers of one and two processes, real connections."""

import os
import random
import signal
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from http.client import HTTPConnection
from threading import Thread
from types import SimpleNamespace

import pytest
import uvicorn
from django.conf import settings
from django.db import connection
from django.utils import timezone

from conftest import PASSWORD
from conversations import actions as conversations
from delivery import hub
from delivery.models import Process, Slot
from delivery.slots import MAX_STREAMS
from delivery.tests.live import (
    DEADLINE,
    LINGER_NOT,
    Event,
    Person,
    Redis,
    Server,
    call,
    call_on,
    eventually,
    processes_with_streams,
    text_of,
)
from events import log
from users import actions as users
from users.models import AuthToken

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(scope="module")
def running(django_db_setup):
    """A server of two processes, for all tests."""
    with Server() as server:
        eventually(lambda: server.is_up() and len(server.workers()) == 2)
        yield server


@pytest.fixture
def server(running, transactional_db):
    """The server, to which nothing of a test is left when the tables are emptied."""
    eventually(running.is_up)
    yield running
    eventually(lambda: not Slot.objects.exists())
    log.order()


@pytest.fixture
def sign_in(server):
    """Makes clients of users, each with a token of its own, whose streams are closed after the test."""
    people = []

    def make(user, at=server):
        people.append(Person(at, user))
        return people[-1]

    yield make
    for person in people:
        person.close()


@pytest.fixture
def at_alice(alice, sign_in):
    return sign_in(alice)


@pytest.fixture
def at_bob(bob, sign_in):
    return sign_in(bob)


@pytest.fixture
def at_charlie(charlie, sign_in):
    return sign_in(charlie)


@pytest.fixture
def private(alice, bob):
    """The id of the private conversation of alice and bob."""
    return conversations.open_private(alice, bob)[0].pk


@pytest.fixture
def group(alice, bob, charlie):
    """The id of a group that alice owns and bob and charlie are in."""
    return conversations.create_group(alice, "Tea party", [bob.pk, charlie.pk]).pk


@pytest.fixture
def http(server):
    """A connection that is kept alive."""
    http = HTTPConnection("127.0.0.1", server.port, timeout=DEADLINE)
    yield http
    http.close()


def mark(person, text="Here."):
    """Change something that only this person is told."""
    status, _ = person.call("PATCH", "/users/profile", {"bio": text})
    assert status == 200


def is_mark(event):
    return event.name == "profile"


# Delivery


def test_a_stream_begins_with_ready(at_alice):
    source = at_alice.try_events()
    event = next(source)
    assert (source.status, event) == (200, Event(event.id, "ready", {}))


def test_a_message_reaches_both_members_as_the_sender_got_it(at_alice, at_bob, private):
    to_alice, to_bob = at_alice.events(), at_bob.events()
    sent = at_alice.send(private, "Hello")
    event = next(to_alice)
    assert event == Event(event.id, "message", {"message": sent, "silent": False})
    assert next(to_bob) == event


def test_all_streams_of_two_processes_get_all_messages_once_and_in_order(at_alice, at_bob, private):
    sources = [person.events() for person in (at_alice, at_bob) for _ in range(3)]
    while processes_with_streams() < 2:
        sources.append(at_alice.events())
    for number in range(20):
        (at_alice, at_bob)[number % 2].send(private, f"Message {number}")
    mark(at_alice)
    mark(at_bob)
    received = [source.until(is_mark)[:-1] for source in sources]
    assert [text_of(event) for event in received[0]] == [f"Message {number}" for number in range(20)]
    assert all(events == received[0] for events in received)


def test_a_bystander_gets_nothing(at_alice, at_bob, at_charlie, private):
    source = at_charlie.events()
    at_alice.send(private, "Between us")
    at_bob.call("POST", f"/conversations/{private}/read", {"number": 1})
    at_alice.call("POST", "/users/contacts/blacklist-user/charlie")
    mark(at_charlie)
    assert [event.name for event in source.until(is_mark)] == ["profile"]


def test_who_is_taken_out_of_a_group_gets_nothing_of_it_from_then_on(at_alice, at_bob, group):
    to_alice, to_bob = at_alice.events(), at_bob.events()
    at_alice.send(group, "Before")
    assert text_of(next(to_bob)) == "Before"  # what was not told before he is taken out is not told any more
    assert at_alice.call("DELETE", f"/conversations/{group}/members/bob") == (204, None)
    at_alice.send(group, "After")
    mark(at_bob)
    assert [event.name for event in to_bob.until(is_mark)] == ["conversation_removed", "profile"]
    before, changed, after = (next(to_alice) for _ in range(3))
    assert (text_of(before), changed.data["conversation"]["members"], text_of(after)) == (
        "Before",
        ["alice", "charlie"],
        "After",
    )


def test_a_message_of_before_is_not_given_to_who_was_taken_out_and_resumes(at_alice, at_bob, group):
    source = at_bob.events()
    source.close()
    at_alice.send(group, "Before")
    at_alice.call("DELETE", f"/conversations/{group}/members/bob")
    mark(at_bob)
    names = [event.name for event in at_bob.events(source.last_id).until(is_mark)]
    assert names == ["conversation_removed", "profile"]


# Coming back


def test_who_comes_back_gets_what_was_missed_and_what_comes(at_alice, at_bob, private):
    source = at_alice.events()
    at_bob.send(private, "First")
    assert source.texts(1) == ["First"]
    source.close()
    at_bob.send(private, "Missed")
    source = at_alice.events(source.last_id)
    at_bob.send(private, "Live")
    assert source.texts(2) == ["Missed", "Live"]


def test_who_comes_back_again_and_again_loses_nothing_and_gets_nothing_twice(at_alice, at_bob, private):
    texts = [f"Message {number}" for number in range(200)]
    source = at_alice.events()
    received = []
    with ThreadPoolExecutor(1) as threads:
        sending = threads.submit(lambda: [at_bob.send(private, text) for text in texts])
        while len(received) < len(texts):
            received += source.texts(min(random.randint(1, 9), len(texts) - len(received)))  # noqa: S311
            source.close()
            source = at_alice.resumed(source.last_id)
        sending.result()
    mark(at_alice)
    assert received == texts
    assert [event.name for event in source.until(is_mark)] == ["profile"]


def test_a_client_that_does_not_read_is_cut_off_and_comes_back(at_alice, at_bob, private):
    source = at_alice.events()
    texts = [f"{number} " + "\N{PILE OF POO}" * 3990 for number in range(100)]
    for text in texts:
        at_bob.send(private, text)
    eventually(lambda: not Slot.objects.exists())
    received = [text_of(event) for event in source]
    assert source.is_broken
    assert len(received) < len(texts)
    assert received + at_alice.events(source.last_id).texts(len(texts) - len(received)) == texts


# The end


def log_out(person):
    person.call("POST", "/users/logout")


def log_out_everywhere(person):
    person.call("POST", "/users/logout-all")


def change_password(person):
    person.call("POST", "/users/password", {"current_password": PASSWORD, "new_password": "an-otter-in-the-river"})


def deactivate(person):
    users.deactivate(person.user)


def suspend(person):
    users.suspend(person.user, timezone.now() + timedelta(days=1))


def delete(person):
    person.call("DELETE", "/users/profile")


def expire(person):
    long_ago = timezone.now() - timedelta(days=settings.TOKEN_TTL_DAYS)
    AuthToken.objects.filter(digest=AuthToken.digest_of(person.token)).update(last_used=long_ago)


ENDS = [
    (log_out, "logout"),
    (log_out_everywhere, "logout"),
    (change_password, "password"),
    (deactivate, "deactivated"),
    (suspend, "suspended"),
    (delete, "deleted"),
    (expire, "expired"),
]


@pytest.mark.parametrize(("happen", "why"), ENDS)
def test_a_stream_ends_with_its_token(at_alice, happen, why):
    source = at_alice.events()
    happen(at_alice)
    last = list(source)[-1]
    assert (last, source.is_broken) == (Event(last.id, "end", {"why": why}), False)
    assert at_alice.try_events(source.last_id).status == 401


@pytest.mark.parametrize("happen", [log_out, expire])
def test_streams_of_other_tokens_stay(alice, at_alice, sign_in, happen):
    other = sign_in(alice)
    ending, staying = at_alice.events(), other.events()
    happen(at_alice)
    assert [event.name for event in ending] == ["end"]
    mark(other)
    assert [event.name for event in staying.until(is_mark)] == ["profile"]


@pytest.mark.parametrize("happen", [log_out_everywhere, change_password, deactivate, suspend, delete])
def test_all_streams_of_the_user_end_and_those_of_others_stay(alice, at_alice, at_bob, sign_in, happen):
    ending, staying = [at_alice.events(), sign_in(alice).events()], at_bob.events()
    happen(at_alice)
    assert [list(source)[-1].name for source in ending] == ["end", "end"]
    mark(at_bob)
    assert [event.name for event in staying.until(is_mark)] == ["profile"]


def test_nothing_of_after_its_end_is_given_to_a_stream(at_alice, at_bob, private):
    source = at_alice.events()
    at_bob.send(private, "Before")
    assert source.texts(1) == ["Before"]
    log_out(at_alice)
    at_bob.send(private, "After")
    assert [event.name for event in source] == ["end"]


def test_the_id_of_an_end_is_good_for_the_next_token(alice, at_alice, at_bob, sign_in, private):
    source = at_alice.events()
    at_bob.send(private, "Before")
    assert source.texts(1) == ["Before"]
    log_out(at_alice)
    assert [event.name for event in source] == ["end"]
    at_bob.send(private, "After")
    assert sign_in(alice).events(source.last_id).texts(1) == ["After"]


# How many


def test_a_user_has_sixteen_streams_and_a_new_one_for_each_that_closes(at_alice, at_bob):
    sources = [at_alice.events() for _ in range(MAX_STREAMS)]
    assert at_alice.try_events().status == 429
    assert at_bob.try_events().status == 200
    sources[0].close()
    sources[1].close()
    source = at_alice.resumed(sources[1].last_id)
    mark(at_alice)
    assert [event.name for event in source.until(is_mark)] == ["profile"]


def test_a_client_that_closes_its_connection_gives_up_its_stream_at_once(at_alice):
    at_alice.events().leave()
    began = time.monotonic()
    try:
        while Slot.objects.exists():
            assert time.monotonic() - began < 5
            time.sleep(0.02)
    finally:
        log_out(at_alice)


def leave_before_the_answer(person, query="", accept="text/event-stream"):
    """Ask 32 times and leave at once. Return the lines that the server logs meanwhile."""
    before = len(person.server.lines())
    head = f"GET /events{query} HTTP/1.1\r\nHost: localhost\r\nAccept: {accept}\r\nAuthorization: Token {person.token}"
    for _ in range(2 * MAX_STREAMS):
        with socket.create_connection(("127.0.0.1", person.server.port)) as client:
            client.sendall(head.encode() + b"\r\n\r\n")
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_NOT)
    time.sleep(0.5)
    return person.server.lines()[before:]


def test_clients_that_leave_before_the_answer_hold_no_stream(at_alice):
    leave_before_the_answer(at_alice)
    sources = [at_alice.resumed(None) for _ in range(MAX_STREAMS)]
    assert [next(source).name for source in sources] == ["ready"] * MAX_STREAMS


def test_a_client_that_leaves_before_the_answer_is_no_failure(at_alice):
    lines = leave_before_the_answer(at_alice)
    assert [line for line in lines if " ERROR " in line] == []


def test_clients_that_leave_before_their_page_hold_no_stream(at_alice, http):
    _, page = call_on(http, "GET", "/events", token=at_alice.token)
    leave_before_the_answer(at_alice, f"?after={page['cursor']}&wait=25", "application/json")
    try:
        assert not Slot.objects.exists()
    finally:
        log_out(at_alice)


# JSON


def pages(http, person, seconds):
    """Asks for the next page, again and again."""
    _, page = call_on(http, "GET", "/events", token=person.token)
    while True:
        _, page = call_on(http, "GET", f"/events?after={page['cursor']}&wait={seconds}", token=person.token)
        yield page


def when_waiting(function, *arguments):
    """Call the function in a thread, once a client waits."""

    def run():
        try:
            eventually(Slot.objects.exists)
            return function(*arguments)
        finally:
            connection.close()

    threads = ThreadPoolExecutor(1)
    result = threads.submit(run)
    threads.shutdown(wait=False)
    return result


def test_a_page_comes_as_soon_as_there_is_something(at_alice, at_bob, private, http):
    sending = when_waiting(at_bob.send, private, "Hello")
    began = time.monotonic()
    page = next(pages(http, at_alice, seconds=25))
    assert time.monotonic() - began < 20
    data = {"message": sending.result(), "silent": False}
    assert page == {
        "events": [{"id": page["cursor"], "event": "message", "data": data}],
        "cursor": page["cursor"],
        "more": False,
    }


def test_a_page_without_events_comes_after_the_time_and_the_connection_stays(at_alice, at_bob, private, http):
    asking = pages(http, at_alice, seconds=1)
    began = time.monotonic()
    page = next(asking)
    assert time.monotonic() - began >= 1
    assert page == {"events": [], "cursor": page["cursor"], "more": False}
    kept = http.sock
    when_waiting(at_bob.send, private, "Hello")
    [event] = eventually(lambda: next(asking)["events"])
    assert (event["data"]["message"]["text"], http.sock) == ("Hello", kept)


def test_a_page_whose_client_leaves_is_waited_for_no_longer(at_alice, http):
    _, page = call_on(http, "GET", "/events", token=at_alice.token)
    line = f"user {at_alice.user.pk}"
    before = sum(each.endswith(line) for each in at_alice.server.lines())
    http.request("GET", f"/events?after={page['cursor']}&wait=25", headers={"Authorization": f"Token {at_alice.token}"})
    eventually(lambda: sum(each.endswith(line) for each in at_alice.server.lines()) > before)
    time.sleep(0.3)
    assert Slot.objects.exists()
    http.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_NOT)
    began = time.monotonic()
    http.close()
    eventually(lambda: not Slot.objects.exists())
    assert time.monotonic() - began < 15


def test_a_page_tells_the_end_of_its_token(at_alice, http):
    when_waiting(log_out, at_alice)
    page = next(pages(http, at_alice, seconds=25))
    assert page == {
        "events": [{"id": f"{page['cursor']}e", "event": "end", "data": {"why": "logout"}}],
        "cursor": page["cursor"],
        "more": False,
    }


# The server


def test_a_silent_stream_gets_a_comment(monkeypatch, in_process, alice, sign_in):
    monkeypatch.setattr(hub, "SILENCE", 0.1)
    person = sign_in(alice, at=in_process)
    source = person.events()
    time.sleep(2.5)
    mark(person)
    source.until(is_mark)
    assert source.comments > 0


def test_a_process_that_has_enough_streams_refuses_more(monkeypatch, in_process, alice, sign_in):
    monkeypatch.setattr(hub, "CAPACITY", 1)
    person = sign_in(alice, at=in_process)
    source = person.events()
    assert person.try_events().status == 503
    mark(person)
    source.until(is_mark)
    eventually(lambda: Slot.objects.count() == 1)


@pytest.fixture
def in_process(server):
    """A server in this process."""
    from main.asgi import application

    with socket.create_server(("127.0.0.1", 0)) as listening:
        options = {
            "loop": "main.listening:Loop",
            "http": "httptools",
            "ws": "none",
            "lifespan": "on",
            "log_config": None,
        }
        config = uvicorn.Config(application, fd=listening.fileno(), interface="asgi3", access_log=False, **options)
        serving = uvicorn.Server(config)
        thread = Thread(target=serving.run)
        thread.start()
        eventually(lambda: serving.started)
        yield SimpleNamespace(port=listening.getsockname()[1])
        serving.should_exit = True
        thread.join(DEADLINE)


def test_a_server_that_stops_ends_its_streams_and_who_comes_back_loses_nothing(at_alice, bob, private, server):
    with Server(processes=1) as stopping:
        eventually(stopping.is_up)
        source = at_alice.events(server=stopping)
        conversations.send_message(bob, private, "Before")
        assert source.texts(1) == ["Before"]
        stopping.process.send_signal(signal.SIGTERM)
        assert ([*source], source.is_broken) == ([], False)
        conversations.send_message(bob, private, "Between")
        stopping.process.wait(DEADLINE)
    source = at_alice.events(source.last_id)
    conversations.send_message(bob, private, "After")
    assert source.texts(2) == ["Between", "After"]


def test_a_replaced_process_ends_its_streams_and_who_comes_back_loses_nothing(at_alice, bob, private, server):
    sources = [at_alice.events() for _ in range(4)]
    conversations.send_message(bob, private, "Before")
    assert [source.texts(1) for source in sources] == [["Before"]] * 4
    before = server.replace()
    assert [([*source], source.is_broken) for source in sources] == [([], False)] * 4
    conversations.send_message(bob, private, "Between")
    eventually(lambda: len(server.workers() - before) == 2 and not server.workers() & before)
    sources = [at_alice.events(source.last_id) for source in sources]
    conversations.send_message(bob, private, "After")
    assert [source.texts(2) for source in sources] == [["Between", "After"]] * 4


def test_a_killed_process_breaks_its_streams_and_holds_none_for_ever(at_alice, bob, private, server):
    sources = [at_alice.events() for _ in range(MAX_STREAMS)]
    assert processes_with_streams() == 2
    os.kill(server.workers().pop(), signal.SIGKILL)
    conversations.send_message(bob, private, "Hello")
    broken = [source for source in sources if next(source, None) is None]
    assert 0 < len(broken) < MAX_STREAMS
    assert at_alice.try_events().status == 429
    for source in sources:
        source.close()
    eventually(lambda: Slot.objects.count() == len(broken))
    killed = Slot.objects.values("process").distinct().get()["process"]
    Process.objects.filter(pk=killed).update(seen_at=timezone.now() - Process.TIME_TO_LIVE)
    again = [at_alice.events(source.last_id) for source in broken]
    assert [source.texts(1) for source in again] == [["Hello"]] * len(broken)
    assert not Process.objects.filter(pk=killed, slots__isnull=False).exists()
    eventually(lambda: len(server.workers()) == 2)


def test_the_metrics_are_of_both_processes_and_not_of_the_streams_of_a_killed_one(at_alice, at_bob, private, server):
    def open_streams():
        return server.numbers()['chat_streams_open{kind="stream"}']

    def measured_processes():
        return sum(
            bool(value) for name, value in server.numbers().items() if name.startswith("chat_process_memory_bytes")
        )

    # Under which numbers they are depends on the tests before, which have replaced some.
    eventually(lambda: measured_processes() == 2)
    eventually(lambda: open_streams() == 0)
    before = server.numbers()
    sources = [at_alice.events() for _ in range(MAX_STREAMS)]
    assert processes_with_streams() == 2
    assert open_streams() == MAX_STREAMS
    at_bob.send(private, "Hello")
    assert [source.texts(1) for source in sources] == [["Hello"]] * MAX_STREAMS
    delivered = "chat_events_delivered_total"
    after = eventually(lambda: found if (found := server.numbers())[delivered] > before[delivered] + 15 else None)
    assert after[delivered] - before[delivered] == MAX_STREAMS
    # Each process has read the message once.
    assert after["chat_delivery_seconds_count"] - before["chat_delivery_seconds_count"] == 2
    assert 0 < after["chat_delivery_seconds_sum"] - before["chat_delivery_seconds_sum"] < 2 * DEADLINE
    sent = 'chat_requests_total{method="POST",route="/conversations/<int:pk>/messages",status="201"}'
    assert after[sent] - before.get(sent, 0) == 1

    os.kill(server.workers().pop(), signal.SIGKILL)
    conversations.send_message(at_bob.user, private, "Are you there?")
    left = [source for source in sources if next(source, None) is not None]
    assert 0 < len(left) < MAX_STREAMS
    assert eventually(open_streams) == len(left)
    eventually(lambda: len(server.workers()) == 2)
    assert open_streams() == len(left)
    assert server.numbers()[sent] == after[sent]
    Process.objects.update(seen_at=timezone.now() - Process.TIME_TO_LIVE)


def say_in_turn(persons, conversation, times):
    """Each says something once the other's words have arrived. Return the seconds that it took."""
    sources = [person.events() for person in persons]
    began = time.monotonic()
    for number in range(times):
        persons[number % 2].send(conversation, f"Message {number}")
        assert [source.texts(1) for source in sources] == [[f"Message {number}"]] * 2
    seconds = time.monotonic() - began
    for source in sources:
        source.close()
    return seconds


def test_two_servers_deliver_without_hints(alice, at_bob, private, sign_in):
    with Server(1) as other:
        eventually(other.is_up)
        say_in_turn([sign_in(alice, other), at_bob], private, times=4)


@pytest.fixture(scope="module")
def redis():
    with Redis() as redis:
        yield redis


def test_two_servers_wake_each_other_through_redis(alice, bob, private, sign_in, server, redis):
    with Server(1, REDIS_URL=redis.url) as one, Server(1, REDIS_URL=redis.url) as two:
        eventually(lambda: one.is_up() and two.is_up())
        seconds = say_in_turn([sign_in(alice, one), sign_in(bob, two)], private, times=10)
    # Without hints a server that has Redis asks every two seconds.
    assert seconds < 10


# The log


def test_the_log_tells_how_a_stream_begins_and_ends_under_one_id(at_alice, at_bob, private, server):
    source = at_alice.events()
    at_bob.send(private, "Hello")
    assert source.texts(1) == ["Hello"]
    source.close()
    lines = eventually(lambda: lines if len(lines := server.lines_of(source.request_id)) > 1 else None)
    user = at_alice.user.pk
    assert lines == [
        f"GET /events 200 0.0 ms user {user}",
        f"GET /events closed after 0.0 s, 1 events, user {user}",
    ]


def test_the_log_holds_no_token_and_no_text(at_alice, at_bob, private, server):
    source = at_alice.events()
    at_bob.send(private, "a-secret-text")
    assert source.texts(1) == ["a-secret-text"]
    source.close()
    call(server.port, "GET", f"/events?after={source.last_id}&wait=1", token=at_alice.token)
    log_out(at_alice)
    eventually(lambda: len(server.lines_of(source.request_id)) == 2)
    text = "\n".join(server.lines())
    assert "GET /events" in text
    for secret in ("a-secret-text", at_alice.token, at_bob.token, source.last_id):
        assert secret not in text
