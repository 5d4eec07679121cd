from pathlib import Path

from django.core.management.base import BaseCommand, CommandParser

from common import backups
from common.management.sentences import told_in_a_sentence


class Command(BaseCommand):
    help = (
        "Puts a backup into the place of the database, while no server runs. A FILE that is not whole, or of a later "
        "version, is refused and changes nothing. SQLite's file is replaced at one moment. On MySQL and MariaDB the "
        "tables are removed and loaded; interrupted, the database counts as never migrated: run it again with --force."
    )
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", type=Path, metavar="FILE")
        parser.add_argument("--force", action="store_true", help="remove the data that there are")
        parser.add_argument("--end-sessions", action="store_true", help="everybody has to log in again")
        parser.add_argument("--check", action="store_true", help="only say whether FILE could be restored")

    def handle(self, *, file: Path, force: bool, end_sessions: bool, check: bool, **options: object) -> None:
        with told_in_a_sentence("The restore failed"):
            if check:
                is_earlier = backups.check(file)
                self.stdout.write(f"{file} is a whole backup.")
            else:
                is_earlier = backups.restore(file, replace=force, end_sessions=end_sessions)
                self.stdout.write(f"{file} is restored.")
                if not end_sessions:
                    self.stdout.write("Logins that were ended since the backup are valid again.")
        if is_earlier:
            self.stdout.write("It is of an earlier version: run manage.py migrate before the server starts.")
