"""The beginning of a stream: what the view answers before the event loop goes on with it."""

import json
import re

import pytest

from delivery import views
from delivery.tests.conftest import STREAM


def parse(text):
    """Server-sent events as a browser reads them: the events as (id, event, data), and the values of `retry`."""
    events, retries, identifier = [], [], ""
    name, data = "", []
    for line in re.split("\r\n|\n|\r", text):
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if not line:
            if data:
                events.append((identifier, name or "message", json.loads("\n".join(data))))
            name, data = "", []
        elif field == "id":
            identifier = value
        elif field == "event":
            name = value
        elif field == "data":
            data.append(value)
        elif field == "retry":
            retries.append(int(value))
        else:
            assert not field, f"not a field: {line}"
    assert text.endswith("\n\n")
    return events, retries


@pytest.fixture
def begin():
    """The events at the beginning of a stream."""

    def begin(client, query="", **headers):
        answer = client.get("/events" + query, HTTP_ACCEPT=STREAM, **headers)
        assert (answer.status_code, answer["Content-Type"]) == (200, STREAM)
        return parse(answer.content.decode())[0]

    return begin


def as_page(events):
    return [{"id": identifier, "event": name, "data": data} for identifier, name, data in events]


def test_a_stream_says_once_at_its_beginning_when_to_come_back(as_alice):
    texts = [as_alice.get("/events", HTTP_ACCEPT=STREAM).content.decode() for _ in range(30)]
    retries = [parse(text)[1] for text in texts]
    assert all(text.startswith("retry: ") for text in texts)
    assert all(len(each) == 1 and 1000 <= each[0] <= 5000 for each in retries)
    assert len({each[0] for each in retries}) > 1


def test_a_stream_begins_with_ready_and_the_present_cursor(as_alice, as_bob, private, talk, listen, begin):
    talk.send(as_bob, private, "Before")
    assert begin(as_alice) == [(listen(as_alice).cursor, "ready", {})]


def test_after_ready_nothing_is_missed(as_alice, as_bob, private, talk, begin, told):
    [(identifier, _, _)] = begin(as_alice)
    message = talk.send(as_bob, private, "After")
    [missed] = begin(as_alice, HTTP_LAST_EVENT_ID=identifier)
    assert missed[1:] == told(message)


@pytest.mark.parametrize("by", ["header", "query"])
def test_a_stream_resumes_with_the_events_that_pages_show(
    as_alice, as_bob, bob, private, group, talk, listen, begin, by
):
    alice = listen(as_alice)
    talk.send(as_bob, private, "1", "2")
    as_alice.post("/users/contacts/contact-book/bob")
    as_bob.delete(f"/conversations/{group}/members/bob")
    query, headers = ("", {"HTTP_LAST_EVENT_ID": alice.cursor}) if by == "header" else (f"?after={alice.cursor}", {})
    events = begin(as_alice, query, **headers)
    assert [name for _, name, _ in events] == ["message", "message", "contact", "conversation"]
    assert as_page(events) == alice.page(after=alice.cursor)["events"]


def test_a_stream_that_has_missed_nothing_begins_without_events(as_alice, private, listen, begin):
    assert begin(as_alice, HTTP_LAST_EVENT_ID=listen(as_alice).cursor) == []


def test_the_header_wins_over_the_query(as_alice, as_bob, private, talk, listen, begin, told):
    talk.send(as_bob, private, "1")
    first = listen(as_alice).cursor
    message = talk.send(as_bob, private, "2")
    second = listen(as_alice).cursor
    assert begin(as_alice, f"?after={second}", HTTP_LAST_EVENT_ID=first) == [(second, *told(message))]
    assert begin(as_alice, f"?after={first}", HTTP_LAST_EVENT_ID=second) == []


def test_an_empty_header_is_none(as_alice, as_bob, private, talk, listen, begin, told):
    before = listen(as_alice).cursor
    message = talk.send(as_bob, private, "1")
    present = listen(as_alice).cursor
    assert begin(as_alice, HTTP_LAST_EVENT_ID="") == [(present, "ready", {})]
    assert begin(as_alice, f"?after={before}", HTTP_LAST_EVENT_ID="") == [(present, *told(message))]


@pytest.mark.parametrize("identifier", ["x", "00000000-0", "{name}-{next}", "\xff\xfe", "x" * 4000])
def test_a_stream_after_an_unknown_id_begins_with_one_reset(
    as_alice, as_bob, private, talk, listen, begin, told, identifier
):
    present = listen(as_alice).cursor
    name, _, position = present.partition("-")
    unknown = identifier.format(name=name, next=int(position) + 1)
    assert begin(as_alice, HTTP_LAST_EVENT_ID=unknown) == [(present, "reset", {})]
    message = talk.send(as_bob, private, "After")
    assert [event[1:] for event in begin(as_alice, HTTP_LAST_EVENT_ID=present)] == [told(message)]


@pytest.mark.parametrize("text", ["a\nb", "a\r\n\r\nb", "a\rb", "a\u2028b\u2029c\x85d", "data: x", ":", "😀"])
def test_a_text_arrives_whole(as_alice, as_bob, private, talk, listen, begin, text):
    before = listen(as_alice).cursor
    talk.send(as_bob, private, text)
    [(_, name, data)] = begin(as_alice, HTTP_LAST_EVENT_ID=before)
    assert (name, data["message"]["text"]) == ("message", text)


def test_the_rest_of_many_missed_events_comes_after_the_first_part(
    as_alice, as_bob, private, talk, listen, ask, monkeypatch
):
    monkeypatch.setattr(views, "CATCH_UP", 3)
    alice = listen(as_alice)
    talk.send(as_bob, private, *"12345")
    answer = ask(as_alice, HTTP_LAST_EVENT_ID=alice.cursor)
    events, _ = parse(answer.content.decode())
    assert [data["message"]["text"] for _, _, data in events] == ["1", "2", "3"]
    rest = answer.continuation
    assert f"{rest.log_name}-{rest.position}" == events[-1][0]


def test_the_first_part_of_a_stream_is_for_its_user_alone(as_charlie, as_bob, private, talk, listen, begin):
    before = listen(as_charlie).cursor
    talk.send(as_bob, private, "1")
    assert begin(as_charlie, HTTP_LAST_EVENT_ID=before) == []
