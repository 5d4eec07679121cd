from collections.abc import Iterator

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import transaction

from users.models import SEARCHED, User
from users.search import SearchEntry
from users.user_settings import UserSettings

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
        wanted = self.outdated = 0
        for last, number in self.go_through_accounts(repair, after):
            wanted += number
            if self.stdout.isatty():
                self.stdout.write(f"accounts up to {last}", ending="\r")
        right, stray = self.go_through_entries(repair, after)
        missing = wanted - right
        self.stdout.write(f"{wanted} entries wanted, {missing} missing, {stray} stray.")
        if self.outdated:
            self.stdout.write(f"{self.outdated} accounts are found by what their names or settings were before.")
        if repair:
            self.stdout.write("Repaired.")
        elif missing or stray or self.outdated:
            raise CommandError("The index does not agree with the accounts; --repair mends it.")

    def go_through_accounts(self, repair: bool, after: int) -> Iterator[tuple[int, int]]:
        """For each batch of accounts, its last id and how many entries they should have."""
        while True:
            with transaction.atomic():
                users = User.objects.select_for_update() if repair else User.objects
                users = list(users.filter(pk__gt=after).order_by("pk")[:ACCOUNTS])
                if not users:
                    return
                self.bring_up_to_date(users, repair)
                entries = [(rank, text, user.pk) for user in users for rank, text in user.entries]
                if repair:
                    SearchEntry.objects.add(sorted(entries))
            after = users[-1].pk
            yield after, len(entries)

    def bring_up_to_date(self, users: list[User], repair: bool) -> None:
        """Compute what the accounts are found by, from their names and settings; save it with --repair."""
        kept = UserSettings.objects.in_bulk([user.pk for user in users])
        for user in users:
            user.kept_settings = kept.get(user.pk) or UserSettings(user_id=user.pk)
            stored = [getattr(user, field) for field in SEARCHED]
            if user.deleted_at is None and user.compute_searched():
                self.outdated += 1
                if repair:
                    user.save_searched()
                else:  # the entries are compared with what is stored
                    for field, value in zip(SEARCHED, stored, strict=True):
                        setattr(user, field, value)

    def go_through_entries(self, repair: bool, after: int) -> tuple[int, int]:
        """The number of correct entries, and of stray ones."""
        right, stray, place = 0, 0, None
        while places := list(SearchEntry.objects.after(place).places()[:ENTRIES]):
            owners = User.objects.only(*SEARCHED, "is_active").in_bulk({user_id for _, _, user_id in places})
            for rank, text, user_id in places:
                if user_id <= after:
                    continue
                if user_id in owners and owners[user_id].has_entry(rank, text):
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
        if owner is None or not owner.has_entry(rank, text):
            SearchEntry.objects.filter(rank=rank, text=text, user=user_id).delete()
