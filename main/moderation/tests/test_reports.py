import pytest
from django.utils import timezone

from conversations.models import Message
from moderation.models import Report
from tests.paging import pages
from users.models import User
from users.tests.test_guards import assert_too_many

NO_USER = {"detail": "There is no such user."}
ALREADY = {"message": "You have reported this already."}


def report(client, username="bob", reason="spam", **more):
    return client.post("/reports", {"username": username, "reason": reason, **more})


def texts(made):
    return [message["text"] for message in Report.objects.get(pk=made.json()["id"]).evidence]


# Making one


def test_a_report_about_a_person(as_alice, alice, bob):
    answer = report(as_alice, "BOB", "impersonation", text="  He says that he is me. ")
    assert answer.status_code == 201
    stored = Report.objects.get()
    assert answer.json() == {
        "id": stored.pk,
        "username": "bob",
        "reason": "impersonation",
        "text": "He says that he is me.",
        "conversation": None,
        "number": None,
        "created_at": answer.json()["created_at"],
        "state": "open",
    }
    assert (stored.reporter, stored.reported, stored.evidence) == (alice, bob, [])


def test_a_report_of_a_message_keeps_it_and_five_before_it(as_alice, as_bob, alice, bob, private, talk):
    talk.send(as_alice, private, *"1234")
    talk.send(as_bob, private, *"567")
    talk.send(as_alice, private, "8")
    answer = report(as_alice, conversation=private, number=7)
    assert (answer.json()["conversation"], answer.json()["number"]) == (private, 7)
    assert texts(answer) == list("234567")
    message = Message.objects.get(number=7)
    assert Report.objects.get().evidence[-1] == {
        "number": 7,
        "sender_id": bob.pk,
        "text": "7",
        "created_at": message.created_at.isoformat(),
        "edited_at": None,
        "deleted": False,
    }


def test_the_first_message_of_a_conversation_has_none_before_it(as_alice, as_bob, private, talk):
    talk.send(as_bob, private, "1", "2")
    assert texts(report(as_alice, conversation=private, number=1)) == ["1"]


def test_the_evidence_stays_as_it_was(as_alice, as_bob, private, talk):
    talk.send(as_bob, private, "One", "Two", "Three")
    as_bob.put(f"/conversations/{private}/messages/2", {"text": "Two!"})
    as_bob.delete(f"/conversations/{private}/messages/1")
    report(as_alice, conversation=private, number=3)
    as_bob.put(f"/conversations/{private}/messages/2", {"text": "Changed"})
    as_bob.delete(f"/conversations/{private}/messages/3")
    evidence = Report.objects.get().evidence
    assert [(each["text"], each["deleted"], bool(each["edited_at"])) for each in evidence] == [
        ("", True, False),
        ("Two!", False, True),
        ("Three", False, False),
    ]


def test_a_newcomer_reports_from_the_whole_history(as_alice, as_bob, as_charlie, group, talk):
    talk.send(as_bob, group, "Before", "Also before")
    as_alice.post(f"/conversations/{group}/members/charlie")
    assert texts(report(as_charlie, conversation=group, number=2)) == ["Before", "Also before"]


def test_a_blacklist_and_a_suspension_do_not_stop_a_report(as_alice, as_bob, bob, private, talk):
    talk.send(as_bob, private, "One")
    as_bob.post("/users/contacts/blacklist-user/alice")
    User.objects.filter(pk=bob.pk).update(suspended_until=timezone.now() + timezone.timedelta(days=1))
    assert report(as_alice, conversation=private, number=1).status_code == 201


def test_a_report_takes_the_same_queries_whatever_the_conversation_holds(as_alice, as_bob, private, talk, queries):
    talk.send(as_bob, private, *map(str, range(20)))
    report(as_alice, "bob", "other")  # which makes the counter of the limit
    # The token, the limit, the reported, the conversation, the messages, the report; a savepoint and its release.
    with queries(8):
        report(as_alice, conversation=private, number=15)


# What is refused


def test_oneself_cannot_be_reported(as_alice):
    answer = report(as_alice, "Alice")
    assert (answer.status_code, answer.json()) == (400, {"message": "This cannot be done with yourself."})


def test_unknown_and_deactivated_users_are_not_found(as_alice, bob):
    User.objects.filter(pk=bob.pk).update(is_active=False)
    for username in ("nobody", "bob"):
        answer = report(as_alice, username)
        assert (answer.status_code, answer.json()) == (404, NO_USER)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("username", None),
        ("username", ""),
        ("username", 7),
        ("username", "x" * 151),
        ("reason", None),
        ("reason", ""),
        ("reason", "Spam"),
        ("reason", "boredom"),
        ("reason", ["spam"]),
        ("reason", 1),
        ("text", "x" * 1001),
        ("text", 7),
        ("text", "a\x00b"),
        ("text", "a\ud800b"),
        ("conversation", 0),
        ("conversation", "x"),
        ("conversation", -1),
        ("conversation", [1]),
        ("number", 0),
        ("number", 1.5),
        ("number", True),
    ],
)
def test_a_malformed_report_is_refused_by_field(as_alice, bob, field, value):
    body = {"username": "bob", "reason": "spam", "text": "x", "conversation": 1, "number": 1} | {field: value}
    answer = as_alice.post("/reports", body)
    assert answer.status_code == 400
    assert list(answer.json()) == [field]
    assert not Report.objects.exists()


@pytest.mark.parametrize("missing", ["username", "reason"])
def test_what_is_missing_is_told(as_alice, bob, missing):
    body = {"username": "bob", "reason": "spam"}
    del body[missing]
    assert as_alice.post("/reports", body).json() == {missing: ["This field is required."]}


@pytest.mark.parametrize("null", [None, "absent"])
@pytest.mark.parametrize(("given", "missing"), [("conversation", "number"), ("number", "conversation")])
def test_conversation_and_number_go_together(as_alice, bob, given, missing, null):
    body = {given: 1} if null == "absent" else {given: 1, missing: None}
    answer = report(as_alice, **body)
    assert (answer.status_code, answer.json()) == (400, {missing: [f"This is needed with {given}."]})


def test_null_for_what_is_optional_means_that_it_is_not_given(as_alice, bob):
    answer = report(as_alice, text=None, conversation=None, number=None)
    assert answer.status_code == 201
    assert (answer.json()["text"], answer.json()["conversation"], answer.json()["number"]) == ("", None, None)


def test_a_form_is_taken_too(as_alice, as_bob, private, talk):
    talk.send(as_bob, private, "One")
    form = f"username=bob&reason=spam&conversation={private}&number=1"
    answer = as_alice.post("/reports", form, content_type="application/x-www-form-urlencoded")
    assert answer.status_code == 201
    assert answer.json()["number"] == 1


@pytest.mark.parametrize("which", ["somebody else's", "one that was left", "none", "beyond the database"])
def test_a_conversation_that_one_is_not_in_is_as_one_that_does_not_exist(
    as_alice, as_bob, as_charlie, private, group, talk, which
):
    talk.send(as_bob, private, "One")
    talk.send(as_bob, group, "One")
    as_alice.post(f"/conversations/{group}/members/charlie")
    as_charlie.delete(f"/conversations/{group}/members/charlie")
    number = {"somebody else's": private, "one that was left": group, "none": 9999, "beyond the database": 10**30}
    answer = report(as_charlie, conversation=number[which], number=1)
    assert (answer.status_code, answer.json()) == (400, {"conversation": ["There is no such conversation."]})
    assert not Report.objects.exists()


@pytest.mark.parametrize("number", [3, 10**18, 10**30])
def test_a_message_that_is_not_there(as_alice, as_bob, private, talk, number):
    talk.send(as_bob, private, "One", "Two")
    answer = report(as_alice, conversation=private, number=number)
    assert (answer.status_code, answer.json()) == (400, {"number": ["There is no such message."]})


def test_a_message_of_somebody_else(as_alice, as_bob, as_charlie, group, talk):
    as_alice.post(f"/conversations/{group}/members/charlie")
    talk.send(as_alice, group, "One")
    talk.send(as_charlie, group, "Two")
    for number in (1, 2):
        answer = report(as_alice, conversation=group, number=number)
        assert (answer.status_code, answer.json()) == (400, {"number": ["This is not a message of that user."]})
    assert not Report.objects.exists()


def test_the_same_open_report_is_refused_and_another_is_not(as_alice, as_bob, as_charlie, private, talk):
    talk.send(as_bob, private, "One", "Two")
    message = {"conversation": private, "number": 1}
    different = [{}, {"reason": "other"}, message, message | {"number": 2}, message | {"reason": "illegal"}]
    for body in different:
        assert report(as_alice, **body).status_code == 201
        answer = report(as_alice, **body, text="Another text")
        assert (answer.status_code, answer.json()) == (409, ALREADY)
    assert report(as_charlie).status_code == 201
    assert report(as_alice, "charlie").status_code == 201
    assert Report.objects.count() == len(different) + 2


def test_once_it_is_closed_the_same_can_be_reported_again(as_alice, bob):
    report(as_alice)
    Report.objects.update(closed_at=timezone.now(), open_key=None)
    assert report(as_alice).status_code == 201
    assert report(as_alice).status_code == 409


def test_so_many_in_so_long_and_looking_costs_nothing(as_alice, as_bob, bob, alice, settings):
    settings.REPORT_RATE = (3, 60)
    for reason in ("spam", "other", "illegal"):
        assert report(as_alice, reason=reason).status_code == 201
    assert_too_many(report(as_alice, reason="harassment"))
    assert as_alice.get("/reports").status_code == 200
    assert report(as_bob, "alice").status_code == 201


# The caller's own


def test_without_any_the_list_is_empty(as_alice):
    assert as_alice.get("/reports").json() == []


def test_everybody_sees_their_own_newest_first(as_alice, as_bob, charlie):
    first = report(as_alice, "charlie").json()
    second = report(as_alice, "bob").json()
    report(as_bob, "alice")
    assert as_alice.get("/reports").json() == [second, first]


def test_a_closed_one_says_so(as_alice, bob):
    report(as_alice)
    Report.objects.update(closed_at=timezone.now(), open_key=None)
    assert [each["state"] for each in as_alice.get("/reports").json()] == ["closed"]


def test_it_has_the_name_that_was_reported(as_alice, as_bob):
    report(as_alice)
    as_bob.put("/users/profile", {"username": "robert"})
    assert [each["username"] for each in as_alice.get("/reports").json()] == ["bob"]


def test_the_pages_show_each_once(as_alice, alice, bob):
    Report.objects.bulk_create(
        Report(reporter=alice, reported=bob, username="bob", reason="spam", open_key=str(n)) for n in range(25)
    )
    found = list(pages(as_alice, "/reports?limit=10"))
    assert list(map(len, found)) == [10, 10, 5]
    assert [each["id"] for page in found for each in page] == list(
        Report.objects.order_by("-pk").values_list("pk", flat=True)
    )


@pytest.mark.parametrize("query", ["limit=0", "limit=101", "limit=x", "cursor=x"])
def test_a_bad_page_is_refused(as_alice, query):
    answer = as_alice.get(f"/reports?{query}")
    assert answer.status_code == 400
    assert list(answer.json()) == [query.partition("=")[0]]


def test_a_page_takes_the_same_queries_whatever_it_holds(as_alice, alice, bob, queries):
    with queries(2):  # the token; the reports
        as_alice.get("/reports")
    Report.objects.bulk_create(
        Report(reporter=alice, reported=bob, username="bob", reason="spam", open_key=str(n)) for n in range(9)
    )
    with queries(2) as made:
        assert len(as_alice.get("/reports").json()) == 9
    assert "evidence" not in made[1]["sql"]


@pytest.mark.parametrize("method", ["get", "post"])
def test_a_token_is_needed(anonymous, method):
    assert getattr(anonymous, method)("/reports").status_code == 401
