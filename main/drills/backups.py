"""A drill with backups: one is made while people write, and restored into an empty database, on which all goes on."""

import http.client
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter, defaultdict
from contextlib import contextmanager, suppress
from hashlib import sha256
from io import StringIO
from pathlib import Path
from statistics import quantiles
from typing import NamedTuple

from django.core.management import CommandError, call_command
from django.db import connection
from django.db.models import Count, Max, Min

from conversations import actions
from conversations.models import Conversation, Message
from drills.service import MAIN, PASSWORD, call, require, say
from events.models import Log
from harness.server import PORT, Server
from users.models import AuthToken, User

# What there is: people to be searched for, conversations with messages, and conversations in which is written.
PEOPLE, OLD, OLD_MESSAGES, LIVE = 2000, 30, 10_000, 8
# Threads that write, each with this pause between two messages, and the seconds that they write without a backup.
WRITERS, PAUSE, SECONDS = 8, 0.03, 8
BACKUPS = 3
WORDS = ["tea", "party", "hatter", "rabbit", "queen", "garden", "watch", "cake", "—", "☕", "😀", "'quoted'", "\\", "%"]
# What an ordinary account may be called: nothing of it is to have a meaning for a program.
ODD_PASSWORD = "a\"b\\'c #$;`é"  # noqa: S105


def run(alice, bob):
    with tempfile.TemporaryDirectory(prefix="chat-backups-") as folder, ordinary_account():
        folder = Path(folder)
        fill(alice, bob)
        file = folder / "backup.gz"
        with Server():
            token = AuthToken.objects.issue(alice)
            cursor = call("GET", "/events", token=token)[1]["cursor"]
            sent, backups = back_up_under_load(folder, alice, bob)
            a_backup_is_killed(folder)
            restore_is_refused(file, "while the server serves")
        with elsewhere(folder):
            began = time.monotonic()
            manage("restore", file)
            say(f"restored into an empty database in {time.monotonic() - began:.1f} s, with the check of the file")
            manage("index_search")
            require_whole_and_as_of_one_moment(sent, *backups[-1])
            with Server():
                all_goes_on(token, cursor, sent)
                restore_is_refused(file, "while the server serves")
            manage("after_restore", "--end-sessions")
            with Server():
                require(call("GET", "/users/profile", token=token)[0] == 401, "tokens ended")
                require(log_in("alice")[0] == 200, "alice logs in again")
            broken_files_are_refused(folder, file)
            a_restore_is_killed(file)
        a_full_disk(folder, file)


# The databases


@contextmanager
def ordinary_account():
    """On MariaDB the service and the commands use an account that may do everything in its databases, and no more."""
    if connection.vendor != "mysql":
        yield
        return
    as_root(
        f"CREATE USER ordinary@'127.0.0.1' IDENTIFIED BY '{sql_text(ODD_PASSWORD)}'",
        "GRANT ALL ON chat_app_db.* TO ordinary@'127.0.0.1'",
        "CREATE DATABASE chat_restored CHARACTER SET latin1",
        "GRANT ALL ON chat_restored.* TO ordinary@'127.0.0.1'",
    )
    try:
        with environment(MYSQL_USER="ordinary", MYSQL_PASSWORD=ODD_PASSWORD):
            yield
    finally:
        as_root("DROP DATABASE chat_restored", "DROP USER ordinary@'127.0.0.1'")


def sql_text(text):
    return text.replace("\\", "\\\\").replace("'", "\\'")


def as_root(*statements):
    sock = Path(os.environ["MARIADB_PID_FILE"]).parent / "socket"
    command = ["mariadb", "--no-defaults", "--default-character-set=utf8mb4", "--user=root", f"--socket={sock}"]
    others = {name: value for name, value in os.environ.items() if not name.startswith("MYSQL_")}
    subprocess.run(command, input=";".join(statements).encode(), env=others, check=True)  # noqa: S603


@contextmanager
def environment(**changes):
    before = {name: os.environ.get(name) for name in changes}
    os.environ |= changes
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None) if value is None else os.environ.update({name: value})


@contextmanager
def elsewhere(folder):
    """In the block everything uses another, empty database."""
    is_server = connection.vendor == "mysql"
    name = "chat_restored" if is_server else str(folder / "restored.sqlite3")
    before = connection.settings_dict["NAME"]
    connection.close()
    connection.settings_dict["NAME"] = name
    try:
        with environment(**{"MYSQL_DATABASE" if is_server else "SQLITE_FILE": name}):
            yield
    finally:
        connection.close()
        connection.settings_dict["NAME"] = before


def fill(alice, bob):
    call_command("seed_users", count=PEOPLE, verbosity=0, stdout=StringIO())
    chance = random.Random(1)  # noqa: S311
    groups = [actions.create_group(alice, f"Old {number}", [bob.pk]) for number in range(OLD)]
    for start in range(1, OLD_MESSAGES + 1, 5000):
        Message.objects.bulk_create(
            Message(conversation=groups[0], number=number, sender=bob, text=" ".join(chance.choices(WORDS, k=12)))
            for number in range(start, start + 5000)
        )
    columns = "number, text, sender_id, created_at, deleted"
    with connection.cursor() as cursor:
        for group in groups[1:]:
            cursor.execute(
                f"INSERT INTO conversations_message (conversation_id, {columns})"  # noqa: S608
                f" SELECT %s, {columns} FROM conversations_message WHERE conversation_id = %s",
                [group.pk, groups[0].pk],
            )
    Conversation.objects.update(last_number=OLD_MESSAGES)
    say(f"{PEOPLE} people, {OLD * OLD_MESSAGES} messages")


# Commands


def start(*arguments):
    command = [sys.executable, "manage.py", *map(str, arguments)]
    if arguments[0] == "backup":
        command = ["nice", "-n", "10", *command]  # as docs/backup.md says
    connection.close()  # a restore waits for nobody, and refuses while somebody is connected
    return subprocess.Popen(command, cwd=MAIN, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)  # noqa: S603


def finish(process):
    """The status with which it ends, and what it has said."""
    out, _ = process.communicate(timeout=300)
    return process.returncode, out.decode().strip()


def manage(*arguments, status=0):
    found, out = finish(start(*arguments))
    require(found == status, f"{arguments[0]} ends with {status}, not {found}: {out[-500:]}")
    require("Traceback" not in out, f"a sentence, and no traceback: {out[-500:]}")
    return out


# Load


class Sent(NamedTuple):
    """A message that was answered."""

    writer: int
    conversation: int
    number: int
    client_id: str
    began: float
    ended: float

    @property
    def seconds(self):
        return self.ended - self.began


class Writers:
    """Send messages into several conversations all the time; record those that were answered, and other answers."""

    def __init__(self, groups, users):
        self.groups, self.tokens = groups, [AuthToken.objects.issue(user) for user in users]
        self.sent, self.others, self.done = [], Counter(), threading.Event()

    def __enter__(self):
        self.threads = [threading.Thread(target=self.write, args=[number]) for number in range(WRITERS)]
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *failure):
        self.done.set()
        for thread in self.threads:
            thread.join()

    def write(self, writer):
        chance, token = random.Random(writer), self.tokens[writer % len(self.tokens)]  # noqa: S311
        to, count = http.client.HTTPConnection("127.0.0.1", PORT, timeout=60), 0
        while not self.done.wait(PAUSE * chance.uniform(0.5, 1.5)):
            count += 1
            group, client_id, began = chance.choice(self.groups), f"{writer}-{count}", time.monotonic()
            body = {"text": f"Message {client_id} 😀", "client_id": client_id}
            status, answer = call("POST", f"/conversations/{group.pk}/messages", body, token, to)
            if status == 201:
                self.sent.append(Sent(writer, group.pk, answer["number"], client_id, began, time.monotonic()))
            else:
                self.others[status] += 1

    def during(self, *periods):
        """The seconds that messages took that were sent in these periods."""
        return [
            each.seconds
            for each in self.sent
            if any(began <= each.began and each.ended <= end for began, end in periods)
        ]


def back_up_under_load(folder, alice, bob):
    """The messages that were answered, and when each backup began and ended; the last one is the file backup.gz."""
    groups = [actions.create_group(alice, f"Live {number}", [bob.pk]) for number in range(LIVE)]
    without, backups = [], []
    with Writers(groups, [alice, bob]) as writers:
        time.sleep(2)
        for number in range(BACKUPS):
            began = time.monotonic()
            time.sleep(SECONDS)
            without.append((began, time.monotonic()))
            # A plain one, which takes least, and then compressed ones.
            file = folder / ("backup.gz" if number else "backup")
            out = manage("backup", file, *(["--force"] if number > 1 else []))
            backups.append((without[-1][1], time.monotonic()))
            say(f"  {out} in {backups[-1][1] - backups[-1][0]:.1f} s")
        time.sleep(2)
    require(not writers.others, f"every message was answered with 201, not {dict(writers.others)}")
    quiet, busy = writers.during(*without), writers.during(*backups)
    p95s = [1000 * quantiles(seconds, n=20)[-1] for seconds in (quiet, busy)]
    say(f"{len(writers.sent)} messages sent; p95 {p95s[0]:.0f} ms without a backup, {p95s[1]:.0f} ms while one is made")
    say(f"  ratio {p95s[1] / p95s[0]:.2f}; the longest took {max(quiet):.2f} s, and {max(busy):.2f} s meanwhile")
    require(len(busy) > 100, "messages were sent while backups were made")
    # As long as a writer of SQLite waits for another one at most; on an idle machine it is a fraction of a second.
    require(max(busy) < 20, "nobody waits long for a backup")
    return writers.sent, backups


# What is there


def require_whole_and_as_of_one_moment(sent, began, ended):
    stored = dict(Message.objects.exclude(client_id=None).values_list("client_id", "number"))
    before = [each for each in sent if each.ended < began]
    lost = [each for each in before if stored.get(each.client_id) != each.number]
    say(f"{len(before)} messages were answered before the backup began, {len(lost)} of them lost")
    say(f"  {len(stored) - len(before)} of {len(sent) - len(before)} that were sent later are in it, too")
    require(before and not lost, f"all of them are there: {lost[:3]}")
    require(not [each for each in sent if each.began > ended and each.client_id in stored], "nothing of later")
    by_writer = defaultdict(list)
    for each in sent:
        by_writer[each.writer].append(each.client_id in stored)
    # Each sends one message after the other.
    require(all(sorted(there, reverse=True) == there for there in by_writer.values()), "it is as of one moment")

    last_numbers = dict(Conversation.objects.values_list("pk", "last_number"))
    found = Message.objects.values_list("conversation").annotate(Count("pk"), Min("number"), Max("number"))
    numbers = {pk: rest for pk, *rest in found}
    require(len(numbers) == OLD + LIVE, "all conversations are there")
    require(numbers == {pk: [last, 1, last] for pk, last in last_numbers.items()}, "their numbers have no gaps")
    say(f"{sum(last_numbers.values())} messages in {len(numbers)} conversations, their numbers without a gap")


def log_in(username):
    return call("POST", "/users/login", {"username": username, "password": PASSWORD})


def all_goes_on(old_token, cursor, sent):
    require(call("GET", "/readyz")[0] == 200, "the server is ready")
    require(call("GET", "/users/profile", token=old_token)[0] == 200, "a login of before is valid")
    status, answer = log_in("bob")
    require(status == 200, f"bob logs in: {status}")
    token = answer["token"]
    found = call("GET", "/users/contacts/find-users?search=ALI", token=token)[1]
    require("alice" in [user["username"] for user in found], "alice is found")

    [reset] = call("GET", f"/events?after={cursor}", token=old_token)[1]["events"]
    require(reset["event"] == "reset", f"a page for an id of the first server is a reset, not {reset}")
    first = first_event(old_token, cursor)
    require(first == "reset", f"a stream for an id of the first server begins with reset, not {first}")

    numbers = {}
    for pk in {each.conversation for each in sent}:
        numbers[pk] = read_all(pk, token)
        status, message = call("POST", f"/conversations/{pk}/messages", {"text": "On it goes"}, token)
        require((status, message["number"]) == (201, len(numbers[pk]) + 1), f"the next number: {status} {message}")
    say(f"{sum(map(len, numbers.values()))} messages read in their order through the service, and sent on in each")
    say("logins, searches, events with reset: as they should be")


def read_all(pk, token):
    """The numbers of all messages of the conversation, as the service gives them."""
    to, numbers = http.client.HTTPConnection("127.0.0.1", PORT, timeout=60), []
    while page := call("GET", f"/conversations/{pk}/messages?after={len(numbers)}&limit=100", None, token, to)[1]:
        numbers += [message["number"] for message in page]
    require(numbers == list(range(1, len(numbers) + 1)), "the numbers are gapless and in order")
    return numbers


def first_event(token, last_id):
    """The name of the first event of a stream."""
    to = http.client.HTTPConnection("127.0.0.1", PORT, timeout=60)
    headers = {"Authorization": f"Token {token}", "Accept": "text/event-stream", "Last-Event-ID": last_id}
    to.request("GET", "/events", headers=headers)
    with to.getresponse() as answer:
        for line in answer:
            if line.startswith(b"event: "):
                return line.decode().split()[1]
    return None


# What goes wrong


def restore_is_refused(file, when):
    out = manage("restore", file, "--force", status=1)
    require("stop the server first" in out, f"a restore {when} is refused: {out}")
    say(f"a restore {when} is refused")


def kill_when(process, condition):
    """Kill the process once the condition holds; return whether it was killed before it ended by itself."""
    while process.poll() is None:
        if condition():
            process.send_signal(signal.SIGKILL)
            process.communicate()
            return process.returncode == -signal.SIGKILL
        time.sleep(0.002)
    finish(process)
    return False


def size_of(path):
    with suppress(FileNotFoundError):
        return path.stat().st_size
    return 0


def a_backup_is_killed(folder):
    file, half = folder / "killed", size_of(folder / "backup") // 3
    was_killed = kill_when(start("backup", file), lambda: size_of(folder / "killed.part") > half)
    require(was_killed, "the backup was killed while it was written")
    require(not file.exists(), "a backup that was killed leaves no file of that name")
    say(f"a backup was killed after {size_of(folder / 'killed.part') / 1e6:.0f} MB: there is no file of that name")
    manage("backup", file)
    require(not (folder / "killed.part").exists(), "the next one leaves nothing else")
    manage("restore", "--check", file)
    file.unlink()


def state():
    """What tells whether the database has changed."""
    connection.close()
    return User.objects.count(), Message.objects.aggregate(Count("pk"), Max("pk")), list(Log.objects.values())


def broken_files_are_refused(folder, file):
    before, broken = state(), folder / "broken"
    contents = {"plain": (folder / "backup").read_bytes(), "compressed": file.read_bytes()}
    for kind, whole in contents.items():
        for length in (len(whole) // 2, len(whole) - 4096, len(whole) - 1):
            broken.write_bytes(whole[:length])
            out = manage("restore", broken, "--force", status=1)
            require("is not a whole backup" in out, f"it is said why: {out}")
            require(state() == before, "nothing has changed")
        say(f"a {kind} file that lacks half of it, a page or a byte is refused, and changes nothing")
    broken.unlink()


def a_restore_is_killed(file):
    before, is_server = state(), connection.vendor == "mysql"
    part = Path(f"{connection.settings_dict['NAME']}.part")
    condition = some_is_loaded if is_server else lambda: size_of(part) > 1_000_000
    require(kill_when(start("restore", file, "--force"), condition), "the restore was killed")
    if is_server:
        try:
            call_command("migrate", check_unapplied=True, verbosity=0)
        except (CommandError, SystemExit):
            connection.close()
        else:
            require(False, "a database that is loaded in part counts as not migrated")
        say("a restore was killed: the database counts as not migrated, so that no server is ready on it")
        while others_are_connected():  # what was being executed
            time.sleep(0.1)
    else:
        require(state() == before, "nothing has changed")
        say("a restore was killed: the database is as before")
    manage("restore", file, "--force")
    manage("index_search")
    require(state()[:2] == (before[0], state()[1]), "all is there after the next restore")


def some_is_loaded():
    """Some tables are loaded; the one of the migrations is the first to be removed and the last to be loaded."""
    with connection.cursor() as cursor:
        tables = connection.introspection.table_names(cursor)
    return "conversations_message" in tables and "auth_group" in tables and "users_user" not in tables


def others_are_connected():
    with connection.cursor() as cursor:
        cursor.execute("SELECT COUNT(*) FROM information_schema.processlist WHERE user = 'ordinary'")
        return cursor.fetchone()[0]


def a_full_disk(folder, file):
    disk = folder / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(disk)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:  # noqa: S603
        say("A full disk was not tried: no small one can be mounted here.")
        return
    try:
        for name in ("backup", "backup.gz"):
            out = manage("backup", disk / name, status=1)
            require(not os.listdir(disk), f"nothing is left: {os.listdir(disk)}")
            say(f"on a full disk: {out}")
        if connection.vendor == "sqlite":
            with environment(SQLITE_FILE=str(disk / "db.sqlite3")):
                manage("migrate", "--verbosity=0")
                before = sha256((disk / "db.sqlite3").read_bytes()).digest()
                out = manage("restore", file, "--force", status=1)
                left = {name for name in os.listdir(disk) if not name.endswith("-turns")}  # of whoever wrote to it
                require(left == {"db.sqlite3"}, f"nothing else is left: {left}")
                require(sha256((disk / "db.sqlite3").read_bytes()).digest() == before, "nothing has changed")
                say(f"on a full disk: {out}")
    finally:
        subprocess.run(["umount", str(disk)], check=True)  # noqa: S603, S607
