import secrets
from threading import Event
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from mail import outbox
from mail.models import Mail


class Command(BaseCommand):
    help = "Send the mails that are due, as a running server does by itself."

    def handle(self, *args: Any, **options: Any) -> None:
        if not outbox.is_set_up():
            raise CommandError("This server sends no mail: EMAIL_HOST is not set.")
        sent = outbox.send_due(secrets.token_hex(16), Event())
        if sent is None:
            self.stdout.write("Another process is sending.")
        else:
            self.stdout.write(f"{sent} sent, {Mail.objects.waiting().count()} waiting.")
