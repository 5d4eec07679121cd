from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from users.codes import LIFETIMES, Code, Purpose
from users.models import User


class Command(BaseCommand):
    help = "Print a link by which the owner of an account sets a new password, on servers with mail and without."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("username", help="in whatever case")

    def handle(self, *args: Any, **options: Any) -> None:
        user = User.objects.active().named(options["username"]).first()
        if user is None:
            raise CommandError("There is no active account of this name.")
        code = Code.objects.issue(user, Purpose.HANDED_OUT)
        self.stdout.write(f"{settings.PUBLIC_URL}/chat#reset={code}")
        minutes = LIFETIMES[Purpose.HANDED_OUT].total_seconds() // 60
        self.stderr.write(f"It works once, within {minutes:.0f} minutes. Whoever has it can take over the account.")
