"""An export is read as of one moment, while others write."""

import json
from threading import Thread

import pytest
from django.db import connection

from common.transactions import snapshot
from conversations import actions as conversations
from conversations.models import Message
from export import making
from export.files import GrowingFile
from export.making import DeadTokenError, make
from users import actions as users
from users.models import AuthToken, User

pytestmark = pytest.mark.django_db(transaction=True)


def elsewhere(function):
    """Run the function in another thread, on a connection of its own, to its end."""
    failures = []

    def run():
        try:
            function()
        except Exception as error:
            failures.append(error)
        finally:
            connection.close()

    thread = Thread(target=run)
    thread.start()
    thread.join(15)
    assert not thread.is_alive(), "A writer waits."
    assert not failures


def test_within_a_snapshot_nothing_changes_and_others_write(alice):
    def bios():
        return list(User.objects.values_list("bio", flat=True))

    with snapshot():
        elsewhere(lambda: User.objects.update(bio="changed"))
        assert bios() == ["Curious."]
        elsewhere(lambda: User.objects.update(bio="again"))
        assert bios() == ["Curious."]
    assert bios() == ["again"]


def test_after_a_snapshot_the_connection_is_as_before(alice):
    with pytest.raises(KeyError), snapshot():
        raise KeyError
    elsewhere(lambda: User.objects.update(bio="changed"))
    list(User.objects.all())
    User.objects.update(first_name="Alicia")
    elsewhere(lambda: User.objects.update(bio="again"))
    assert User.objects.values_list("bio", "first_name").get() == ("again", "Alicia")
    assert connection.get_autocommit()


def test_a_snapshot_is_of_its_beginning_and_not_of_the_first_reading(alice):
    with snapshot():
        elsewhere(lambda: User.objects.update(bio="changed"))
        assert User.objects.values_list("bio", flat=True).get() == "Curious."


class File(GrowingFile):
    """Calls a function at the first write, and reads the whole."""

    def __init__(self, at_first):
        self.at_first = [at_first]
        super().__init__(lambda: self.at_first.pop()() if self.at_first else None)

    def whole(self):
        assert not self.error
        return json.loads(self.read(0, self.size))


@pytest.fixture
def token(alice):
    AuthToken.objects.issue(alice)
    return alice.auth_tokens.get()


@pytest.fixture
def made(monkeypatch, alice, token):
    """Alice's export, during which a function runs elsewhere, after its first byte was written."""
    monkeypatch.setattr(making, "PIECE", 1)

    def made(meanwhile=lambda: None):
        file = File(lambda: elsewhere(meanwhile))
        make(alice.pk, token.pk, file)
        try:
            return file.whole()
        finally:
            file.close()

    return made


def test_it_is_as_of_one_moment(made, alice, bob, charlie):
    group = conversations.create_group(alice, "Before", [bob.pk])
    for number in range(3):
        conversations.send_message(bob, group.pk, text=str(number))
    users.add_contact(alice, bob)
    before = made()

    def change():
        conversations.send_message(bob, group.pk, text="late")
        conversations.edit_message(bob, group.pk, 1, text="late")
        conversations.delete_message(bob, group.pk, 2)
        conversations.rename_group(alice, group.pk, "Late")
        conversations.add_member(alice, group.pk, charlie)
        conversations.open_private(alice, charlie)
        users.change_profile(bob, {"bio": "late"})
        users.add_contact(alice, charlie)
        users.blacklist(alice, charlie)
        users.log_out_everywhere(alice)
        conversations.remove_member(bob, group.pk, "bob")

    during = made(change)
    assert during.pop("exported_at") > before.pop("exported_at")
    assert during == before
    assert [each["text"] for each in during["conversations"][0]["messages"]] == ["0", "1", "2"]
    assert "late" in Message.objects.values_list("text", flat=True)


def test_a_token_that_died_before_the_moment_gets_nothing(made, alice, token):
    users.log_out_everywhere(alice)
    file = File(lambda: None)
    make(alice.pk, token.pk, file)
    assert isinstance(file.error, DeadTokenError)
    assert (file.size, file.file) == (0, None)


def test_nothing_is_asked_for_a_client_that_left(alice, token, queries):
    file = File(lambda: None)
    file.close()
    with queries(0):
        make(alice.pk, token.pk, file)
    assert (file.is_finished, file.file) == (False, None)


def test_the_connection_is_closed_however_it_ends(made, alice, token):
    made()
    assert connection.connection is None
    make(alice.pk, 0, GrowingFile())
    assert connection.connection is None
