"""The calls GET /users/contacts/availability and GET /users/contacts/availability/<username>."""

from datetime import UTC, datetime
from types import SimpleNamespace

import pytest

from users.models import BlacklistEntry, ContactBookEntry
from users.user_settings import Audience, UserSettings, as_json

ALL = "/users/contacts/availability"
# A Monday in winter.
NOW = "2026-01-05T08:00:00"
DAYS = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]


def week(*windows, zone="Europe/Oslo"):
    keys = ("day", "start", "end")
    return {"time_zone": zone, "weekly": [dict(zip(keys, window, strict=True)) for window in windows]}


WORKING = week(*[(day, "09:00", "17:00") for day in DAYS[:5]])
EVENINGS = week(*[(day, "18:00", "23:00") for day in DAYS])
ALWAYS = week(*[(day, "00:00", "24:00") for day in DAYS])


def available(username, is_active=None, changes_at=None):
    return {"username": username, "is_active": is_active, "changes_at": changes_at}


@pytest.fixture
def set_clock(monkeypatch):
    """Sets the time at which the availability is told."""

    def set_clock(text):
        moment = datetime.fromisoformat(text).replace(tzinfo=UTC)
        monkeypatch.setattr("users.availability.timezone", SimpleNamespace(now=lambda: moment))

    set_clock(NOW)
    return set_clock


@pytest.fixture(autouse=True)
def _at_eight(set_clock):
    """It is 08:00 UTC, 09:00 in Oslo."""


@pytest.fixture
def keep(db):
    """Gives a user active hours, seen by an audience."""

    def keep(user, hours, audience=Audience.EVERYONE):
        UserSettings.objects.create(user=user, active_hours_json=as_json(hours), active_hours_for=audience)

    return keep


@pytest.fixture
def note():
    """Puts a user into the contact book of another."""
    return lambda owner, other: ContactBookEntry.objects.create(user1=owner, user2=other)


def both(client, username):
    """What both calls tell of somebody who is the client's only contact."""
    one, every = client.get(f"{ALL}/{username}"), client.get(ALL)
    assert (one.status_code, every.status_code) == (200, 200)
    assert every.json() == [one.json()]
    return one.json()


# What is told


def test_of_somebody_without_active_hours_nothing_is_known(as_alice, alice, bob, note):
    note(alice, bob)
    assert both(as_alice, "bob") == available("bob")
    UserSettings.objects.create(user=bob, theme="dark")
    assert both(as_alice, "bob") == available("bob")


@pytest.mark.parametrize(
    ("hours", "moment", "is_active", "changes_at"),
    [
        (WORKING, "2026-01-05T07:59:59", False, "2026-01-05T08:00:00Z"),
        (WORKING, "2026-01-05T08:00:00", True, "2026-01-05T16:00:00Z"),
        (WORKING, "2026-01-05T15:59:59.999999", True, "2026-01-05T16:00:00Z"),
        (WORKING, "2026-01-05T16:00:00", False, "2026-01-06T08:00:00Z"),
        (WORKING, "2026-01-09T23:00:00", False, "2026-01-12T08:00:00Z"),
        (WORKING, "2026-03-29T12:00:00", False, "2026-03-30T07:00:00Z"),
        (EVENINGS, "2026-01-05T08:00:00", False, "2026-01-05T17:00:00Z"),
        (week(("sunday", "22:00", "22:00"), zone="UTC"), "2026-01-05T08:00:00", True, "2026-01-05T22:00:00Z"),
        (ALWAYS, "2026-01-05T08:00:00", True, None),
    ],
)
def test_somebody_is_active_within_their_hours(
    as_alice, alice, bob, note, keep, set_clock, hours, moment, is_active, changes_at
):
    note(alice, bob)
    keep(bob, hours)
    set_clock(moment)
    assert both(as_alice, "bob") == available("bob", is_active, changes_at)


def test_hours_that_were_set_by_the_call_are_told(as_alice, as_bob, alice, bob, note):
    note(alice, bob)
    as_bob.patch("/users/settings", {"active_hours": WORKING})
    assert both(as_alice, "bob") == available("bob", True, "2026-01-05T16:00:00Z")
    as_bob.patch("/users/settings", {"active_hours": {"time_zone": "America/New_York"}})
    assert both(as_alice, "bob") == available("bob", False, "2026-01-05T14:00:00Z")
    as_bob.patch("/users/settings", {"active_hours": None})
    assert both(as_alice, "bob") == available("bob")


def test_of_a_time_zone_that_this_machine_does_not_know_nothing_is_known(as_alice, alice, bob, charlie, note, keep):
    for user, zone in ((bob, "Europe/Atlantis"), (charlie, "Europe/Oslo")):
        note(alice, user)
        keep(user, WORKING | {"time_zone": zone})
    charlies = available("charlie", True, "2026-01-05T16:00:00Z")
    assert as_alice.get(f"{ALL}/bob").json() == available("bob")
    assert as_alice.get(ALL).json() == [available("bob"), charlies]


# To whom

SEEN, HIDDEN = (True, "2026-01-05T16:00:00Z"), (None, None)


@pytest.mark.parametrize(
    ("audience", "to_a_contact", "to_others"),
    [(Audience.EVERYONE, SEEN, SEEN), (Audience.CONTACTS, SEEN, HIDDEN), (Audience.NOBODY, HIDDEN, HIDDEN)],
)
def test_hours_are_told_to_those_who_may_see_them(
    as_alice, alice, bob, as_charlie, charlie, note, keep, audience, to_a_contact, to_others
):
    keep(bob, WORKING, audience)
    note(bob, alice)
    for user in (alice, charlie):
        note(user, bob)
    assert both(as_alice, "bob") == available("bob", *to_a_contact)
    assert both(as_charlie, "bob") == available("bob", *to_others)


@pytest.mark.parametrize(("audience", "told"), [("everyone", SEEN), ("contacts", HIDDEN), ("nobody", HIDDEN)])
def test_a_bystander_is_told_no_more(as_alice, as_bob, bob, charlie, note, audience, told):
    note(bob, charlie)
    as_bob.patch("/users/settings", {"active_hours": WORKING, "privacy": {"active_hours": audience}})
    assert as_alice.get(f"{ALL}/bob").json() == available("bob", *told)


def test_a_contact_is_told_no_more_once_they_are_taken_out_of_the_book(as_alice, alice, as_bob, bob, note, keep):
    keep(bob, WORKING, Audience.CONTACTS)
    note(alice, bob)
    note(bob, alice)
    assert both(as_alice, "bob") == available("bob", *SEEN)
    as_bob.delete("/users/contacts/contact-book/alice")
    assert both(as_alice, "bob") == available("bob")


@pytest.mark.parametrize("audience", Audience)
def test_ones_own_are_always_told_to_oneself(as_alice, alice, keep, audience):
    keep(alice, WORKING, audience)
    answer = as_alice.get(f"{ALL}/ALICE")
    assert (answer.status_code, answer.json()) == (200, available("alice", *SEEN))


@pytest.mark.parametrize("audience", [Audience.EVERYONE, Audience.CONTACTS])
def test_a_blacklist_hides_no_hours(as_alice, alice, bob, note, keep, audience):
    keep(bob, WORKING, audience)
    note(alice, bob)
    note(bob, alice)
    BlacklistEntry.objects.create(user1=bob, user2=alice)
    assert both(as_alice, "bob") == available("bob", *SEEN)


# Of whom


@pytest.mark.parametrize("username", ["nobody", "alice%00", "%ED%A0%80", "x" * 2000, "%25", "bo", "bob2"])
def test_an_unknown_user_is_not_found(as_alice, bob, username):
    answer = as_alice.get(f"{ALL}/{username}")
    assert (answer.status_code, list(answer.json())) == (404, ["detail"])


def test_a_deactivated_user_is_not_found_and_not_in_the_list(as_alice, alice, bob, charlie, note, keep):
    for user in (bob, charlie):
        note(alice, user)
        keep(user, WORKING)
    bob.is_active = False
    bob.save()
    answer = as_alice.get(f"{ALL}/bob")
    assert (answer.status_code, answer.json()) == (404, {"detail": "There is no such user."})
    assert as_alice.get(ALL).json() == [available("charlie", *SEEN)]


def test_a_deleted_user_is_not_found_and_not_in_the_list(as_alice, alice, as_bob, bob, note, keep):
    note(alice, bob)
    keep(bob, WORKING)
    as_bob.delete("/users/profile")
    assert as_alice.get(f"{ALL}/bob").status_code == 404
    assert as_alice.get(ALL).json() == []


def test_without_contacts_the_list_is_empty(as_alice, alice, bob, note, keep):
    keep(bob, WORKING)
    keep(alice, WORKING)
    note(bob, alice)
    answer = as_alice.get(ALL)
    assert (answer.status_code, answer.json()) == (200, [])


def test_the_list_is_by_username_whatever_its_case(as_alice, alice, make_user, note, keep):
    for name in ("zoe", "Bob", "émile", "ann", "bob2"):
        user = make_user(name, email=f"{len(name)}{ord(name[0])}@example.org")
        note(alice, user)
        keep(user, ALWAYS)
    expected = [available(name, True) for name in ("ann", "Bob", "bob2", "zoe", "émile")]
    assert as_alice.get(ALL).json() == expected
    assert [user["username"] for user in as_alice.get("/users/contacts/contact-book/").json()] == [
        each["username"] for each in expected
    ]


@pytest.mark.parametrize("path", [ALL, f"{ALL}/bob"])
def test_the_number_of_queries_does_not_depend_on_the_number_of_contacts(
    as_alice, alice, bob, make_user, note, keep, path, queries
):
    keep(bob, WORKING, Audience.CONTACTS)
    note(alice, bob)
    note(bob, alice)
    with queries(2):  # the token with its user, the hours
        as_alice.get(path)
    for number in range(10):
        user = make_user(f"user{number}")
        note(alice, user)
        keep(user, EVENINGS, Audience.CONTACTS)
    with queries(2):
        assert as_alice.get(path).status_code == 200


# The rest


@pytest.mark.parametrize("path", [ALL, f"{ALL}/bob", f"{ALL}/nobody"])
def test_availability_needs_a_token(anonymous, bob, path):
    answer = anonymous.get(path)
    assert (answer.status_code, answer["WWW-Authenticate"]) == (401, "Token")
    assert answer.json() == {"detail": "A valid token is required."}


@pytest.mark.parametrize("path", [ALL, f"{ALL}/bob"])
@pytest.mark.parametrize("method", ["post", "put", "patch", "delete"])
def test_availability_is_only_read(as_alice, bob, path, method):
    answer = getattr(as_alice, method)(path)
    assert (answer.status_code, answer["Allow"]) == (405, "GET, HEAD, OPTIONS")
    assert answer.json() == {"detail": f'Method "{method.upper()}" not allowed.'}
