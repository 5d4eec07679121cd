"""What the service itself takes for a call, without HTTP: processor time of the thread that runs Django.

    scripts/bench calls.py [--against FOLDER]

`--against` measures another checkout beside this one, on the same database: the two take turns, so that what disturbs
the machine disturbs both. The database is SQLite if MYSQL_USER is empty.
"""

import argparse
import json
import os
import secrets
import statistics
import subprocess
import sys
import time
from io import BytesIO
from pathlib import Path

MAIN = Path(__file__).resolve().parent.parent
CALLS = {
    "profile": ("GET", "/users/profile", None),
    "view-user": ("GET", "/users/contacts/view-user/bob", None),
    "blacklist-user": ("GET", "/users/contacts/blacklist-user/bob", None),
    "contact-book (50)": ("GET", "/users/contacts/contact-book/", None),
    "search, one word": ("GET", "/users/contacts/find-users?search=an", None),
    "search, two words": ("GET", "/users/contacts/find-users?search=quill4%20otter", None),
    "conversations (20)": ("GET", "/conversations", None),
    "conversation": ("GET", "/conversations/{group}", None),
    "messages (50)": ("GET", "/conversations/{group}/messages", None),
    "send to a group": ("POST", "/conversations/{group}/messages", {"text": "Message"}),
    "send to a group, with client_id": ("POST", "/conversations/{group}/messages", {"text": "M", "client_id": ""}),
    "send in private": ("POST", "/conversations/{private}/messages", {"text": "Message"}),
    "read": ("POST", "/conversations/{group}/read", {"number": 50}),
    "events": ("GET", "/events", None),
}


def set_the_stage():
    """Prepare the database; return a token and the conversations that CALLS names."""
    import django

    django.setup()
    from django.core.management import call_command

    from benchmarks import run
    from conversations.models import Conversation, Membership, Message
    from harness.server import prepare_database
    from users.models import AuthToken

    prepare_database()
    call_command("seed_users", count=1000)
    alice, bob = run.set_the_stage()
    groups = [run.talk(alice, bob, 1000) for _ in range(20)]
    private = Conversation.objects.create(kind="private", pair_key=Conversation.pair_key_of(alice, bob), last_number=1)
    Membership.objects.bulk_create(Membership(conversation=private, user=user) for user in (alice, bob))
    Message.objects.create(conversation=private, number=1, sender=bob, text="Hello")
    return AuthToken.objects.issue(alice), {"group": groups[0], "private": private.pk}


class Caller:
    """Runs calls in this process."""

    def __init__(self, token, names):
        import logging

        logging.raiseExceptions = False
        from main.asgi import begin_answer, django

        self.begin_answer, self.django, self.token, self.names = begin_answer, django, token, names

    def call(self, method, path, body):
        path, _, query = path.format(**self.names).partition("?")
        if body and "client_id" in body:
            body = body | {"client_id": secrets.token_hex(8)}
        sent = json.dumps(body).encode() if body else b""
        environ = {
            "REQUEST_METHOD": method,
            "SCRIPT_NAME": "",
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "SERVER_PROTOCOL": "HTTP/1.1",
            "SERVER_NAME": "127.0.0.1",
            "SERVER_PORT": "8000",
            "REMOTE_ADDR": "127.0.0.1",
            "CONTENT_LENGTH": str(len(sent)),
            "CONTENT_TYPE": "application/json",
            "HTTP_HOST": "localhost",
            "HTTP_AUTHORIZATION": f"Token {self.token}",
            "HTTP_USER_AGENT": "benchmark",
            "HTTP_ACCEPT": "*/*",
            "wsgi.version": (1, 0),
            "wsgi.url_scheme": "http",
            "wsgi.input": BytesIO(sent),
            "wsgi.errors": sys.stderr,
            "wsgi.multithread": True,
            "wsgi.multiprocess": True,
            "wsgi.run_once": False,
        }
        return self.begin_answer(self.django, environ)

    def measure(self, name, number):
        """Milliseconds of processor time a call."""
        method, path, body = CALLS[name]
        started = time.process_time()
        for _ in range(number):
            status, *_ = self.call(method, path, body)
            if status not in (200, 201, 204):
                raise RuntimeError(f"{name}: {status}")
        return 1000 * (time.process_time() - started) / number


def work(token, names):
    """Measure what is asked for on standard input, line by line."""
    caller = Caller(token, names)
    for line in sys.stdin:
        name, number = json.loads(line)
        print(caller.measure(name, number), flush=True)  # noqa: T201


class Worker:
    def __init__(self, main, token, names):
        arguments = [sys.executable, __file__, "--work", json.dumps([token, names])]
        environment = os.environ | {"CHECKOUT": str(main)}
        self.process = subprocess.Popen(  # noqa: S603
            arguments,
            cwd=main,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def measure(self, name, number):
        self.process.stdin.write(json.dumps([name, number]) + "\n")
        self.process.stdin.flush()
        return float(self.process.stdout.readline())


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--against", type=Path, help="another checkout")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--calls", type=int, default=100, help="of each kind in a round")
    parser.add_argument("--only", default="", help="kinds that begin with this")
    parser.add_argument("--work", help=argparse.SUPPRESS)
    options = parser.parse_args()
    sys.path.insert(0, os.environ.get("CHECKOUT", str(MAIN)))
    if options.work:
        work(*json.loads(options.work))
        return

    os.environ |= {
        "DJANGO_SETTINGS_MODULE": "main.settings",
        "SECRET_KEY": secrets.token_hex(),
        "ENV_FILE": "/dev/null",
    }
    os.environ |= dict.fromkeys(("SEARCH_RATE", "SEND_RATE", "OPEN_RATE"), "1000/sec")
    token, names = set_the_stage()
    folders = [MAIN, *([options.against.resolve() / "main"] if options.against else [])]
    workers = [Worker(folder, token, names) for folder in folders]
    calls = [name for name in CALLS if name.startswith(options.only)]
    samples = {(name, worker): [] for name in calls for worker in workers}
    for round_ in range(options.rounds + 1):
        for name in calls:
            for worker in workers:
                milliseconds = worker.measure(name, options.calls if round_ else 20)
                if round_:  # the first one warms up
                    samples[name, worker].append(milliseconds)
    for name in calls:
        ours, *others = (statistics.median(samples[name, worker]) for worker in workers)
        line = f"{name:34} {ours:6.3f} ms"
        if others:
            ratio = statistics.median(
                mine / theirs for mine, theirs in zip(*(samples[name, worker] for worker in workers), strict=True)
            )
            line += f"   {others[0]:6.3f} ms   {ratio:5.2f}"
        print(line, flush=True)  # noqa: T201
    for worker in workers:
        worker.process.stdin.close()


if __name__ == "__main__":
    main()
