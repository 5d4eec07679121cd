"""What holds back somebody who guesses passwords, makes accounts or searches without end, and nobody else."""

from ipaddress import ip_network

import pytest

from common.models import RateCounter
from conftest import PASSWORD, Client
from tests.concurrency import at_once, statuses
from users import actions

WRONG = "wrong-horse-battery"
REFUSED = {"message": "Unable to log in with this username and password."}
NEW = "another-horse-battery"


@pytest.fixture(autouse=True)
def _rates(settings):
    settings.LOGIN_RATE = settings.REGISTER_RATE = settings.SEARCH_RATE = settings.SEND_RATE = (5, 60)


def log_in(username, password=WRONG, address="203.0.113.7"):
    return Client(REMOTE_ADDR=address).post("/users/login", {"username": username, "password": password})


def assert_too_many(answer):
    assert answer.status_code == 429
    wait = int(answer["Retry-After"])
    assert 1 <= wait <= 60
    unit = "second" if wait == 1 else "seconds"
    assert answer.json() == {"detail": f"Too many attempts. Expected available in {wait} {unit}."}


@pytest.mark.parametrize("username", ["alice", "ALICE", "nobody"])
def test_names_that_exist_and_names_that_do_not_are_answered_alike(alice, username):
    for _ in range(5):
        answer = log_in(username)
        assert (answer.status_code, answer.json()) == (400, REFUSED)
    assert_too_many(log_in(username))
    assert_too_many(log_in(username, PASSWORD))


def test_an_address_may_not_go_through_the_names(alice):
    assert statuses(log_in(f"user{number}") for number in range(7)) == [400] * 5 + [429] * 2


def test_the_owner_logs_in_from_another_address(alice):
    assert statuses(log_in("alice") for _ in range(7)) == [400] * 5 + [429] * 2
    assert log_in("alice", PASSWORD, "203.0.113.8").status_code == 200


def test_many_addresses_do_not_guess_on_for_one_name(alice):
    answers = [log_in("alice", address=f"203.0.113.{number // 4}") for number in range(102)]
    assert statuses(answers) == [400] * 100 + [429] * 2
    assert_too_many(log_in("alice", PASSWORD, "203.0.113.100"))
    assert log_in("bob", address="203.0.113.100").status_code == 400


def test_who_knows_the_password_is_not_held_back(alice):
    assert {log_in("alice", PASSWORD).status_code for _ in range(12)} == {200}
    assert statuses(log_in("alice") for _ in range(6)) == [400] * 5 + [429]


def test_what_is_malformed_is_no_attempt(alice):
    for _ in range(8):
        assert log_in("alice", {"x": 1}).status_code == 400
    assert log_in("alice").json() == REFUSED


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("username", ["alice", "nobody"])
def test_of_24_guesses_at_once_five_are_checked(alice, monkeypatch, username):
    checked = []
    check = actions.check_password
    monkeypatch.setattr(actions, "check_password", lambda *given: checked.append(1) or check(*given))
    answers = at_once(*[lambda: log_in(username)] * 24)
    assert statuses(answers) == [400] * 5 + [429] * 19
    assert len(checked) == 5
    assert log_in("alice", PASSWORD, "203.0.113.8").status_code == 200


def test_behind_a_proxy_the_clients_are_told_apart(alice, settings):
    settings.TRUSTED_PROXIES = [ip_network("10.0.0.1")]

    def forwarded(address):
        proxy = Client(REMOTE_ADDR="10.0.0.1", HTTP_X_FORWARDED_FOR=address)
        return proxy.post("/users/login", {"username": "alice", "password": WRONG})

    assert statuses(forwarded("198.51.100.1") for _ in range(6)) == [400] * 5 + [429]
    assert forwarded("198.51.100.2").status_code == 400
    # What a client claims does not help it.
    assert forwarded("198.51.100.3, 198.51.100.1").status_code == 429


def test_a_stolen_token_does_not_help_to_guess_the_password(alice, as_alice):
    for _ in range(5):
        answer = as_alice.post("/users/password", {"current_password": WRONG, "new_password": NEW})
        assert answer.json() == {"current_password": ["This is not your password."]}
    assert_too_many(as_alice.post("/users/password", {"current_password": PASSWORD, "new_password": NEW}))
    assert_too_many(log_in("alice", PASSWORD, "127.0.0.1"))


def test_the_form_of_the_admin_counts_too(admin_user, client):
    def guess():
        return client.post("/admin/login/", {"username": "admin", "password": WRONG}).content.decode()

    for _ in range(5):
        assert "Please enter the correct username and password" in guess()
    assert "Too many attempts." in guess()
    assert "Too many attempts." in client.post("/admin/login/", {"username": "admin", "password": "password"}).text
    assert_too_many(log_in("admin", address="127.0.0.1"))


def test_who_logs_into_the_admin_is_not_counted(admin_user, client):
    for _ in range(8):
        answer = client.post("/admin/login/", {"username": "admin", "password": "password"})
        assert answer.status_code == 302
    assert not RateCounter.objects.filter(count__gt=0).exists()


def test_an_address_registers_so_many_and_no_more(db):
    def register(name, address):
        body = {"username": name, "email": f"{name}@example.org", "password": PASSWORD}
        return Client(REMOTE_ADDR=address).post("/users/register", body)

    assert statuses(register(f"user{number}", "203.0.113.7") for number in range(7)) == [201] * 5 + [429] * 2
    assert register("user8", "203.0.113.8").status_code == 201


def test_a_user_searches_so_often_and_no_more(as_alice, as_bob):
    answers = [as_alice.get("/users/contacts/find-users") for _ in range(6)]
    assert statuses(answers) == [200] * 5 + [429]
    assert_too_many(answers[-1])
    assert as_bob.get("/users/contacts/find-users").status_code == 200


def test_a_user_sends_so_often_and_no_more(as_alice, as_bob):
    conversation = as_alice.post("/conversations/private/bob").json()["id"]

    def send(client):
        return client.post(f"/conversations/{conversation}/messages", {"text": "x"})

    answers = [send(as_alice) for _ in range(6)]
    assert statuses(answers) == [201] * 5 + [429]
    assert_too_many(answers[-1])
    assert send(as_bob).json()["number"] == 6


def test_each_rate_can_be_off(alice, as_alice, settings):
    settings.LOGIN_RATE = settings.SEARCH_RATE = None
    assert {log_in("alice").status_code for _ in range(8)} == {400}
    assert {as_alice.get("/users/contacts/find-users").status_code for _ in range(8)} == {200}
