"""The calls GET, PATCH and PUT /users/settings."""

import json

import pytest
from django.test import Client as Browser

from delivery.tests.conftest import Listener
from tests.concurrency import at_once, copies, statuses
from users.models import User
from users.user_settings import UserSettings

SETTINGS = "/users/settings"
ADMIN = "/admin/users/usersettings/"
MERGE_PATCH = "application/merge-patch+json"

PRIVACY = {"email": "everyone", "phone_number": "everyone", "active_hours": "everyone", "findable_by_address": True}
DEFAULTS = {"theme": "system", "active_hours": None, "privacy": PRIVACY, "client": {}, "email_verified": False}
MONDAY = {"day": "monday", "start": "09:00", "end": "17:00"}
HOURS = {"time_zone": "Europe/Oslo", "weekly": [MONDAY]}
HIDDEN = {"email": "contacts", "phone_number": "nobody", "active_hours": "contacts", "findable_by_address": False}
ALL = {"theme": "dark", "active_hours": HOURS, "privacy": HIDDEN, "client": {"a": 1, "b": {"c": [2]}}}

NO_THEME = ["Must be 1 to 32 characters of a-z, 0-9 and -."]
NOT_NULL = ["This field may not be null."]


@pytest.fixture
def filled(as_alice):
    """Alice's settings, none of which is the default any more."""
    answer = as_alice.put(SETTINGS, ALL)
    assert (answer.status_code, answer.json()) == (200, DEFAULTS | ALL)
    return answer.json()


def send(client, method, body, kind="application/json", **headers):
    """Send a body as it is written."""
    return client.generic(method, SETTINGS, body, content_type=kind, **headers)


# Reading


def test_the_settings_of_somebody_who_never_set_anything(as_alice, queries):
    with queries(2):  # the token with its user, the settings
        answer = as_alice.get(SETTINGS)
    assert (answer.status_code, answer.json()) == (200, DEFAULTS)
    assert ("ETag" in answer, answer["Cache-Control"]) == (True, "private, no-cache")
    assert not UserSettings.objects.exists()


def test_the_settings_are_as_they_were_set(as_alice, filled, queries):
    with queries(2):  # the token with its user, the settings
        answer = as_alice.get(SETTINGS)
    assert (answer.status_code, answer.json()) == (200, filled)


def test_the_settings_are_the_token_owners(as_alice, filled, as_bob):
    assert as_bob.get(SETTINGS).json() == DEFAULTS
    as_bob.patch(SETTINGS, {"theme": "light"})
    assert as_alice.get(SETTINGS).json() == filled
    assert as_bob.get(SETTINGS).json() == DEFAULTS | {"theme": "light"}


@pytest.mark.parametrize("method", ["get", "put", "patch"])
def test_settings_need_a_token(anonymous, method):
    answer = getattr(anonymous, method)(SETTINGS)
    assert (answer.status_code, answer["WWW-Authenticate"]) == (401, "Token")
    assert answer.json() == {"detail": "A valid token is required."}


@pytest.mark.parametrize("method", ["post", "delete"])
def test_settings_are_neither_made_nor_deleted(as_alice, method):
    answer = getattr(as_alice, method)(SETTINGS)
    assert (answer.status_code, answer["Allow"]) == (405, "GET, PUT, PATCH, HEAD, OPTIONS")
    assert answer.json() == {"detail": f'Method "{method.upper()}" not allowed.'}


@pytest.mark.parametrize("path", ["/users/profile", "/users/contacts/contact-book/", "/conversations"])
def test_other_calls_do_not_read_the_settings(as_alice, filled, path, django_assert_max_num_queries):
    with django_assert_max_num_queries(2) as made:
        assert as_alice.get(path).status_code == 200
    assert not [query for query in made if 'FROM "users_usersettings"' in query["sql"].replace("`", '"')]


# If-None-Match


@pytest.mark.parametrize(
    "tags", ["{tag}", "W/{tag}", "*", '"x", {tag}', '"x",W/{tag} , "y"', "{tag}, {tag}"], ids=str.strip
)
@pytest.mark.parametrize("method", ["get", "head"])
def test_what_the_client_has_already_is_not_sent_again(as_alice, filled, method, tags, queries):
    tag = as_alice.get(SETTINGS)["ETag"]
    with queries(2):  # the token with its user, the settings
        answer = getattr(as_alice, method)(SETTINGS, HTTP_IF_NONE_MATCH=tags.format(tag=tag))
    assert (answer.status_code, answer.content, answer["ETag"]) == (304, b"", tag)


@pytest.mark.parametrize("tags", ['"x"', 'W/"x"', "", "x", "{bare}", '"x", "y"', "é", '"', "\x00", "W/", "," * 5000])
def test_what_the_client_does_not_have_is_sent(as_alice, filled, tags):
    bare = as_alice.get(SETTINGS)["ETag"].strip('"')
    answer = as_alice.get(SETTINGS, HTTP_IF_NONE_MATCH=tags.format(bare=bare))
    assert (answer.status_code, answer.json()) == (200, filled)


def test_every_change_has_another_etag_and_nothing_else_has(as_alice):
    changes = [{}, {"theme": "dark"}, {"theme": "dark"}, {"theme": "system"}, {"client": {"a": 1}}]
    tags = [as_alice.get(SETTINGS)["ETag"], *(as_alice.patch(SETTINGS, change)["ETag"] for change in changes)]
    assert tags[0] == tags[1]
    assert tags[2] == tags[3]
    assert len({*tags}) == 4
    assert as_alice.get(SETTINGS)["ETag"] == tags[-1]
    assert as_alice.get(SETTINGS, HTTP_IF_NONE_MATCH=", ".join(tags[:-1])).status_code == 200


# PATCH


@pytest.mark.parametrize("key", ALL)
def test_a_key_that_is_named_changes_and_the_others_stay(as_alice, key):
    answer = as_alice.patch(SETTINGS, {key: ALL[key]})
    assert (answer.status_code, answer.json()) == (200, DEFAULTS | {key: ALL[key]})
    assert as_alice.get(SETTINGS).json() == DEFAULTS | {key: ALL[key]}


@pytest.mark.parametrize("key", ALL)
def test_a_key_that_is_named_can_go_back_to_its_default(as_alice, filled, key):
    patch = {"client": {"a": None, "b": None}} if key == "client" else {key: DEFAULTS[key]}
    answer = as_alice.patch(SETTINGS, patch)
    assert (answer.status_code, answer.json()) == (200, filled | {key: DEFAULTS[key]})


@pytest.mark.parametrize("name", PRIVACY)
def test_a_part_of_privacy_changes_alone(as_alice, name):
    answer = as_alice.patch(SETTINGS, {"privacy": {name: HIDDEN[name], "nonsense": 1}})
    assert answer.json() == DEFAULTS | {"privacy": PRIVACY | {name: HIDDEN[name]}}


def test_the_time_zone_changes_alone(as_alice, filled):
    answer = as_alice.patch(SETTINGS, {"active_hours": {"time_zone": "Asia/Tokyo"}})
    assert answer.json() == filled | {"active_hours": {"time_zone": "Asia/Tokyo", "weekly": [MONDAY]}}


def test_the_windows_change_as_a_whole(as_alice, filled):
    windows = [{"day": "sunday", "start": "22:00", "end": "06:00"}, {"day": "friday", "start": "00:00", "end": "24:00"}]
    answer = as_alice.patch(SETTINGS, {"active_hours": {"weekly": windows}})
    assert answer.json() == filled | {"active_hours": {"time_zone": "Europe/Oslo", "weekly": windows}}


# The examples of RFC 7396, appendix A, as (original, patch, result).
RFC_7396 = [
    ({"a": "b"}, {"a": "c"}, {"a": "c"}),
    ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
    ({"a": "b"}, {"a": None}, {}),
    ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
    ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
    ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
    ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
    ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
    (["a", "b"], ["c", "d"], ["c", "d"]),
    ({"a": "b"}, ["c"], ["c"]),
    ({"a": "foo"}, "bar", "bar"),
    ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
    ([1, 2], {"a": "b", "c": None}, {"a": "b"}),
    ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
]


@pytest.mark.parametrize("kind", ["application/json", MERGE_PATCH, f"{MERGE_PATCH}; charset=utf-8"])
@pytest.mark.parametrize(("original", "patch", "result"), RFC_7396)
def test_a_patch_merges_as_in_the_examples_of_its_standard(as_alice, original, patch, result, kind):
    as_alice.put(SETTINGS, {"client": {"x": original, "y": 1}})
    answer = send(as_alice, "PATCH", json.dumps({"client": {"x": patch}}), kind)
    assert (answer.status_code, answer.json()["client"]) == (200, {"x": result, "y": 1})
    assert as_alice.get(SETTINGS).json()["client"] == {"x": result, "y": 1}


def test_null_removes_a_key_of_the_client_whether_it_is_there_or_not(as_alice, filled):
    answer = as_alice.patch(SETTINGS, {"client": {"x": None, "a": None}})
    assert answer.json() == filled | {"client": {"b": {"c": [2]}}}


@pytest.mark.parametrize("method", ["patch", "put"])
def test_null_removes_the_active_hours(as_alice, filled, method):
    answer = getattr(as_alice, method)(SETTINGS, {"active_hours": None})
    assert answer.json() == filled | {"active_hours": None}
    assert as_alice.get(SETTINGS).json() == filled | {"active_hours": None}


# PUT


@pytest.mark.parametrize("key", ALL)
def test_put_leaves_what_is_not_named(as_alice, filled, key):
    answer = as_alice.put(SETTINGS, {key: DEFAULTS[key]})
    assert (answer.status_code, answer.json()) == (200, filled | {key: DEFAULTS[key]})


def test_put_replaces_what_the_client_keeps(as_alice, filled):
    answer = as_alice.put(SETTINGS, {"client": {"b": {"d": None}}})
    assert answer.json() == filled | {"client": {"b": {"d": None}}}


# Both


@pytest.mark.parametrize("method", ["patch", "put"])
@pytest.mark.parametrize("body", [{}, {"nonsense": {"a": 1}}, {"email_verified": True, "version": 7, "user": 1}])
def test_other_keys_are_ignored(as_alice, filled, method, body):
    before = as_alice.get(SETTINGS)["ETag"]
    answer = getattr(as_alice, method)(SETTINGS, body)
    assert (answer.status_code, answer.json(), answer["ETag"]) == (200, filled, before)


@pytest.mark.parametrize("method", ["PATCH", "PUT"])
def test_a_form_sets_the_theme(as_alice, method):
    answer = send(as_alice, method, "theme=solarized-2", "application/x-www-form-urlencoded")
    assert (answer.status_code, answer.json()) == (200, DEFAULTS | {"theme": "solarized-2"})
    answer = getattr(as_alice, method.lower())(SETTINGS, {"theme": "0"}, format="multipart")
    assert (answer.status_code, answer.json()) == (200, DEFAULTS | {"theme": "0"})


def test_a_text_is_no_body(as_alice):
    answer = send(as_alice, "PATCH", "theme", "text/plain")
    assert (answer.status_code, answer.json()) == (415, {"detail": 'Unsupported media type "text/plain" in request.'})


@pytest.mark.parametrize("theme", ["system", "light", "a", "-", "0", "x" * 32])
def test_a_theme_may_be_of_any_name(as_alice, theme):
    assert as_alice.patch(SETTINGS, {"theme": theme}).json() == DEFAULTS | {"theme": theme}


@pytest.mark.parametrize("zone", ["UTC", "America/Argentina/ComodRivadavia", "Etc/GMT+12", "Pacific/Apia"])
@pytest.mark.parametrize(
    "weekly",
    [
        [MONDAY] * 28,
        [{"day": "sunday", "start": "23:59", "end": "24:00"}],
        [{"day": "saturday", "start": "00:00", "end": "00:00"}, {"day": "saturday", "start": "00:00", "end": "00:01"}],
    ],
)
def test_active_hours_are_kept_as_they_are_sent(as_alice, zone, weekly):
    hours = {"time_zone": zone, "weekly": weekly}
    assert as_alice.put(SETTINGS, {"active_hours": hours}).json() == DEFAULTS | {"active_hours": hours}
    assert as_alice.get(SETTINGS).json()["active_hours"] == hours


def test_unknown_keys_of_active_hours_and_privacy_are_not_kept(as_alice):
    body = {"active_hours": HOURS | {"x": 1, "weekly": [MONDAY | {"x": 1}]}, "privacy": HIDDEN | {"x": 1}}
    assert as_alice.put(SETTINGS, body).json() == DEFAULTS | {"active_hours": HOURS, "privacy": HIDDEN}


def fitting(size, character="x"):
    """What a client keeps, of so many bytes as JSON."""
    number, rest = divmod(size - len('{"k":""}'), len(character.encode()))
    return {"k": character * number + "-" * rest}


@pytest.mark.parametrize("method", ["patch", "put"])
@pytest.mark.parametrize(
    "client",
    [
        {"k" * 64: 1, "é" * 64: 1, "😀" * 64: 1},
        {f"key{number}": number for number in range(100)},
        fitting(16 * 1024),
        fitting(16 * 1024, "é"),
        fitting(16 * 1024, "😀"),
        {"a": ["", " é😀\x00\n\u2028", True, False, 0, -1.5, 1e300, 2**70, {"": {"": []}}]},
        {"__proto__": 1, "$ref": "x", "a.b": 2, " ": 3, "\x00": 4, "k": 5, "K": 6},
    ],
    ids=["long keys", "many keys", "16 KB", "of two bytes", "of four bytes", "any JSON", "odd keys"],
)
def test_a_client_keeps_any_json(as_alice, method, client):
    answer = getattr(as_alice, method)(SETTINGS, {"client": client})
    assert (answer.status_code, answer.json()) == (200, DEFAULTS | {"client": client})
    assert as_alice.get(SETTINGS).json() == DEFAULTS | {"client": client}


def nested(depth, within="client"):
    """A body with a value that is nested so deep."""
    return f'{{"{within}":{{"k":' + "[" * (depth - 1) + "]" * (depth - 1) + "}}"


@pytest.mark.parametrize("method", ["PATCH", "PUT"])
def test_what_a_client_keeps_may_be_nested_a_hundred_times(as_alice, method):
    answer = send(as_alice, method, nested(100))
    assert (answer.status_code, answer.json()) == (200, DEFAULTS | json.loads(nested(100)))


# What is refused

SHAPE = ["Must be null, or an object with time_zone and weekly."]
ZONE = ["time_zone must be a name of the IANA database, such as Europe/Oslo."]
WEEKLY = ["weekly must be a list of 1 to 28 windows."]
WINDOW = ["Each window must be an object with day, start and end."]
DAY = ["day must be one of monday to sunday."]
START = ["start must be a time from 00:00 to 23:59."]
END = ["end must be a time from 00:00 to 24:00."]
FINDABLE = ["findable_by_address must be true or false."]
NO_OBJECT = ["Must be an object."]
KEYS = ["Must have at most 100 keys, of 1 to 64 characters."]
NO_JSON = ["Must be JSON, without numbers beyond its range."]
SIZE = ["Must have at most 16384 bytes as JSON."]
DEEP = ["Must not be nested deeper than 100."]
INFINITE = float("1e999")

REFUSED = [
    *[("theme", theme, NO_THEME) for theme in ("x" * 33, "Dark", "a b", "a_b", "é", "dark\n", " dark", "٣")],
    ("theme", "\ud800", [*NO_THEME, "Surrogate characters are not allowed: U+D800."]),
    ("theme", "", ["This field may not be blank."]),
    *[("theme", theme, ["Not a valid string."]) for theme in (7, True, ["dark"], {"a": 1}, INFINITE)],
    ("theme", None, NOT_NULL),
    *[("active_hours", hours, SHAPE) for hours in ("", "Europe/Oslo", 7, True, False, [], [HOURS])],
    *[
        ("active_hours", HOURS | {"time_zone": zone}, ZONE)
        for zone in (
            *("", "Europe/Atlantis", "europe/oslo", "Europe/Oslo\n", " UTC", "Europe", "CEST", "+01:00", "x" * 5000),
            *("../../etc/passwd", "/etc/passwd", "Europe/../UTC", "./UTC", "/UTC", "UTC\x00", "\ud800", "zone.tab"),
            *("posix/UTC", "right/UTC", "posixrules", "localtime", 7, True, ["UTC"], {"a": "UTC"}, INFINITE),
        )
    ],
    *[("active_hours", HOURS | {"weekly": weekly}, WEEKLY) for weekly in ([], [MONDAY] * 29, "monday", 7, {}, MONDAY)],
    *[("active_hours", HOURS | {"weekly": [window]}, WINDOW) for window in ("monday", None, 7, [], [MONDAY])],
    *[
        ("active_hours", HOURS | {"weekly": [MONDAY, MONDAY | {"day": day}]}, DAY)
        for day in ("", "Monday", "mon", "monday\n", 0, None, ["monday"], {"a": 1})
    ],
    *[
        ("active_hours", HOURS | {"weekly": [MONDAY, MONDAY | {"start": start}]}, START)
        for start in (
            *("", "24:00", "9:00", "09:60", "25:00", "09:00\n", " 09:00", "09:00:00", "0900", "٠٩:٠٠", "-1:00"),
            *(9, 9.5, None, True, ["09:00"], {"a": 1}),
        )
    ],
    *[
        ("active_hours", HOURS | {"weekly": [MONDAY, MONDAY | {"end": end}]}, END)
        for end in ("", "24:01", "24:00\n", "7:00", "17:60", "99:99", "noon", 17, None, True, ["17:00"])
    ],
    *[("active_hours", HOURS | {"weekly": [{"start": "09:00", "end": "17:00"}]}, DAY)],
    *[("active_hours", HOURS | {"weekly": [{"day": "monday", "end": "17:00"}]}, START)],
    *[("active_hours", HOURS | {"weekly": [{"day": "monday", "start": "09:00"}]}, END)],
    ("privacy", None, NOT_NULL),
    *[
        ("privacy", PRIVACY | {name: value}, [f"{name} must be everyone, contacts or nobody."])
        for name in ("email", "phone_number", "active_hours")
        for value in ("", "friends", "Everyone", "EVERYONE", "nobody\n", 0, True, ["everyone"], {"a": 1})
    ],
    *[
        ("privacy", PRIVACY | {"findable_by_address": value}, FINDABLE)
        for value in ("yes", "true", "", 1, 0, [True], {"a": 1})
    ],
    ("client", None, NOT_NULL),
    *[("client", client, NO_OBJECT) for client in ("", "x", 7, True, [], [{"a": 1}])],
    ("client", {f"key{number}": 0 for number in range(101)}, KEYS),
    *[("client", {key: 1}, KEYS) for key in ("", "k" * 65, "é" * 65)],
    *[("client", {"k": value}, NO_JSON) for value in (INFINITE, [-INFINITE], {"a": {"b": INFINITE}}, "\ud800")],
    *[("client", client, NO_JSON) for client in ({"\udfff": 1}, {"k": {"\ud800": 1}}, {"k": ["a\udc00b"]})],
    *[("client", fitting(16 * 1024 + 1, character), SIZE) for character in ("x", "é", "😀")],
]


def written(body):
    """As JSON, in which a number may be beyond the range of Python's."""
    return json.dumps(body).replace("Infinity", "1e999")


@pytest.mark.parametrize(("key", "value", "why"), REFUSED)
def test_a_bad_value_is_refused_by_its_key_and_changes_nothing(as_alice, key, value, why):
    as_alice.put(SETTINGS, ALL | {"client": {}})
    body = written({"theme": "light", "active_hours": None} | {key: value})
    for method in ("PATCH", "PUT"):
        answer = send(as_alice, method, body)
        assert (answer.status_code, answer.json()) == (400, {key: why})
    assert as_alice.get(SETTINGS).json() == DEFAULTS | ALL | {"client": {}}


@pytest.mark.parametrize("name", PRIVACY)
@pytest.mark.parametrize("method", ["patch", "put"])
def test_privacy_is_whole(as_alice, filled, method, name):
    shape = {"privacy": ["Must be an object with email, phone_number, active_hours and findable_by_address."]}
    partly = {key: value for key, value in PRIVACY.items() if key != name}
    body = {"privacy": partly if method == "put" else {name: None}}
    for refused in (body, {"privacy": []}, {"privacy": "nobody"}):
        answer = getattr(as_alice, method)(SETTINGS, refused)
        assert (answer.status_code, answer.json()) == (400, shape)
    assert as_alice.get(SETTINGS).json() == filled


@pytest.mark.parametrize(
    ("method", "hours"),
    [
        *(("put", hours) for hours in ({}, {"time_zone": "UTC"}, {"weekly": [MONDAY]})),
        *(("patch", hours) for hours in ({"time_zone": None}, {"weekly": None})),
    ],
)
def test_active_hours_are_whole(as_alice, filled, method, hours):
    answer = getattr(as_alice, method)(SETTINGS, {"active_hours": hours})
    assert (answer.status_code, answer.json()) == (400, {"active_hours": SHAPE})
    assert as_alice.get(SETTINGS).json() == filled


@pytest.mark.parametrize("hours", [{}, {"time_zone": "UTC"}, {"weekly": [MONDAY]}])
def test_a_part_of_active_hours_needs_the_other(as_alice, hours):
    answer = as_alice.patch(SETTINGS, {"active_hours": hours})
    assert (answer.status_code, answer.json()) == (400, {"active_hours": SHAPE})
    assert as_alice.get(SETTINGS).json() == DEFAULTS


def test_every_bad_key_is_named(as_alice):
    answer = as_alice.patch(SETTINGS, {"theme": "", "active_hours": 7, "privacy": None, "client": []})
    assert (answer.status_code, {*answer.json()}) == (400, {*ALL})


@pytest.mark.parametrize("form", ["active_hours=x", "privacy=x", "client=x", "theme=", "theme=x&theme=Dark"])
def test_a_form_has_texts_only(as_alice, filled, form):
    answer = send(as_alice, "PATCH", form, "application/x-www-form-urlencoded")
    assert (answer.status_code, list(answer.json())) == (400, [form.partition("=")[0]])
    assert as_alice.get(SETTINGS).json() == filled


@pytest.mark.parametrize(
    ("first", "second", "why"),
    [
        ({f"a{number}": 0 for number in range(60)}, {f"b{number}": 0 for number in range(41)}, KEYS),
        (fitting(10_000), {"x": fitting(10_000)}, SIZE),
    ],
)
def test_what_is_merged_is_bounded_as_a_whole(as_alice, first, second, why):
    assert as_alice.patch(SETTINGS, {"client": first}).status_code == 200
    answer = as_alice.patch(SETTINGS, {"client": second})
    assert (answer.status_code, answer.json()) == (400, {"client": why})
    assert as_alice.get(SETTINGS).json()["client"] == first


@pytest.mark.parametrize(
    ("body", "refusal"),
    [
        *((body, {"non_field_errors": NO_OBJECT}) for body in ("[]", '"x"', "7", "null", '[{"theme": "dark"}]')),
        *((nested(101, within), {"client": DEEP}) for within in ("client", "nonsense")),
        *((nested(depth), {"detail": "The body is not JSON."}) for depth in (5000, 100_000)),
        *((body, {"detail": "The body is not JSON."}) for body in ("{", '{"client":{"a":NaN}}', "\x00", "theme=dark")),
        ('{"client":{"a":' + "9" * 5000 + "}}", {"detail": "The body is not JSON."}),
    ],
    ids=lambda value: value[:30] if isinstance(value, str) else "",
)
def test_a_body_that_is_no_object_is_refused(as_alice, filled, body, refusal):
    for method, kind in (("PATCH", "application/json"), ("PATCH", MERGE_PATCH), ("PUT", "application/json")):
        answer = send(as_alice, method, body, kind)
        assert (answer.status_code, answer.json()) == (400, refusal)
    assert as_alice.get(SETTINGS).json() == filled


# If-Match

PASSED = {"message": "The settings are not those of this ETag any more."}


@pytest.mark.parametrize("method", ["patch", "put"])
@pytest.mark.parametrize("tags", ["{tag}", "*", '"x", {tag}'])
@pytest.mark.parametrize("has_settings", [True, False])
def test_a_change_of_what_the_client_knows_is_made(as_alice, method, tags, has_settings):
    if has_settings:
        as_alice.put(SETTINGS, ALL)
    answer = as_alice.get(SETTINGS)
    before, tag = answer.json(), answer["ETag"]
    answer = getattr(as_alice, method)(SETTINGS, {"theme": "light"}, HTTP_IF_MATCH=tags.format(tag=tag))
    assert (answer.status_code, answer.json()) == (200, before | {"theme": "light"})
    assert answer["ETag"] != tag


@pytest.mark.parametrize("method", ["patch", "put"])
@pytest.mark.parametrize("tags", ["{old}", '"x", "y"', "W/{tag}", "{bare}", "", "x", "é", '"', "\x00", "," * 5000])
def test_a_change_of_what_the_client_does_not_know_is_refused(as_alice, filled, method, tags):
    old = as_alice.get(SETTINGS)["ETag"]
    tag = as_alice.patch(SETTINGS, {"theme": "between"})["ETag"]
    header = tags.format(old=old, tag=tag, bare=tag.strip('"'))
    answer = getattr(as_alice, method)(SETTINGS, {"theme": "light"}, HTTP_IF_MATCH=header)
    assert (answer.status_code, answer.json()) == (412, PASSED)
    answer = as_alice.get(SETTINGS)
    assert (answer.json(), answer["ETag"]) == (filled | {"theme": "between"}, tag)


# At the same moment


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("has_settings", [True, False])
def test_of_two_changes_of_the_same_state_one_is_made(as_alice, has_settings):
    if has_settings:
        as_alice.put(SETTINGS, ALL)
    tag = as_alice.get(SETTINGS)["ETag"]
    answers = at_once(
        *[
            lambda c=client, n=number: c.patch(SETTINGS, {"client": {"made by": n}}, HTTP_IF_MATCH=tag)
            for number, client in enumerate(copies(as_alice, 2))
        ]
    )
    assert statuses(answers) == [200, 412]
    made = [number for number, answer in enumerate(answers) if answer.status_code == 200]
    assert as_alice.get(SETTINGS).json()["client"]["made by"] == made[0]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("has_settings", [True, False])
def test_of_ten_merges_none_is_lost(as_alice, has_settings):
    if has_settings:
        as_alice.put(SETTINGS, {"client": {"before": 0}})
    answers = at_once(
        *[
            lambda c=client, n=number: c.patch(SETTINGS, {"client": {f"key{n}": n}})
            for number, client in enumerate(copies(as_alice, 10))
        ]
    )
    assert statuses(answers) == [200] * 10
    assert len({answer["ETag"] for answer in answers}) == 10
    expected = {f"key{number}": number for number in range(10)} | ({"before": 0} if has_settings else {})
    assert as_alice.get(SETTINGS).json()["client"] == expected
    assert UserSettings.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_settings_that_are_changed_while_the_account_goes_leave_nothing(as_alice, as_bob, upkeep):
    changes = [
        lambda c=client, n=number: c.patch(SETTINGS, {"client": {f"key{n}": n}})
        for number, client in enumerate(copies(as_alice, 3))
    ]
    deletion, *answers = at_once(lambda: as_alice.delete("/users/profile"), *changes)
    assert deletion.status_code == 204
    assert {*statuses(answers)} <= {200, 401}
    upkeep()
    assert not UserSettings.objects.exists()


# The event


def test_a_change_is_told_to_the_users_other_devices_and_to_nobody_else(as_alice, alice, client_of, as_bob):
    as_bob.post("/users/contacts/contact-book/alice")
    same_device, other_device, bob = Listener(as_alice), Listener(client_of(alice)), Listener(as_bob)
    answer = as_alice.patch(SETTINGS, ALL)
    told = [("settings", {"settings": answer.json()})]
    assert (same_device.news(), other_device.news(), bob.news()) == (told, told, [])


@pytest.mark.parametrize("body", [{}, {"nonsense": 1}, ALL, {"theme": ""}, {"email_verified": True}])
@pytest.mark.parametrize("method", ["patch", "put"])
def test_where_nothing_changed_nothing_is_told(as_alice, filled, method, body):
    alice = Listener(as_alice)
    assert getattr(as_alice, method)(SETTINGS, body).status_code in (200, 400)
    assert as_alice.patch(SETTINGS, {"theme": "light"}, HTTP_IF_MATCH='"x"').status_code == 412
    assert alice.news() == []


# Deletion and the admin


def test_the_settings_go_with_the_account(as_alice, filled, as_bob, bob, upkeep):
    as_bob.put(SETTINGS, ALL)
    as_alice.delete("/users/profile")
    upkeep()
    assert [*UserSettings.objects.values_list("user_id", flat=True)] == [bob.pk]


def test_the_settings_of_a_new_account_of_the_same_name_are_the_defaults(as_alice, filled, make_user, client_of):
    as_alice.delete("/users/profile")
    assert client_of(make_user("alice")).get(SETTINGS).json() == DEFAULTS


SECRET = "what-the-client-keeps"


@pytest.mark.parametrize("who", ["as_moderator", "admin_client"])
def test_the_admin_shows_settings_without_what_clients_keep(request, who, as_alice, alice, filled, as_bob):
    as_alice.patch(SETTINGS, {"client": {SECRET: SECRET}})
    as_bob.patch(SETTINGS, {"client": {SECRET: SECRET}})
    client = request.getfixturevalue(who)
    pages = [client.get(ADMIN), client.get(f"{ADMIN}?q=ALI"), client.get(f"{ADMIN}{alice.pk}/change/")]
    assert [page.status_code for page in pages] == [200, 200, 200]
    assert [page.context["cl"].result_count for page in pages[:2]] == [2, 1]
    assert "Europe/Oslo: monday 09:00 to 17:00" in pages[2].content.decode()
    assert not [page for page in pages if SECRET in page.content.decode()]
    assert 'name="_save"' not in pages[2].content.decode()


def test_in_the_admin_nobody_changes_settings(admin_client, as_alice, alice, filled):
    form = {"theme": "light", "client_json": "{}", "email_for": "0", "email_verified": "on", "post": "yes"}
    for path in ("add/", f"{alice.pk}/change/", f"{alice.pk}/delete/"):
        assert admin_client.post(ADMIN + path, form).status_code == 403
    admin_client.post(ADMIN, {"action": "delete_selected", "_selected_action": [alice.pk], "post": "yes"})
    assert as_alice.get(SETTINGS).json() == filled


@pytest.mark.parametrize("query", ["client_json__contains=a", "user__password__startswith=a"])
def test_in_the_admin_nothing_hidden_can_be_guessed_at(admin_client, filled, query):
    assert admin_client.get(f"{ADMIN}?{query}").status_code == 400


def test_the_admin_is_not_for_ordinary_users(alice, filled):
    browser = Browser()
    browser.force_login(User.objects.get(pk=alice.pk))
    assert browser.get(ADMIN).status_code == 302


# What was mended


@pytest.mark.parametrize(("before", "after"), [(1, True), (0, False), ([1], [True]), ({"a": 1.0}, {"a": True})])
def test_a_number_and_a_truth_value_are_not_the_same(as_alice, before, after):
    as_alice.patch(SETTINGS, {"client": {"x": before}})
    as_alice.put(SETTINGS, {"client": {"x": after}})
    assert json.dumps(as_alice.get(SETTINGS).json()["client"]) == json.dumps({"x": after})


def test_the_tag_of_somebody_else_is_another(as_alice, as_bob):
    tags = [client.patch(SETTINGS, {"theme": "dark"})["ETag"] for client in (as_alice, as_bob)]
    assert as_bob.get(SETTINGS, headers={"If-None-Match": tags[0]}).status_code == 200
    assert as_bob.patch(SETTINGS, {"theme": "light"}, headers={"If-Match": tags[0]}).status_code == 412


def test_both_answers_to_a_question_for_settings_tell_caches_the_same(as_alice):
    whole = as_alice.get(SETTINGS)
    unchanged = as_alice.get(SETTINGS, headers={"If-None-Match": whole["ETag"]})
    assert unchanged.status_code == 304
    for name in ("ETag", "Cache-Control", "Vary"):
        assert unchanged[name] == whole[name]
    assert "Authorization" in whole["Vary"]
