"""The server that deploy/install sets up on the machine of machine.py, as the steps of deployment.py look at it."""

import shutil
import subprocess
import threading
from pathlib import Path

from drills.machine import USERS
from drills.visitors import Visitor

CHECKOUT = Path(__file__).resolve().parents[2]
ON_THE_MACHINE = "/root/chat"


def say(text):
    print(text, flush=True)  # noqa: T201


def require(condition, text):
    if not condition:
        raise SystemExit(f"Not as it should be: {text}")


class Commands:
    """All command lines that run on the machine for as long as a `with` lasts: secrets must be in none."""

    def __enter__(self):
        self.seen, self.done = set(), threading.Event()
        self.thread = threading.Thread(target=self.look)
        self.thread.start()
        return self

    def __exit__(self, *failure):
        self.done.set()
        self.thread.join()

    def look(self):
        while not self.done.wait(0.05):
            for path in Path("/proc").glob("[0-9]*/cmdline"):
                try:
                    self.seen.add(path.read_bytes())
                except OSError:
                    continue  # it has ended


class Installed:
    """The server, and the checkout on the machine of which it is made."""

    def __init__(self, machine):
        self.machine, self.run = machine, machine.run

    def copy_checkout(self):
        target = self.machine.tree / ON_THE_MACHINE.removeprefix("/")
        shutil.rmtree(target, ignore_errors=True)
        files = subprocess.run(
            ["/usr/bin/git", "-c", "safe.directory=*", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
            cwd=CHECKOUT,
            capture_output=True,
            check=True,
        ).stdout
        for name in filter(None, files.decode().split("\0")):
            if (CHECKOUT / name).is_file():
                (target / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(CHECKOUT / name, target / name)

    def edit(self, name, before, after):
        """Change a file of the checkout that the next release is made of."""
        path = self.machine.tree / ON_THE_MACHINE.removeprefix("/") / name
        text = path.read_text()
        require(before in text, f"{name} has {before!r}")
        path.write_text(text.replace(before, after, 1))

    @property
    def release(self):
        return self.run("basename $(readlink /opt/chat/current)").stdout.strip()

    @property
    def releases(self):
        return self.run("ls /opt/chat/releases").stdout.split()

    def processes(self):
        """The ids, on the machine, of the process that started the others, and of those that serve."""
        main = self.run(f"systemctl show --property MainPID --value chat@{self.release}").stdout.strip()
        return main, self.run(f"pgrep --parent {main} --full spawn_main || true").stdout.split()

    def visitor(self, address=USERS[0], name=None):
        return Visitor(self.machine, self.authorities, address, name)
