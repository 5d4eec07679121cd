"""The outbox: what causes a mail adds a row in its own transaction, and a thread of the server sends it afterwards.

One process at a time sends. A try is counted before it is made and the row is finished after it, so that no mail is
lost; a process that is killed in between makes that one mail arrive twice, with the same Message-ID.
"""

import json
import logging
import re
import secrets
from collections.abc import Callable, Iterator
from concurrent.futures import Future, wait
from contextlib import suppress
from dataclasses import dataclass
from smtplib import SMTPDataError, SMTPRecipientsRefused
from threading import Event, Thread

from django.conf import settings
from django.core.mail import EmailMessage
from django.db import Error, connections
from django.utils import timezone
from django.utils.crypto import salted_hmac
from django.utils.encoding import punycode

from common import metrics, upkeep
from common.errors import NotSetUp
from common.keys import text_key
from common.models import Lease
from common.transactions import retried_transaction
from mail.models import KEPT_FOR, Mail

logger = logging.getLogger(__name__)

LEASE = "mail"
# Seconds for which a process may send, and after which it extends that while a mail server takes its time.
LEASE_SECONDS, RENEWED_AFTER = 15, 5
# Seconds between two looks at the outbox, and between two mails: calls should not become slower while many are sent.
PAUSE, PAUSE_BETWEEN = 1, 0.02
# The only addresses that mail goes to: others would need quoting, which mail servers understand differently.
ADDRESS = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]+@([^\s@\"'(),:;<>\\]+)")


@dataclass(frozen=True)
class Letter:
    """A mail as it is sent. The recipient is a bare address."""

    recipient: str
    subject: str
    body: str


# Functions that write a kind of mail when it is sent; None means that it should not be sent any more. Apps add theirs.
writers: dict[str, Callable[[Mail], Letter | None]] = {}


def is_set_up() -> bool:
    return bool(settings.EMAIL_HOST)


def require_set_up() -> None:
    """Refuse with 501 on a server without a mail server."""
    if not is_set_up():
        raise NotSetUp("This server sends no mail.")


def post(kind: str, recipient: str, *, user_id: int | None = None, **data: str) -> None:
    """Have a mail of this kind sent after the commit. Without a mail server nothing is sent."""
    if is_set_up():
        Mail.objects.create(kind=kind, recipient=recipient, user_id=user_id, data_json=json.dumps(data))


def send_in_background(is_stopping: Event) -> None:
    """Send what is due, again and again until the event is set."""
    holder = secrets.token_hex(16)
    while not is_stopping.wait(PAUSE):
        try:
            send_due(holder, is_stopping)
        except Exception as error:  # of whatever kind: nobody would start this thread again
            what = error if isinstance(error, Error) else type(error).__name__
            logger.warning("The outbox was interrupted, and goes on later: %s", what)
            with suppress(Error):
                connections.close_all()
    connections.close_all()


def send_due(holder: str, is_stopping: Event) -> int | None:
    """Send the mails that are due, until the mail server fails; return how many, or None if another process sends."""
    sent = 0
    is_holder, is_well = False, True
    while is_well and not is_stopping.is_set() and (mail := Mail.objects.due().first()):
        is_holder = Lease.objects.take(LEASE, holder, LEASE_SECONDS)
        if not is_holder:
            return sent or None
        if mail.claim():
            is_well = _send(mail, holder)
            sent += mail.sent_at is not None
            is_stopping.wait(PAUSE_BETWEEN)
    if is_holder:
        Lease.objects.give_back(LEASE, holder)
    return sent


def _send(mail: Mail, holder: str) -> bool:
    """Try to send a mail; return whether the mail server works."""
    if mail.is_overdue:
        _give_up(mail, f"after {mail.tries - 1} tries")
        return True
    try:
        letter = writers[mail.kind](mail)
        if letter is None:
            mail.delete()
        elif not leads_where_its_key_says(letter.recipient):
            _give_up(mail, "since its address is of an unusual form")
        else:
            _while_leased(holder, _message_of(mail, letter).send)
            mail.finish(is_sent=True)
            metrics.mails_sent.inc()
    except Error:
        raise
    except Exception as error:
        # Without the text of the error, which may contain the address.
        what = f"{type(error).__name__} {getattr(error, 'smtp_code', '') or getattr(error, 'strerror', '') or ''}"
        logger.warning("%s could not be sent in try %s: %s", mail, mail.tries, what.strip())
        metrics.mail_failures.inc()
        is_refused = isinstance(error, SMTPRecipientsRefused | SMTPDataError)
        # What is no error of a connection is a mistake of ours in this one mail: the others do not wait for it.
        return is_refused or not isinstance(error, OSError)
    return True


def leads_where_its_key_says(address: str) -> bool:
    """Whether the address is a plain one, and its mailbox is that of all addresses with the same key.

    Mail servers know domains by their ASCII form. Its rules are older than those of our keys: some domains with one key
    are two domains there, and invisible characters, which a key keeps, are none.
    """
    match = ADDRESS.fullmatch(address)
    if match is None or match[1].isascii():
        return match is not None
    try:
        return match[1].encode("idna").lower().decode("idna") == text_key(match[1])
    except UnicodeError:
        return False


def _give_up(mail: Mail, why: str) -> None:
    mail.finish(is_sent=False)
    metrics.mails_given_up.inc()
    logger.error("%s is given up %s.", mail, why)


def _message_of(mail: Mail, letter: Letter) -> EmailMessage:
    name = salted_hmac("mail.outbox", f"{mail.pk} {mail.created_at.timestamp()}", algorithm="sha256").hexdigest()[:32]
    domain = punycode(settings.DEFAULT_FROM_EMAIL.rpartition("@")[2].rstrip(">"))
    headers = {"Message-ID": f"<{name}@{domain}>", "Auto-Submitted": "auto-generated"}
    return EmailMessage(letter.subject, letter.body, to=[letter.recipient], headers=headers)


def _while_leased(holder: str, function: Callable[[], object]) -> None:
    """Run the function in a thread, and extend the lease until it is done."""
    outcome: Future[object] = Future()

    def run() -> None:
        try:
            outcome.set_result(function())
        except BaseException as error:
            outcome.set_exception(error)

    Thread(target=run, daemon=True).start()
    while not wait([outcome], RENEWED_AFTER).done:
        try:
            Lease.objects.take(LEASE, holder, LEASE_SECONDS)
        except Error:
            # With a new connection it may still be noted that the mail was sent.
            with suppress(Error):
                connections.close_all()
    outcome.result()


def pieces_of_old_mails() -> Iterator[None]:
    """Remove the rows of mails that were done long ago; yield after each piece."""
    while True:
        oldest = Mail.objects.order_by("pk").values_list("pk", "created_at")[: upkeep.PIECE]
        old = [pk for pk, created_at in oldest if created_at < timezone.now() - KEPT_FOR]
        if not old:
            return
        retried_transaction(Mail.objects.filter(pk__in=old).delete)()
        yield


upkeep.tasks.append(pieces_of_old_mails)


def count_waiting() -> int:
    """How many mails are not sent yet; bounded, for the metrics."""
    return Mail.objects.waiting()[: metrics.MOST_ROWS].count()


metrics.questions[metrics.mails_waiting] = count_waiting
