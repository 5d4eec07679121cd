"""What every call costs: run by `make bench`, which gives it a MariaDB server of its own.

The service is served as `make run` serves it, asked by wrk over 8 connections, and compared with two limits in the same
process (see limits.py). Rounds alternate between the calls, so that what disturbs the machine disturbs all alike; of
each figure the median of the rounds counts. Writes Markdown and JSON into results/.
"""

import argparse
import datetime
import itertools
import json
import os
import platform
import secrets
import statistics
import subprocess
import sys
import tempfile
import urllib.parse
from pathlib import Path

MAIN = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(MAIN))
os.environ |= {"DJANGO_SETTINGS_MODULE": "main.settings", "SECRET_KEY": secrets.token_hex(), "ENV_FILE": "/dev/null"}
# One user asks what otherwise many would: rates that are counted as ever and never used up.
os.environ |= dict.fromkeys(
    ("LOGIN_RATE", "REGISTER_RATE", "SEARCH_RATE", "SEND_RATE", "OPEN_RATE", "REPORT_RATE"), "1000/sec"
)

import django  # noqa: E402

django.setup()

from django.core.management import call_command  # noqa: E402
from django.db import connection  # noqa: E402

from conversations.models import Conversation, Membership, Message  # noqa: E402
from harness.server import PORT, Server, prepare_database  # noqa: E402
from users import finding  # noqa: E402
from users.models import AuthToken, ContactBookEntry, User  # noqa: E402
from users.search import SearchEntry  # noqa: E402

PASSWORD = "correct-horse-battery"  # noqa: S105
CONNECTIONS = 8
SEARCHES = {
    "rare part": ["quill4", "zephyr_zo", "otter.2a", "ødegård1", "🦊9z", "lebedev"],
    "common part": ["an", "ar", "er", "li", "ma"],
    "one character": ["a", "e", "z", "李", "я"],
    "exact name": ["bob", "alice"],
    "no match": ["xqzw", "zzzzzz", "qqq"],
    "none": [""],
    "two rare words": ["quill4 otter", "zephyr9 smith", "ødegård renée"],
    "two common words": ["an example", "ma org", "e a"],
}
SINGLE = ("rare part", "common part", "one character", "exact name", "no match", "none")


def cpu_seconds(*roots):
    """The processor time of each of the processes with all their children."""
    parents, used = {}, {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        pid = int(stat.parent.name)
        parents[pid], used[pid] = int(fields[1]), (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def is_below(pid, root):
        while pid and pid != root:
            pid = parents.get(pid)
        return pid == root

    return [sum(seconds for pid, seconds in used.items() if is_below(pid, root)) for root in roots]


def database_pid():
    port = f"--port={os.environ['MYSQL_PORT']}".encode()
    return next(int(c.parent.name) for c in Path("/proc").glob("[0-9]*/cmdline") if port in c.read_bytes().split(b"\0"))


# Numbers of messages and accounts, for each run of wrk others.
numbers = itertools.count(1_000_000, 1_000_000)


def ask_with_wrk(port, authorization, requests, seconds):
    """Send the requests, (method, path, body), in turn over 8 connections; what wrk measured, by name."""
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        for method, path, body in requests:
            file.write(f"{method} {path} {json.dumps(body) if body else '-'}\n")
        file.flush()
        script = str(Path(__file__).with_name("requests.lua"))
        command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "--timeout", "30s", "-s", script]
        command += [f"http://127.0.0.1:{port}", "--", file.name, authorization, str(next(numbers))]
        result = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603
    return json.loads(result.stdout.splitlines()[-1])


class Load:
    """Sends requests with wrk and keeps what it measured, by name."""

    def __init__(self, server, token, seconds):
        self.pids = (server.process.pid, database_pid())
        self.authorization, self.seconds, self.samples = f"Token {token}", seconds, {}

    def measure(self, name, requests):
        before = cpu_seconds(*self.pids)
        sample = ask_with_wrk(PORT, self.authorization, requests, self.seconds)
        server, database = (now - then for now, then in zip(cpu_seconds(*self.pids), before, strict=True))
        done = max(sample["requests"], 1)
        sample |= {"rate": done / sample["seconds"], "server": 1000 * server / done, "database": 1000 * database / done}
        self.samples.setdefault(name, []).append(sample)

    def rounds(self, number, calls):
        for _ in range(number):
            for name, requests in calls.items():
                self.measure(name, requests)

    def result(self, name):
        """The medians of a call's rounds, and the least and greatest rate."""
        samples = self.samples[name]
        rates = [sample["rate"] for sample in samples]
        medians = {key: statistics.median(sample[key] for sample in samples) for key in samples[0]}
        return medians | {"min": min(rates), "max": max(rates), "refused": sum(s["refused"] for s in samples)}


def get(path):
    return [("GET", path, None)]


def set_the_stage():
    """Alice, who asks, with 50 contacts, and two conversations with Bob: one with 100 messages and one with many."""
    [alice, bob] = [
        User.objects.filter(username_key=name).first() or User(username=name, email=f"{name}@example.org")
        for name in ("alice", "bob")
    ]
    for user in (alice, bob):
        user.set_password(PASSWORD)
        user.save()
    for contact in User.objects.exclude(pk__in=[alice.pk, bob.pk])[:50]:
        ContactBookEntry.objects.get_or_create(user1=alice, user2=contact)
    return alice, bob


def talk(alice, bob, messages):
    """A group of the two with so many messages; its id."""
    group = Conversation.objects.create(kind="group", name=f"{messages} messages", owner=alice, last_number=messages)
    Membership.objects.bulk_create(Membership(conversation=group, user=user) for user in (alice, bob))
    for start in range(1, messages + 1, 10_000):
        numbers = range(start, min(start + 10_000, messages + 1))
        Message.objects.bulk_create(
            Message(conversation=group, number=number, sender=(alice, bob)[number % 2], text=f"Message {number}")
            for number in numbers
        )
    return group.pk


def analyze():
    with connection.cursor() as cursor:
        for model in (User, AuthToken, SearchEntry, Message, Membership, Conversation, ContactBookEntry):
            cursor.execute(f"ANALYZE TABLE {model._meta.db_table}")
            cursor.fetchall()


def search_calls():
    return {
        kind: [("GET", f"/users/contacts/find-users?search={urllib.parse.quote(text)}", None) for text in texts]
        for kind, texts in SEARCHES.items()
    }


def user_calls():
    mail = "{n}@example.org"
    entry = "/users/contacts/{}/bob"
    return {
        "limit: raw cursor": get("/limits/raw"),
        "limit: ORM": get("/limits/orm"),
        "limit: ORM, two queries": get("/limits/orm-twice"),
        "GET profile": get("/users/profile"),
        "PUT profile": [("PUT", "/users/profile", {"bio": "Bio {n}"})],
        "GET view-user": get("/users/contacts/view-user/bob"),
        "GET blacklist-user": get(entry.format("blacklist-user")),
        "GET contact-book (50)": get("/users/contacts/contact-book/"),
        "POST, DELETE contact-book": [(method, entry.format("contact-book"), None) for method in ("POST", "DELETE")],
        "POST, DELETE blacklist-user": [
            (method, entry.format("blacklist-user"), None) for method in ("POST", "DELETE")
        ],
        "POST login": [("POST", "/users/login", {"username": "bob", "password": PASSWORD})],
        "POST register": [
            ("POST", "/users/register", {"username": "new{n}", "email": "new" + mail, "password": PASSWORD})
        ],
    }


def conversation_calls(small, large):
    calls = {}
    for name, pk in (("100", small), ("1 000 000", large)):
        messages = f"/conversations/{pk}/messages"
        calls[f"GET conversation, {name} messages"] = get(f"/conversations/{pk}")
        calls[f"GET messages, {name} messages"] = get(messages)
        calls[f"GET messages before 60, {name} messages"] = get(f"{messages}?before=60")
        calls[f"limit: two writes, {name} messages"] = [("POST", f"/limits/send/{pk}", {"text": "Message {n}"})]
        calls[f"POST message, {name} messages"] = [("POST", messages, {"text": "Message {n}"})]
        calls[f"POST read, {name} messages"] = [("POST", f"/conversations/{pk}/read", {"number": 50})]
    return calls


def hunt_for_the_worst(alice):
    """The slowest questions among many nasty ones, in milliseconds of all their queries, page by page."""
    parts = [
        "a",
        "e",
        "an",
        "er",
        "ex",
        "example",
        "example.org",
        "m",
        "o",
        "org",
        ".",
        "@",
        "mail",
        "com",
        "l",
        "r",
        "s",
    ]
    parts += ["ar", "ma", "li", "ov", "е", "ан", "zz", "n", "net", "exampl", "xample.o", "le.com", "ail"]
    questions = parts + [" ".join(pair) for pair in itertools.combinations(parts, 2)]
    questions += ["a e i o u", "a b c d e f g h", "example org net com", " ".join("abcdefghijklmnopqrstuvwxyz")]
    slowest = []
    connection.force_debug_cursor = True
    for question in questions:
        position, pages = None, 0
        while pages == 0 or (position and pages < 3):
            connection.queries_log.clear()
            _, position = finding.find(question, searcher=alice, limit=20, after=position)
            milliseconds = 1000 * sum(float(query["time"]) for query in connection.queries)
            slowest.append((milliseconds, question, pages + 1))
            pages += 1
    connection.force_debug_cursor = False
    return sorted(slowest, reverse=True)[:5], len(slowest)


def table(results, names, of=None):
    lines = [
        "| call | requests/s (min to max) | p50 ms | p95 ms | p99 ms | CPU ms: server | database |"
        + (" of its limit |" if of else "")
    ]
    lines.append("|---|" + "---:|" * (len(lines[0].split("|")) - 3))
    for name in names:
        r = results[name]
        line = f"| {name} | {r['rate']:.0f} ({r['min']:.0f} to {r['max']:.0f}) | {r['p50']:.1f} | {r['p95']:.1f} "
        line += f"| {r['p99']:.1f} | {r['server']:.2f} | {r['database']:.2f} |"
        if of:
            limit = of.get(name)
            line += f" {r['rate'] / results[limit]['rate']:.2f} of {limit.removeprefix('limit: ')} |" if limit else " |"
        lines.append(line)
    return lines


def machine():
    cpu = Path("/proc/cpuinfo").read_text().partition("model name\t: ")[2].partition("\n")[0]
    with connection.cursor() as cursor:
        cursor.execute("SELECT VERSION()")
        [version] = cursor.fetchone()
    return f"{os.cpu_count()} × {cpu}, Python {platform.python_version()}, Django {django.get_version()}, {version}"


LIMIT_OF = {
    "GET profile": "limit: raw cursor",
    "GET view-user": "limit: ORM, two queries",
    "GET blacklist-user": "limit: ORM, two queries",
    "GET contact-book (50)": "limit: ORM",
    "POST message, 100 messages": "limit: two writes, 100 messages",
    "POST message, 1 000 000 messages": "limit: two writes, 1 000 000 messages",
}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", default="1000,100000,1000000", help="how many people, ascending")
    parser.add_argument("--messages", type=int, default=1_000_000, help="of the larger conversation")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=2, help="of each round of each call")
    options = parser.parse_args()
    sizes = [int(size) for size in options.sizes.split(",")]

    prepare_database()

    report = {"when": f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d %H:%M} UTC", "machine": machine(), "search": {}}
    text = ["# What the calls cost", "", f"{report['when']}, {report['machine']}.", ""]
    text += [f"wrk, 8 connections; medians of {options.rounds} rounds of {options.seconds} s, taken in turn.", ""]

    for size in sizes:
        call_command("seed_users", count=size)
        alice, bob = set_the_stage()
        analyze()
        with Server("benchmarks.serve") as server:
            load = Load(server, AuthToken.objects.issue(alice), options.seconds)
            load.rounds(options.rounds, search_calls())
        report["search"][size] = {name: load.result(name) for name in SEARCHES}
        text += [f"## find-users among {size} people", "", *table(report["search"][size], SEARCHES), ""]

    report["growth"] = {
        kind: report["search"][sizes[-1]][kind]["p95"] / report["search"][sizes[0]][kind]["p95"] for kind in SEARCHES
    }
    text += [f"p95 among {sizes[-1]} people against {sizes[0]}:", ""]
    text += [f"- {kind}: {growth:.2f} times" for kind, growth in report["growth"].items()]
    worst, number = hunt_for_the_worst(alice)
    report["worst"] = worst
    text += ["", f"The slowest of {number} pages of nasty questions, in the database:", ""]
    text += [f"- {milliseconds:.0f} ms: `{question}`, page {page}" for milliseconds, question, page in worst]

    small, large = talk(alice, bob, 100), talk(alice, bob, options.messages)
    analyze()
    users, conversations = user_calls(), conversation_calls(small, large)
    with Server("benchmarks.serve") as server:
        load = Load(server, AuthToken.objects.issue(alice), options.seconds)
        load.rounds(options.rounds, users | conversations | {"GET conversations": get("/conversations")})
    report["calls"] = {name: load.result(name) for name in load.samples}
    text += ["", f"## Every call, among {sizes[-1]} people", "", *table(report["calls"], users, of=LIMIT_OF), ""]
    login, register = report["calls"]["POST login"], report["calls"]["POST register"]
    cost = (register["server"] + register["database"]) / (login["server"] + login["database"])
    report["register to login"] = cost
    text += [f"A registration costs {cost:.2f} times the CPU of a login.", ""]
    text += ["## Conversations", "", *table(report["calls"], ["GET conversations", *conversations], of=LIMIT_OF), ""]
    text += [f"Cost at {options.messages} messages against 100, by rate:", ""]
    for name in conversations:
        if ", 100 " in name:
            large_name = name.replace(", 100 ", ", 1 000 000 ")
            ratio = report["calls"][name]["rate"] / report["calls"][large_name]["rate"]
            text.append(f"- {name.partition(',')[0]}: {ratio:.2f} times")

    folder = Path(__file__).with_name("results")
    folder.mkdir(exist_ok=True)
    name = f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d}"
    (folder / f"{name}.json").write_text(json.dumps(report, indent=1) + "\n")
    (folder / f"{name}.md").write_text("\n".join(text) + "\n")
    print("\n".join(text))  # noqa: T201


if __name__ == "__main__":
    main()
