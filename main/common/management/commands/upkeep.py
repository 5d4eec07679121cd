from django.core.management.base import BaseCommand

from common import upkeep


class Command(BaseCommand):
    help = (
        "Finishes what calls have left behind: the deletion of accounts and groups on which much hangs. A running "
        "server does that by itself. Interrupted, it can be run again."
    )

    def handle(self, **options: object) -> None:
        pieces = 0
        for task in upkeep.tasks:
            for _ in task():
                pieces += 1
        self.stdout.write(f"{pieces} pieces of work done; nothing is left.")
