"""Drills with writes under load: kills, restarts, and the deletion of a large account."""

import http.client
import os
import signal
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path

from django.core.management import call_command
from django.db import connection

from conversations import actions
from conversations.models import Conversation, Membership, Message
from drills.service import PASSWORD, call, require, say
from harness.server import PORT, Server
from users.models import AuthToken, User

WRITERS = 8


class Writers:
    """Send messages without pause, each with a client_id; record what was answered, when, and how long it took."""

    def __init__(self, conversation, users):
        self.conversation = conversation
        self.tokens = [AuthToken.objects.issue(user) for user in users]
        self.answered, self.others, self.times, self.longest = set(), Counter(), [], 0
        self.done = threading.Event()

    def __enter__(self):
        self.threads = [threading.Thread(target=self.write, args=[number]) for number in range(WRITERS)]
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *failure):
        self.done.set()
        for thread in self.threads:
            thread.join()

    def write(self, name):
        path, token = f"/conversations/{self.conversation.pk}/messages", self.tokens[name % len(self.tokens)]
        to, number = http.client.HTTPConnection("127.0.0.1", PORT, timeout=60), 0
        while not self.done.is_set():
            number += 1
            client_id, began = f"{name}-{number}", time.monotonic()
            try:
                status, body = call("POST", path, {"text": "x", "client_id": client_id}, token, to)
            except (OSError, http.client.HTTPException) as error:
                self.others[type(error).__name__] += 1
                to.close()
                time.sleep(0.01)
                continue
            self.longest = max(self.longest, time.monotonic() - began)
            if status == 201:
                self.answered.add(client_id)
                self.times.append(time.monotonic())
            else:
                self.others[f"{status} {body}"] += 1
                time.sleep(0.01)

    def have_written_since(self, moment):
        return bool(self.times) and self.times[-1] > moment

    def longest_pause_after(self, moment):
        """The longest pause between two writes after this moment, in seconds."""
        times = [moment, *sorted(at for at in self.times if at > moment)]
        return max((later - earlier for earlier, later in pairwise(times)), default=float("inf"))

    def require_all_is_stored(self):
        rows = list(self.conversation.messages.values_list("number", "client_id").order_by("number"))
        stored = Counter(client_id for _, client_id in rows)
        lost = self.answered - set(stored)
        say(f"{len(self.answered)} messages answered, {len(rows)} found, {len(lost)} lost")
        require(len(self.answered) > 100, "there was a load")
        require(not lost, f"lost: {sorted(lost)[:5]}")
        require(max(stored.values()) == 1, "each message is there once")
        last = Conversation.objects.get(pk=self.conversation.pk).last_number
        require([number for number, _ in rows] == list(range(1, last + 1)), "the numbers have no gaps")


def guesses(alice):
    """Simultaneous wrong passwords at two processes: exactly as many are checked as the rate allows."""
    with Server() as server, ThreadPoolExecutor(24) as threads:
        body = {"username": "alice", "password": "wrong-horse-battery"}
        statuses = Counter(status for status, _ in threads.map(lambda _: call("POST", "/users/login", body), range(24)))
        say(f"24 wrong passwords at once, {len(server.workers())} processes, 5 allowed: {dict(statuses)}")
        require(statuses == {400: 5, 429: 19}, "5 of 24 guesses checked")
        right = {"username": "alice", "password": PASSWORD}
        require(call("POST", "/users/login", right)[0] == 429, "the address is refused until its minute is over")
        away = http.client.HTTPConnection("127.0.0.1", PORT, source_address=("127.0.0.2", 0))
        status, _ = call("POST", "/users/login", right, to=away)
        say(f"the right password from another address: {status}")
        require(status == 200, "the right password from another address")


def kills(alice, bob):
    """Kill the database and the processes one after the other under load: no answered write is lost."""
    private, _ = actions.open_private(alice, bob)
    pauses = {}
    with Server() as server:
        with Writers(private, [alice, bob]) as writers:
            time.sleep(3)
            if pid_file := os.environ.get("MARIADB_PID_FILE"):
                os.kill(int(Path(pid_file).read_text()), signal.SIGKILL)
                killed = time.monotonic()
                time.sleep(7)
                pauses["the database"] = writers.longest_pause_after(killed)
            for pid in server.workers():
                os.kill(pid, signal.SIGKILL)
                killed = time.monotonic()
                time.sleep(4)
                while not writers.have_written_since(killed) and time.monotonic() < killed + 15:
                    time.sleep(0.1)
                pauses[f"process {pid}"] = writers.longest_pause_after(killed)
                # One that was killed within a write to the disk ends when the disk has answered.
                while len(set(server.workers()) - {pid}) < 2 and time.monotonic() < killed + 15:
                    time.sleep(0.1)
            require(len(server.workers()) == 2, f"the processes are replaced: {server.workers()}")
        errors = [line for line in server.lines() if "Traceback" in line or "(1213," in line]
    for what, pause in pauses.items():
        say(f"after {what} was killed: written again after {pause:.1f} s")
        require(pause < 10, f"{what} recovers by itself")
    say(f"answered otherwise: {dict(writers.others)}")
    require(not errors, f"no traceback and no deadlock in the log: {errors[:3]}")
    statuses = {other[:3] for other in writers.others if other[:3].isdigit()}
    require(statuses <= {"503"}, f"no failure but 503, not {statuses}")
    connection.close()  # to the database that was killed
    writers.require_all_is_stored()


def reload(alice, bob):
    """SIGHUP under load: each process is replaced, and no request is lost."""
    group = actions.create_group(alice, "Reload", [bob.pk])
    with Server() as server:
        before = server.workers()
        with Writers(group, [alice, bob]) as writers:
            time.sleep(1)
            server.process.send_signal(signal.SIGHUP)
            time.sleep(10)
        require(not set(before) & set(server.workers()), "each process was replaced")
    say(f"a reload under load; answered otherwise: {dict(writers.others)}")
    require(not writers.others, "no request is lost")
    writers.require_all_is_stored()


def termination(alice):
    """SIGTERM: running requests are finished."""
    os.environ["LOGIN_RATE"] = ""
    body = {"username": "alice", "password": PASSWORD}
    with Server() as server, ThreadPoolExecutor(8) as threads:
        connections = [http.client.HTTPConnection("127.0.0.1", PORT, timeout=60) for _ in range(8)]
        for each in connections:
            # Accepted before the signal, whatever else the machine does.
            call("POST", "/users/login", {}, to=each)
        answers = [threads.submit(call, "POST", "/users/login", body, to=each) for each in connections]
        time.sleep(0.05)
        server.process.send_signal(signal.SIGTERM)
        statuses = Counter(answer.result()[0] for answer in answers)
        server.process.wait(10)
    say(f"SIGTERM while 8 logins ran: {dict(statuses)}")
    require(statuses == {200: 8}, "what runs is finished")


def big_account(alice, bob, groups, messages):
    """Delete an account with many groups and messages while others write in one of its groups."""
    carol = User.objects.create_user("carol", "carol@example.org", PASSWORD)
    made = Conversation.objects.bulk_create(
        [Conversation(kind="group", name="x", owner=carol, last_number=messages // groups) for _ in range(groups)],
        batch_size=500,
    )
    made = made if made[0].pk else list(Conversation.objects.filter(name="x"))
    Membership.objects.bulk_create(
        (Membership(conversation=group, user=user) for group in made for user in (carol, alice, bob)), batch_size=500
    )
    for group in made:
        Message.objects.bulk_create(
            Message(conversation=group, number=number, sender=carol, text="x")
            for number in range(1, messages // groups + 1)
        )
    group = actions.create_group(alice, "Shared", [bob.pk, carol.pk])
    token = AuthToken.objects.issue(carol)
    with Server() as server:
        with Writers(group, [alice, bob]) as writers:
            time.sleep(1)
            began = time.monotonic()
            status, _ = call("DELETE", "/users/profile", token=token)
            took = time.monotonic() - began
            time.sleep(15)
        failures = [line for line in server.lines() if "Traceback" in line or "(1213," in line]
    say(f"an account in {groups} groups with {messages} messages: deleted in {took:.2f} s")
    say(f"the longest call of others took {writers.longest:.2f} s; answered otherwise: {dict(writers.others)}")
    require(status == 204, f"deleted: {status}")
    require(took < 1 and writers.longest < 2, "nobody waits")
    require(not writers.others, "every write of others succeeds")
    require(not failures, f"no traceback and no deadlock in the log: {failures[:3]}")
    say(
        f"{Membership.objects.filter(user=carol).count()} groups, {carol.messages.count()} messages left to the command"
    )
    call_command("upkeep")
    require(not User.objects.filter(pk=carol.pk).exists(), "nothing of it is left")
    writers.require_all_is_stored()
