import random
import time

from django.contrib.auth.hashers import UNUSABLE_PASSWORD_PREFIX, make_password
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import transaction

from common.keys import text_key
from users.models import User
from users.search import SearchEntry

BATCH = 10_000

# First and last names that fit together, and their share of the people.
PEOPLE = (
    (
        40,
        "Alice Ann Anna Ben Bob Charlie Clara Daniel David Emma Grace Hannah Ian Jack James Jane John Kate Laura Liam "
        "Lucy Maria Mark Mary Michael Nina Noah Oliver Olivia Paul Peter Rachel Robert Sam Sandra Sarah Sophie Susan "
        "Tom Zoe",
        "Adams Allen Anderson Baker Bell Brown Carter Clark Cooper Davis Evans Foster Green Hall Harris Hill Hughes "
        "Jackson Johnson Jones King Lee Lewis Martin Miller Moore Morgan Parker Quill Reed Smith Taylor Turner Walker "
        "Ward White Williams Wilson Wood Young",
    ),
    (
        20,
        "Adèle Björn Chloé François Günther Håkon Inès Jürgen Łukasz María Noël Øyvind Renée Søren Štěpán Zoë Željko",
        "Álvarez Çelik Dvořák Fernández García Göransson Hernández Kovačević Müller Nuñez Ødegård Õunapuu Šťastný "
        "Strauß Włodarczyk Yıldız",
    ),
    (
        10,
        "Анна Борис Вера Дмитрий Елена Зоя Иван Мария Наталья Олег Пётр Светлана",
        "Волкова Иванов Кузнецов Лебедева Морозов Новикова Петров Смирнова Соколов",
    ),
    (6, "Αλέξανδρος Γιώργος Ελένη Κατερίνα Νίκος Σοφία", "Αγγέλου Γεωργίου Νικολάου Παπαδόπουλος Χριστοδούλου"),
    (6, "أحمد خالد سارة عمر فاطمة ليلى محمد نور", "إبراهيم الحسن العلي حداد خوري منصور"),
    (3, "דוד חנה יעל משה נועם שרה", "אברהם כהן לוי מזרחי פרץ"),
    (5, "अनिल अंजलि दीपा मीरा राज सुनीता", "कुमार गुप्ता पटेल वर्मा शर्मा सिंह"),
    (5, "伟 芳 娜 秀英 敏 静 丽 强 磊 军", "王 李 张 刘 陈 杨 赵 黄 周 吴"),
    (3, "さくら 太郎 花子 陽子 健一 翔太", "佐藤 鈴木 高橋 田中 伊藤 渡辺"),
    (2, "민준 서연 지훈 하은 도윤 수빈", "김 이 박 최 정 강"),
)
NICKNAMES = (
    "ace badger breeze cosmo daisy ember falcon ginger hazel indigo jolly kiwi lemon maple nimbus otter pixel quokka "
    "raven sunny tango ultra velvet willow yeti zephyr 😀 🦊 🌻"
)


class Command(BaseCommand):
    help = "Makes plausible people, for development and measurement: the same ones for the same seed, each once."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--count", type=int, required=True, metavar="N", help="how many there are to be")
        parser.add_argument("--seed", type=int, default=1, help="which people (default: 1)")
        parser.add_argument("--password", help="the password of them all; without it none of them can log in")

    def handle(self, *, count: int, seed: int, password: str | None, **options: object) -> None:
        if count < 0:
            raise CommandError("--count must not be negative.")
        password = make_password(password) if password else UNUSABLE_PASSWORD_PREFIX
        began, made = time.monotonic(), 0
        for start in range(0, count, BATCH):
            numbers = range(start, min(start + BATCH, count))
            made += self.make([person(number, seed, password) for number in numbers])
            if self.stdout.isatty():
                seconds = time.monotonic() - began
                self.stdout.write(f"{numbers.stop} of {count}, {seconds:.0f} s", ending="\r")
                self.stdout.flush()
        self.stdout.write(f"{made} people made, {count - made} there before.")

    @transaction.atomic
    def make(self, people: list[User]) -> int:
        """Create the people that do not exist yet; return how many."""
        keys = {text_key(user.username) for user in people}
        known = set(User.objects.filter(username_key__in=keys).values_list("username_key", flat=True))
        new = [user for user in people if text_key(user.username) not in known]
        User.objects.bulk_create(new)
        created = User.objects.filter(username_key__in=keys - known).only("search_text", "is_active")
        # In the order of the index, so that each batch walks through it once.
        SearchEntry.objects.add(sorted((rank, text, user.pk) for user in created for rank, text in user.entries))
        return len(new)


def person(number: int, seed: int, password: str) -> User:
    dice = random.Random(f"{seed} {number}")  # noqa: S311
    [(_, first_names, last_names)] = dice.choices(PEOPLE, weights=[people[0] for people in PEOPLE])
    first, last, nickname = (
        dice.choice(first_names.split()),
        dice.choice(last_names.split()),
        dice.choice(NICKNAMES.split()),
    )
    # The number and the seed make the name unique; base 36 keeps it short.
    tail = base36(number) + (f"-{base36(seed)}" if seed != 1 else "")
    username = dice.choice((nickname, f"{first}.{last}", f"{first}_", last, f"{nickname}_{first}")) + tail
    mailbox = f"{nickname if nickname.isascii() else 'mail'}.{tail}"
    return User(
        username=username,
        email=f"{mailbox}@{dice.choice(('example.org', 'example.com', 'example.net'))}",
        first_name=first,
        last_name=last if dice.random() < 0.9 else "",
        bio=dice.choice(("", "", "Hello there.", "Out for a walk.", "☕ and books.")),
        password=password,
    )


def base36(number: int) -> str:
    digits = ""
    while True:
        number, digit = divmod(number, 36)
        digits = "0123456789abcdefghijklmnopqrstuvwxyz"[digit] + digits
        if not number:
            return digits
