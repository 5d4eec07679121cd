import pytest

from conftest import PASSWORD
from users.models import User

ALICE = {"username": "alice", "email": "alice@example.org", "password": PASSWORD}


def register(client, **fields):
    return client.post("/users/register", ALICE | fields)


def test_registering_answers_the_user_instance(anonymous):
    answer = register(anonymous, first_name="Alice", last_name="Liddell", bio="Curious.\nVery.", phone_number="1")
    assert answer.status_code == 201
    assert answer.json() == {
        "username": "alice",
        "email": "alice@example.org",
        "first_name": "Alice",
        "last_name": "Liddell",
        "bio": "Curious.\nVery.",
        "phone_number": "1",
    }


def test_what_is_not_given_is_empty(anonymous):
    answer = register(anonymous, first_name=None, bio=None)
    assert answer.status_code == 201
    assert answer.json() == {
        "username": "alice",
        "email": "alice@example.org",
        "first_name": "",
        "last_name": "",
        "bio": "",
        "phone_number": "",
    }


def test_a_form_registers_too(anonymous):
    assert anonymous.post("/users/register", ALICE, format="multipart").status_code == 201
    form = "username=bob&email=bob@example.org&password=" + PASSWORD
    answer = anonymous.post("/users/register", form, content_type="application/x-www-form-urlencoded")
    assert answer.status_code == 201


def test_the_password_is_kept_as_argon2id(anonymous):
    register(anonymous)
    assert User.objects.get().password.startswith("argon2$argon2id$v=19$m=19456,t=2,p=1$")


def test_no_key_raises_a_privilege(anonymous):
    register(anonymous, is_staff=True, is_superuser=True, is_active=False, id=7, groups=[1])
    user = User.objects.get()
    assert (user.is_staff, user.is_superuser, user.is_active, user.groups.count()) == (False, False, True, 0)
    assert user.pk != 7


@pytest.mark.parametrize("field", ["username", "email", "password"])
@pytest.mark.parametrize("value", ["absent", None, "", 7, True, [], {}, ["alice"], {"a": "b"}])
def test_what_is_required_must_be_text(anonymous, field, value):
    body = ALICE | {field: value}
    if value == "absent":
        del body[field]
    answer = anonymous.post("/users/register", body)
    assert answer.status_code == 400
    assert list(answer.json()) == [field]
    assert not User.objects.exists()


@pytest.mark.parametrize("field", ["first_name", "last_name", "bio", "phone_number"])
@pytest.mark.parametrize("value", [7, False, [], {}, ["x"], "a\x00b", "a\x1bb", "a\ud800b", "x" * 501])
def test_what_is_optional_must_be_clean_text(anonymous, field, value):
    answer = anonymous.post("/users/register", ALICE | {field: value})
    assert answer.status_code == 400
    assert list(answer.json()) == [field]
    assert not User.objects.exists()


@pytest.mark.parametrize(
    "username",
    [
        "a b",
        "a\tb",
        "a\x00b",
        "a\ud800b",
        "a\u200bb",
        "a\u202eb",
        "\ufe0f",
        "bob\u3164",
        "a/b",
        ".",
        "..",
        "b¨b",
        "a／b",
        "x" * 151,
        "ﷺ" * 20,
    ],
)
def test_a_malformed_username_is_refused(anonymous, username):
    answer = register(anonymous, username=username)
    assert answer.status_code == 400
    assert list(answer.json()) == ["username"]


@pytest.mark.parametrize("username", ["jose", "josé", "Зоя", "李小龍", "😀", "a.b+c@d-e_f", "%", "o'neil", "…"])
def test_a_username_may_be_in_any_script(anonymous, client_of, username):
    assert register(anonymous, username=username).json()["username"] == username
    reader = client_of(User.objects.get())
    answer = reader.get("/users/contacts/view-user/" + "".join(f"%{byte:02x}" for byte in username.encode()))
    assert answer.json()["username"] == username


@pytest.mark.parametrize(
    "email",
    [
        "alice",
        "alice@",
        "@example.org",
        "a b@example.org",
        "a@example.org\x00",
        '"\x01"@example.org',
        "a@" + "x" * 250 + ".org",
    ],
)
def test_a_malformed_address_is_refused(anonymous, email):
    answer = register(anonymous, email=email)
    assert answer.status_code == 400
    assert list(answer.json()) == ["email"]


def test_an_address_of_254_characters_is_taken(anonymous):
    email = "a" * 50 + "@" + ".".join(["x" * 60] * 3) + "." + "y" * 16 + ".org"
    assert len(email) == 254
    assert register(anonymous, email=email).json()["email"] == email


@pytest.mark.parametrize(
    "password",
    ["short", "password123", "8572906354", "alice@example.org", "liddell-alice", "x" * 1025, "a\x00bcdefghij"],
)
def test_a_weak_or_unusable_password_is_refused(anonymous, password):
    answer = register(anonymous, password=password, last_name="Liddell-Alice")
    assert answer.status_code == 400
    assert list(answer.json()) == ["password"]


def test_a_password_of_1024_characters_is_taken_as_it_is(anonymous):
    password = " " + "pä$$😀" * 204 + "  "
    password = password[:1023] + " "
    assert register(anonymous, password=password).status_code == 201
    assert anonymous.post("/users/login", {"username": "alice", "password": password}).status_code == 200
    assert anonymous.post("/users/login", {"username": "alice", "password": password.strip()}).status_code == 400


@pytest.mark.parametrize("username", ["alice", "ALICE", "Alice", "ａｌｉｃｅ", " alice "])
def test_a_username_is_taken_whatever_its_case(alice, anonymous, username):
    answer = register(anonymous, username=username, email="new@example.org")
    assert answer.status_code == 400
    assert answer.json() == {"username": ["This username is taken."]}
    assert User.objects.count() == 1


def test_an_address_is_taken_whatever_its_case(alice, anonymous):
    answer = register(anonymous, username="new", email="ALICE@Example.org")
    assert answer.status_code == 400
    assert answer.json() == {"email": ["This e-mail address is taken."]}


def test_both_are_named_when_both_are_taken(alice, anonymous):
    assert list(register(anonymous).json()) == ["username", "email"]


@pytest.mark.parametrize(("one", "other"), [("jose", "josé"), ("😀", "😁"), ("strase", "straße"), ("bob", "bob.")])
def test_names_that_differ_in_more_than_case_are_two(anonymous, one, other):
    assert register(anonymous, username=one, email="one@example.org").status_code == 201
    assert register(anonymous, username=other, email="other@example.org").status_code == 201


@pytest.mark.parametrize(("one", "other"), [("Straße", "STRASSE"), ("Ωmega", "ωMEGA"), ("Ünal", "U\u0308NAL")])
def test_case_is_ignored_beyond_ascii(anonymous, one, other):
    assert register(anonymous, username=one, email="one@example.org").status_code == 201
    assert register(anonymous, username=other, email="other@example.org").json() == {
        "username": ["This username is taken."]
    }
