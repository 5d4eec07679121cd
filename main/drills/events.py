"""Drills of event streams: readers that come and go while the service is broken, and users who are taken out."""

import http.client
import json
import os
import random
import secrets
import signal
import socket
import struct
import threading
import time
from collections import Counter, defaultdict
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, suppress
from itertools import pairwise
from math import inf
from pathlib import Path
from statistics import median
from typing import NamedTuple

from django.db import connection

from conversations import actions as conversations
from conversations.models import Conversation, Membership, Message
from drills.service import call, require, say
from events.models import MEMBERSHIP_KINDS, Announcement, Event, Kind, Log
from harness.server import PORT, Server
from users import actions as users
from users.models import AuthToken, User

# Of the choices that the drills make at random. What the threads make of them depends on the machine.
SEED = os.environ.get("DRILL_SEED") or secrets.token_hex(4)

WRITERS = 8
# Readers of users who stay in their conversations, who come and go, and who are in none. Some users have two.
STAYING, COMING, STRANGERS = [2, 2, 2, 2, 1, 1, 1, 1], [2, 2, 1, 1], [1, 1]
GROUPS, PRIVATES = 15, 5
# Seconds of load before a process is killed, then before the database is, and then until the end.
BEFORE, BETWEEN, AFTER = 4, 4, 8

# Races of each kind, and how many are run at a time.
RACES, LANES = 304, 16

# How hastily a reader drops its connections: after so many events, bytes or seconds at most.
RESTLESS, HASTY = (12, 5000, 0.4), (3, 1500, 0.08)


def dice(*names):
    return random.Random(f"{SEED} {names}")  # noqa: S311


class Told(NamedTuple):
    position: int
    name: str
    data: dict


class Reader:
    """A client with one stream. It resumes with the last id that it has received in full.

    With `drops`, one of the above, it closes its connection all the time: between events and within them.
    """

    def __init__(self, user, chance, drops=None, token=None):
        self.user, self.chance, self.drops = user, chance, drops
        self.token = token or AuthToken.objects.issue(user)
        self.told, self.texts, self.received, self.malformed = [], set(), bytearray(), []
        self.last_id = self.sock = self.why = None
        self.answers, self.failures, self.broken = Counter(), Counter(), 0
        self.is_over = False
        self.news = threading.Condition()
        self.thread = threading.Thread(target=self.run, daemon=True)

    def __enter__(self):
        self.thread.start()
        with self.news:
            require(self.news.wait_for(lambda: self.told, 20), f"a stream begins: {self.answers} {self.failures}")
        return self

    def __exit__(self, *failure):
        self.is_over = True
        while self.thread.is_alive():
            with suppress(OSError):
                self.sock.shutdown(socket.SHUT_RDWR)
            self.thread.join(0.05)

    def run(self):
        while not self.is_over:
            try:
                with closing(self.connect()) as to:
                    self.listen(to)
            except (OSError, http.client.HTTPException) as error:
                self.failures[type(error).__name__] += not self.is_over
                time.sleep(0.05)

    @staticmethod
    def connect():
        return http.client.HTTPConnection("127.0.0.1", PORT, timeout=30)

    def listen(self, to):
        """Read from one connection until it is dropped, or ends."""
        with closing(self.ask(to)) as answer:
            self.answers[answer.status] += 1
            if answer.status == 200:
                self.receive(answer)
            elif answer.status == 401:
                self.is_over = True
        if not self.is_over:
            time.sleep(self.chance.uniform(0, self.drops[2] if self.drops else 0.1))

    def ask(self, to):
        headers = {"Accept": "text/event-stream", "Authorization": f"Token {self.token}"}
        path = "/events"
        if self.last_id and self.chance.random() < 0.5:
            path += f"?after={self.last_id}"
        elif self.last_id:
            headers["Last-Event-ID"] = self.last_id
        to.request("GET", path, headers=headers)
        self.sock = to.sock
        if self.drops and self.chance.random() < 0.5:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # closes with a reset
        return to.getresponse()

    def receive(self, answer):
        most, size, at = self.limits()
        most += len(self.told)
        rest, piece = b"", self.chance.choice((100, 1000, 65536)) if self.drops else 65536
        while len(self.told) < most and size > 0 and time.monotonic() < at:
            self.sock.settimeout(min(30, max(0.001, at - time.monotonic())))
            try:
                data = answer.read1(min(size, piece))
            except TimeoutError:
                break
            if not data:
                self.is_over |= self.why is not None
                break
            self.received += data
            size -= len(data)
            *blocks, rest = (rest + data).split(b"\n\n")
            for block in blocks:
                self.take(block)
        self.broken += bool(rest)

    def limits(self):
        """Events, bytes and the moment after which the connection is dropped."""
        now = time.monotonic()
        if not self.drops:
            return inf, 2**40, inf
        limits = [inf, 2**40, self.drops[2]]
        which = self.chance.randrange(3)
        limits[which] = self.chance.uniform(0, self.drops[which])
        return limits[0], int(limits[1]) + 1, now + limits[2]

    def take(self, block):
        if block.startswith((b"retry: ", b":")):
            return
        lines = [line.partition(b": ") for line in block.split(b"\n")]
        if [key for key, _, _ in lines] != [b"id", b"event", b"data"]:
            self.malformed.append(block)
            return
        identifier, name, data = (value.decode() for _, _, value in lines)
        told = Told(int(identifier.removesuffix("e").partition("-")[2]), name, json.loads(data))
        with self.news:
            self.told.append(told)
            self.last_id = identifier
            if name == "end":
                self.why = told.data["why"]
            elif name == "message":
                self.texts.add(told.data["message"]["text"])
            elif name == "profile":
                self.texts.add(told.data["profile"]["bio"])
            self.news.notify_all()

    def gets(self, text, seconds=20):
        """Whether a message with the text, or a profile with it as bio, comes within so many seconds."""
        with self.news:
            return self.news.wait_for(lambda: text in self.texts, seconds)

    def ends(self, seconds=5):
        """Whether the stream ends by itself within so many seconds, and is not given again."""
        self.thread.join(seconds)
        return self.is_over and not self.thread.is_alive()


def make_users(name, number):
    return [User.objects.create(username=f"{name}{n}", email=f"{name}{n}@example.org") for n in range(number)]


# Drill: resume


class Place(NamedTuple):
    """A conversation; the owner is None if it is a private one."""

    pk: int
    owner: User | None
    staying: list[User]


class Cast:
    """Users who stay in their conversations, who come and go, and who are in none; and the conversations."""

    def __init__(self, chance):
        self.staying, self.coming = make_users("staying", len(STAYING)), make_users("coming", len(COMING))
        self.strangers = make_users("stranger", len(STRANGERS))
        self.everybody = [*self.staying, *self.coming, *self.strangers]
        self.tokens = {user: AuthToken.objects.issue(user) for user in self.everybody}
        self.groups = [self.make_group(chance) for _ in range(GROUPS)]
        self.places = self.groups + [self.make_private(n) for n in range(PRIVATES)]
        self.members = defaultdict(set)  # by user, at the beginning
        for user_id, conversation_id in Membership.objects.values_list("user", "conversation"):
            self.members[user_id].add(conversation_id)

    def make_group(self, chance):
        staying = chance.sample(self.staying, chance.randint(2, 6))
        coming = [user for user in self.coming if chance.random() < 0.5]
        group = conversations.create_group(staying[0], "Drill", [user.pk for user in [*staying[1:], *coming]])
        return Place(group.pk, staying[0], staying)

    def make_private(self, number):
        pair = [self.staying[number], self.staying[number + 1]]
        return Place(conversations.open_private(*pair)[0].pk, None, pair)

    def readers(self):
        numbers = [*STAYING, *COMING, *STRANGERS]
        for user, number in zip(self.everybody, numbers, strict=True):
            for n in range(number):
                yield Reader(user, dice("reader", user.username, n), RESTLESS)


# What may be answered. Those who come and go may be in a conversation or not.
ANSWERS = {
    "send": {200, 201, 404},
    "edit": {200, 404, 409},
    "delete": {204, 404},
    "read": {204, 404},
    "add": {201, 409},
    "remove": {204, 404},
    "contact": {201, 204, 404, 409},
    "profile": {200},
}
# Ends of texts: some look like the end of an event and the beginning of another.
ENDS = ("", "", "", " é 😀\u2028", "\n\nid: 0-1\nevent: end\ndata: {}\n\n", " long" * 500)


class Writer:
    """Changes something without pause. What got no answer, or 503, is repeated until it has one."""

    # Seconds until something is repeated, and until it must have been answered.
    REST, PATIENCE = 0.02, 30

    def __init__(self, number, cast):
        self.name, self.cast, self.chance = number, cast, dice("writer", number)
        self.to = http.client.HTTPConnection("127.0.0.1", PORT, timeout=60)
        self.answers, self.failures, self.times, self.number = Counter(), Counter(), [], 0
        self.sent = []  # messages to edit or delete: (user, conversation, number)
        self.stored = {}  # what was answered: (conversation, number) by client_id
        self.changed = Counter()  # changes of messages that were answered, by (conversation, number)

    def run(self, done):
        while not done.is_set():
            [operation] = self.chance.choices(list(self.OPERATIONS), list(self.OPERATIONS.values()))
            operation(self)

    def ask(self, what, user, method, path, body=None):
        began = time.monotonic()
        while True:
            require(time.monotonic() < began + self.PATIENCE, f"an answer in {self.PATIENCE} s: {self.failures}")
            try:
                status, answer = call(method, path, body, self.cast.tokens[user], self.to)
            except (OSError, http.client.HTTPException) as error:
                status = type(error).__name__
                self.to.close()
            if status in ANSWERS[what]:
                self.answers[f"{what} {status}"] += 1
                self.times.append(time.monotonic())
                return status, answer
            self.failures[status] += 1
            time.sleep(self.REST)

    def place_and_user(self):
        place = self.chance.choice(self.cast.places)
        return place, self.chance.choice([*place.staying, *(self.cast.coming if place.owner else ())])

    def send(self):
        place, user = self.place_and_user()
        self.number += 1
        client_id = f"{self.name}-{self.number}"
        body = {"text": client_id + self.chance.choice(ENDS), "client_id": client_id}
        status, message = self.ask("send", user, "POST", f"/conversations/{place.pk}/messages", body)
        if status != 404:
            self.sent.append((user, place.pk, message["number"]))
            self.stored[client_id] = (place.pk, message["number"])
            self.changed[place.pk, message["number"]] += 1

    def edit(self):
        if self.sent:
            user, pk, number = self.chance.choice(self.sent)
            self.number += 1
            body = {"text": f"{self.name}-{self.number} edited" + self.chance.choice(ENDS)}
            status, _ = self.ask("edit", user, "PUT", f"/conversations/{pk}/messages/{number}", body)
            self.changed[pk, number] += status == 200

    def delete(self):
        if self.sent:
            user, pk, number = self.sent.pop(self.chance.randrange(len(self.sent)))
            status, _ = self.ask("delete", user, "DELETE", f"/conversations/{pk}/messages/{number}")
            self.changed[pk, number] += status == 204

    def read(self):
        place, user = self.place_and_user()
        body = {"number": self.chance.randint(0, 2 * self.number)}
        self.ask("read", user, "POST", f"/conversations/{place.pk}/read", body)

    def add(self):
        place, user = self.chance.choice(self.cast.groups), self.chance.choice(self.cast.coming)
        self.ask("add", place.owner, "POST", f"/conversations/{place.pk}/members/{user.username}")

    def remove(self):
        place, user = self.chance.choice(self.cast.groups), self.chance.choice(self.cast.coming)
        by = self.chance.choice((user, place.owner))
        self.ask("remove", by, "DELETE", f"/conversations/{place.pk}/members/{user.username}")

    def change_contact(self):
        user, other = self.chance.sample(self.cast.everybody, 2)
        method = self.chance.choice(("POST", "DELETE"))
        self.ask("contact", user, method, f"/users/contacts/contact-book/{other.username}")

    def change_profile(self, user=None, bio=None):
        user, bio = user or self.chance.choice(self.cast.everybody), bio or f"{self.name} {self.number}"
        self.ask("profile", user, "PATCH", "/users/profile", {"bio": bio})

    OPERATIONS = {send: 50, edit: 12, delete: 5, read: 12, add: 8, remove: 7, change_contact: 4, change_profile: 2}


def resume():
    """Readers that resume all the time get each event of theirs once, whatever is killed, and nothing else."""
    say(f"seed {SEED}")
    cast = Cast(dice("cast"))
    writers = [Writer(number, cast) for number in range(WRITERS)]
    with Server() as server, ExitStack() as stack:
        readers = [stack.enter_context(reader) for reader in cast.readers()]
        killed = load(server, writers)
        for user in cast.everybody:
            writers[0].change_profile(user, "the last event")
        for reader in readers:
            what = f"the last event reaches {reader.user.username}, {reader.last_id}, {reader.answers}"
            require(reader.gets("the last event", 30), what)
        time.sleep(1)  # nothing may come twice
        errors = [line for line in server.lines() if "Traceback" in line or "(1213," in line]
    connection.close()  # to the database that was killed
    require_recovery(killed, writers)
    require(not errors, f"no traceback and no deadlock in the log: {errors[:3]}")
    Check(cast, writers, readers).all()


def load(server, writers):
    """Let the writers write while a process and the database are killed; return when each was killed."""
    killed, done = {}, threading.Event()
    with ThreadPoolExecutor(WRITERS) as threads:
        running = [threads.submit(writer.run, done) for writer in writers]
        try:
            time.sleep(BEFORE)
            kill(server.workers()[0], "a process", killed)
            time.sleep(BETWEEN)
            if pid_file := os.environ.get("MARIADB_PID_FILE"):
                kill(int(Path(pid_file).read_text()), "the database", killed)
            time.sleep(AFTER)
        finally:
            done.set()
        for each in running:
            each.result()
    return killed


def kill(pid, what, killed):
    os.kill(pid, signal.SIGKILL)
    killed[what] = time.monotonic()


def require_recovery(killed, writers):
    times = sorted(at for writer in writers for at in writer.times)
    for what, moment in killed.items():
        pause = max(later - earlier for earlier, later in pairwise([moment, *(at for at in times if at > moment)]))
        say(f"after {what} was killed: changes again after {pause:.1f} s at most")
        require(pause < 10, f"{what} recovers by itself")
    answers = sum((writer.answers for writer in writers), Counter())
    failures = sum((writer.failures for writer in writers), Counter())
    say(f"{answers.total()} changes answered: {dict(sorted(answers.items()))}; repeated: {dict(failures)}")
    statuses = {status for status in failures if isinstance(status, int)}
    require(statuses <= {503}, f"no failure but 503, not {statuses}")
    require(answers.total() > 200, "there was a load")


NAMES = {
    Kind.MESSAGE: "message",
    Kind.CONVERSATION: "conversation",
    Kind.JOINED: "conversation",
    Kind.LEFT: "conversation_removed",
    Kind.READ: "read",
    Kind.PROFILE: "profile",
    Kind.CONTACT_ADDED: "contact",
    Kind.CONTACT_REMOVED: "contact",
}


def expected(rows, user_id, inside):
    """What a user is told of the log, as {position: name}: what must come, and what may.

    `inside` are the user's conversations at the beginning. Of a conversation that the user leaves later, nothing needs
    to come but the end: it depends on when the events are read.
    """
    inside, must, may = {pk: {} for pk in inside}, {}, {}
    for row in rows:
        if row.user_id not in (None, user_id):
            continue
        told, pk = {row.position: NAMES[row.kind]}, row.conversation_id
        if row.kind == Kind.LEFT:
            may |= inside.pop(pk)
            must |= told
        elif row.kind == Kind.JOINED:
            inside[pk] = told
        elif pk is None:
            must |= told
        elif pk in inside and row.other_id != user_id:
            inside[pk] |= told
    for told in inside.values():
        must |= told
    return must, may, inside.keys()


class Check:
    """Compares what the readers got with the database."""

    def __init__(self, cast, writers, readers):
        self.cast, self.writers, self.readers = cast, writers, readers
        self.rows = Event.objects.order_by("position").rows(10**9)
        self.messages = {(m.conversation_id, m.number): m for m in Message.objects.select_related("sender")}
        self.last_numbers = dict(Conversation.objects.values_list("pk", "last_number"))

    def all(self):
        self.require_log()
        found = Counter()
        problems = []
        for reader in self.readers:
            for what, positions in self.wrong_positions(reader).items():
                found[what] += len(positions)
                problems += [self.evidence(what, reader, position) for position in positions]
        self.say_all(found)
        require(not problems, "\n".join(problems[:10]))
        for reader in self.readers:
            self.require_texts(reader)

    def say_all(self, found):
        delivered = sum(len(reader.told) - 1 for reader in self.readers)
        answers = sum((reader.answers for reader in self.readers), Counter())
        failures = sum((reader.failures for reader in self.readers), Counter())
        resumes, broken = answers.pop(200) - len(self.readers), sum(reader.broken for reader in self.readers)
        say(f"{len(self.rows)} events in the log, {len(self.messages)} messages")
        say(
            f"{len(self.readers)} readers, {resumes} resumes, {broken} of them after a part of an event; "
            f"answered otherwise: {dict(answers)}, {dict(failures)}"
        )
        say(f"{delivered} events delivered: {', '.join(f'{what} {number}' for what, number in found.items())}")

    def require_log(self):
        """Everything that was answered is in the log, and the log agrees with the other tables."""
        last = Log.objects.get().last_position
        require(not Announcement.objects.exists(), "every announcement has got its position")
        require([row.position for row in self.rows] == list(range(1, last + 1)), "the positions have no gaps")
        told = Counter((row.conversation_id, row.number) for row in self.rows if row.kind == Kind.MESSAGE)
        require(told.keys() == self.messages.keys(), "each message has an event, each event a message")
        for writer in self.writers:
            lost = {key for key, number in writer.changed.items() if told[key] < 1}
            lost |= {key for client_id, key in writer.stored.items() if self.messages[key].client_id != client_id}
            require(not lost, f"each message that was answered is there: {lost}")
        changed = sum((writer.changed for writer in self.writers), Counter())
        missing = {key for key, number in changed.items() if told[key] < number}
        require(not missing, f"each change of a message that was answered has its event: {missing}")
        sent = Counter((m.conversation_id, m.sender_id, m.client_id) for m in self.messages.values())
        require(max(sent.values()) == 1, "each message is there once")
        for user in self.cast.everybody:
            _, _, inside = expected(self.rows, user.pk, self.cast.members[user.pk])
            stored = set(Membership.objects.filter(user=user).values_list("conversation", flat=True))
            require(inside == stored, f"{user.username} is a member as the events say: {inside ^ stored}")

    def wrong_positions(self, reader):
        """Positions of what went wrong with this reader, by what."""
        require(not reader.malformed, f"events have an id, a name and data: {reader.malformed}")
        first, *told = reader.told
        require(first.name == "ready", f"the first event is ready: {first}")
        must, may, _ = expected(self.rows, reader.user.pk, self.cast.members[reader.user.pk])
        got = Counter(each.position for each in told)
        return {
            "lost": [position for position in must if position > first.position and position not in got],
            "twice": [position for position, times in got.items() if times > 1],
            "out of order": [
                later.position for each, later in pairwise(reader.told) if later.position <= each.position
            ],
            "not theirs": [each.position for each in told if (must | may).get(each.position) != each.name],
        }

    def evidence(self, what, reader, position):
        """What went wrong, with the event and the memberships of the user in its conversation."""
        row = self.rows[position - 1]
        of_user = [
            each for each in self.rows if (each.user_id, each.conversation_id) == (reader.user.pk, row.conversation_id)
        ]
        changes = [(Kind(each.kind).name, each.position) for each in of_user if each.kind in MEMBERSHIP_KINDS]
        return f"{what} for {reader.user.username}: {row}, {Kind(row.kind).name}; {changes}"

    def require_texts(self, reader):
        """The messages of the conversations in which the user stayed are in order, and at last as they are stored."""
        places = {place.pk for place in self.cast.places if reader.user in place.staying}
        numbers, last = defaultdict(dict), {}
        for message in (each.data["message"] for each in reader.told if each.name == "message"):
            numbers[message["conversation"]][message["number"]] = True
            last[message["conversation"], message["number"]] = message
        for pk in places:
            in_order = list(range(1, self.last_numbers[pk] + 1))
            require(list(numbers[pk]) == in_order, f"new messages come in the order of their numbers: {numbers[pk]}")
        for key, message in self.messages.items():
            if key[0] in places:
                stored = (message.text, message.deleted, message.sender.username)
                stored += (message.client_id if message.sender == reader.user else None,)
                told = tuple(last[key][field] for field in ("text", "deleted", "sender", "client_id"))
                require(told == stored, f"{key} is as it is stored for {reader.user.username}: {told} {stored}")


# Drill: departures


class Lane:
    """Three users with a group of their own, for one race after the other."""

    def __init__(self, kind, number):
        self.name, self.chance = f"{kind}{number}x", dice(kind, number)
        self.owner, self.victim, self.bystander = self.users = make_users(self.name, 3)
        self.tokens = {user: AuthToken.objects.issue(user) for user in self.users}
        self.group = self.make_group()
        # The victims of every second lane reconnect all the time, so that they may do so at the very moment.
        self.drops = HASTY if number % 2 else None
        self.ends, self.answers, self.failures = [], Counter(), Counter()

    def make_group(self):
        return conversations.create_group(self.owner, "Drill", [self.victim.pk, self.bystander.pk]).pk

    def make_groups(self, number):
        groups = [Conversation(kind="group", name=self.name, owner=self.owner) for _ in range(number)]
        Conversation.objects.bulk_create(groups)
        ids = list(Conversation.objects.filter(name=self.name).order_by("pk").values_list("pk", flat=True))
        Membership.objects.bulk_create(Membership(conversation_id=pk, user=user) for pk in ids for user in self.users)
        return ids

    def reader(self, user, drops=None, token=None):
        return Reader(user, self.chance, drops, token)

    def call(self, user, status, method, path, body=None):
        got = call(method, path, body, self.tokens[user])
        require(got[0] == status, f"{self.name}: {method} {path} is answered with {status}: {got}")

    def send(self, text, conversation_id=None, by=None, status=201):
        path = f"/conversations/{conversation_id or self.group}/messages"
        self.call(by or self.owner, status, "POST", path, {"text": text})

    def require_end(self, reader, why, marker, began):
        """The stream ends, having got no part of the marker."""
        require(reader.ends(), f"{self.name}: the stream ends: {reader.told[-1]} {reader.answers} {reader.failures}")
        if not self.drops:
            self.ends.append(time.monotonic() - began)
            require(reader.told[-1].name == "end", f"{self.name}: the end is told: {reader.told[-1]}")
        require(reader.why in (why, None), f"{self.name}: it ends because of {why}: {reader.why}")
        self.require_never(reader, [marker])

    def require_never(self, reader, markers):
        require(not reader.malformed, f"{self.name}: events have an id, a name and data: {reader.malformed}")
        self.answers += reader.answers
        self.failures += reader.failures
        leaked = [marker for marker in markers if marker.encode() in reader.received]
        events = [each for each in reader.told if any(marker in str(each.data) for marker in leaked)]
        require(not leaked, f"{self.name}: leaked to {reader.user.pk} in {len(leaked)} of {len(markers)}: {events[:3]}")

    def require_all(self, reader, markers):
        """Everything reached the reader, who is asked for the last one first."""
        what = f"{self.name}: {markers[-1]} reaches {reader.user.username}"
        require(reader.gets(markers[-1]), f"{what}: {reader.told[-1]} {reader.answers} {reader.failures}")
        missing = set(markers) - reader.texts
        require(not missing, f"{self.name}: lost for {reader.user.username}: {missing}")


def markers_of(lane):
    return [f"marker {lane.name} {number}." for number in range(RACES // LANES)]


def taken_out(lane):
    """A user who was taken out of a group, or has left it, gets nothing more of it."""
    markers = markers_of(lane)
    groups = lane.make_groups(len(markers))
    with lane.reader(lane.victim, lane.drops) as victim, lane.reader(lane.bystander) as bystander:
        for number, (group, marker) in enumerate(zip(groups, markers, strict=True)):
            by = (lane.owner, lane.victim)[number % 4 // 2]
            lane.call(by, 204, "DELETE", f"/conversations/{group}/members/{lane.victim.username}")
            lane.send(marker, group)
        lane.send("the last")
        require(victim.gets("the last"), f"{lane.name}: other conversations go on")
        lane.require_all(bystander, [*markers, "the last"])
        lane.require_never(victim, markers)
        removed = [each.data["conversation"] for each in victim.told if each.name == "conversation_removed"]
        require(removed == groups, f"{lane.name}: each removal is told once: {removed}, {groups}")


def logged_out(lane):
    """The stream of a token that was logged out ends; those of other tokens of the user go on."""
    markers = markers_of(lane)
    with lane.reader(lane.victim) as other, lane.reader(lane.bystander) as bystander:
        for marker in markers:
            with lane.reader(lane.victim, lane.drops) as victim:
                require(call("POST", "/users/logout", token=victim.token)[0] == 204, "logged out")
                began = time.monotonic()
                lane.send(marker)
                lane.require_end(victim, "logout", marker, began)
        lane.require_all(bystander, markers)
        lane.require_all(other, markers)


def deactivated(lane):
    """The streams of an account that another process has deactivated end."""
    markers = markers_of(lane)
    with lane.reader(lane.bystander) as bystander:
        for marker in markers:
            with lane.reader(lane.victim, lane.drops) as victim:
                users.deactivate(lane.victim)
                began = time.monotonic()
                lane.send(marker)
                lane.require_end(victim, "deactivated", marker, began)
            users.reactivate(lane.victim)
        lane.require_all(bystander, markers)


def blacklisted(lane):
    """After a blacklisting no private message comes; the group of the two goes on.

    What is sent at the same moment comes if it was accepted, and before the event of the blacklisting.
    """
    pair = [lane.owner, lane.victim]
    private = conversations.open_private(*pair)[0].pk
    path, markers, accepted = f"/users/contacts/blacklist-user/{lane.owner.username}", markers_of(lane), []
    with (
        lane.reader(lane.victim, lane.drops) as victim,
        lane.reader(lane.owner) as owner,
        lane.reader(lane.bystander) as bystander,
        ThreadPoolExecutor(1) as threads,
    ):
        for number, marker in enumerate(markers):
            racing = threads.submit(call, "POST", f"/conversations/{private}/messages", *racing_message(lane, marker))
            lane.call(lane.victim, 201, "POST", path)
            lane.send(marker, private, by=pair[number % 2], status=403)
            lane.send(f"group {marker}")
            accepted += [f"racing {marker}"] if racing.result()[0] == 201 else []
            lane.call(lane.victim, 200, "DELETE", path)
        groups = [f"group {marker}" for marker in markers]
        for reader in (victim, owner, bystander):
            lane.require_all(reader, groups)
            refused = {f"racing {marker}" for marker in markers} - set(accepted)
            lane.require_never(reader, [f'"text":"{marker}"' for marker in [*markers, *refused]])
        for reader in (victim, owner):
            lane.require_all(reader, [*accepted, groups[-1]])
        require(not (bystander.texts & set(accepted)), f"{lane.name}: a private conversation has two members")
        require_silence(lane, victim, private)
    return len(accepted)


def racing_message(lane, marker):
    return {"text": f"racing {marker}"}, lane.tokens[lane.owner]


def require_silence(lane, victim, private):
    """While the other is blacklisted, no event of a private message has its place."""
    is_blacklisted = False
    for each in victim.told:
        if each.name == "blacklist":
            is_blacklisted = each.data["is_blacklisted_by_user"]
        is_private = each.name == "message" and each.data["message"]["conversation"] == private
        require(not (is_private and is_blacklisted), f"{lane.name}: while blacklisted: {each}")


def departures():
    """Who is taken out gets nothing that is sent after the answer; everybody else gets all."""
    say(f"seed {SEED}")
    with Server() as server:
        for race in (taken_out, logged_out, deactivated, blacklisted):
            run_lanes(race)
        errors = [line for line in server.lines() if "Traceback" in line or "(1213," in line]
    require(not errors, f"no traceback and no deadlock in the log: {errors[:3]}")


def run_lanes(race):
    began = time.monotonic()
    lanes = [Lane(race.__name__, number) for number in range(LANES)]
    with ThreadPoolExecutor(LANES) as threads:
        results = list(threads.map(lambda lane: in_thread(race, lane), lanes))
    took = time.monotonic() - began
    answers, failures = (sum((getattr(lane, what) for lane in lanes), Counter()) for what in ("answers", "failures"))
    notes = f"streams {dict(answers)} {dict(failures)}"
    if ends := [seconds for lane in lanes for seconds in lane.ends]:
        notes += f", the end after {median(ends):.2f} s, at most {max(ends):.2f} s"
        # With all these races at a time a single one may take longer.
        require(median(ends) < 1, "the end is told within a second")
    if race is blacklisted:
        notes += f", {sum(results)} sent just before"
    say(f"{race.__name__}: {LANES * (RACES // LANES)} races in {took:.0f} s, leaked 0, lost 0; {notes}")


def in_thread(race, lane):
    try:
        return race(lane)
    finally:
        connection.close()
