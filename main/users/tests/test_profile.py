import pytest

from conftest import represent
from users.models import AuthToken, BlacklistEntry, ContactBookEntry, User

PROFILE = "/users/profile"


def test_the_profile_is_the_token_owners(as_alice, bob, queries):
    with queries(1):  # the token brings its user along
        answer = as_alice.get(PROFILE)
    assert answer.status_code == 200
    assert answer.json() == {
        "username": "alice",
        "email": "alice@example.org",
        "first_name": "Alice",
        "last_name": "Liddell",
        "bio": "Curious.",
        "phone_number": "+44 1865 1",
    }


@pytest.mark.parametrize("method", ["put", "patch"])
@pytest.mark.parametrize("field", ["username", "email", "first_name", "last_name", "bio", "phone_number"])
def test_only_the_fields_sent_change(alice, as_alice, bob, method, field):
    value = "new@example.org" if field == "email" else "new"
    answer = getattr(as_alice, method)(PROFILE, {field: value})
    assert answer.status_code == 200
    assert answer.json() == represent(alice) | {field: value}
    assert as_alice.get(PROFILE).json() == represent(alice) | {field: value}
    assert represent(User.objects.get(pk=bob.pk)) == represent(bob)


@pytest.mark.parametrize("value", [None, "", "   "])
def test_an_optional_field_can_be_emptied(alice, as_alice, value):
    fields = ("first_name", "last_name", "bio", "phone_number")
    answer = as_alice.put(PROFILE, dict.fromkeys(fields, value))
    assert answer.json() == represent(alice) | dict.fromkeys(fields, "")


@pytest.mark.parametrize("body", [{}, {"nonsense": 1}, {"id": 7, "is_staff": True, "is_superuser": True}])
def test_other_keys_are_ignored(alice, as_alice, body):
    answer = as_alice.put(PROFILE, body)
    assert (answer.status_code, answer.json()) == (200, represent(alice))
    alice.refresh_from_db()
    assert (alice.is_staff, alice.is_superuser) == (False, False)


def test_a_form_changes_what_it_holds(alice, as_alice):
    answer = as_alice.put(PROFILE, {"bio": "New."}, format="multipart")
    assert answer.json() == represent(alice) | {"bio": "New."}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("username", None),
        ("username", ""),
        ("username", "a b"),
        ("username", "x" * 100_000),
        ("username", "BOB"),
        ("email", None),
        ("email", "nonsense"),
        ("email", "Bob@Example.org"),
        ("bio", 7),
        ("bio", {"a": 1}),
        ("bio", "a\x00b"),
        ("bio", "x" * 501),
        ("first_name", "a\nb"),
        ("last_name", "\ud800"),
        ("phone_number", "1" * 33),
    ],
)
def test_a_refused_change_changes_nothing(alice, as_alice, bob, field, value):
    answer = as_alice.put(PROFILE, {"last_name": "New", "bio": "New."} | {field: value})
    assert answer.status_code == 400
    assert list(answer.json()) == [field]
    assert represent(User.objects.get(pk=alice.pk)) == represent(alice)


def test_a_password_is_refused_with_the_call_to_use(alice, as_alice):
    answer = as_alice.put(PROFILE, {"password": "another-horse-battery", "bio": "New."})
    assert answer.status_code == 400
    assert answer.json() == {"password": ["To change the password, use POST /users/password."]}
    assert as_alice.get(PROFILE).json() == represent(alice)


def test_the_case_of_ones_own_name_can_change(as_alice):
    assert as_alice.put(PROFILE, {"username": "ALICE"}).json()["username"] == "ALICE"


def test_a_new_name_frees_the_old_one(as_alice, as_bob):
    as_alice.put(PROFILE, {"username": "alicia", "email": "alicia@example.org"})
    assert as_bob.put(PROFILE, {"username": "Alice", "email": "alice@example.org"}).status_code == 200


def test_deleting_the_account_takes_all_with_it(alice, as_alice, bob, as_bob, charlie, upkeep):
    for model in (ContactBookEntry, BlacklistEntry):
        for user1, user2 in ((alice, bob), (bob, alice), (bob, charlie)):
            model.objects.create(user1=user1, user2=user2)
    answer = as_alice.delete(PROFILE)
    assert (answer.status_code, answer.content) == (204, b"")
    assert as_alice.get(PROFILE).status_code == 401
    upkeep()
    assert not User.objects.filter(pk=alice.pk).exists()
    assert AuthToken.objects.get().user == bob
    for model in (ContactBookEntry, BlacklistEntry):
        assert list(model.objects.values_list("user1", "user2")) == [(bob.pk, charlie.pk)]


def test_a_deleted_accounts_name_and_address_are_free_again(as_alice, anonymous):
    as_alice.delete(PROFILE)
    body = {"username": "Alice", "email": "alice@example.org", "password": "correct-horse-battery"}
    assert anonymous.post("/users/register", body).status_code == 201
