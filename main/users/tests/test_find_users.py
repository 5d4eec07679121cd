import pytest

from conftest import represent
from tests.paging import pages

FIND = "/users/contacts/find-users"


@pytest.fixture
def people(alice, make_user):
    make_user("bob", first_name="Robert", last_name="Šťastný", email="b.smith@example.com")
    make_user("bobby", first_name="Zoë", last_name="van der Berg", email="zoe@example.net")
    make_user("notbob", first_name="Ann Mary", last_name="Straße", email="mary_ann@example.com")
    make_user("100%_sure", first_name="O'Neil", last_name='"Quote" \\ back', email="sure@example.net")
    make_user("😀", first_name="Зоя", last_name="李", email="smile@example.net")


def names(answer):
    assert answer.status_code == 200
    return [user["username"] for user in answer.json()]


def search(client, text, **query):
    return client.get(FIND, {"search": text} | query)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("bob", ["bob", "bobby", "notbob"]),
        ("BOB", ["bob", "bobby", "notbob"]),
        ("otbo", ["notbob"]),
        ("smith", ["bob"]),
        ("ŠŤAST", ["bob"]),
        ("stastny", []),
        ("ZOË", ["bobby"]),
        ("ЗОЯ", ["😀"]),
        ("李", ["😀"]),
        ("😀", ["😀"]),
        ("😁", []),
        ("STRASSE", ["notbob"]),
        ("berg van", ["bobby"]),
        ("  mary\tbob\n", ["notbob"]),
        ("bob nobody", []),
        ("nnma", []),
        ("100%", ["100%_sure"]),
        ("%_s", ["100%_sure"]),
        ("y_a", ["notbob"]),
        ("\\", ["100%_sure"]),
        ("'", ["100%_sure"]),
        ('"quote"', ["100%_sure"]),
        ("example.com", ["bob", "notbob"]),
        ("alice", []),
        ("ｂｏｂ", ["bob", "bobby", "notbob"]),
    ],
)
def test_every_word_must_be_part_of_a_name_or_the_address(people, as_alice, queries, text, found):
    search(as_alice, "")  # The first search reserves a number of them; see SEARCH_RATE.
    # The token; of several words, how many entries the longest has; the page.
    with queries(3 if len(text.split()) > 1 else 2):
        answer = search(as_alice, text)
    assert names(answer) == found
    assert "Link" not in answer


def test_an_array_of_user_instances_is_answered(as_alice, bob):
    assert search(as_alice, "bob").json() == [represent(bob)]


@pytest.mark.parametrize("query", ["", "?search=", "?search=%20%20"])
def test_without_a_text_everyone_else_comes_by_username(people, as_alice, query):
    assert names(as_alice.get(FIND + query)) == ["100%_sure", "bob", "bobby", "notbob", "😀"]


def test_the_caller_and_the_deactivated_are_never_found(as_alice, as_bob, charlie):
    charlie.is_active = False
    charlie.save()
    assert names(search(as_alice, "example.org")) == ["bob"]
    assert names(search(as_bob, "example.org")) == ["alice"]


def test_the_exact_name_comes_first_then_names_that_begin_so_then_the_rest(as_alice, make_user):
    for username in ("zann", "ann", "anna", "Annabel", "joann", "annz"):
        make_user(username)
    make_user("aaron", last_name="Mann")
    found = names(search(as_alice, "ANN"))
    assert found[:4] == ["ann", "anna", "Annabel", "annz"]
    assert sorted(found[4:]) == ["aaron", "joann", "zann"]


@pytest.mark.parametrize("text", ["", "ann", "an x"])
@pytest.mark.parametrize("limit", [1, 2, 7, 100])
def test_following_the_links_shows_everyone_once(as_alice, make_user, text, limit):
    for number in range(11):
        make_user(f"ann{number}", email=f"x{number}@example.org")
        make_user(f"{number}joann", email=f"y{number}@example.org", last_name="X")
    together = names(search(as_alice, text, limit=100))
    assert len(together) == 22
    found = list(pages(as_alice, f"{FIND}?search={text}&limit={limit}"))
    assert [user["username"] for page in found for user in page] == together
    assert all(len(page) == limit for page in found[:-1])
    assert found[-1]


def test_people_who_come_and_go_neither_repeat_nor_hide_others(as_alice, make_user):
    users = [make_user(f"ann{letter}") for letter in "bdfhj"]
    first = search(as_alice, "ann", limit=2)
    assert names(first) == ["annb", "annd"]
    make_user("anna")
    make_user("anne")
    users[1].delete()
    users[2].delete()
    assert names(as_alice.get(first["Link"].split(">")[0][1:])) == ["anne", "annh"]


def test_a_link_stays_short_enough_for_any_server(as_alice, make_user):
    # Of these the key is twice as long, and each of its characters takes four bytes.
    for number in range(3):
        make_user("\U0001d15e" * (124 + number) + "\U0001d15f", email=f"{number}@example.org")
    answer = search(as_alice, "\U0001d15e" * 50, limit=1)
    assert len(names(answer)) == 1
    assert len(answer["Link"]) < 4000


def test_twenty_are_shown_unless_the_limit_says_otherwise(as_alice, make_user):
    for number in range(21):
        make_user(f"user{number}")
    assert len(names(search(as_alice, "user"))) == 20


@pytest.mark.parametrize("limit", ["0", "101", "-1", "x", "", "1.0", "1e1", "٣", "1" * 5000, "%00"])
def test_a_bad_limit_is_refused(as_alice, limit):
    answer = as_alice.get(f"{FIND}?limit={limit}")
    assert (answer.status_code, answer.json()) == (400, {"limit": ["Must be a whole number from 1 to 100."]})


@pytest.mark.parametrize("cursor", ["", "x", "WzAsMV0", "WzAsMV0:x:y", "é:é:é", "a" * 5000, "%00"])
def test_a_bad_cursor_is_refused(as_alice, cursor):
    answer = as_alice.get(f"{FIND}?cursor={cursor}")
    assert (answer.status_code, answer.json()) == (400, {"cursor": ["Must be taken from a Link header."]})


def test_a_text_may_have_100_characters(as_alice):
    assert names(search(as_alice, "😀" * 100)) == []
    answer = search(as_alice, "x" * 101)
    assert answer.status_code == 400
    assert list(answer.json()) == ["search"]


@pytest.mark.parametrize("text", ["\x00", "a\x00b", "a\x1bb"])
def test_control_characters_are_refused(as_alice, bob, text):
    assert search(as_alice, text).json() == {"search": ["Control characters are not allowed."]}


def test_a_change_shows_in_the_next_search(as_alice, as_bob):
    as_bob.put("/users/profile", {"last_name": "Newname"})
    assert names(search(as_alice, "newname")) == ["bob"]
    as_bob.put("/users/profile", {"last_name": ""})
    assert names(search(as_alice, "newname")) == []
    as_bob.delete("/users/profile")
    assert names(search(as_alice, "bob")) == []
