"""Matrix Synapse, as one of the servers that are compared. It asks no other host and listens on 127.0.0.1 alone."""

import hashlib
import hmac
import itertools
import json
import os
import secrets
import subprocess
import time
import urllib.request
from contextlib import contextmanager
from pathlib import Path

from benchmarks import peer_people
from benchmarks.peer_client import Peer, quoted
from benchmarks.peer_people import ALICE, FRIENDS, LISTENED, PASSWORD, PER_PAGE, READ, TERMS, WRITTEN
from harness.server import free_port

HOST = "peers.invalid"
CLIENT = "/_matrix/client/v3"
# Synapse's own default.
HASH = "bcrypt, 12 rounds"

# A rate is counted as ever and never used up.
RATE = {"per_second": 1_000_000, "burst_count": 1_000_000}
RATES = dict.fromkeys(
    ("rc_message", "rc_registration", "rc_joins_per_room", "rc_room_creation", "rc_user_directory", "rc_profile"), RATE
)
RATES["rc_login"] = dict.fromkeys(("address", "account", "failed_attempts"), RATE)
RATES["rc_joins"] = dict.fromkeys(("local", "remote"), RATE)
RATES["rc_invites"] = dict.fromkeys(("per_room", "per_user", "per_issuer"), RATE)


def settings(folder, port, secret):
    """What differs from the configuration that Synapse writes for itself: caches, log and database stay as they are.

    What this server does not have either and can be switched off is off.
    """
    resources = [{"names": ["client"], "compress": False}]
    listener = {"type": "http", "port": port, "bind_addresses": ["127.0.0.1"], "tls": False, "resources": resources}
    return RATES | {
        "listeners": [listener],
        "registration_shared_secret": secret,
        "enable_registration": False,
        "user_directory": {"enabled": True, "search_all_users": True},
        "presence": {"enabled": False},
        "send_federation": False,
        "federation_domain_whitelist": [],
        "trusted_key_servers": [],
        "report_stats": False,
        "url_preview_enabled": False,
    }


class Synapse(Peer):
    name = "Synapse, SQLite"
    scheme = "Bearer"
    listening = {"/sync": False}
    transactions = itertools.count()
    # Where the one who listens has come to. A first /sync is answered from a cache for two minutes, with what was then.
    place = None

    def set_the_stage(self, users, messages):
        self.users = users
        for name in ("operator", ALICE, *FRIENDS):
            self.tokens[name] = self.register(name)
        for user in users:
            path = f"/_synapse/admin/v2/users/{identifier(user.username)}"
            self.ask("PUT", path, {"displayname": peer_people.shown_name(user)}, by="operator", expected=201)
        self.rooms = {}
        for friend in FRIENDS:
            room = {"preset": "private_chat", "is_direct": True, "invite": [f"@{friend}:{HOST}"]}
            self.rooms[friend] = self.ask("POST", f"{CLIENT}/createRoom", room, by=ALICE)["room_id"]
            self.ask("POST", self.path(friend, "join"), {}, by=friend)
        for number in range(1, messages + 1):
            self.send(READ, f"Message {number}", by=(ALICE, READ)[number % 2])
        # The directory follows the accounts after a moment.
        deadline = time.monotonic() + 30
        while len(self.found(TERMS[-1])) < min(PER_PAGE, len(self.is_found_by(TERMS[-1]))):
            self.require(time.monotonic() < deadline, "the people are in the directory")
            time.sleep(0.2)

    def register(self, name):
        path = "/_synapse/admin/v1/register"
        nonce = self.ask("GET", path)["nonce"]
        role = "admin" if name == "operator" else "notadmin"
        parts = "\0".join((nonce, name, PASSWORD, role)).encode()
        account = {
            "nonce": nonce,
            "username": name,
            "displayname": name.title(),
            "password": PASSWORD,
            "admin": role == "admin",
            "mac": hmac.new(self.secret.encode(), parts, hashlib.sha1).hexdigest(),
        }
        return self.ask("POST", path, account)["access_token"]

    def version(self):
        return self.ask("GET", "/_synapse/admin/v1/server_version", by="operator")["server_version"]

    def path(self, friend, call):
        return f"{CLIENT}/rooms/{quoted(self.rooms[friend])}/{call}"

    def log_in(self, name):
        return self.ask("POST", f"{CLIENT}/login", login(name))["access_token"]

    def send(self, friend, text, by=ALICE, to=None):
        path = self.path(friend, f"send/m.room.message/check{next(self.transactions)}")
        answer = self.ask("PUT", path, message(text), by=by, to=to)
        self.require(answer["event_id"].startswith("$"), f"a message is answered by {answer}")

    def texts(self, friend):
        """The texts of all messages, newest first."""
        path, place = self.path(friend, "messages?dir=b&limit=500"), ""
        while place is not None:
            page = self.ask("GET", path + place, by=ALICE)
            yield from (text for _, text in messages_in(page["chunk"]))
            place = f"&from={page['end']}" if "end" in page else None

    def calls(self, others):
        send = "send/m.room.message/{n}"
        search = [{"search_term": term, "limit": PER_PAGE} for term in TERMS]
        return {
            "who am I": [("GET", f"{CLIENT}/account/whoami", None)],
            "profile of another": [("GET", f"{CLIENT}/profile/{identifier(u.username)}", None) for u in others],
            "search for people": [("POST", f"{CLIENT}/user_directory/search", body) for body in search],
            "50 messages": [("GET", self.path(READ, "messages?dir=b&limit=50"), None)],
            "send": [("PUT", self.path(WRITTEN[0], send), message("Message {n}"))],
            "send, 8 conversations": [("PUT", self.path(friend, send), message("Message {n}")) for friend in WRITTEN],
            "log in": [("POST", f"{CLIENT}/login", login(READ))],
        }

    # What one gets by the calls

    def own_name(self, token_of=ALICE):
        return username_of(self.ask("GET", f"{CLIENT}/account/whoami", by=token_of)["user_id"])

    def name_of(self, user):
        return self.ask("GET", f"{CLIENT}/profile/{identifier(user.username)}", by=ALICE)["displayname"]

    def found(self, term):
        body = {"search_term": term, "limit": PER_PAGE}
        results = self.ask("POST", f"{CLIENT}/user_directory/search", body, by=ALICE)["results"]
        return [username_of(user["user_id"]) for user in results]

    def is_found_by(self, term):
        return peer_people.with_begin_of_word(self.users, term)

    def page(self):
        return messages_in(self.ask("GET", self.path(READ, "messages?dir=b&limit=50"), by=ALICE)["chunk"])

    # Listening

    def present_place(self, username):
        return self.place or self.ask("GET", f"{CLIENT}/sync?timeout=0", by=username)["next_batch"]

    def poll_path(self, place):
        return f"{CLIENT}/sync?since={place}&timeout=25000"

    def read_poll(self, answer):
        self.place = answer["next_batch"]
        room = answer.get("rooms", {}).get("join", {}).get(self.rooms[LISTENED], {})
        return self.place, [text for _, text in messages_in(room.get("timeline", {}).get("events", []))]


def identifier(username):
    return quoted(f"@{username}:{HOST}")


def username_of(identifier):
    return identifier.removeprefix("@").removesuffix(f":{HOST}")


def message(text):
    return {"msgtype": "m.text", "body": text}


def login(name):
    return {"type": "m.login.password", "identifier": {"type": "m.id.user", "user": name}, "password": PASSWORD}


def messages_in(events):
    return [(username_of(e["sender"]), e["content"]["body"]) for e in events if e["type"] == "m.room.message"]


@contextmanager
def serving(folder, environment_folder):
    """Synapse with its data in the folder; and the id of its process."""
    folder, port, secret = Path(folder) / "synapse", free_port(), secrets.token_hex()
    folder.mkdir()
    python = Path(environment_folder) / "bin/python"
    command = [str(python), "-m", "synapse.app.homeserver", "--config-path", "homeserver.yaml"]
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder)}
    there = {"cwd": folder, "env": environment}
    generate = ["--generate-config", "--server-name", HOST, "--report-stats", "no"]
    subprocess.run([*command, *generate], check=True, capture_output=True, **there)  # noqa: S603
    # JSON is YAML. Of two files the later one counts.
    (folder / "peers.yaml").write_text(json.dumps(settings(folder, port, secret)))
    with open(folder / "output", "wb") as log:
        process = subprocess.Popen(  # noqa: S603
            [*command, "--config-path", "peers.yaml"], stdout=log, stderr=log, **there
        )
    try:
        wait_until_it_answers(process, port, folder)
        peer = Synapse(port)
        peer.secret = secret
        yield peer, process.pid
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def wait_until_it_answers(process, port, folder):
    deadline = time.monotonic() + 60
    while process.poll() is None and time.monotonic() < deadline:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/health")
        except OSError:
            time.sleep(0.2)
        else:
            return
    raise RuntimeError("Synapse does not answer:\n" + (folder / "output").read_text()[-3000:])
