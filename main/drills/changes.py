"""Upgrades, ways back and accidents of the installed server, while people use it."""

import signal
import time

from drills.installed import ON_THE_MACHINE, Installed, require, say
from drills.machine import USERS
from drills.visitors import NAME, Load, Stream, Visitor, stored


class Changes(Installed):
    """Each method is a step; `begin_load` comes first, `count` last."""

    def begin_load(self):
        """A group of users, and a reader of its stream for the rest of the drill."""
        self.visitors = [self.visitor(address, f"user{n}").join() for n, address in enumerate(USERS[2:10])]
        members = [visitor.name for visitor in self.visitors] + ["bob"]
        status, group, _ = self.alice.call("POST", "/conversations/groups", {"name": "Load", "members": members})
        require(status == 201, f"a group: {status} {group}")
        self.group, self.answered = group["id"], {}
        self.reader = Stream(self.alice)
        require(self.reader.is_open.wait(10), "the stream opens")

    def under_load(self, what, work, *, may_lose=False, may_close_idle=False):
        load, before = Load(self.visitors, self.group, may_close_idle), self.reader.openings
        began = time.monotonic()
        with load:
            result = work()
            took = time.monotonic() - began - 2
        self.answered |= load.answered
        last = max(self.answered.values())
        require(self.reader.wait_for(last), f"{what}: the stream goes on")
        say(f"{what}: {took:.1f} s; {load.figures()}; the stream was opened {self.reader.openings - before} times anew")
        require(len(load.answered) > 50, "there was a load")
        require(may_lose or not load.lost, f"{what}: nothing is lost")
        return result

    def count(self):
        """Every answered message is stored, and came once by the stream."""
        numbers = stored(self.alice, self.group)
        lost = {text for text, number in self.answered.items() if numbers.get(text) != number}
        require(not lost, f"answered and lost: {sorted(lost)[:5]}")
        require(sorted(numbers.values()) == list(range(1, len(numbers) + 1)), "the numbers have no gaps")
        require(self.reader.wait_for(len(numbers)), "the stream has the last message")
        seen = self.reader.numbers
        missing, twice = set(numbers.values()) - set(seen), [number for number, times in seen.items() if times > 1]
        require(not missing and not twice and "reset" not in seen, f"by the stream: missing {missing}, twice {twice}")
        say(f"{len(self.answered)} messages answered, all stored; {len(seen)} on the stream, none missing, none twice")

    def served_version(self):
        _, document, _ = self.visitor(USERS[15]).call("GET", "/schema", headers={"Accept": "application/json"})
        return document["info"]["version"]

    def upgrade(self):
        first = self.release
        migrations = sorted((self.machine.tree / "root/chat/main/events/migrations").glob("0*.py"))
        new = migrations[-1].with_name("9000_drill.py")
        new.write_text(
            "from django.db import migrations\n\n\nclass Migration(migrations.Migration):\n"
            f'    dependencies = [("events", "{migrations[-1].stem}")]\n'
            '    operations = [migrations.RunSQL("CREATE TABLE drill (id INT PRIMARY KEY)", "DROP TABLE drill")]\n'
        )
        self.edit("main/main/settings.py", '"VERSION": "1"', '"VERSION": "2"')
        self.under_load("an upgrade with a migration", lambda: self.run(f"{ON_THE_MACHINE}/deploy/install 2>&1"))
        require(self.release != first and self.served_version() == "2", "the new version serves")
        active = self.run("systemctl list-units --plain --no-legend 'chat@*.service'").stdout.split()
        require(
            active[0] == f"chat@{self.release}.service" and active.count("running") == 1, f"it alone serves: {active}"
        )

    def broken_upgrades(self):
        before = (self.release, self.releases)
        self.edit("main/main/asgi.py", "from main.wsgi import", "raise SystemExit('broken')\nfrom main.wsgi import")
        install = f"READY_SECONDS=15 {ON_THE_MACHINE}/deploy/install 2>&1"
        result = self.under_load("an upgrade that does not start", lambda: self.run(install, check=False))
        refusal = result.stdout.splitlines()[-1]
        require(result.returncode == 1 and "does not answer within 15 seconds" in refusal, f"it fails: {result.stdout}")
        self.edit("main/main/asgi.py", "raise SystemExit('broken')\n", "")
        self.edit("main/users/views.py", "from django", "import no_such_module\nfrom django")
        result = self.run(install, check=False)
        require(result.returncode == 1 and "migrations" in result.stdout.splitlines()[-1], f"it fails: {result.stdout}")
        require((self.release, self.releases) == before, "all is as before")
        require(self.served_version() == "2", "the version before serves")
        say(f"one that cannot be migrated fails as well, and nothing has changed; it says {refusal!r}")
        self.edit("main/users/views.py", "import no_such_module\n", "")

    def back(self):
        newer = self.release
        output = self.under_load("deploy/back", lambda: self.run("/opt/chat/current/deploy/back 2>&1")).stdout
        require(self.release != newer and self.served_version() == "1", "the version before serves")
        require("Migrations are not undone" in output, output)

    def upgrade_with_a_certificate(self):
        """Also a new certificate, for which nginx is reloaded; the newest release serves after it."""
        self.run(
            "mkdir -p /root/tls && cd /root/tls && openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=authority"
            " -keyout authority-key.pem -out authority.pem && openssl req -newkey rsa:2048 -nodes -subj /CN=x"
            " -keyout key.pem -out request.pem && openssl x509 -req -in request.pem -CA authority.pem"
            f" -CAkey authority-key.pem -days 30 -extfile <(echo subjectAltName=DNS:{NAME}) -out certificate.pem"
        )
        authority = (self.machine.tree / "root/tls/authority.pem").read_text()
        self.authorities += authority
        for visitor in (self.alice, *self.visitors):
            visitor.context.load_verify_locations(cadata=authority)
        self.run("echo '# mine' >>/etc/nginx/sites-available/chat")
        options = "--certificate /root/tls/certificate.pem --key /root/tls/key.pem"
        install = f"{ON_THE_MACHINE}/deploy/install {options} 2>&1"
        output = self.under_load(
            "an upgrade with a new certificate", lambda: self.run(install), may_close_idle=True
        ).stdout
        require("signed by this server itself" not in output, output)
        require("changed by hand and is kept" in output, f"what operators change is kept: {output}")
        stranger = Visitor(self.machine, authority, USERS[15])
        require(stranger.call("GET", "/healthz")[0] == 200, "the new certificate is shown")
        require(len(self.releases) == 3, f"three releases are kept: {self.releases}")

    def signals(self):
        unit = f"chat@{self.release}.service"
        _, before = self.processes()

        def reload():
            self.run(f"systemctl reload {unit}")
            end = time.monotonic() + 60
            while set(self.processes()[1]) & set(before) and time.monotonic() < end:
                time.sleep(0.5)
            require(not set(self.processes()[1]) & set(before), "each process was replaced")

        self.under_load("SIGHUP", reload)
        self.under_load("a reload of nginx", lambda: self.run("systemctl reload nginx"), may_close_idle=True)
        self.under_load("systemctl restart", lambda: self.run(f"systemctl restart {unit}"))

        def kill_one():
            self.run(f"kill -9 {self.processes()[1][0]}")

        self.under_load("kill -9 of a process", kill_one, may_lose=True)

        def kill_all():
            before, _ = self.processes()
            self.run(f"systemctl kill --signal {signal.SIGKILL.name} {unit}")
            end = time.monotonic() + 30
            while self.processes()[0] in (before, "0") and time.monotonic() < end:
                time.sleep(0.2)
            self.visitor(USERS[15]).call("GET", "/readyz")

        self.under_load("kill -9 of the whole service", kill_all, may_lose=True)

    def reboot(self):
        took = self.machine.reboot()
        end = time.monotonic() + 60
        while time.monotonic() < end:
            try:
                if self.visitor().call("GET", "/readyz")[0] == 200:
                    break
            except OSError:
                pass
            time.sleep(0.2)
        require(self.visitor().call("GET", "/readyz")[0] == 200, "it is ready after a reboot")
        failed = self.run("systemctl --failed --no-legend --plain").stdout.strip()
        require(not failed, f"no unit has failed: {failed}")
        say(f"a reboot: the system is up after {took:.1f} s, the server answers by itself")
