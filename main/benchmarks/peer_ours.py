"""This server, as one of those that are compared."""

import os
import subprocess
import sys
from contextlib import contextmanager
from functools import partial

from benchmarks import peer_people
from benchmarks.peer_client import Peer
from benchmarks.peer_people import ALICE, FRIENDS, LISTENED, PASSWORD, PER_PAGE, READ, TERMS, WRITTEN
from harness.server import MAIN, Server, free_port
from users.hashers import Argon2idPasswordHasher as Hasher

HASH = f"argon2id, {Hasher.memory_cost // 1024} MiB, {Hasher.time_cost} passes"


class Ours(Peer):
    scheme = "Token"
    listening = {"stream": True, "long poll": False}
    stream_path = "/events"

    def set_the_stage(self, users, messages):
        self.users = users
        for name in (ALICE, *FRIENDS):
            self.tokens[name] = self.log_in(name)
        self.rooms = {
            friend: self.ask("POST", f"/conversations/private/{friend}", by=ALICE, expected=201)["id"]
            for friend in FRIENDS
        }
        for number in range(1, messages + 1):
            self.send(READ, f"Message {number}", by=(ALICE, READ)[number % 2])

    def log_in(self, name):
        return self.ask("POST", "/users/login", {"username": name, "password": PASSWORD})["token"]

    def send(self, friend, text, by=ALICE, to=None):
        path, body = f"/conversations/{self.rooms[friend]}/messages", {"text": text, "client_id": text}
        answer = self.ask("POST", path, body, by=by, expected=201, to=to)
        self.require(answer["text"] == text and answer["sender"] == by, f"a message is answered by {answer}")

    def texts(self, friend):
        """The texts of all messages, newest first."""
        path, before = f"/conversations/{self.rooms[friend]}/messages?limit=100", ""
        while page := self.ask("GET", path + before, by=ALICE):
            yield from (message["text"] for message in page)
            before = f"&before={page[-1]['number']}"

    def calls(self, others):
        messages = "/conversations/{}/messages"
        body = {"text": "Message {n}", "client_id": "{n}"}
        search = f"/users/contacts/find-users?limit={PER_PAGE}&search="
        return {
            "who am I": [("GET", "/users/profile", None)],
            "profile of another": [("GET", f"/users/contacts/view-user/{user.username}", None) for user in others],
            "search for people": [("GET", search + term, None) for term in TERMS],
            "50 messages": [("GET", f"{messages.format(self.rooms[READ])}?limit=50", None)],
            "send": [("POST", messages.format(self.rooms[WRITTEN[0]]), body)],
            "send, 8 conversations": [("POST", messages.format(self.rooms[friend]), body) for friend in WRITTEN],
            "log in": [("POST", "/users/login", {"username": READ, "password": PASSWORD})],
        }

    # What one gets by the calls

    def own_name(self, token_of=ALICE):
        return self.ask("GET", "/users/profile", by=token_of)["username"]

    def name_of(self, user):
        profile = self.ask("GET", f"/users/contacts/view-user/{user.username}", by=ALICE)
        self.require(profile["email"] == user.email, f"the profile of {user.username} is {profile}")
        return peer_people.shown_name(type(user)(**profile))

    def found(self, term):
        path = f"/users/contacts/find-users?limit={PER_PAGE}&search={term}"
        return [user["username"] for user in self.ask("GET", path, by=ALICE)]

    def is_found_by(self, term):
        return peer_people.with_part(self.users, term)

    def page(self):
        page = self.ask("GET", f"/conversations/{self.rooms[READ]}/messages?limit=50", by=ALICE)
        return [(message["sender"], message["text"]) for message in page]

    # Listening

    def present_place(self, username):
        return self.ask("GET", "/events", by=username)["cursor"]

    def poll_path(self, place):
        return f"/events?after={place}&wait=25"

    def read_poll(self, answer):
        texts = [text for event in answer["events"] for text in self.texts_of_event(event["data"])]
        return answer["cursor"], texts

    def texts_of_event(self, data):
        message = data.get("message")
        return [message["text"]] if message and message["conversation"] == self.rooms[LISTENED] else []


@contextmanager
def serving(name, environment, count):
    """This server in one process, on the environment's database, with so many people; and the id of the process."""
    command = [sys.executable, "-m", "benchmarks.peer_people", str(count)]
    subprocess.run(command, cwd=MAIN, env=os.environ | environment, check=True)  # noqa: S603
    port = free_port()
    with Server(port=port, WEB_CONCURRENCY="1", **environment) as server:
        peer = Ours(port)
        peer.name = name
        yield peer, server.process.pid


on_mariadb = partial(serving, "this server, MariaDB", {})


def on_sqlite(folder, count):
    return serving("this server, SQLite", {"MYSQL_USER": "", "SQLITE_FILE": f"{folder}/ours.sqlite3"}, count)
