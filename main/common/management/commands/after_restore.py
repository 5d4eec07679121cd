from django.core.management.base import BaseCommand, CommandParser

from common import backups
from common.management.sentences import told_in_a_sentence


class Command(BaseCommand):
    help = (
        "Makes a database fit to be served that was brought back to an earlier state by other means than `restore`, "
        "while no server runs. Clients then load everything again. It can be run more than once."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--end-sessions", action="store_true", help="everybody has to log in again")

    def handle(self, *, end_sessions: bool, **options: object) -> None:
        with told_in_a_sentence("The database is not ready"):
            backups.after_restore(end_sessions=end_sessions)
        self.stdout.write("The database is ready.")
