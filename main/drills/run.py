"""Runs the drills: they break a running service and count what is lost. Called by `make drill`.

On MariaDB the drills need a server of their own, which they kill. Each drill prints what it saw, and fails if something
is wrong. Arguments name the drills to run: keys of DRILLS. Without arguments all of them run.
"""

import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from drills.service import PASSWORD, say  # isort: skip, it sets Django up

from django.core.management import call_command
from django.db import connection

from drills import backups, events, exports, front, leaks, mails, metrics, writes
from harness.server import prepare_database
from users.models import User

DRILLS = {
    "guesses": lambda alice, bob: writes.guesses(alice),
    "front": lambda alice, bob: front.run(alice),
    "reload": writes.reload,
    "kills": writes.kills,
    "big_account": lambda alice, bob: writes.big_account(alice, bob, groups=2000, messages=100_000),
    "termination": lambda alice, bob: writes.termination(alice),
    "resume": lambda alice, bob: events.resume(),
    "departures": lambda alice, bob: events.departures(),
    "exports": exports.run,
    "mails": lambda alice, bob: mails.run(),
    "metrics": metrics.run,
    "leaks": lambda alice, bob: leaks.run(alice),
    "backups": backups.run,
}
# These take minutes and run by name alone.
LONG = {"leaks", "mails", "metrics", "backups"}
# What these find hardly depends on the database: by default they run on MariaDB alone.
ONCE = {"front", "reload", "big_account"}


def main():
    prepare_database()
    say(f"== {connection.vendor}")
    left_out = LONG if connection.vendor == "mysql" else LONG | ONCE
    for name in sys.argv[1:] or [name for name in DRILLS if name not in left_out]:
        call_command("flush", interactive=False, verbosity=0)
        alice, bob = (User.objects.create_user(name, f"{name}@example.org", PASSWORD) for name in ("alice", "bob"))
        began = time.monotonic()
        DRILLS[name](alice, bob)
        say(f"({name}: {time.monotonic() - began:.0f} s)")
        connection.close()


if __name__ == "__main__":
    main()
