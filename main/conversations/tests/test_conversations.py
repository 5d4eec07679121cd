import re

import pytest

from conversations.models import Conversation, Membership, Message
from conversations.tests.conftest import NO_CONVERSATION, REFUSED_PAIR
from tests.paging import pages

TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{6})?Z")


# Private ones


def test_opening_answers_the_conversation(as_alice, bob):
    answer = as_alice.post("/conversations/private/BOB")
    assert answer.status_code == 201
    body = answer.json()
    assert TIME.fullmatch(body.pop("created_at"))
    assert body == {
        "id": Conversation.objects.get().pk,
        "kind": "private",
        "name": None,
        "owner": None,
        "members": ["alice", "bob"],
        "last_message": None,
        "unread_count": 0,
    }


def test_a_pair_has_one_conversation_from_either_side(as_alice, as_bob, as_charlie):
    first = as_alice.post("/conversations/private/bob")
    for answer in (as_alice.post("/conversations/private/bob"), as_bob.post("/conversations/private/Alice")):
        assert (answer.status_code, answer.json()) == (200, first.json())
    assert as_charlie.post("/conversations/private/alice").json()["id"] != first.json()["id"]


def test_nobody_talks_to_themselves(as_alice):
    answer = as_alice.post("/conversations/private/ALICE")
    assert (answer.status_code, answer.json()) == (400, {"message": "This cannot be done with yourself."})


def test_nobody_opens_one_with_somebody_unknown_or_deactivated(as_alice, bob):
    bob.is_active = False
    bob.save()
    for username in ("nobody", "bob"):
        answer = as_alice.post(f"/conversations/private/{username}")
        assert (answer.status_code, answer.json()) == (404, {"detail": "There is no such user."})
    assert not Conversation.objects.exists()


@pytest.mark.parametrize("existing", [False, True])
def test_a_blacklisted_pair_opens_none_from_either_side(as_alice, as_bob, as_charlie, blacklisted, talk, existing):
    if existing:
        talk.open(as_alice, "bob")
    blacklisted()
    for client, other in ((as_alice, "bob"), (as_bob, "alice")):
        answer = client.post(f"/conversations/private/{other}")
        assert (answer.status_code, answer.json()) == (403, REFUSED_PAIR)
    assert Conversation.objects.count() == existing
    assert as_charlie.post("/conversations/private/alice").status_code == 201


# Groups


def test_a_group_is_answered_whole(as_alice, bob, charlie):
    answer = as_alice.post("/conversations/groups", {"name": " Tea 🫖 ", "members": ["CHARLIE", "bob", "charlie"]})
    assert answer.status_code == 201
    body = answer.json()
    assert TIME.fullmatch(body.pop("created_at"))
    assert body == {
        "id": Conversation.objects.get().pk,
        "kind": "group",
        "name": "Tea 🫖",
        "owner": "alice",
        "members": ["alice", "charlie", "bob"],
        "last_message": None,
        "unread_count": 0,
    }


def test_a_group_may_begin_with_its_owner_alone(as_alice):
    answer = as_alice.post("/conversations/groups", {"name": "Me", "members": []})
    assert (answer.status_code, answer.json()["members"]) == (201, ["alice"])


def test_a_form_makes_a_group_too(as_alice, bob, charlie):
    answer = as_alice.post("/conversations/groups", {"name": "Tea", "members": ["bob", "charlie"]}, format="multipart")
    assert (answer.status_code, answer.json()["members"]) == (201, ["alice", "bob", "charlie"])


def test_a_form_with_an_empty_field_makes_a_group_of_one(as_alice):
    form = "application/x-www-form-urlencoded"
    answer = as_alice.post("/conversations/groups", "name=Tea&members=", content_type=form)
    assert (answer.status_code, answer.json()["members"]) == (201, ["alice"])
    for body in ("name=Tea", "name=Tea&members[1000000000]=bob"):
        answer = as_alice.post("/conversations/groups", body, content_type=form)
        assert (answer.status_code, answer.json()) == (400, {"members": ["This field is required."]})


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *(("name", value) for value in (None, "", "  ", 7, [], "x" * 121, "a\x00b", "a\nb", "\ud800")),
        *(("members", value) for value in (None, "bob", 7, {}, [7], [None], [["bob"]], [""], ["\ud800"], ["\x00"])),
        *(("members", value) for value in (["nobody"], ["bob", "nobody"], ["alice"], ["ALICE"], ["bob"] * 256)),
    ],
)
def test_a_malformed_group_is_refused(as_alice, bob, field, value):
    answer = as_alice.post("/conversations/groups", {"name": "Tea", "members": ["bob"]} | {field: value})
    assert answer.status_code == 400
    assert list(answer.json()) == [field]
    assert all(isinstance(why, str) for why in answer.json()[field])
    assert not Conversation.objects.exists()


@pytest.mark.parametrize("field", ["name", "members"])
def test_a_group_needs_both_fields(as_alice, field):
    body = {"name": "Tea", "members": []}
    del body[field]
    answer = as_alice.post("/conversations/groups", body)
    assert (answer.status_code, answer.json()) == (400, {field: ["This field is required."]})


def test_every_unknown_member_is_named(as_alice, bob):
    answer = as_alice.post("/conversations/groups", {"name": "Tea", "members": ["x", "bob", "y"]})
    assert answer.json() == {"members": ["There is no user 'x'.", "There is no user 'y'."]}


def test_nobody_is_added_to_a_group_with_a_blacklisted_pair(as_alice, as_bob, charlie, blacklisted):
    blacklisted()
    for client, members in ((as_alice, ["charlie", "bob"]), (as_bob, ["alice"])):
        answer = client.post("/conversations/groups", {"name": "Tea", "members": members})
        assert (answer.status_code, answer.json()) == (403, REFUSED_PAIR)
    assert not Conversation.objects.exists()


def test_two_members_who_blacklisted_each_other_can_be_in_a_group(as_charlie, alice, bob, blacklisted):
    blacklisted()
    answer = as_charlie.post("/conversations/groups", {"name": "Tea", "members": ["alice", "bob"]})
    assert answer.status_code == 201


def test_the_owner_renames_a_group(as_alice, as_bob, group):
    answer = as_alice.put(f"/conversations/{group}", {"name": "Croquet"})
    assert (answer.status_code, answer.json()["name"]) == (200, "Croquet")
    assert as_bob.get(f"/conversations/{group}").json()["name"] == "Croquet"


def test_only_the_owner_renames_and_only_groups(as_alice, as_bob, group, private):
    answer = as_bob.put(f"/conversations/{group}", {"name": "Croquet"})
    assert (answer.status_code, answer.json()) == (403, {"message": "Only the owner of the group may do this."})
    answer = as_alice.put(f"/conversations/{private}", {"name": "Croquet"})
    assert (answer.status_code, answer.json()) == (400, {"message": "A private conversation has no name."})
    assert set(Conversation.objects.values_list("name", flat=True)) == {"", "Tea party"}


@pytest.mark.parametrize("name", [None, "", "x" * 121, 7])
def test_a_malformed_name_is_refused(as_alice, group, name):
    answer = as_alice.put(f"/conversations/{group}", {"name": name})
    assert answer.status_code == 400
    assert list(answer.json()) == ["name"]


# Strangers

CALLS = [
    ("get", "", None),
    ("put", "", {"name": "x"}),
    ("post", "/members/charlie", None),
    ("post", "/members/nobody", None),
    ("delete", "/members/alice", None),
    ("delete", "/members/nobody", None),
    ("get", "/messages", None),
    ("post", "/messages", {"text": "x"}),
    ("put", "/messages/1", {"text": "x"}),
    ("delete", "/messages/1", None),
    ("post", "/read", {"number": 1}),
]


@pytest.mark.parametrize(("method", "path", "body"), CALLS)
@pytest.mark.parametrize("which", ["private", "group", "unknown", "huge"])
def test_a_stranger_learns_no_more_than_of_one_that_is_not_there(
    request, as_alice, as_charlie, talk, method, path, body, which
):
    pk = {"unknown": 10**9, "huge": 10**30}.get(which) or request.getfixturevalue(which)
    if which in ("private", "group"):
        talk.send(as_alice, pk, "Hello")
    answer = getattr(as_charlie, method)(f"/conversations/{pk}{path}", body)
    assert (answer.status_code, answer.json()) == (404, NO_CONVERSATION)
    assert Message.objects.filter(text="x").count() == 0
    assert not Membership.objects.filter(user__username="charlie").exists()


@pytest.mark.parametrize(("method", "path"), [call[:2] for call in CALLS if call[2]])
def test_a_stranger_is_not_told_what_is_wrong_with_the_body_either(as_alice, as_charlie, private, method, path):
    for body in ({}, []):
        answer = getattr(as_charlie, method)(f"/conversations/{private}{path}", body)
        assert (answer.status_code, answer.json()) == (404, NO_CONVERSATION)
        assert getattr(as_alice, method)(f"/conversations/{private}{path}", body).status_code == 400


@pytest.mark.parametrize(("method", "path", "body"), [*CALLS, ("post", "/../private/alice", None)])
def test_every_call_takes_a_token(anonymous, method, path, body):
    assert getattr(anonymous, method)(f"/conversations/1{path}", body).status_code == 401


@pytest.mark.parametrize("path", ["x", "-1", "1.0", "٣", "1/x", "1/messages/x", "1" * 3000])
def test_an_odd_id_is_404(as_alice, path):
    assert as_alice.get(f"/conversations/{path}").status_code == 404


# The list


def test_the_list_is_empty_at_first(as_alice):
    answer = as_alice.get("/conversations")
    assert (answer.status_code, answer.json()) == (200, [])


def test_the_list_shows_each_member_their_own_state(as_alice, as_bob, as_charlie, private, talk):
    sent = talk.send(as_alice, private, "One", "Two")
    [seen_by_alice] = as_alice.get("/conversations").json()
    [seen_by_bob] = as_bob.get("/conversations").json()
    assert seen_by_alice["last_message"] == seen_by_bob["last_message"] == sent
    assert (seen_by_alice["unread_count"], seen_by_bob["unread_count"]) == (0, 2)
    assert seen_by_bob | {"unread_count": 0} == seen_by_alice == as_alice.get(f"/conversations/{private}").json()
    assert as_charlie.get("/conversations").json() == []


def test_the_latest_activity_comes_first(as_alice, as_bob, as_charlie, talk):
    first, second, third = talk.open(as_alice, "bob"), talk.open(as_alice, "charlie"), talk.group(as_alice)

    def order():
        return [conversation["id"] for conversation in as_alice.get("/conversations").json()]

    assert order() == [third, second, first]
    talk.send(as_bob, first, "Hello")
    assert order() == [first, third, second]


@pytest.mark.parametrize("limit", [1, 2, 3, 7])
def test_following_the_links_shows_every_conversation_once(as_alice, talk, limit):
    ids = [talk.group(as_alice, name=f"Group {number}") for number in range(7)]
    # Even where the moment is the same.
    Conversation.objects.update(last_activity="2026-01-01T00:00:00Z")
    seen = []
    for page in pages(as_alice, f"/conversations?limit={limit}"):
        assert len(page) <= limit
        seen += [conversation["id"] for conversation in page]
    assert seen == ids[::-1]


@pytest.mark.parametrize("query", ["limit=0", "limit=101", "limit=x", "cursor=x", "cursor="])
def test_a_bad_limit_or_cursor_is_refused(as_alice, query):
    answer = as_alice.get(f"/conversations?{query}")
    assert answer.status_code == 400
    assert list(answer.json()) == [query.split("=")[0]]


def test_a_cursor_of_another_list_is_refused(as_alice, bob, charlie):
    link = as_alice.get("/users/contacts/find-users?limit=1")["Link"]
    cursor = re.search("cursor=([^&>]+)", link)[1]
    assert as_alice.get(f"/conversations?cursor={cursor}").status_code == 400


def test_a_link_goes_on_whatever_else_its_url_holds(as_alice, talk):
    for _ in range(3):
        talk.group(as_alice)
    seen = [conversation["id"] for [conversation] in pages(as_alice, "/conversations?z=1&limit=1&a=2&z=3")]
    assert len(set(seen)) == len(seen) == 3


def test_the_list_takes_four_queries_whatever_it_holds(as_alice, as_bob, charlie, make_user, talk, queries):
    def fill():
        talk.send(as_alice, talk.group(as_alice, "bob", "charlie"), "One", "Two")

    fill()
    with queries(4):  # the token; the conversations; their members; their last messages
        as_alice.get("/conversations")
    for number in range(5):
        make_user(f"user{number}")
        fill()
        talk.send(as_alice, talk.open(as_alice, f"user{number}"), "Hello")
    with queries(4):
        assert len(as_alice.get("/conversations").json()) == 11
