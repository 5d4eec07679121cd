"""No password, token, hash or digest leaves the server, but for the token that was just made."""

import logging
from hashlib import sha256

import pytest

from conftest import PASSWORD
from harness.smtp import code_of
from mail.models import Mail
from users.codes import Code
from users.models import AuthToken, User


@pytest.fixture
def secrets_of(alice, as_alice):
    """What must not be seen after alice has called everything, the admin's pages and the log included."""
    token = as_alice._credentials["HTTP_AUTHORIZATION"].removeprefix("Token ")
    salt, digest = alice.password.rsplit("$", 2)[1:]
    return [PASSWORD, token, sha256(token.encode()).hexdigest(), alice.password, salt, digest]


def test_nothing_secret_is_answered_logged_or_shown(alice, as_alice, bob, admin_client, secrets_of, caplog):
    caplog.set_level(logging.DEBUG)
    wrong = "wrong-" + PASSWORD
    answers = [
        as_alice.get("/users/profile"),
        as_alice.put("/users/profile", {"bio": "New.", "first_name": "Bob"}),
        as_alice.put("/users/profile", {"password": PASSWORD}),
        as_alice.get("/users/contacts/find-users"),
        as_alice.get("/users/contacts/view-user/alice"),
        as_alice.post("/users/contacts/blacklist-user/bob"),
        as_alice.post("/users/contacts/contact-book/bob"),
        as_alice.get("/users/contacts/contact-book"),
        as_alice.post("/users/login", {"username": "alice", "password": wrong}),
        as_alice.post("/users/register", {"username": "alice", "email": "a@example.org", "password": PASSWORD}),
        as_alice.post("/users/password", {"current_password": wrong, "new_password": PASSWORD}),
        as_alice.post("/users/login", {"username": PASSWORD, "password": {"x": PASSWORD}}),
        as_alice.get("/nope"),
    ]
    pk, token_pk = alice.pk, AuthToken.objects.get().pk
    for path in ("user/", f"user/{pk}/change/", f"user/{pk}/password/", "authtoken/", f"authtoken/{token_pk}/change/"):
        page = admin_client.get(f"/admin/users/{path}")
        assert page.status_code == 200
        answers.append(page)
    shown = [answer.content.decode() for answer in answers]
    shown += [repr(thing) + str(thing) for thing in (alice, AuthToken.objects.get(), User.objects.all())]
    records = [record for record in caplog.records if not record.name.startswith("django.db")]
    shown += [f"{record.getMessage()} {record.args}" for record in records]
    for text in shown:
        assert not [secret for secret in secrets_of if secret in text]


def test_no_code_is_logged_or_shown(alice, anonymous, send_mails, admin_client, caplog):
    caplog.set_level(logging.DEBUG)
    anonymous.post("/users/password/forgot", {"email": "alice@example.org"})
    [mail] = send_mails()
    code, digest = code_of(mail), Code.objects.get().digest
    pages = [
        admin_client.get("/admin/mail/mail/"),
        admin_client.get(f"/admin/mail/mail/{Mail.objects.get().pk}/change/"),
    ]
    anonymous.post("/users/email/confirm", {"code": code})
    anonymous.post("/users/password/reset", {"code": code, "new_password": "short"})
    anonymous.post("/users/password/reset", {"code": code, "new_password": "battery-staple-horse"})
    # The mail server of the tests, which logs in detail, runs in this process.
    records = [record for record in caplog.records if not record.name.startswith(("django.db", "mail.log"))]
    shown = [page.content.decode() for page in pages] + [f"{record.getMessage()} {record.args}" for record in records]
    assert not [text for text in shown if code in text or digest in text]


def test_the_log_of_the_database_is_off(settings):
    assert logging.getLogger("django.db.backends").level == logging.INFO
