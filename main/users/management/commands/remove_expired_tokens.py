from django.core.management.base import BaseCommand

from users.models import AuthToken


class Command(BaseCommand):
    help = "Removes the tokens that have expired. They count for nothing, so this only saves room: daily is enough."

    def handle(self, **options: object) -> None:
        removed, _ = AuthToken.objects.expired().delete()
        self.stdout.write(f"{removed} expired tokens removed.")
