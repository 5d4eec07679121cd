from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from users import finding
from users.models import User

pytestmark = pytest.mark.django_db


def seed(**options):
    out = StringIO()
    call_command("seed_users", stdout=out, **options)
    return out.getvalue()


def people():
    return list(User.objects.order_by("pk").values_list("username", "email", "first_name", "last_name", "bio"))


def test_the_same_seed_makes_the_same_people():
    seed(count=50)
    first = people()
    User.objects.all().delete()
    seed(count=50)
    assert people() == first
    seed(count=50, seed=2)
    assert len(people()) == 100


def test_each_is_made_once_and_the_rest_is_added():
    # In a pipe nothing but the result is printed.
    assert seed(count=20) == "20 people made, 0 there before.\n"
    assert seed(count=50) == "30 people made, 20 there before.\n"
    assert User.objects.count() == 50


def test_they_can_be_found_and_their_names_pass_what_a_registration_asks(alice):
    seed(count=300)
    for user in User.objects.exclude(pk=alice.pk):
        user.full_clean(exclude=["password"])
    assert call_command("index_search", stdout=StringIO()) is None
    found, _ = finding.find("example", searcher=alice, limit=100)
    assert len(found) == 100
    assert any(not user.first_name.isascii() for user in User.objects.all())


def test_nobody_can_log_in_as_one_unless_a_password_is_given(anonymous):
    seed(count=1)
    seed(count=2, seed=2, password="correct-horse-battery")
    one, *others = User.objects.order_by("pk")
    assert not one.has_usable_password()
    for user in others:
        body = {"username": user.username, "password": "correct-horse-battery"}
        assert anonymous.post("/users/login", body).status_code == 200


def test_a_negative_number_is_refused():
    with pytest.raises(CommandError, match="--count"):
        seed(count=-1)
