"""The outbox against a real mail server."""

import logging
import re
import secrets
import subprocess
from contextlib import suppress
from datetime import timedelta
from io import StringIO
from ssl import PROTOCOL_TLS_SERVER, SSLContext
from threading import Event
from types import SimpleNamespace

import pytest
from aiosmtpd.smtp import AuthResult
from django.core.management import CommandError, call_command
from django.db import OperationalError, connection, transaction
from django.utils import timezone

from common.models import Lease
from harness.smtp import MailServer, text_of
from mail import outbox, smtp
from mail.models import Mail
from mail.outbox import Letter
from tests.concurrency import at_once

ALICE = "alice@example.org"


@pytest.fixture(autouse=True)
def _greetings(db, mail_server, monkeypatch):
    """A kind of mail for these tests."""
    monkeypatch.setitem(outbox.writers, "greeting", lambda mail: Letter(mail.recipient, "Hello", mail.data["text"]))


def post(number=1, recipient=ALICE):
    for each in range(number):
        outbox.post("greeting", recipient, text=f"Greeting {each}")


def send(holder=None):
    return outbox.send_due(holder or secrets.token_hex(16), Event())


def test_a_mail_is_sent_once_and_its_row_loses_the_text(mail_server):
    post()
    assert send() == 1
    assert send() == 0
    [mail] = mail_server.mails
    assert (mail["Subject"], mail["To"], text_of(mail)) == ("Hello", ALICE, "Greeting 0\n")
    assert mail.recipients == [ALICE]
    assert mail["Auto-Submitted"] == "auto-generated"
    row = Mail.objects.get()
    assert (row.data_json, row.due_at, row.tries) == ("", None, 1)
    assert row.sent_at


def test_mails_are_sent_in_the_order_in_which_they_are_due(mail_server):
    post(5)
    assert send() == 5
    assert [text_of(mail) for mail in mail_server.mails] == [f"Greeting {each}\n" for each in range(5)]


@pytest.mark.django_db(transaction=True)
def test_after_a_rollback_there_is_no_mail():
    with transaction.atomic():
        post()
        transaction.set_rollback(True)
    assert not Mail.objects.exists()


def test_without_a_mail_server_nothing_waits(settings):
    settings.EMAIL_HOST = ""
    post()
    assert not Mail.objects.exists()


@pytest.mark.parametrize("behaviour", ["refuse", "put off", "refuse text", "stall", "hang up"])
def test_a_mail_that_is_not_taken_is_tried_again_later(behaviour, mail_server, send_mails):
    mail_server.behaviour = behaviour
    post()
    before = timezone.now()
    assert send() == 0
    row = Mail.objects.get()
    assert timedelta(seconds=29) < row.due_at - before < timedelta(seconds=40)
    assert send() == 0
    assert Mail.objects.get().tries == 1
    mail_server.behaviour = None
    [mail] = send_mails()
    assert text_of(mail) == "Greeting 0\n"
    assert not Mail.objects.waiting().exists()


def test_a_mail_server_that_is_away_costs_nothing_but_time(mail_server, send_mails):
    post(3)
    mail_server.stop()
    assert send() == 0
    # The others are not tried in vain.
    assert sorted(Mail.objects.values_list("tries", flat=True)) == [0, 0, 1]
    with MailServer(mail_server.port) as back:
        send_mails()
        assert len(back.mails) == 3


def test_a_refused_recipient_does_not_hold_up_the_others(mail_server):
    post(3)
    mail_server.behaviour = "refuse"
    assert send() == 0
    assert list(Mail.objects.values_list("tries", flat=True)) == [1, 1, 1]


def test_a_server_that_answers_byte_by_byte_is_left(mail_server, monkeypatch):
    monkeypatch.setattr(smtp, "MOST_SECONDS", 1)
    mail_server.behaviour = "drip"
    post()
    assert send() == 0
    assert Mail.objects.get().tries == 1


def test_a_server_that_hangs_up_without_an_answer_may_get_the_mail_twice_under_one_id(mail_server, send_mails):
    mail_server.behaviour = "hang up after it"
    post()
    send()
    mail_server.behaviour = None
    send_mails()
    first, second = mail_server.mails
    assert first["Message-ID"] == second["Message-ID"]


def test_the_distances_grow_to_half_an_hour():
    post()
    row = Mail.objects.get()
    distances = []
    for _ in range(8):
        before = timezone.now()
        assert row.claim()
        distances.append(round((row.due_at - before).total_seconds()))
    assert distances == [30, 60, 120, 240, 480, 960, 1800, 1800]


def messages_of(caplog):
    return [record.getMessage() for record in caplog.records if record.name == "mail.outbox"]


def test_after_a_day_a_mail_is_given_up_with_a_line_in_the_log(mail_server, caplog):
    post()
    Mail.objects.update(created_at=timezone.now() - timedelta(hours=24, seconds=1), tries=50)
    with caplog.at_level(logging.ERROR):
        assert send() == 0
    row = Mail.objects.get()
    assert (row.due_at, row.sent_at, row.data_json) == (None, None, "")
    assert messages_of(caplog) == [f"Mail {row.pk} (greeting) is given up after 50 tries."]
    assert not mail_server.mails


def test_the_log_says_why_without_the_address(mail_server, caplog):
    mail_server.behaviour = "refuse"
    post()
    send()
    row = Mail.objects.get()
    assert messages_of(caplog) == [f"Mail {row.pk} (greeting) could not be sent in try 1: SMTPRecipientsRefused"]


def test_a_mail_that_should_not_be_sent_any_more_is_forgotten(mail_server, monkeypatch):
    monkeypatch.setitem(outbox.writers, "greeting", lambda mail: None)
    post()
    assert send() == 0
    assert not Mail.objects.exists()
    assert not mail_server.connections


def test_a_mistake_of_ours_in_one_mail_does_not_hold_up_the_others(mail_server, monkeypatch):
    monkeypatch.setitem(outbox.writers, "mistaken", lambda mail: 1 / 0)
    for _ in range(3):
        outbox.post("mistaken", ALICE)
    post()
    assert send() == 1
    assert Mail.objects.waiting().count() == 3


def test_a_row_that_is_removed_while_its_mail_is_sent_does_not_interrupt_the_others(mail_server, monkeypatch):
    def write(mail):
        Mail.objects.filter(pk=mail.pk).delete()
        return Letter(mail.recipient, "Hello", "Hello")

    monkeypatch.setitem(outbox.writers, "removed", write)
    outbox.post("removed", ALICE)
    post()
    assert send() == 2
    assert Mail.objects.count() == 1


def test_no_exception_ends_the_thread_that_sends(monkeypatch):
    monkeypatch.setattr(outbox, "PAUSE", 0.001)
    failures, is_stopping = [ValueError("a@example.org"), OperationalError(2013, "Lost"), MemoryError()], Event()

    def fail(holder, is_stopping):
        if not failures:
            is_stopping.set()
            return
        raise failures.pop()

    monkeypatch.setattr(outbox, "send_due", fail)
    monkeypatch.setattr(outbox, "connections", SimpleNamespace(close_all=lambda: None))
    outbox.send_in_background(is_stopping)
    assert not failures


@pytest.mark.django_db(transaction=True)
def test_a_mail_is_noted_as_sent_though_the_database_hung_up_meanwhile(mail_server, monkeypatch):
    def write(mail):
        if connection.vendor == "mysql":
            with suppress(OperationalError), connection.cursor() as cursor:
                cursor.execute("KILL CONNECTION_ID()")
        else:
            connection.connection.close()
        return Letter(mail.recipient, "Hello", "Hello")

    monkeypatch.setattr(outbox, "RENEWED_AFTER", 0.001)
    monkeypatch.setitem(outbox.writers, "greeting", write)
    mail_server.behaviour = "slow"
    post()
    assert send() == 1
    assert Mail.objects.get().sent_at


def test_a_mistake_of_ours_in_one_mail_does_not_lose_it(mail_server, monkeypatch, send_mails):
    writers = dict(outbox.writers)
    monkeypatch.setitem(outbox.writers, "greeting", lambda mail: 1 / 0)
    post()
    send()
    monkeypatch.setitem(outbox.writers, "greeting", writers["greeting"])
    assert len(send_mails()) == 1


@pytest.mark.parametrize(
    "address",
    [
        '"a b"@example.org',
        '"a,eve@example.com"@example.org',
        "a@example.org,eve@example.com",
        "a@example.org\r\nBcc: eve@example.com",
        "a@example.org\nRCPT TO:<eve@example.com>",
        "A <a@example.org>",
        "\u212aalvin@example.org",
    ],
)
def test_no_mail_goes_to_an_address_of_an_unusual_form(address, mail_server):
    post(recipient=address)
    assert send() == 0
    assert not mail_server.connections
    assert Mail.objects.get().due_at is None


@pytest.mark.parametrize("sender", ["chat@münchen.example", "Chat <chat@münchen.example>"])
def test_the_ids_of_mails_are_ascii(sender, mail_server, settings):
    settings.DEFAULT_FROM_EMAIL = sender
    post()
    send()
    [mail] = mail_server.mails
    assert re.fullmatch("<[0-9a-f]{32}@xn--mnchen-3ya.example>", mail["Message-ID"])
    assert mail.sender == "chat@xn--mnchen-3ya.example"


# One process at a time


def test_another_process_waits_while_one_sends(mail_server):
    post()
    assert Lease.objects.take(outbox.LEASE, "another", 15)
    assert send() is None
    assert not mail_server.mails
    Lease.objects.give_back(outbox.LEASE, "another")
    assert send() == 1


def test_the_lease_of_a_killed_process_runs_out(mail_server):
    post()
    Lease.objects.take(outbox.LEASE, "another", 15)
    Lease.objects.update(until=timezone.now())
    assert send() == 1


def test_the_lease_is_extended_while_the_mail_server_takes_its_time(mail_server, settings, monkeypatch):
    settings.EMAIL_TIMEOUT = 2
    monkeypatch.setattr(outbox, "RENEWED_AFTER", 0.1)
    taken = []
    take = type(Lease.objects.all()).take
    monkeypatch.setattr(type(Lease.objects.all()), "take", lambda *args: taken.append(args) or take(*args))
    mail_server.behaviour = "stall"
    post()
    send()
    assert len(taken) > 5


@pytest.mark.django_db(transaction=True)
def test_six_processes_at_once_send_each_mail_once(mail_server):
    post(20)

    def work():
        while Mail.objects.due().exists():
            send()

    at_once(*[work] * 6)
    texts = sorted(text_of(mail) for mail in mail_server.mails)
    assert texts == sorted(f"Greeting {each}\n" for each in range(20))


@pytest.mark.django_db(transaction=True)
def test_a_mail_that_was_tried_since_it_was_read_is_not_claimed():
    post()
    mail = Mail.objects.get()
    assert Mail.objects.get().claim()
    assert not mail.claim()


@pytest.mark.django_db(transaction=True)
def test_the_first_lease_is_taken_once():
    taken = at_once(*[lambda name=name: Lease.objects.take("x", name, 15) for name in "abcdef"])
    assert sorted(taken) == [False] * 5 + [True]


# The way to the mail server


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """A certificate for 127.0.0.1 and its key, in one file."""
    path = tmp_path_factory.mktemp("tls") / "server.pem"
    subject = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1", "-days", "2"]
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", *subject]
    subprocess.run([*command, "-keyout", path, "-out", f"{path}.crt"], check=True, capture_output=True)  # noqa: S603
    with open(path, "a") as file, open(f"{path}.crt") as crt:
        file.write(crt.read())
    return path


def server_context(certificate):
    context = SSLContext(PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


def authenticate(server, session, envelope, mechanism, data):
    return AuthResult(success=(data.login, data.password) == (b"chat", b"secret"))


@pytest.mark.filterwarnings("ignore:Requiring AUTH")
@pytest.mark.parametrize("encryption", ["starttls", "implicit"])
@pytest.mark.parametrize(
    ("password", "is_known", "arrives"), [("secret", True, 1), ("wrong", True, 0), ("secret", False, 0)]
)
def test_it_logs_in_over_tls_at_a_server_whose_certificate_is_right(
    encryption, password, is_known, arrives, certificate, settings, monkeypatch
):
    settings.EMAIL_USE_TLS, settings.EMAIL_USE_SSL = encryption == "starttls", encryption == "implicit"
    settings.EMAIL_HOST_USER, settings.EMAIL_HOST_PASSWORD, settings.EMAIL_TIMEOUT = "chat", password, 5
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate) if is_known else "/dev/null")
    context = server_context(certificate)
    options = {"ssl_context": context, "auth_require_tls": False}
    if encryption == "starttls":
        options = {"tls_context": context, "require_starttls": True}
    with MailServer(authenticator=authenticate, auth_required=True, **options) as server:
        settings.EMAIL_PORT = server.port
        post()
        assert send() == arrives
        assert len(server.mails) == arrives


# The command


def run():
    out = StringIO()
    call_command("send_mail", stdout=out)
    return out.getvalue()


def test_the_command_sends_and_says_how_many(mail_server):
    post(2)
    assert run() == "2 sent, 0 waiting.\n"
    mail_server.behaviour = "refuse"
    post()
    assert run() == "0 sent, 1 waiting.\n"


def test_the_command_says_when_another_process_sends():
    Lease.objects.take(outbox.LEASE, "another", 15)
    post()
    assert run() == "Another process is sending.\n"


def test_the_command_refuses_without_a_mail_server(settings):
    settings.EMAIL_HOST = ""
    with pytest.raises(CommandError, match="EMAIL_HOST is not set"):
        run()


def test_rows_are_removed_after_a_month(upkeep):
    post(2)
    send()
    Mail.objects.filter(pk=Mail.objects.first().pk).update(created_at=timezone.now() - timedelta(days=31))
    upkeep()
    assert Mail.objects.count() == 1


def test_an_empty_outbox_costs_one_query(queries):
    with queries(1):
        send()
