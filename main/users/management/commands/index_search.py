from collections.abc import Iterator

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import transaction

from users.models import User
from users.search import SearchEntry

ACCOUNTS, ENTRIES = 200, 5000  # in a transaction


class Command(BaseCommand):
    help = (
        "Says whether the accounts and the index by which they are found agree. With --repair it mends what does not, "
        "in small transactions beside the running server. Interrupted, it goes on with --after. "
        "Without --repair, what changes meanwhile may be counted as missing or stray."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--repair", action="store_true", help="add what is missing and remove what is stray")
        parser.add_argument("--after", type=int, default=0, metavar="ID", help="begin after the account of this id")

    def handle(self, *, repair: bool, after: int, **options: object) -> None:
        wanted = 0
        for last, number in self.go_through_accounts(repair, after):
            wanted += number
            if self.stdout.isatty():
                self.stdout.write(f"accounts up to {last}", ending="\r")
        right, stray = self.go_through_entries(repair, after)
        missing = wanted - right
        self.stdout.write(f"{wanted} entries wanted, {missing} missing, {stray} stray.")
        if repair:
            self.stdout.write("Repaired.")
        elif missing or stray:
            raise CommandError("The index does not agree with the accounts; --repair mends it.")

    def go_through_accounts(self, repair: bool, after: int) -> Iterator[tuple[int, int]]:
        """For each batch of accounts, its last id and how many entries they should have."""
        while True:
            with transaction.atomic():
                users = User.objects.select_for_update() if repair else User.objects
                users = list(users.filter(pk__gt=after).order_by("pk").only("search_text", "is_active")[:ACCOUNTS])
                if not users:
                    return
                entries = [(rank, text, user.pk) for user in users for rank, text in user.entries]
                if repair:
                    SearchEntry.objects.add(sorted(entries))
            after = users[-1].pk
            yield after, len(entries)

    def go_through_entries(self, repair: bool, after: int) -> tuple[int, int]:
        """The number of correct entries, and of stray ones."""
        right, stray, place = 0, 0, None
        while places := list(SearchEntry.objects.after(place).places()[:ENTRIES]):
            owners = User.objects.only("search_text", "is_active").in_bulk({user_id for _, _, user_id in places})
            for rank, text, user_id in places:
                if user_id <= after:
                    continue
                if user_id in owners and (rank, text) in owners[user_id].entries:
                    right += 1
                else:
                    stray += 1
                    if repair:
                        self.remove_stray(rank, text, user_id)
            place = places[-1]
        return right, stray

    @transaction.atomic
    def remove_stray(self, rank: int, text: str, user_id: int) -> None:
        # Checked again under a lock: the account may have changed, so that the entry is correct now.
        owner = User.objects.select_for_update().filter(pk=user_id).first()
        if owner is None or (rank, text) not in owner.entries:
            SearchEntry.objects.filter(rank=rank, text=text, user=user_id).delete()
