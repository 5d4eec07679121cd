"""Who sees the address and the number of whom, and what the search tells of an address that is hidden."""

from contextlib import suppress
from io import StringIO
from itertools import product

import pytest
from django.contrib.auth.models import Group
from django.core import signing
from django.core.exceptions import ValidationError
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client as Browser
from django.test.utils import CaptureQueriesContext
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from common.keys import text_key
from conftest import PASSWORD, represent
from tests.concurrency import at_once
from tests.paging import pages
from users import actions, finding
from users.models import ContactBookEntry, User
from users.search import ADDRESS, SUFFIX, USERNAME, SearchEntry
from users.serializers import changed_settings
from users.user_settings import Audience, UserSettings

FIND, VIEW = "/users/contacts/find-users", "/users/contacts/view-user/"
BOOK = "/users/contacts/contact-book/"
AUDIENCES = ["everyone", "contacts", "nobody"]
PAIRS = list(product(AUDIENCES, AUDIENCES))  # of email and phone_number
# What makes that not everybody finds the address by its parts, as (privacy.email, findable_by_address).
HIDDEN = [("contacts", True), ("nobody", True), ("contacts", False), ("nobody", False), ("everyone", False)]
FINDABLE, UNFINDABLE = HIDDEN[:2], HIDDEN[2:]


def set_privacy(client, **privacy):
    answer = client.patch("/users/settings", {"privacy": privacy})
    assert answer.status_code == 200, answer.content


def hide(client, email, findable):
    set_privacy(client, email=email, findable_by_address=findable)


def names(answer):
    assert answer.status_code == 200, answer.content
    return [user["username"] for user in answer.json()]


def found(client, text):
    answer = client.get(FIND, {"search": text, "limit": 100})
    assert "Link" not in answer
    return names(answer)


def what_index_search_says(**options):
    out = StringIO()
    with suppress(CommandError):
        call_command("index_search", stdout=out, **options)
    return out.getvalue()


def assert_index_agrees():
    # It fails with CommandError where something is wrong.
    out = StringIO()
    call_command("index_search", stdout=out)
    assert out.getvalue() == f"{SearchEntry.objects.count()} entries wanted, 0 missing, 0 stray.\n"


# What is shown. alice is the owner; bob is in her book, charlie has her in his, dora is a bystander.


@pytest.fixture
def viewers(alice, bob, charlie, make_user, client_of):
    """A client for each, by name."""
    dora = make_user("dora")
    ContactBookEntry.objects.create(user1=alice, user2=bob)
    ContactBookEntry.objects.create(user1=charlie, user2=alice)
    return {user.username: client_of(user) for user in (alice, bob, charlie, dora)}


def shown_by_search(client):
    [shown] = client.get(FIND, {"search": "ALICE"}).json()
    return shown


def shown_by_search_of_several_words(client):
    [shown] = client.get(FIND, {"search": "liddell alice"}).json()
    return shown


def shown_among_everyone(client):
    return client.get(FIND).json()[0]


def shown_by_view(client):
    return client.get(VIEW + "Alice").json()


def shown_by_adding(client):
    answer = client.post(BOOK + "Alice")
    assert answer.status_code == 201
    return answer.json()


def shown_by_book(client):
    client.post(BOOK + "alice")
    [shown] = client.get(BOOK).json()
    return shown


# Nobody finds themselves or has themselves in their book; one who has alice there cannot add her.
OTHERS = ["bob", "charlie", "dora"]
SHOWN_BY = {
    shown_by_search: OTHERS,
    shown_by_search_of_several_words: OTHERS,
    shown_among_everyone: OTHERS,
    shown_by_view: ["alice", *OTHERS],
    shown_by_book: OTHERS,
    shown_by_adding: ["bob", "dora"],
}
MAY_SEE = {"everyone": ["alice", *OTHERS], "contacts": ["alice", "bob"], "nobody": ["alice"]}


@pytest.mark.parametrize("field", ["email", "phone_number"])
@pytest.mark.parametrize("audience", AUDIENCES)
@pytest.mark.parametrize(("call", "viewer"), [(call, viewer) for call, those in SHOWN_BY.items() for viewer in those])
def test_a_field_is_shown_to_its_audience_alone(alice, viewers, call, viewer, audience, field):
    set_privacy(viewers["alice"], **{field: audience})
    hidden = {} if viewer in MAY_SEE[audience] else {field: ""}
    assert call(viewers[viewer]) == represent(alice) | hidden


@pytest.mark.parametrize("viewer", ["alice", *OTHERS])
@pytest.mark.parametrize(("email", "number"), PAIRS)
def test_each_field_has_an_audience_of_its_own(alice, viewers, viewer, email, number):
    set_privacy(viewers["alice"], email=email, phone_number=number)
    audiences = {"email": email, "phone_number": number}
    hidden = {field: "" for field, audience in audiences.items() if viewer not in MAY_SEE[audience]}
    assert shown_by_view(viewers[viewer]) == represent(alice) | hidden


@pytest.mark.parametrize("audience", AUDIENCES)
def test_ones_own_is_shown_to_oneself(alice, as_alice, audience):
    set_privacy(as_alice, email=audience, phone_number=audience, findable_by_address=False)
    cursor = as_alice.get("/events").json()["cursor"]
    whole = represent(alice) | {"bio": "Curiouser."}
    assert as_alice.put("/users/profile", {"bio": "Curiouser."}).json() == whole
    assert as_alice.get("/users/profile").json() == whole
    assert shown_by_view(as_alice) == whole
    events = as_alice.get("/events", {"after": cursor}).json()["events"]
    assert [(event["event"], event["data"]) for event in events] == [("profile", {"profile": whole})]


def test_a_registration_shows_the_new_account_whole(anonymous):
    body = {"username": "quill", "email": "quill@example.org", "phone_number": "+47 1"}
    answer = anonymous.post("/users/register", body | {"password": PASSWORD})
    assert (answer.status_code, answer.json()) == (201, body | {"first_name": "", "last_name": "", "bio": ""})


def test_a_list_hides_of_each_what_each_has_chosen(bob, charlie, as_alice, make_user, client_of):
    people = [make_user(f"user{number}", phone_number=f"+47 {number}") for number in range(9)]
    for user, (email, number) in zip(people, PAIRS, strict=True):
        set_privacy(client_of(user), email=email, phone_number=number)
        as_alice.post(BOOK + user.username)
    expected = [
        represent(user)
        | ({} if email == "everyone" else {"email": ""})
        | ({} if number == "everyone" else {"phone_number": ""})
        for user, (email, number) in zip(people, PAIRS, strict=True)
    ]
    assert as_alice.get(BOOK).json() == expected
    assert as_alice.get(FIND, {"search": "user"}).json() == expected


def test_who_enters_and_leaves_the_owners_book_sees_it_meanwhile(alice, viewers):
    set_privacy(viewers["alice"], email="contacts", phone_number="contacts")
    hidden = represent(alice) | {"email": "", "phone_number": ""}
    assert shown_by_view(viewers["dora"]) == hidden
    viewers["alice"].post(BOOK + "dora")
    assert shown_by_view(viewers["dora"]) == represent(alice)
    viewers["alice"].delete(BOOK + "dora")
    assert shown_by_view(viewers["dora"]) == hidden


def test_adding_the_owner_shows_no_more_than_before(alice, viewers):
    set_privacy(viewers["alice"], email="contacts", phone_number="contacts")
    hidden = represent(alice) | {"email": "", "phone_number": ""}
    assert shown_by_adding(viewers["dora"]) == hidden
    assert shown_by_view(viewers["dora"]) == hidden


def test_what_was_never_given_is_empty_for_everybody(bob, as_bob, as_alice):
    set_privacy(as_bob, phone_number="nobody")
    assert as_alice.get(VIEW + "bob").json() == represent(bob)
    assert as_bob.get(VIEW + "bob").json() == represent(bob)


CALLS = [
    ("get", "/users/profile", 1),
    ("get", VIEW + "user3", 2),
    ("get", BOOK, 2),
    ("get", FIND, 2),
    ("get", FIND + "?search=user", 2),
    ("get", FIND + "?search=user3@example.org", 2),
    ("get", FIND + "?search=user example", 3),
    ("post", BOOK + "user9", None),
]


@pytest.mark.parametrize(("method", "path", "number"), CALLS)
def test_privacy_takes_no_query_more(as_alice, make_user, client_of, method, path, number):
    people = [make_user(f"user{number}") for number in range(10)]
    for user in people[:5]:
        as_alice.post(BOOK + user.username)

    def queries():
        as_alice.get(FIND)  # The first search reserves a number of them; see SEARCH_RATE.
        with CaptureQueriesContext(connection) as captured:
            assert getattr(as_alice, method)(path).status_code in (200, 201)
        return len(captured)

    without = queries()
    as_alice.delete(BOOK + "user9")
    set_privacy(as_alice, email="nobody")
    for user, audience in zip(people, (AUDIENCES * 4)[:10], strict=True):
        set_privacy(client_of(user), email=audience, phone_number=audience)
    assert queries() == without
    assert number in (None, without)


# What is found


@pytest.fixture
def quill(make_user):
    return make_user("Quill", email="Feather.Pen@Inkwell.test", first_name="Ann Mary", last_name="Straße")


@pytest.fixture
def as_quill(quill, client_of):
    return client_of(quill)


PARTS = [
    "f",
    "feather",
    "FEATHER",
    "eather.p",
    "feather.pen@",
    "feather.pen@inkwell.tes",
    "eather.pen@inkwell.test",
    "@",
    "@inkwell.test",
    "inkwell",
    ".test",
    "t",
    "x feather.pen@inkwell.test",
    "feather.pen@inkwell.testx",
]
WHOLES = [
    "Feather.Pen@Inkwell.test",
    "feather.pen@inkwell.test",
    "FEATHER.PEN@INKWELL.TEST",
    "  feather.pen@inkwell.test \t",
    "ｆeather.pen@inkwell.test",
    "feather.pen@inkwell.test FEATHER.PEN@inkwell.test",
]


@pytest.mark.parametrize(("email", "findable"), HIDDEN)
def test_parts_of_a_hidden_address_do_not_find(as_quill, as_alice, email, findable):
    hide(as_quill, email, findable)
    # "t" is a part of her last name, too.
    assert {text: found(as_alice, text) for text in PARTS if text != "t"} == {text: [] for text in PARTS if text != "t"}


@pytest.mark.parametrize("text", [text for text in PARTS if "x" not in text])
def test_parts_of_an_address_that_everybody_may_see_find(as_quill, as_alice, text):
    set_privacy(as_quill, phone_number="nobody")
    assert "Quill" in found(as_alice, text)


@pytest.mark.parametrize("text", WHOLES)
@pytest.mark.parametrize(("email", "findable"), [*FINDABLE, ("everyone", True)])
def test_the_whole_of_a_hidden_address_finds(as_quill, as_alice, text, email, findable):
    hide(as_quill, email, findable)
    assert found(as_alice, text) == ["Quill"]


@pytest.mark.parametrize("text", WHOLES)
@pytest.mark.parametrize(("email", "findable"), UNFINDABLE)
def test_who_is_not_to_be_found_by_the_address_is_not_found_by_the_whole(as_quill, as_alice, text, email, findable):
    hide(as_quill, email, findable)
    assert found(as_alice, text) == []


def test_the_whole_of_a_hidden_address_finds_without_showing_it(quill, as_quill, as_alice):
    hide(as_quill, "nobody", True)
    answer = as_alice.get(FIND, {"search": "feather.pen@inkwell.test"})
    assert (answer.status_code, answer.json()) == (200, [represent(quill) | {"email": ""}])


@pytest.mark.parametrize("text", ["quill", "uil", "ann", "mary ann", "STRASSE", "mary quill", "q n s"])
@pytest.mark.parametrize(("email", "findable"), HIDDEN)
def test_parts_of_names_find_as_before(as_quill, as_alice, text, email, findable):
    hide(as_quill, email, findable)
    assert found(as_alice, text) == ["Quill"]


@pytest.mark.parametrize("text", ["quill feather", "ann ink", "mary .test", "strasse feather.pen@inkwell.test", "q @"])
@pytest.mark.parametrize(("email", "findable"), HIDDEN)
def test_a_word_of_a_hidden_address_finds_nobody_among_other_words(as_quill, as_alice, text, email, findable):
    assert found(as_alice, text) == ["Quill"]
    hide(as_quill, email, findable)
    assert found(as_alice, text) == []


@pytest.mark.parametrize(("email", "findable"), HIDDEN)
def test_a_contact_who_sees_the_address_does_not_find_by_its_parts(quill, alice, as_quill, as_alice, email, findable):
    hide(as_quill, email, findable)
    as_quill.post(BOOK + "alice")
    assert found(as_alice, "feather") == []
    assert found(as_alice, "feather.pen@inkwell.test") == (["Quill"] if findable else [])


@pytest.mark.parametrize(("email", "findable"), [*HIDDEN, ("everyone", True)])
@pytest.mark.parametrize("text", ["feather", "feather.pen@inkwell.test", "quill", "quill feather"])
def test_the_owner_is_never_among_their_own_results(as_quill, bob, text, email, findable):
    hide(as_quill, email, findable)
    assert found(as_quill, text) == []


def test_others_with_the_same_part_are_still_found(as_quill, as_alice, make_user):
    make_user("pen", email="feather.pen@elsewhere.test")
    make_user("zoe", last_name="Feather")
    hide(as_quill, "nobody", True)
    assert sorted(found(as_alice, "feather")) == ["pen", "zoe"]
    assert found(as_alice, "feather.pen@inkwell.test") == ["Quill"]


def test_a_hidden_address_that_is_a_name_too_finds_by_the_name(as_alice, make_user, client_of):
    pen = make_user("pen@ink.test", email="pen@ink.test")
    hide(client_of(pen), "nobody", True)
    assert found(as_alice, "pen@ink") == ["pen@ink.test"]
    assert found(as_alice, "pen@ink.test") == ["pen@ink.test"]
    hide(client_of(pen), "nobody", False)
    assert found(as_alice, "pen@ink.test") == ["pen@ink.test"]


@pytest.mark.parametrize("limit", [1, 2, 3, 100])
def test_paging_through_results_with_an_address_yields_everyone_once(as_quill, as_alice, make_user, client_of, limit):
    address = "feather.pen@inkwell.test"
    hide(as_quill, "nobody", True)
    for number in range(3):
        make_user(f"{address}{number}")
        make_user(f"{number}-{address}", first_name=address, last_name="feather.pen@inkwell.testament")
    hide(client_of(User.objects.get(username=f"{address}1")), "contacts", True)
    shown = [user["username"] for page in pages(as_alice, f"{FIND}?search={address}&limit={limit}") for user in page]
    assert shown[:3] == [f"{address}{number}" for number in range(3)]
    assert sorted(shown[3:]) == sorted(["Quill", *(f"{number}-{address}" for number in range(3))])
    assert shown[-1] == "Quill"


LONG = "a" * 70 + "@example.org"


@pytest.mark.parametrize("part", [LONG[:63], LONG[:64], LONG[:65], LONG[:-1], LONG[1:], "x" + LONG[1:], LONG + "x"])
@pytest.mark.parametrize(("email", "findable"), HIDDEN)
def test_parts_of_a_long_hidden_address_do_not_find(as_alice, make_user, client_of, part, email, findable):
    hide(client_of(make_user("long", email=LONG)), email, findable)
    assert found(as_alice, part) == []


@pytest.mark.parametrize(("email", "findable"), HIDDEN)
def test_the_whole_of_a_long_hidden_address_finds(as_alice, make_user, client_of, email, findable):
    hide(client_of(make_user("long", email=LONG)), email, findable)
    hide(client_of(make_user("other", email=LONG + ".test")), email, findable)
    make_user("seen", email="x" + LONG)
    assert sorted(found(as_alice, LONG)) == (["long", "seen"] if findable else ["seen"])
    assert found(as_alice, LONG + ".test") == (["other"] if findable else [])


@pytest.mark.parametrize("taken", ["feather.pen@inkwell.test", "FEATHER.PEN@inkwell.test"])
@pytest.mark.parametrize(("email", "findable"), HIDDEN)
def test_a_hidden_address_is_taken_like_any_other(as_quill, as_alice, anonymous, taken, email, findable):
    hide(as_quill, email, findable)
    refusal = (400, {"email": ["This e-mail address is taken."]})
    body = {"username": "new", "email": taken, "password": PASSWORD}
    for answer in (anonymous.post("/users/register", body), as_alice.put("/users/profile", {"email": taken})):
        assert (answer.status_code, answer.json()) == refusal


# Changes


@pytest.mark.parametrize("before", [*HIDDEN, ("everyone", True)])
@pytest.mark.parametrize("after", [*HIDDEN, ("everyone", True)])
def test_a_change_of_the_settings_shows_in_the_next_search(as_quill, as_alice, before, after):
    for email, findable in (before, after, before):
        hide(as_quill, email, findable)
        assert found(as_alice, "eather") == (["Quill"] if (email, findable) == ("everyone", True) else [])
        assert found(as_alice, "feather.pen@inkwell.test") == (["Quill"] if findable else [])
        assert_index_agrees()


def test_a_refused_change_of_the_settings_changes_nothing_that_is_found(as_quill, as_alice):
    body = {"privacy": {"email": "nobody", "phone_number": "somebody"}}
    assert as_quill.patch("/users/settings", body).status_code == 400
    answer = as_quill.patch("/users/settings", {"privacy": {"email": "nobody"}}, HTTP_IF_MATCH='"7"')
    assert answer.status_code == 412
    assert found(as_alice, "eather") == ["Quill"]
    assert_index_agrees()


def test_a_new_hidden_address_finds_and_the_former_does_not(as_quill, as_alice):
    hide(as_quill, "nobody", True)
    as_quill.put("/users/profile", {"email": "new@inkwell.test"})
    assert found(as_alice, "feather.pen@inkwell.test") == []
    assert found(as_alice, "inkwell") == []
    assert found(as_alice, "new@inkwell.test") == ["Quill"]


def test_an_account_that_was_read_before_the_settings_changed_is_saved_by_the_present_ones(quill, as_quill, as_alice):
    hide(as_quill, "nobody", True)
    quill.first_name = "New"
    quill.save()
    assert found(as_alice, "feather") == []
    assert found(as_alice, "feather.pen@inkwell.test") == ["Quill"]
    assert_index_agrees()


def test_a_deactivated_account_is_hidden_as_before_when_it_is_back(quill, as_quill, as_alice):
    hide(as_quill, "nobody", True)
    actions.deactivate(quill)
    assert found(as_alice, "feather.pen@inkwell.test") == []
    actions.reactivate(quill)
    assert found(as_alice, "feather") == []
    assert found(as_alice, "feather.pen@inkwell.test") == ["Quill"]


def test_of_a_deleted_account_nothing_is_left(quill, as_quill, as_alice, upkeep, make_user):
    hide(as_quill, "nobody", True)
    as_quill.delete("/users/profile")
    assert not SearchEntry.objects.filter(user=quill.pk).exists()
    upkeep()
    assert not UserSettings.objects.exists()
    # Whoever has the address now begins with settings of their own.
    make_user("new", email="feather.pen@inkwell.test")
    assert found(as_alice, "feather") == ["new"]


# Any changes in any order, against the plainest reference there is

TWO = st.integers(0, 1)
ADDRESSES = ["ab@ba.an", "b@ba.an", "ab@ba.ann", "n@a.bb", f"{'a' * 66}@b.an", f"{'a' * 66}b@b.an"]
STEPS = st.one_of(
    st.tuples(st.just("privacy"), TWO, st.tuples(st.sampled_from(AUDIENCES), st.booleans())),
    st.tuples(st.just("privacy"), TWO, st.tuples(st.sampled_from(AUDIENCES), st.booleans())),
    st.tuples(st.just("email"), TWO, st.sampled_from(ADDRESSES)),
    st.tuples(st.just("username"), TWO, st.sampled_from(["ab", "b@ba.an", "nab", "x", "ab@ba.an"])),
    st.tuples(st.just("last_name"), TWO, st.sampled_from(["", "an ba", "ab@ba.an", "@"])),
    st.tuples(st.just("deactivate"), TWO, st.none()),
    st.tuples(st.just("reactivate"), TWO, st.none()),
    st.tuples(st.just("delete"), TWO, st.none()),
)
QUESTIONS = [
    *["", "a", "@", "ab", "ba.an", "ab@ba.a", "b@ba.ann", "a" * 64, "a" * 66 + "b"],
    *["a @", "ab ba.an", "x ab@ba.an", "ab@ba.an b@ba.an", "nab @ba.an"],
    *["ab@ba.an", "AB@BA.ANN", "n@a.bb", "a@other.an", *ADDRESSES[-2:]],
]


def take_step(user, kind, value):
    if kind == "privacy":
        privacy = dict(zip(("email", "findable_by_address"), value, strict=True))
        change = {"privacy": privacy}
        actions.change_settings(user, lambda now: changed_settings(now, change, is_merge=True), lambda etag: True)
    elif kind in ("deactivate", "reactivate"):
        getattr(actions, kind)(user)
    elif kind == "delete":
        actions.delete_account(user)
    else:
        with suppress(ValidationError):  # the other has it
            actions.change_profile(user, {kind: value})


def rows_of_others(searcher):
    """Of each active account its username, names, address, and whom the address tells of."""
    for user in User.objects.filter(is_active=True).exclude(pk=searcher.pk):
        kept = UserSettings.objects.filter(user=user).first() or UserSettings()
        names = [text_key(name) for name in (user.username, user.first_name, user.last_name)]
        yield user.username, names, text_key(user.email), Audience(kept.email_for), kept.findable_by_address


def as_plain_as_can_be(text, rows):
    """Whom the text finds, and the part of the order that the contract fixes."""
    words, users = text_key(text).split(), {}
    for username, names, address, audience, findable in rows:
        parts = [*names, address] if findable and audience == Audience.EVERYONE else names
        by_parts = all(any(word in part for part in parts) for word in words)
        by_whole = findable and address in words and all(word in address for word in words)
        if by_parts or by_whole:
            users[names[0]] = username
    begin = [users[key] for key in sorted(users) if key.startswith(text_key(text))]
    return begin, sorted(set(users.values()) - set(begin))


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(STEPS, min_size=1, max_size=6))
@example(steps=[("privacy", 0, ("nobody", True)), ("email", 0, "n@a.bb"), ("privacy", 0, ("everyone", True))])
@example(steps=[("privacy", 0, ("contacts", True)), ("deactivate", 0, None), ("email", 0, "n@a.bb")])
@example(steps=[("deactivate", 0, None), ("privacy", 0, ("nobody", True)), ("reactivate", 0, None)])
def test_whatever_changes_the_index_finds_whom_the_plain_way_finds(charlie, make_user, steps):
    User.objects.exclude(pk=charlie.pk).delete()
    SearchEntry.objects.exclude(user=charlie).delete()
    people = [make_user("ab", email="ab@ba.an"), make_user("other", email="a@other.an", last_name="ab@ba.an")]
    for kind, number, value in steps:
        with suppress(actions.AccountGone):
            take_step(people[number], kind, value)
        rows = list(rows_of_others(charlie))
        for question in QUESTIONS:
            begin, rest = as_plain_as_can_be(question, rows)
            shown, position = finding.find(question, searcher=charlie, limit=100)
            usernames = [user["username"] for user in shown]
            assert position is None
            assert (usernames[: len(begin)], sorted(usernames[len(begin) :])) == (begin, rest), question
    assert_index_agrees()


# What a stranger's searches tell

SECRETS = ["feather.pen@inkwell.test", "harvest.moon@orchard.example"]
ASKED = [
    *(secret[:end] for secret in SECRETS for end in (1, 2, 7, 12, len(secret) - 1)),
    *(secret[start:] for secret in SECRETS for start in (1, 8, 12, len(secret) - 2)),
    *(secret[9 : 9 + length] for secret in SECRETS for length in (1, 2, 5)),
    *(f"{name} {part}" for name in ("quill", "zz") for part in ("feather", "@ink", "moon", "h")),
    *(f"{secret}{more}" for secret in SECRETS for more in ("x", " quill")),
    *["", "@", "e", "quill", "feather moon", "pen@ink orchard"],
]


def told(client, text, but):
    """All that a search tells: the bodies and the links of its pages. The address is taken out where it is shown."""
    shown_address = f'"email":"{but}"'.encode()
    url, answers = f"{FIND}?search={text}&limit=3", []
    while url:
        answer = client.get(url)
        assert answer.status_code == 200
        link = answer.get("Link", "")
        answers.append((answer.content.replace(shown_address, b'"email":""'), link))
        url = link.partition(">")[0][1:]
        assert len(answers) < 100
    return answers


@pytest.mark.parametrize(
    ("email", "findable", "is_contact"), [*((*each, False) for each in HIDDEN), ("contacts", True, True)]
)
def test_searches_tell_nothing_of_a_hidden_address(
    as_quill, as_alice, alice, make_user, client_of, monkeypatch, email, findable, is_contact
):
    # Others who have these parts in their names, their open or their hidden addresses.
    for number, name in enumerate(["Feather", "Moon", "Pen Orchard", "Ink", "Harvest"]):
        make_user(f"zz{number}", email=f"{name.replace(' ', '.')}{number}@example.test", last_name=name)
    hide(client_of(make_user("hidden", email="feather.moon@orchard.test")), "nobody", True)
    hide(as_quill, email, findable)
    if is_contact:
        as_quill.post(BOOK + "alice")
    # A cursor tells when it was made.
    monkeypatch.setattr(signing.TimestampSigner, "timestamp", lambda signer: "1")

    def all_told(address):
        assert as_quill.put("/users/profile", {"email": address}).status_code == 200
        # Where alice may see the address, this alone may differ.
        return {text: told(as_alice, text, but=address) for text in ASKED}

    before, after = map(all_told, SECRETS)
    assert before == after


# The command


def hide_by_hand(user, **columns):
    UserSettings.objects.create(user=user, **columns)


def leave_an_address(user):
    SearchEntry.objects.add([(ADDRESS, "feather.pen@inkwell.test", user.pk)])


WRONG = {
    "hidden, and found by parts": lambda user: hide_by_hand(user, email_for=Audience.NOBODY),
    "hidden from strangers, and found by parts": lambda user: hide_by_hand(user, email_for=Audience.CONTACTS),
    "not to be found, and found by parts": lambda user: hide_by_hand(user, findable_by_address=False),
    "seen, and a stray address": leave_an_address,
    "seen, and an address in the account": lambda user: User.objects.filter(pk=user.pk).update(
        address_text="feather.pen@inkwell.test"
    ),
    "seen, and not found by parts": lambda user: User.objects.filter(pk=user.pk).update(
        search_text="quill\nann mary\nstrasse\n"
    ),
    "seen, and entries missing": lambda user: SearchEntry.objects.filter(user=user, text__contains="@").delete(),
}
# To accounts that were hidden as they should be.
WRONG_OF_HIDDEN = {
    "the address is missing": lambda user: SearchEntry.objects.filter(user=user, rank=ADDRESS).delete(),
    "another address": lambda user: SearchEntry.objects.filter(user=user, rank=ADDRESS).update(text="x@x.test"),
    "a stray part": lambda user: SearchEntry.objects.add([(SUFFIX, "inkwell.test", user.pk)]),
    "a stray username": lambda user: SearchEntry.objects.add([(USERNAME, "feather", user.pk)]),
    "the account has none": lambda user: User.objects.filter(pk=user.pk).update(address_text=""),
    "the account has another": lambda user: User.objects.filter(pk=user.pk).update(address_text="x@x.test"),
    "hidden no more": lambda user: UserSettings.objects.filter(user=user).delete(),
    "not to be found any more": lambda user: UserSettings.objects.filter(user=user).update(findable_by_address=False),
}


def assert_found_as_the_settings_say(quill, as_alice):
    kept = UserSettings.objects.of(quill)
    assert ("Quill" in found(as_alice, "feather")) == kept.is_found_by_parts_of_address
    assert ("Quill" in found(as_alice, "feather.pen@inkwell.test")) == kept.findable_by_address
    assert found(as_alice, "x@x.test") == []
    assert found(as_alice, "quill strasse") == ["Quill"]


@pytest.mark.parametrize("wrong", [*WRONG, *WRONG_OF_HIDDEN])
def test_the_command_finds_and_mends_what_does_not_agree_with_the_settings(quill, as_quill, as_alice, bob, wrong):
    if wrong in WRONG_OF_HIDDEN:
        hide(as_quill, "nobody", True)
    (WRONG | WRONG_OF_HIDDEN)[wrong](quill)
    with pytest.raises(CommandError, match="--repair"):
        call_command("index_search", stdout=StringIO())
    assert what_index_search_says(repair=True).endswith("Repaired.\n")
    assert_index_agrees()
    assert_found_as_the_settings_say(quill, as_alice)


def test_the_command_tells_of_accounts_that_are_outdated(quill, bob):
    hide_by_hand(quill, email_for=Audience.NOBODY)
    assert "\n1 accounts are found by what their names or settings were before.\n" in what_index_search_says()


@pytest.mark.parametrize(("email", "findable"), [*HIDDEN, ("everyone", True)])
def test_the_command_says_nothing_when_all_is_right(quill, as_quill, bob, email, findable):
    hide(as_quill, email, findable)
    assert_index_agrees()
    before = set(SearchEntry.objects.places())
    what_index_search_says(repair=True)
    assert set(SearchEntry.objects.places()) == before


def test_the_command_goes_through_hidden_accounts_in_batches(make_user, client_of, monkeypatch):
    monkeypatch.setattr("users.management.commands.index_search.ACCOUNTS", 2)
    monkeypatch.setattr("users.management.commands.index_search.ENTRIES", 3)
    for number in range(7):
        hide_by_hand(make_user(f"user{number}", email="example.org"[number:] + f"@{number}.test"), email_for=number % 3)
    what_index_search_says(repair=True)
    assert_index_agrees()
    assert SearchEntry.objects.filter(rank=ADDRESS).count() == 4


# Moderators


@pytest.mark.parametrize(
    "text", ["feather", "INKWELL", "pen@ink", "feather.pen@inkwell.test", "quill feather", "ann .t"]
)
@pytest.mark.parametrize(("email", "findable"), [*HIDDEN, ("everyone", True)])
def test_moderators_find_by_parts_of_a_hidden_address(make_user, bob, as_quill, text, email, findable):
    moderator = make_user("moderator", is_staff=True, email="m@example.org")
    moderator.groups.add(Group.objects.get(name="Moderators"))
    browser = Browser()
    browser.force_login(moderator)
    hide(as_quill, email, findable)
    page = browser.get("/admin/users/user/", {"q": text})
    assert [user.username for user in page.context["cl"].result_list] == ["Quill"]
    assert b"Feather.Pen@Inkwell.test" in page.content


# At the same moment


@pytest.mark.django_db(transaction=True)
def test_settings_and_address_changed_at_once_leave_the_index_in_agreement(quill, client_of):
    clients = [client_of(quill) for _ in range(3)]
    for number in range(12):
        email, findable = [*HIDDEN, ("everyone", True)][number % 6]
        privacy = {"privacy": {"email": email, "findable_by_address": findable}}
        address = f"{'feather' * (number % 3)}{number}@inkwell.test"
        answers = at_once(
            lambda privacy=privacy: clients[0].patch("/users/settings", privacy),
            lambda address=address: clients[1].put("/users/profile", {"email": address}),
            lambda number=number: clients[2].put("/users/profile", {"last_name": f"Name{number}"}),
        )
        assert [answer.status_code for answer in answers] == [200, 200, 200]
        assert_index_agrees()
        now, kept = User.objects.get(pk=quill.pk), UserSettings.objects.of(quill)
        assert (now.email, kept.as_data["privacy"]["email"], kept.findable_by_address) == (address, email, findable)
        assert now.address_text == (address if findable and email != "everyone" else "")


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("other", [actions.deactivate, actions.delete_account])
def test_settings_changed_while_an_account_goes_leave_no_entry(quill, client_of, other):
    as_quill = client_of(quill)
    change = {"privacy": {"email": "nobody"}}
    answers = at_once(lambda: as_quill.patch("/users/settings", change), lambda: other(quill))
    assert answers[0].status_code in (200, 401)
    assert not SearchEntry.objects.filter(user=quill.pk).exists()
    assert_index_agrees()
