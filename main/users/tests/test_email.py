"""Confirming an e-mail address, and what becomes of that when the address or the password changes."""

from datetime import timedelta

import pytest
from django.utils import timezone

from common.models import RateCounter
from conftest import PASSWORD
from harness.smtp import code_of, text_of
from mail.models import Mail
from tests.concurrency import at_once, copies, statuses
from users.codes import Code, Purpose
from users.models import User

NO_CODE = {"code": ["This code is wrong, was used, or has expired."]}
NO_MAIL = {"message": "This server sends no mail."}


def is_verified(client):
    return client.get("/users/settings").json()["email_verified"]


@pytest.fixture
def verify(send_mails):
    """Confirms the address of a client's user."""

    def confirm(client):
        assert client.post("/users/email/verify").status_code == 202
        [mail] = send_mails()
        assert client.post("/users/email/confirm", {"code": code_of(mail)}).status_code == 204

    return confirm


def test_a_code_by_mail_confirms_the_address(as_alice, as_bob, anonymous, send_mails):
    before = as_alice.get("/users/settings")
    answer = as_alice.post("/users/email/verify")
    assert (answer.status_code, answer.json()) == (202, {"message": "A code is on its way to your address."})
    [mail] = send_mails()
    assert mail.recipients == ["alice@example.org"]
    assert mail["Subject"] == "Confirm your e-mail address"
    answer = anonymous.post("/users/email/confirm", {"code": code_of(mail)})
    assert (answer.status_code, answer.content) == (204, b"")
    after = as_alice.get("/users/settings")
    assert after.json() == before.json() | {"email_verified": True}
    assert after.headers["ETag"] != before.headers["ETag"]
    assert not is_verified(as_bob)


def test_the_mail_has_the_code_in_a_line_and_in_a_link(as_alice, send_mails):
    as_alice.post("/users/email/verify")
    [mail] = send_mails()
    code = code_of(mail)
    lines = text_of(mail).splitlines()
    assert lines[0] == "Hello alice,"
    assert lines.count(code) == 1
    assert lines.count(f"https://chat.example.org/chat#confirm={code}") == 1


def test_the_other_devices_are_told(as_alice, verify):
    cursor = as_alice.get("/events").json()["cursor"]
    verify(as_alice)
    [event] = as_alice.get(f"/events?after={cursor}").json()["events"]
    assert (event["event"], event["data"]["settings"]["email_verified"]) == ("settings", True)


def test_a_code_works_once(as_alice, anonymous, send_mails):
    as_alice.post("/users/email/verify")
    [mail] = send_mails()
    anonymous.post("/users/email/confirm", {"code": code_of(mail)})
    answer = anonymous.post("/users/email/confirm", {"code": code_of(mail)})
    assert (answer.status_code, answer.json()) == (400, NO_CODE)


@pytest.mark.django_db(transaction=True)
def test_of_six_uses_at_the_same_moment_one_counts(as_alice, anonymous, send_mails):
    as_alice.post("/users/email/verify")
    [mail] = send_mails()
    body = {"code": code_of(mail)}
    clients = copies(anonymous, 6)
    answers = at_once(*[lambda client=client: client.post("/users/email/confirm", body) for client in clients])
    assert statuses(answers) == [204] + [400] * 5
    assert is_verified(as_alice)


@pytest.mark.parametrize(
    "code", ["", "x", "A" * 32, "A" * 100, "A" * 101, "\x00", "é" * 32, None, 7, [], {}, "A" * 31 + "="]
)
def test_a_wrong_code_is_refused(code, as_alice, anonymous, mail_server):
    answer = anonymous.post("/users/email/confirm", {"code": code})
    assert answer.status_code == 400
    assert list(answer.json()) == ["code"]
    assert not is_verified(as_alice)


def test_a_code_expires_after_a_day(as_alice, anonymous, send_mails, upkeep):
    as_alice.post("/users/email/verify")
    [mail] = send_mails()
    code = Code.objects.get()
    assert timedelta(hours=23.9) < code.expires_at - timezone.now() <= timedelta(hours=24)
    Code.objects.update(expires_at=timezone.now())
    assert anonymous.post("/users/email/confirm", {"code": code_of(mail)}).json() == NO_CODE
    assert not is_verified(as_alice)
    upkeep()
    assert not Code.objects.exists()


def test_a_code_of_a_former_address_is_refused(as_alice, anonymous, send_mails):
    as_alice.post("/users/email/verify")
    [mail] = send_mails()
    as_alice.put("/users/profile", {"email": "new@example.org"})
    assert anonymous.post("/users/email/confirm", {"code": code_of(mail)}).json() == NO_CODE
    as_alice.put("/users/profile", {"email": "ALICE@example.org"})
    assert anonymous.post("/users/email/confirm", {"code": code_of(mail)}).status_code == 204


def test_a_mail_that_waits_does_not_go_to_a_former_address(as_alice, send_mails):
    as_alice.post("/users/email/verify")
    as_alice.put("/users/profile", {"email": "new@example.org"})
    assert send_mails() == []
    assert not Mail.objects.exists()


def test_a_mail_that_waits_goes_to_the_address_as_it_is_written_now(as_alice, send_mails):
    as_alice.post("/users/email/verify")
    as_alice.put("/users/profile", {"email": "Alice@example.org"})
    assert [mail.recipients for mail in send_mails()] == [["Alice@example.org"]]


def test_a_code_that_sets_a_password_confirms_nothing(alice, as_alice, anonymous, mail_server):
    for purpose in (Purpose.RESET, Purpose.HANDED_OUT):
        code = Code.objects.issue(alice, purpose)
        assert anonymous.post("/users/email/confirm", {"code": code}).json() == NO_CODE
    assert not is_verified(as_alice)


def test_a_code_of_a_deactivated_account_is_refused(alice, anonymous, mail_server):
    code = Code.objects.issue(alice, Purpose.CONFIRM)
    User.objects.update(is_active=False)
    assert anonymous.post("/users/email/confirm", {"code": code}).json() == NO_CODE


def test_a_verified_address_needs_no_other_code(as_alice, verify):
    verify(as_alice)
    answer = as_alice.post("/users/email/verify")
    assert (answer.status_code, answer.json()) == (409, {"message": "Your e-mail address is verified already."})


def test_nobody_can_set_it(as_alice):
    for body in ({"email_verified": True}, {"email_verified": None}):
        assert as_alice.patch("/users/settings", body).status_code == 200
        assert as_alice.put("/users/settings", body).status_code == 200
        assert as_alice.put("/users/profile", body).status_code == 200
    assert not is_verified(as_alice)


def test_other_changes_of_settings_leave_it(as_alice, verify):
    verify(as_alice)
    assert as_alice.patch("/users/settings", {"theme": "dark"}).json()["email_verified"]


# Limits


def later(seconds):
    """Let the periods of all limits be over that have so many seconds left."""
    end = timezone.now() + timedelta(seconds=seconds)
    RateCounter.objects.filter(expires_at__lte=end).update(expires_at=timezone.now())


def test_there_is_one_mail_a_minute(as_alice, send_mails):
    assert as_alice.post("/users/email/verify").status_code == 202
    answer = as_alice.post("/users/email/verify")
    assert answer.status_code == 429
    assert 0 < int(answer.headers["Retry-After"]) <= 60
    assert len(send_mails()) == 1


def test_there_are_ten_mails_a_day(as_alice, mail_server):
    answers = []
    for _ in range(12):
        answers.append(as_alice.post("/users/email/verify").status_code)
        later(60)
    assert answers == [202] * 10 + [429] * 2
    assert Mail.objects.count() == 10


def test_an_address_does_not_get_more_by_way_of_other_accounts(as_alice, as_bob, mail_server):
    assert as_alice.post("/users/email/verify").status_code == 202
    as_alice.delete("/users/profile")
    as_bob.put("/users/profile", {"email": "Alice@Example.org"})
    assert as_bob.post("/users/email/verify").status_code == 429


@pytest.mark.django_db(transaction=True)
def test_of_six_calls_at_the_same_moment_one_sends(as_alice, mail_server):
    clients = copies(as_alice, 6)
    answers = at_once(*[lambda client=client: client.post("/users/email/verify") for client in clients])
    assert statuses(answers) == [202] + [429] * 5
    assert Mail.objects.count() == 1


# Changes of the address


def test_another_address_is_not_verified_and_the_former_one_is_told(as_alice, verify, send_mails):
    verify(as_alice)
    cursor = as_alice.get("/events").json()["cursor"]
    as_alice.put("/users/profile", {"email": "new@example.org", "username": "alicia"})
    assert not is_verified(as_alice)
    [mail] = send_mails()
    assert mail.recipients == ["alice@example.org"]
    assert mail["Subject"] == "Your e-mail address was changed"
    assert "Hello alicia," in text_of(mail)
    assert "new@example.org" not in text_of(mail)
    events = [event["event"] for event in as_alice.get(f"/events?after={cursor}").json()["events"]]
    assert sorted(events) == ["profile", "settings"]


def test_a_former_address_that_was_not_verified_is_not_told(as_alice, send_mails):
    as_alice.put("/users/profile", {"email": "new@example.org"})
    assert send_mails() == []


@pytest.mark.parametrize(
    "change", [{"bio": "x"}, {"email": "alice@example.org"}, {"email": "ALICE@example.org"}, {"username": "a"}]
)
def test_other_changes_of_the_profile_leave_it_verified(change, as_alice, verify, send_mails):
    verify(as_alice)
    assert as_alice.put("/users/profile", change).status_code == 200
    assert is_verified(as_alice)
    assert send_mails() == []


def test_a_change_in_the_admin_counts_as_well(alice, as_alice, verify, send_mails):
    verify(as_alice)
    alice = User.objects.get(pk=alice.pk)
    alice.email = "new@example.org"
    alice.save()
    assert not is_verified(as_alice)
    assert [mail.recipients for mail in send_mails()] == [["alice@example.org"]]


def test_saving_an_account_that_was_read_before_the_change_does_not_count(alice, as_alice, verify, send_mails):
    verify(as_alice)
    stale = User.objects.get(pk=alice.pk)
    User.objects.filter(pk=alice.pk).update(email="new@example.org", email_key="new@example.org")
    stale.save(update_fields=["is_active"])
    assert is_verified(as_alice)
    assert send_mails() == []


# A change of the password


def test_the_account_is_told_of_another_password(as_alice, send_mails):
    as_alice.post("/users/password", {"current_password": PASSWORD, "new_password": "battery-staple-horse"})
    [mail] = send_mails()
    assert mail.recipients == ["alice@example.org"]
    assert mail["Subject"] == "Your password was changed"


def test_a_password_set_by_an_operator_counts_as_well(alice, send_mails):
    alice.set_password("battery-staple-horse")
    alice.save()
    assert [mail["Subject"] for mail in send_mails()] == ["Your password was changed"]


def test_a_new_account_and_a_login_send_nothing(anonymous, send_mails):
    anonymous.post("/users/register", {"username": "dora", "email": "dora@example.org", "password": PASSWORD})
    anonymous.post("/users/login", {"username": "dora", "password": PASSWORD})
    assert send_mails() == []


def test_an_account_is_told_at_most_five_times_an_hour(alice, send_mails):
    for number in range(7):
        alice.set_password(f"battery-staple-{number}")
        alice.save()
    assert len(send_mails()) == 5


# Deletion, and servers without mail


def test_a_deleted_account_leaves_no_code_and_no_mail(as_alice, send_mails, upkeep):
    as_alice.post("/users/email/verify")
    send_mails()
    as_alice.put("/users/profile", {"bio": "x"})
    as_alice.delete("/users/profile")
    upkeep()
    assert not Code.objects.exists()
    assert not Mail.objects.exists()


def test_codes_are_stored_as_digests_only(as_alice, send_mails):
    as_alice.post("/users/email/verify")
    [mail] = send_mails()
    assert code_of(mail) not in str([*Code.objects.values(), *Mail.objects.values()])


def test_without_a_token_nothing_is_sent(anonymous, mail_server):
    assert anonymous.post("/users/email/verify").status_code == 401
    assert not Mail.objects.exists()


def test_without_a_mail_server_the_calls_answer_501(as_alice, anonymous):
    calls = [
        as_alice.post("/users/email/verify"),
        anonymous.post("/users/email/confirm", {"code": "A" * 32}),
        anonymous.post("/users/email/confirm", {}),
        anonymous.post("/users/password/forgot", {"email": "alice@example.org"}),
        anonymous.post("/users/password/reset", {"code": "A" * 32, "new_password": "battery-staple-horse"}),
        anonymous.post("/users/password/reset", {}),
        anonymous.post("/users/password/reset", []),
    ]
    assert [(answer.status_code, answer.json()) for answer in calls] == [(501, NO_MAIL)] * 7
    assert anonymous.post("/users/email/verify").status_code == 401
    assert not Mail.objects.exists()
