"""GET /users/export: what is in it, and what is not."""

import re
from datetime import timedelta

import pytest
from django.conf import settings
from django.db import connection
from django.http.response import HttpResponseBase
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from common import exports as reading
from conftest import PASSWORD
from conversations import exports as of_conversations
from conversations.models import Conversation, Message
from conversations.tests.conftest import group, private, talk  # noqa: F401  (fixtures)
from export.answers import ExportAnswer, ExportContinuation
from export.throttles import limit_of
from tests.concurrency import at_once, copies, statuses
from tests.paging import pages
from users.models import AuthToken, User

EXPORT = "/users/export"


@pytest.fixture(autouse=True)
def _small_steps(monkeypatch):
    """So that a few rows take several queries, as many do."""
    for module in (reading, of_conversations):
        monkeypatch.setattr(module, "CHUNK", 3)
    monkeypatch.setattr(of_conversations, "PAGE", 2)
    monkeypatch.setattr(reading.chunks, "__defaults__", (2,))


def export(client):
    answer = client.get(EXPORT)
    assert answer.status_code == 200, answer.content
    return answer.json()


@pytest.fixture
def world(alice, as_alice, bob, as_bob, charlie, as_charlie, make_user, client_of, talk, private):  # noqa: F811
    """Everything that can be in alice's export, and much that cannot. Gives the ids of her conversations."""
    for name in ("dora", "emil", "gone"):
        make_user(name)
    for name in ("bob", "charlie", "dora", "emil", "gone"):
        as_alice.post(f"/users/contacts/contact-book/{name}")
    for name in ("charlie", "dora", "gone"):
        as_alice.post(f"/users/contacts/blacklist-user/{name}")
    as_bob.post("/users/contacts/blacklist-user/charlie")
    as_charlie.post("/users/contacts/blacklist-user/alice")
    as_charlie.patch("/users/settings", {"privacy": {"email": "nobody"}})
    as_charlie.put("/users/profile", {"phone_number": "+47 22 85 50 50"})
    as_bob.patch("/users/settings", {"privacy": {"phone_number": "contacts"}})
    as_bob.put("/users/profile", {"phone_number": "+47 22 85 50 51"})
    as_alice.patch("/users/settings", {"theme": "dark", "client": {"ø": [1, {"a": None}], "line": "\u2028\n"}})

    talk.send(as_bob, private, *"abcdefgh")
    as_bob.post(f"/conversations/{private}/messages", {"text": "secret name", "client_id": "bobs-own"})
    as_alice.post(f"/conversations/{private}/messages", {"text": "Grüße, 😀", "client_id": "alices-own"})
    as_bob.put(f"/conversations/{private}/messages/2", {"text": "edited"})
    as_bob.delete(f"/conversations/{private}/messages/3")
    as_alice.post(f"/conversations/{private}/read", {"number": 4})
    mine = [private, *(talk.group(as_bob, "alice", name=f"Group {number}") for number in range(6))]
    for number, pk in enumerate(mine[2:], 1):
        talk.send(as_bob, pk, *(f"{number}.{each}" for each in range(number)))
    left = talk.group(as_bob, "alice", name="Left")
    talk.send(as_alice, left, "said before leaving")
    as_alice.delete(f"/conversations/{left}/members/alice")
    other = talk.group(as_bob, "dora", name="Others")
    talk.send(as_bob, other, "said among others")

    gone = User.objects.get(username="gone")
    gone.is_active = False
    gone.save()
    client_of(alice)
    old = AuthToken.objects.create(user=alice, digest="0" * 64)
    AuthToken.objects.filter(pk=old.pk).update(
        last_used=timezone.now() - timedelta(days=settings.TOKEN_TTL_DAYS, seconds=1)
    )
    return mine


def test_a_new_user_has_this_and_no_more(as_alice, alice):
    answer = as_alice.get(EXPORT)
    name = re.fullmatch(r'attachment; filename="chat-export-\d{4}-\d\d-\d\d\.json"', answer["Content-Disposition"])
    assert name
    assert (answer.status_code, answer["Content-Type"]) == (200, "application/json")
    assert answer["Cache-Control"] == "no-store"
    body = answer.json()
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", body.pop("exported_at"))
    [token] = AuthToken.objects.values("created_at", "last_used")
    assert body == {
        "profile": as_alice.get("/users/profile").json(),
        "settings": as_alice.get("/users/settings").json(),
        "contacts": [],
        "blacklist": [],
        "tokens": [{name: as_text(time) for name, time in token.items()}],
        "reports": [],
        "conversations": [],
    }


def as_text(time):
    return time.isoformat().replace("+00:00", "Z")


def test_the_account_is_what_the_calls_show(as_alice, alice, world):
    body = export(as_alice)
    assert body["profile"] == as_alice.get("/users/profile").json()
    assert body["settings"] == as_alice.get("/users/settings").json()
    contacts = sorted(body["contacts"], key=lambda each: each["user"]["username"])
    assert [each["user"] for each in contacts] == as_alice.get("/users/contacts/contact-book").json()
    assert [each["user"]["username"] for each in contacts] == ["bob", "charlie", "dora", "emil"]
    times = {each["user"]["username"]: each["created_at"] for each in contacts}
    entries = alice.contactbookentry_as_user1.filter(user2__is_active=True).select_related("user2")
    assert times == {entry.user2.username: as_text(entry.created_at) for entry in entries}


def test_the_blacklist_is_ones_own_alone(as_alice, alice, world):
    blacklist = {each["username"]: each["created_at"] for each in export(as_alice)["blacklist"]}
    entries = alice.blacklistentry_as_user1.filter(user2__is_active=True).select_related("user2")
    assert blacklist == {entry.user2.username: as_text(entry.created_at) for entry in entries}
    assert set(blacklist) == {"charlie", "dora"}  # and not the deactivated one, for whom the calls answer 404


def test_tokens_are_their_times_alone(as_alice, alice, world):
    valid = alice.auth_tokens.unexpired().order_by("pk").values_list("created_at", "last_used")
    assert export(as_alice)["tokens"] == [
        {"created_at": as_text(created_at), "last_used": as_text(last_used)} for created_at, last_used in valid
    ]
    assert len(valid) == 2


def test_the_conversations_are_what_the_calls_show(as_alice, world):
    conversations = export(as_alice)["conversations"]
    assert [each["conversation"]["id"] for each in conversations] == world
    listed = [each for page in pages(as_alice, "/conversations?limit=3") for each in page]
    assert sorted((each["conversation"] for each in conversations), key=lambda each: each["id"]) == sorted(
        listed, key=lambda each: each["id"]
    )


def test_all_messages_are_there_as_the_calls_show_them(as_alice, world):
    for each in export(as_alice)["conversations"]:
        path = f"/conversations/{each['conversation']['id']}/messages?after=0&limit=2"
        assert each["messages"] == [message for page in pages(as_alice, path) for message in page]
        assert len(each["messages"]) == Conversation.objects.get(pk=each["conversation"]["id"]).last_number


@pytest.mark.parametrize("numbers", [[0], [3], [4], [3, 3], [0, 0, 0], [1, 2, 1], [7, 0, 1, 2, 6, 3, 3, 1]])
def test_nothing_is_missing_however_many_messages_there_are(as_alice, as_bob, talk, numbers):  # noqa: F811
    expected = []
    for number in numbers:
        group = talk.group(as_alice, name="x")  # noqa: F811
        if number:
            talk.send(as_alice, group, *map(str, range(number)))
        expected.append((group, list(map(str, range(number)))))
    conversations = export(as_alice)["conversations"]
    found = [(each["conversation"]["id"], [one["text"] for one in each["messages"]]) for each in conversations]
    assert found == expected


def test_the_reports_are_those_that_the_user_has_made(as_alice, as_bob, bob, world):
    for reason in ("spam", "harassment", "illegal"):
        as_alice.post(
            "/reports", {"username": "bob", "reason": reason, "text": "Look", "conversation": world[0], "number": 1}
        )
    as_bob.post("/reports", {"username": "alice", "reason": "other"})
    reports = export(as_alice)["reports"]
    assert [report["reason"] for report in reports] == ["spam", "harassment", "illegal"]
    assert reports[::-1] == as_alice.get("/reports").json()


def test_it_has_nothing_that_the_user_cannot_see(as_alice, charlie, bob, world):
    text = as_alice.get(EXPORT).content.decode()
    assert charlie.email not in text  # hidden
    assert "+47 22 85 50 51" not in text  # alice is none of bob's contacts
    assert "+47 22 85 50 50" in text
    assert "bobs-own" not in text
    assert "alices-own" in text
    assert "said before leaving" not in text
    assert "said among others" not in text


def test_it_has_no_secrets(as_alice, alice, world):
    text = as_alice.get(EXPORT).content.decode()
    token = as_alice._credentials["HTTP_AUTHORIZATION"].removeprefix("Token ")
    secrets = [
        token,
        AuthToken.digest_of(token),
        "0" * 64,
        PASSWORD,
        alice.password,
        *alice.password.rsplit("$", 2)[1:],
    ]
    assert not [secret for secret in secrets if secret in text]


def test_without_a_token_there_is_nothing(anonymous):
    answer = anonymous.get(EXPORT)
    assert (answer.status_code, answer["WWW-Authenticate"]) == (401, "Token")


def test_the_fourth_in_an_hour_is_refused_and_others_are_not(as_alice, as_bob):
    assert as_alice.head(EXPORT).status_code == 200
    assert [as_alice.get(EXPORT).status_code for _ in range(4)] == [200, 200, 200, 429]
    assert 3500 < int(as_alice.get(EXPORT)["Retry-After"]) <= 3600
    assert as_bob.get(EXPORT).status_code == 200


@pytest.mark.django_db(transaction=True)
def test_of_five_at_once_three_are_made(as_alice):
    answers = at_once(*(lambda each=each: each.get(EXPORT) for each in copies(as_alice, 5)))
    assert statuses(answers) == [200, 200, 200, 429, 429]


def test_an_answer_that_nobody_takes_does_not_count(as_alice, alice, monkeypatch):
    # It would close the connection, which holds the transaction of the test.
    monkeypatch.setattr(HttpResponseBase, "close", lambda answer: None)
    for _ in range(5):
        limit_of(alice.pk).spend()
        ExportAnswer(ExportContinuation(alice.pk, 0)).close()
    assert as_alice.get(EXPORT).status_code == 200


def test_head_makes_nothing(as_alice, queries):
    as_alice.get("/users/profile")
    with queries(1):  # the token
        answer = as_alice.head(EXPORT)
    assert (answer.status_code, answer.content) == (200, b"")


def test_it_changes_nothing(as_alice, world):
    def rows():
        return [list(model.objects.order_by("pk").values()) for model in (User, Conversation, Message)]

    before = rows()
    export(as_alice)
    assert rows() == before


def test_the_queries_do_not_grow_with_each_message(monkeypatch, as_alice, alice, talk):  # noqa: F811
    monkeypatch.undo()
    monkeypatch.setattr(of_conversations, "CHUNK", 10)
    group = talk.group(as_alice, name="x")  # noqa: F811

    def fill(numbers):
        Message.objects.bulk_create(Message(conversation_id=group, number=n, sender=alice, text="x") for n in numbers)
        Conversation.objects.filter(pk=group).update(last_number=numbers[-1])

    def number_of_queries():
        with CaptureQueriesContext(connection) as captured:
            export(as_alice)
        return len(captured)

    export(as_alice)  # the first one makes the counter
    fill(range(1, 10))
    few = number_of_queries()
    fill(range(10, 101))
    assert number_of_queries() == few + 9
