"""Drill of exports: a big account, a slow client, one that leaves, and kill -9 of the process that makes one."""

import http.client
import os
import signal
import tempfile
import threading
import time
from contextlib import contextmanager, suppress
from pathlib import Path

from django.db import connection

from common.models import RateCounter
from conversations import actions
from conversations.models import Conversation, Message
from drills.service import PASSWORD, call, require, say
from harness.server import PORT, Server
from users.models import AuthToken, User

# Conversations besides the big one, with so many messages each.
SMALL, FEW = 100, 20
TEXT = "The quick brown fox jumps over the lazy dog, and the dog does not mind at all."


def run(alice, bob, messages=100_000):
    fill(alice, bob, messages)
    carol = User.objects.create_user("carol", "carol@example.org", PASSWORD)
    token, other = AuthToken.objects.issue(alice), AuthToken.objects.issue(bob)
    with tempfile.TemporaryDirectory(prefix="chat-drill-exports-") as folder:
        os.environ["TMPDIR"] = folder
        try:
            with Server() as server:
                whole(server, token, other, messages + SMALL * FEW)
                slow(server, token, AuthToken.objects.issue(carol), messages + SMALL * FEW)
                leaving(server, token)
                killed(server, token, folder)
                require(not [line for line in server.lines() if "Traceback" in line], "no traceback")
        finally:
            del os.environ["TMPDIR"]


def fill(alice, bob, messages):
    """Let alice and bob have talked so much."""
    for number in [messages] + [FEW] * SMALL:
        group = actions.create_group(alice, "Group", [bob.pk])
        Message.objects.bulk_create(
            (
                Message(conversation=group, number=each, sender=(alice, bob)[each % 2], text=TEXT, client_id=str(each))
                for each in range(1, number + 1)
            ),
            batch_size=2000,
        )
        Conversation.objects.filter(pk=group.pk).update(last_number=number)


class Download:
    """An export as a client takes it."""

    def __init__(self, token, receive_buffer=None):
        RateCounter.objects.all().delete()  # a user may have three in an hour
        self.began = time.monotonic()
        self.http = http.client.HTTPConnection("127.0.0.1", PORT, timeout=60)
        self.http.request("GET", "/users/export", headers={"Authorization": f"Token {token}"})
        self.answer = self.http.getresponse()
        require(self.answer.status == 200, f"an export is answered with 200, not {self.answer.status}")
        self.bytes = self.messages = 0
        self.tail = b""

    def read(self, size=1 << 16):
        """Read some; return whether there is more."""
        data = self.answer.read(size)
        self.bytes += len(data)
        self.messages += (self.tail + data).count(b'"client_id":') - self.tail.count(b'"client_id":')
        self.tail = (self.tail + data)[-20:]
        return bool(data)

    def read_all(self, most=float("inf")):
        while self.bytes < most and self.read():
            pass

    def require_whole(self, messages):
        # Each conversation shows its last message, too.
        found = self.messages - 1 - SMALL
        require(found == messages, f"all {messages} messages are there, not {found}")
        require(self.tail.endswith(b"]}]}"), "it has an end")


@contextmanager
def watched(server, token):
    """Gives, after the block, how much more memory the server had, and how long calls of somebody else took."""
    seen = {"memory": 0, "calls": []}
    before, done = server.memory(), threading.Event()

    def watch():
        while not done.wait(0.05):
            began = time.monotonic()
            require(call("GET", "/users/profile", token=token)[0] == 200, "others are served")
            seen["calls"].append(time.monotonic() - began)
            seen["memory"] = max(seen["memory"], server.memory() - before)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield seen
    finally:
        done.set()
        thread.join()


def whole(server, token, other, messages):
    call("GET", "/users/profile", token=other)
    with watched(server, other) as seen:
        download = Download(token)
        first = time.monotonic() - download.began
        download.read_all()
        took = time.monotonic() - download.began
    download.require_whole(messages)
    calls = sorted(seen["calls"])
    say(
        f"an export of {messages} messages: {download.bytes / 1e6:.0f} MB in {took:.1f} s, the first byte after "
        f"{first:.2f} s, {seen['memory']:.0f} MB more in memory; meanwhile {len(calls)} calls of somebody else: median "
        f"{1000 * calls[len(calls) // 2]:.0f} ms, longest {1000 * calls[-1]:.0f} ms"
    )
    require(seen["memory"] < 50, "its memory does not grow with the account")
    require(calls[-1] < 1, "others do not wait")


def slow(server, token, other, messages):
    """A client that reads nothing for a while: the thread and the transaction end without it."""
    download = Download(token)
    download.read_all(most=100_000)
    wait_for(lambda: files_of(server), "it is in a file")
    wait_until_made(server)
    made = time.monotonic() - download.began
    require(not transactions(), "no transaction is left for a client that does not read")
    began = time.monotonic()
    Download(other).read_all()
    say(f"a slow client: made after {made:.1f} s; another one's export after {time.monotonic() - began:.2f} s more")
    download.read_all()
    download.require_whole(messages)
    wait_for(lambda: not files_of(server), "the files are gone")


def leaving(server, token):
    download = Download(token)
    download.read_all(most=100_000)
    require(files_of(server), "it is in a file")
    download.answer.close()
    download.http.close()
    began = time.monotonic()
    wait_for(lambda: not files_of(server) and not transactions(), "nothing is left of it")
    say(f"a client left: file and transaction gone after {time.monotonic() - began:.2f} s")


def killed(server, token, folder):
    download = Download(token)
    download.read_all(most=100_000)
    [(pid, _)] = files_of(server)
    os.kill(pid, signal.SIGKILL)
    with suppress(OSError, http.client.HTTPException):
        download.read_all()
        raise SystemExit("Not as it should be: an export that is not complete looks complete")
    wait_for(lambda: not transactions() and len(server.workers()) == 2, "it is replaced, and its transaction gone")
    left = [path.name for path in Path(folder).iterdir() if not path.is_dir()]
    require(not left, f"no file is left: {left}")
    say("the process was killed: the client was told, no file is left")


def wait_for(condition, what, seconds=30):
    end = time.monotonic() + seconds
    while not condition():
        require(time.monotonic() < end, what)
        time.sleep(0.02)


def wait_until_made(server):
    """Wait until no file grows any more."""
    size = -1
    while size != (size := sum(size for _, size in files_of(server))):
        time.sleep(1)


def files_of(server):
    """The files without a name that are open in the processes, of exports, as (process id, size)."""
    found = []
    for pid in server.workers():
        for path in Path(f"/proc/{pid}/fd").iterdir():
            with suppress(OSError):
                target = str(path.readlink())
                if target.startswith(os.environ["TMPDIR"]) and target.endswith(" (deleted)") and path.stat().st_size:
                    found.append((pid, path.stat().st_size))
    return found


def transactions():
    """How many transactions read a snapshot; on SQLite, whether one keeps the log from being taken over."""
    with connection.cursor() as cursor:
        if connection.vendor == "mysql":
            time.sleep(0.15)  # InnoDB answers the same for a tenth of a second since it was last asked
            cursor.execute(
                "SELECT COUNT(*) FROM information_schema.innodb_trx WHERE trx_isolation_level = 'REPEATABLE READ'"
            )
            return cursor.fetchone()[0]
        cursor.execute("PRAGMA busy_timeout = 0")
        cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return cursor.fetchone()[0]
