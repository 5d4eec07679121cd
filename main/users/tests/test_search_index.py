"""The index against the plainest reference there is, and in step with the accounts whatever happens to them."""

from importlib import import_module
from io import StringIO

import pytest
from django.apps import apps
from django.core.management import CommandError, call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from common.keys import text_key
from conftest import PASSWORD
from users import actions, finding, search
from users.models import User
from users.search import SearchEntry, range_of

# Few letters, so that words share much; and what is special to a database, to Unicode or to the index.
ALPHABET = "aabbn%_\\'\".@-ßéÉİıǅﬁ\u0301李😀\U0010ffff\ue000\ud7ff"
TEXTS = st.text(ALPHABET, max_size=12)
NAMES = st.lists(TEXTS, max_size=3).map(" ".join)
QUESTIONS = st.lists(st.text(ALPHABET, max_size=4), max_size=3).map(" ".join) | st.sampled_from(["a" * 70, "b" * 100])
LONG = st.sampled_from(["a" * 80, "b" * 64 + "a", "ab" * 60])


@st.composite
def crowds(draw):
    names = draw(st.lists(st.tuples(TEXTS | LONG, NAMES, NAMES | LONG, st.booleans()), min_size=1, max_size=12))
    return [
        User(
            username=f"{username}{number}",
            email=f"{number}@b.an",
            first_name=first,
            last_name=last,
            is_active=active,
        )
        for number, (username, first, last, active) in enumerate(names)
    ]


def as_plain_as_can_be(text, searcher):
    """What the contract says, word by word, and the part of the order that it fixes."""
    key = text_key(text)
    found = [
        user
        for user in User.objects.filter(is_active=True).exclude(pk=searcher.pk)
        if all(
            any(word in text_key(part) for part in (user.username, user.first_name, user.last_name, user.email))
            for word in key.split()
        )
    ]
    ranked = sorted(found, key=lambda user: user.username_key)
    begin = [user.username for user in ranked if user.username_key.startswith(key)]
    return begin, {user.username for user in found} - set(begin)


def like(text, searcher):
    """The same by LIKE on the columns of keys."""
    users = User.objects.active().exclude(pk=searcher.pk).containing(text)
    return set(users.values_list("username", flat=True))


def all_pages(text, searcher, limit):
    found, position, pages = [], None, 0
    while True:
        users, position = finding.find(text, searcher=searcher, limit=limit, after=position)
        assert len(users) <= limit
        found += [user["username"] for user in users]
        pages += 1
        assert pages < 500
        if position is None:
            return found


@pytest.fixture
def searcher(make_user):
    return make_user("searcher-anab")


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(crowd=crowds(), questions=st.lists(QUESTIONS, min_size=5, max_size=10), limit=st.integers(1, 7))
def test_the_index_finds_whom_the_plain_way_finds(searcher, crowd, questions, limit):
    User.objects.exclude(pk=searcher.pk).delete()
    SearchEntry.objects.exclude(user=searcher).delete()
    for user in crowd:
        user.save()
    for question in questions:
        begin, rest = as_plain_as_can_be(question, searcher)
        found = all_pages(question, searcher, limit)
        assert found[: len(begin)] == begin
        assert sorted(found[len(begin) :]) == sorted(rest)
        assert set(found) == like(question, searcher)
        assert found == all_pages(question, searcher, 100)


@given(prefix=st.text(min_size=1, max_size=4), text=st.text(max_size=6))
def test_a_range_holds_what_begins_with_the_prefix_and_nothing_else(prefix, text):
    low, high = range_of(prefix)
    for candidate in (text, prefix + text, prefix):
        assert (low <= candidate and (high is None or candidate < high)) == candidate.startswith(prefix)


def in_step():
    out = StringIO()
    call_command("index_search", stdout=out)
    return out.getvalue()


def test_whatever_happens_to_an_account_the_index_is_in_step(anonymous, client_of, admin_client, make_user):
    body = {"username": "Quill", "email": "quill@example.org", "password": PASSWORD, "first_name": "Ann Mary"}
    anonymous.post("/users/register", body)
    quill = User.objects.get(username="Quill")
    as_quill = client_of(quill)
    assert SearchEntry.objects.filter(user=quill).count() == 1 + len({*suffixes("quill", "ann", "mary"), *EMAIL})
    for change in ({"username": "Feather"}, {"email": "f@example.org"}, {"last_name": "Li Po"}, {"first_name": ""}):
        assert as_quill.put("/users/profile", change).status_code == 200
        in_step()
    actions.deactivate(quill)
    assert not SearchEntry.objects.filter(user=quill).exists()
    actions.reactivate(quill)
    assert SearchEntry.objects.filter(user=quill, text="feather").count() == 2
    in_step()
    form = {"username": "Pen", "email": "pen@example.org", "is_active": "on"}
    assert admin_client.post(f"/admin/users/user/{quill.pk}/change/", form).status_code == 302
    assert SearchEntry.objects.filter(user=quill, text="pen").exists()
    in_step()
    actions.delete_account(quill)
    assert not SearchEntry.objects.filter(user=quill.pk).exists()
    in_step()


def suffixes(*words):
    return {word[start:] for word in words for start in range(len(word))}


EMAIL = suffixes("quill@example.org")


def statements_on_entries(call):
    with CaptureQueriesContext(connection) as captured:
        assert call().status_code < 300
    return sum("users_searchentry" in query["sql"] for query in captured)


def test_entries_are_written_in_one_or_two_statements(anonymous, alice, as_alice):
    body = {"username": "Quill", "email": "quill@example.org", "password": PASSWORD, "first_name": "Ann Mary"}
    assert statements_on_entries(lambda: anonymous.post("/users/register", body)) == 1
    assert statements_on_entries(lambda: as_alice.put("/users/profile", {"last_name": "Other"})) == 2
    assert statements_on_entries(lambda: as_alice.put("/users/profile", {"bio": "Other"})) == 0
    assert statements_on_entries(lambda: as_alice.delete("/users/profile")) == 1


def test_the_migration_fills_the_index_for_those_who_were_there_before_it(alice, bob, make_user):
    for number in range(3):
        make_user(f"user{number}", is_active=number != 1)
    SearchEntry.objects.all().delete()
    # Interrupted once, and so with some of it there.
    SearchEntry.objects.add([(search.USERNAME, "alice", alice.pk)])
    import_module("users.migrations.0004_fill_search_entries").fill(apps, None)
    assert " 0 missing, 0 stray." in in_step()


def test_the_command_says_and_mends_what_does_not_agree(alice, bob):
    SearchEntry.objects.filter(user=alice, text__startswith="lice").delete()
    SearchEntry.objects.add([(search.SUFFIX, "stray", alice.pk), (search.USERNAME, "gone", 10**9)])
    User.objects.filter(pk=bob.pk).update(is_active=False)
    strays = SearchEntry.objects.filter(user=bob).count() + 2
    out = StringIO()
    with pytest.raises(CommandError, match="--repair"):
        call_command("index_search", stdout=out)
    assert f" 2 missing, {strays} stray." in out.getvalue()
    call_command("index_search", repair=True, stdout=StringIO())
    assert " 0 missing, 0 stray." in in_step()
    assert not SearchEntry.objects.filter(user=bob).exists()


def test_the_command_finds_strays_beyond_a_batch(alice, bob, charlie, monkeypatch):
    monkeypatch.setattr("users.management.commands.index_search.ENTRIES", 3)
    # Of these two stand between two batches, with one text.
    SearchEntry.objects.add((search.USERNAME, "alice", pk) for pk in (10**9, 10**9 + 1, 10**9 + 2, 10**9 + 3))
    call_command("index_search", repair=True, stdout=StringIO())
    assert " 0 missing, 0 stray." in in_step()
    assert SearchEntry.objects.filter(rank=search.USERNAME).count() == 3


def test_a_page_ends_where_it_has_read_as_much_as_one_may(alice, make_user, monkeypatch):
    monkeypatch.setattr(finding, "MAX_READ", 10)
    monkeypatch.setattr(finding, "MAX_FETCHED", 10)
    for number in range(40):
        make_user(f"{number}x", first_name="Ann", last_name="Lee" if number % 13 == 12 else "Po")
    assert all_pages("ann lee", alice, 5) == ["12x", "25x", "38x"]


def test_many_who_repeat_themselves_do_not_stop_a_search(alice, make_user, monkeypatch):
    monkeypatch.setattr(finding, "MAX_FETCHED", 20)
    for number in range(5):
        make_user(f"{number}x", first_name="a" * 60)
    found = all_pages("a", alice, 1)
    assert sorted(found) == [f"{number}x" for number in range(5)]


@given(TEXTS | LONG, NAMES, TEXTS, st.integers(0, 3), st.text(ALPHABET, max_size=70))
def test_an_entry_is_recognised_without_making_all_of_them(username, names, address, rank, text):
    search_text, address_text = "\n".join(map(text_key, (username, names))), text_key(address)
    entries = search.entries_of(search_text, address_text)
    for each in [*entries, (rank, text), (rank, search_text[:64])]:
        assert search.is_entry_of(*each, search_text, address_text) == (each in entries)
