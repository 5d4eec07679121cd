from pathlib import Path

from django.core.management.base import BaseCommand, CommandParser

from common import backups
from common.management.sentences import told_in_a_sentence


class Command(BaseCommand):
    help = (
        "Writes a backup of the whole database, as it is at one moment, while the server serves. FILE appears once it "
        "is whole, and only its owner may read it. If its name ends with .gz it is compressed."
    )
    # The checks need no database, and a backup is wanted above all where something is wrong.
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", type=Path, metavar="FILE")
        parser.add_argument("--force", action="store_true", help="replace FILE if it is there")

    def handle(self, *, file: Path, force: bool, **options: object) -> None:
        with told_in_a_sentence("No backup was made"):
            backups.make(file, replace=force)
            self.stdout.write(f"{file}: {file.stat().st_size / 1e6:.2f} MB.")
