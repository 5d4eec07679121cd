"""A way back for those who forgot the password."""

import time
from datetime import timedelta
from io import StringIO
from threading import Event

import pytest
from django.contrib.auth.hashers import make_password
from django.core.management import CommandError, call_command
from django.db import transaction
from django.utils import timezone

from conftest import PASSWORD
from harness.smtp import code_of, text_of
from mail.models import Mail
from tests.concurrency import at_once, copies, statuses
from users.codes import Code, Purpose
from users.models import AuthToken, User

NEW = "battery-staple-horse"
NO_CODE = {"code": ["This code is wrong, was used, or has expired."]}
ACCEPTED = {"message": "If this is the address of an account, a code is on its way."}


def forget(client, email="alice@example.org"):
    return client.post("/users/password/forgot", {"email": email})


def reset(client, code, password=NEW):
    return client.post("/users/password/reset", {"code": code, "new_password": password})


@pytest.fixture
def code(alice, anonymous, send_mails):
    """A code that alice has got by mail."""
    forget(anonymous)
    [mail] = send_mails()
    return code_of(mail)


def test_a_code_by_mail_sets_a_new_password(alice, as_alice, as_bob, anonymous, code):
    answer = reset(anonymous, code)
    assert answer.status_code == 200
    assert list(answer.json()) == ["token"]
    assert as_alice.get("/users/profile").status_code == 401
    assert as_bob.get("/users/profile").status_code == 200
    as_alice.credentials(HTTP_AUTHORIZATION=f"Token {answer.json()['token']}")
    assert as_alice.get("/users/settings").json()["email_verified"]
    assert anonymous.post("/users/login", {"username": "alice", "password": NEW}).status_code == 200
    assert anonymous.post("/users/login", {"username": "alice", "password": PASSWORD}).status_code == 400


def test_the_mail_says_who_asked_and_when(alice, anonymous, send_mails):
    anonymous.post("/users/password/forgot", {"email": "alice@example.org"}, REMOTE_ADDR="203.0.113.7")
    [mail] = send_mails()
    assert mail.recipients == ["alice@example.org"]
    assert mail["Subject"] == "Set a new password"
    text = text_of(mail)
    assert "Hello alice," in text
    assert "from the address 203.0.113.7" in text
    assert timezone.now().strftime("%B %Y at %H:") in text
    assert f"https://chat.example.org/chat#reset={code_of(mail)}\n" in text


def test_the_account_is_told_that_its_password_was_set(anonymous, code, send_mails):
    reset(anonymous, code)
    assert [mail["Subject"] for mail in send_mails()] == ["Your password was changed"]


@pytest.mark.parametrize("email", ["alice@example.org", "ALICE@Example.ORG", "bob@example.org", "nobody@example.org"])
def test_the_answer_and_the_work_are_the_same_whatever_the_address_is(
    email, alice, make_user, anonymous, mail_server, queries
):
    make_user("bob", is_active=False)
    forget(anonymous, "first@example.org")  # makes the counter of this address of the network
    with queries(2):  # the counter, and the mail
        answer = forget(anonymous, email)
    assert (answer.status_code, answer.json()) == (202, ACCEPTED)


def test_an_address_in_another_form_of_writing_gets_nothing_itself(alice, anonymous, send_mails):
    forget(anonymous, " ALICE@EXAMPLE.ORG ")
    assert [mail.recipients for mail in send_mails()] == [["alice@example.org"]]


@pytest.mark.parametrize(
    "prepare", [None, {"is_active": False}, {"email": "x@example.org", "email_key": "x@example.org"}]
)
def test_without_an_active_account_there_is_no_mail_and_no_row(prepare, alice, anonymous, send_mails):
    if prepare:
        User.objects.update(**prepare)
    forget(anonymous, "alice@example.org" if prepare else "nobody@example.org")
    assert send_mails() == []
    assert not Mail.objects.exists()


@pytest.mark.parametrize(
    "email",
    [
        "",
        "x",
        None,
        7,
        [],
        "a@b",
        "a\x00@example.org",
        "a@example.org\nBcc: eve@example.com",
        "x" * 255 + "@example.org",
    ],
)
def test_what_is_no_address_is_refused(email, anonymous, mail_server):
    answer = forget(anonymous, email)
    assert answer.status_code == 400
    assert list(answer.json()) == ["email"]
    assert not Mail.objects.exists()


def test_a_code_works_once(anonymous, code):
    assert reset(anonymous, code).status_code == 200
    answer = reset(anonymous, code, "another-staple-horse")
    assert (answer.status_code, answer.json()) == (400, NO_CODE)
    assert anonymous.post("/users/login", {"username": "alice", "password": NEW}).status_code == 200


@pytest.mark.django_db(transaction=True)
def test_of_six_uses_at_the_same_moment_one_counts(alice, anonymous, code):
    clients = copies(anonymous, 6)
    answers = at_once(*[lambda client=client: reset(client, code) for client in clients])
    assert statuses(answers) == [200] + [400] * 5
    assert AuthToken.objects.count() == 1


def test_every_other_code_is_dead_after_it(alice, anonymous, code):
    others = [Code.objects.issue(alice, purpose) for purpose in Purpose]
    reset(anonymous, code)
    assert not Code.objects.exists()
    assert [reset(anonymous, other).status_code for other in others] == [400] * 3
    assert anonymous.post("/users/email/confirm", {"code": others[0]}).status_code == 400


@pytest.mark.parametrize("password", ["", "short", "12345678901234", "alice@example.org", None, 7, "x" * 1025])
def test_a_password_that_is_refused_leaves_the_code(password, anonymous, code):
    answer = reset(anonymous, code, password)
    assert answer.status_code == 400
    assert list(answer.json()) == ["new_password"]
    assert reset(anonymous, code).status_code == 200


@pytest.mark.parametrize("wrong", ["", "x", "A" * 32, None, 7, [], "\x00" * 32])
def test_a_wrong_code_is_refused(wrong, as_alice, anonymous, mail_server):
    answer = reset(anonymous, wrong)
    assert answer.status_code == 400
    assert list(answer.json()) == ["code"]
    assert as_alice.get("/users/profile").status_code == 200


def test_it_expires_after_an_hour(anonymous, code):
    [row] = Code.objects.all()
    assert timedelta(minutes=59) < row.expires_at - timezone.now() <= timedelta(hours=1)
    Code.objects.update(expires_at=timezone.now())
    assert reset(anonymous, code).json() == NO_CODE


@pytest.mark.parametrize(
    "change",
    [
        lambda client: client.put("/users/profile", {"email": "new@example.org"}),
        lambda client: client.post("/users/password", {"current_password": PASSWORD, "new_password": "correct-staple"}),
        lambda client: client.delete("/users/profile"),
    ],
)
def test_it_expires_with_a_change_of_address_or_password(change, as_alice, anonymous, code):
    assert change(as_alice).status_code in (200, 204)
    assert reset(anonymous, code).json() == NO_CODE


@pytest.mark.parametrize(
    "change",
    [
        lambda user: (user.set_password(NEW), user.save()),
        lambda user: (user.set_password(NEW), user.save(update_fields=["password"])),
        lambda user: (user.set_unusable_password(), user.save()),
        lambda user: User.objects.update(password=make_password(PASSWORD)),
        lambda user: User.objects.update(email="new@example.org"),
        lambda user: (setattr(user, "email", "new@example.org"), user.save()),
        lambda user: User.objects.update(is_active=False),
        lambda user: user.delete(),
    ],
)
def test_it_expires_with_a_change_by_operators_as_well(change, alice, anonymous, code):
    change(alice)
    assert reset(anonymous, code).json() == NO_CODE


def test_it_stays_dead_when_the_address_is_changed_back(as_alice, anonymous, code):
    for email in ("new@example.org", "alice@example.org"):
        as_alice.put("/users/profile", {"email": email})
    assert reset(anonymous, code).json() == NO_CODE


def test_it_survives_other_changes_of_the_profile(as_alice, anonymous, code):
    as_alice.put("/users/profile", {"email": "ALICE@example.org", "username": "alicia", "bio": "x"})
    assert reset(anonymous, code).status_code == 200


def test_a_mail_that_waits_goes_with_the_account(as_alice, anonymous, mail_server, send_mails, upkeep):
    mail_server.behaviour = "refuse"
    forget(anonymous)
    send_mails()
    assert Mail.objects.get().recipient == "alice@example.org"
    as_alice.delete("/users/profile")
    upkeep()
    assert not Mail.objects.exists()


def test_a_deactivated_account_stays_closed(alice, anonymous, code):
    User.objects.update(is_active=False)
    assert reset(anonymous, code).json() == NO_CODE
    assert not AuthToken.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_a_code_can_be_made_while_others_are_removed(alice, mail_server):
    is_locked = Event()
    for _ in range(20):  # so many of the table's rows that the database reads all of it
        Code.objects.issue(alice, Purpose.RESET)

    @transaction.atomic
    def remove():
        User.objects.locked(alice).first()
        is_locked.set()
        time.sleep(0.3)
        alice.codes.all().delete()

    def issue():
        is_locked.wait()
        return Code.objects.issue(alice, Purpose.RESET)

    _, code = at_once(remove, issue)
    assert Code.objects.find(code, Purpose.RESET)


def test_a_code_that_confirms_an_address_sets_no_password(alice, anonymous, mail_server):
    assert reset(anonymous, Code.objects.issue(alice, Purpose.CONFIRM)).json() == NO_CODE


@pytest.mark.django_db(transaction=True)
def test_a_change_of_password_and_a_reset_at_the_same_moment_leave_one_password(alice, as_alice, anonymous, code):
    change = {"current_password": PASSWORD, "new_password": "correct-staple-horse"}
    answers = at_once(lambda: as_alice.post("/users/password", change), lambda: reset(anonymous, code))
    assert sorted(answer.status_code for answer in answers) in ([200, 400], [200, 401])
    assert AuthToken.objects.count() == 1


# Limits


def test_an_account_gets_five_mails_an_hour_and_the_answer_stays(alice, anonymous, send_mails):
    assert [forget(anonymous).status_code for _ in range(7)] == [202] * 7
    assert len(send_mails()) == 5
    forget(anonymous)
    assert send_mails() == []


def test_a_mail_that_is_tried_again_counts_once(alice, anonymous, mail_server, send_mails):
    mail_server.behaviour = "refuse"
    forget(anonymous)
    for _ in range(8):
        send_mails()
    mail_server.behaviour = None
    assert len(send_mails()) == 1


def test_an_address_of_the_network_asks_as_often_as_it_may_log_in(anonymous, mail_server, settings):
    settings.LOGIN_RATE = (3, 60)
    answers = [forget(anonymous, f"nobody{number}@example.org").status_code for number in range(5)]
    assert answers == [202] * 3 + [429] * 2
    assert Mail.objects.count() == 3


def test_asking_does_not_keep_anybody_from_logging_in(alice, anonymous, mail_server, settings):
    settings.LOGIN_RATE = (3, 60)
    for _ in range(5):
        forget(anonymous)
    assert anonymous.post("/users/login", {"username": "alice", "password": PASSWORD}).status_code == 200


# What operators do


def link(username):
    out = StringIO()
    call_command("password_link", username, stdout=out, stderr=StringIO())
    return out.getvalue().strip()


def test_an_operator_hands_out_a_link_on_a_server_without_mail(alice, as_alice, anonymous):
    url, _, code = link("ALICE").partition("#reset=")
    assert url == "http://127.0.0.1:8000/chat"
    answer = reset(anonymous, code)
    assert answer.status_code == 200
    anonymous.credentials(HTTP_AUTHORIZATION=f"Token {answer.json()['token']}")
    # It says nothing of the address.
    assert not anonymous.get("/users/settings").json()["email_verified"]
    assert reset(anonymous, code).status_code == 501


@pytest.mark.parametrize("username", ["nobody", "bob"])
def test_there_is_no_link_for_an_account_that_is_not_active(username, make_user):
    make_user("bob", is_active=False)
    with pytest.raises(CommandError, match="no active account"):
        link(username)
    assert not Code.objects.exists()


def test_a_suspended_account_gets_no_token_and_keeps_its_code(alice, anonymous, code):
    until = timezone.now().replace(microsecond=0) + timedelta(days=1)
    User.objects.update(suspended_until=until)
    answer = reset(anonymous, code)
    message = f"This account is suspended until {until:%Y-%m-%dT%H:%M:%SZ}."
    assert (answer.status_code, answer.json()) == (403, {"message": message})
    User.objects.update(suspended_until=timezone.now())
    assert reset(anonymous, code).status_code == 200
