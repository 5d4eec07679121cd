"""Runs deploy/install on a bare Debian machine, uses what it sets up as people do, upgrades and breaks it under load.

Called by scripts/drill-deploy, as root. It prints what it saw, a line a step, and fails if something is wrong.
"""

import http.client
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(CHECKOUT / "main"))

from drills.machine import ADDRESS, GREEDY, USERS, Machine  # noqa: E402
from drills.visitors import NAME, Connection, Load, Stream, Visitor, stored  # noqa: E402

ON_THE_MACHINE = "/root/chat"
# Of one who may read what the service may not.
SECRET_PLACES = (
    "/etc/chat/env",
    "/etc/chat/tls",
    "/etc/shadow",
    "/root",
    "/var/backups/chat",
    "/var/lib/mysql",
    "/var/log",
)


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


class Drill:
    def __init__(self, machine):
        self.machine, self.run = machine, machine.run

    # What deploy/install sets up

    def install(self):
        self.copy_checkout()
        began = time.monotonic()
        with Commands() as commands:
            output = self.run(f"{ON_THE_MACHINE}/deploy/install {NAME} 2>&1", timeout=1500).stdout
        took = time.monotonic() - began
        self.machine.keep_downloads()
        self.authorities = (self.machine.tree / "etc/chat/tls/self-signed.pem").read_text()
        key = re.search("^SECRET_KEY=(.{50,})$", (self.machine.tree / "etc/chat/env").read_text(), re.MULTILINE)[1]
        require(not [line for line in commands.seen if key.encode() in line], "the key is no argument of any command")
        require(key not in output and key not in self.run("journalctl --no-pager").stdout, "the key is in no log")
        require("signed by this server itself" in output and "certbot" in output, f"it tells of certificates: {output}")
        say(
            f"deploy/install on the booted machine: {took:.0f} s; {len(commands.seen)} commands seen, no secret in them"
        )

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
        path.write_text(text.replace(before, after))

    @property
    def release(self):
        return self.run("basename $(readlink /opt/chat/current)").stdout.strip()

    @property
    def releases(self):
        return self.run("ls /opt/chat/releases").stdout.split()

    def processes(self):
        """The ids, on the machine, of the process that started the others, and of those that serve."""
        main = self.run(f"systemctl show --property MainPID --value chat@{self.release}").stdout.strip()
        return main, self.run(f"pgrep --parent {main} --full spawn_main").stdout.split()

    def visitor(self, address=USERS[0], name=None):
        return Visitor(self.machine, self.authorities, address, name)

    def visit(self):
        """What people see, from outside."""
        stranger = self.visitor()
        require(stranger.call("GET", "/readyz")[0] == 200, "it is ready")
        for path, part in (
            ("/chat", b"<title>"),
            ("/admin/login/", b"Chat server administration"),
            ("/docs", b"swagger"),
        ):
            status, body, headers = stranger.call("GET", path)
            require(status == 200 and part in body, f"{path}: {status}")
            require(headers["Strict-Transport-Security"] == "max-age=3600", f"{path} asks for HTTPS: {headers}")
        with self.machine.outside.entered():
            plain = http.client.HTTPConnection(ADDRESS, timeout=10)
            plain.request("GET", "/chat?x=1", headers={"Host": NAME})
            answer = plain.getresponse()
        require(
            answer.status == 308 and answer.headers["Location"] == f"https://{NAME}/chat?x=1", "HTTP leads to HTTPS"
        )
        status, _, _ = stranger.call("GET", "/chat", headers={"Host": "somebody.example.org"})
        require(status == 400, f"another name is refused: {status}")

        self.alice = self.visitor(USERS[0], "alice").join()
        bob = self.visitor(USERS[1], "bob").join()
        status, conversation, _ = self.alice.call("POST", "/conversations/private/bob")
        require(status == 201, f"a conversation: {status} {conversation}")
        stream = Stream(bob)
        require(stream.is_open.wait(10), "the stream opens")
        times = []
        for _ in range(5):
            began = time.monotonic()
            path = f"/conversations/{conversation['id']}/messages"
            status, message, _ = self.alice.call("POST", path, {"text": "Hello, Bob!"})
            require(status == 201, f"a message: {status} {message}")
            require(stream.wait_for(message["number"], 5), "the message arrives")
            times.append(stream.times[message["number"]] - began)
            time.sleep(0.3)
        stream.stop()
        require(max(times) < 1, f"the stream is not buffered: {times}")
        say(
            f"from outside by HTTPS: pages, redirect, register, log in, send; "
            f"on the stream within {1000 * min(times):.0f} to {1000 * max(times):.0f} ms"
        )

    def limits(self):
        alice, bodies = self.alice, []
        for size, expected in ((1_000_000, 400), (1_500_000, 413), (3_000_000, 413)):
            status, body, _ = alice.call("PATCH", "/users/settings", "x" * size)
            require(status == expected and body["detail"], f"a body of {size} bytes: {status} {body}")
            bodies.append(status)
        status, body, _ = alice.call("GET", "/chat", headers={"X-Long": "x" * 100_000})
        require(status == 431 and body["detail"], f"a head of 100 KB in one line: {status} {body}")
        greedy = self.visitor(GREEDY)

        def ask(_):
            connection, answers = Connection(greedy), []
            for _ in range(250):
                connection.drop_if_closed()
                status, body, headers = greedy.call("GET", "/healthz", connection=connection)
                answers.append((status, headers["Retry-After"] or "", body.get("detail", "")))
            return answers

        with ThreadPoolExecutor(4) as threads:
            work = threads.map(ask, range(4))
            others = [self.alice.call("GET", "/users/profile")[0] for _ in range(20)]
            answers = Counter(answer for answers in work for answer in answers)
        counts = Counter()
        for (status, after, detail), number in answers.items():
            counts[status] += number
            require(status != 429 or (after == "5" and detail), "429 says when and why")
        require(set(counts) == {200, 429} and counts[200] > 300, f"an address is bounded: {counts}")
        require(others == [200] * 20, f"another address is not held up: {Counter(others)}")
        say(
            f"limits: bodies {bodies}, a long head 431; 1000 requests at once from one address: "
            f"{counts[200]} answered, {counts[429]} × 429, 20 of another address answered"
        )

    def secrets(self):
        """Modes, and what the service cannot read or write."""
        release = self.release
        for path, expected in {
            "/etc/chat": "700 root",
            "/etc/chat/env": "600 root",
            "/etc/chat/tls/self-signed-key.pem": "600 root",
            "/var/backups/chat": "700 chat",
            f"/run/chat/{release}.sock": "600 www-data",
            f"/opt/chat/releases/{release}/main": "755 root",
        }.items():
            found = self.run(f"stat --format '%a %U' {path}").stdout.strip()
            require(found == expected, f"{path} is {found}, not {expected}")
        foreign = self.run("find /opt/chat ! -user root -o -perm /022 ! -type l").stdout
        require(not foreign, f"what is in /opt/chat is root's: {foreign[:300]}")
        main, _ = self.processes()
        inside = f"nsenter --target {main} --mount setpriv --reuid chat --regid chat --clear-groups"
        for place in SECRET_PLACES:
            for reading in ("cat", "ls"):
                result = self.run(f"{inside} {reading} {place}", check=False)
                require(result.returncode and not result.stdout, f"the service cannot read {place}")
        written = self.run(
            f"{inside} bash -c 'for place in /opt/chat/releases/{release}/main /etc /var /var/lib /run /dev /usr/bin; "
            "do ! touch $place/x 2>/dev/null || echo $place; done; touch /tmp/x /var/tmp/x'"
        ).stdout
        require(not written, f"the service can write to {written}")
        require(not self.run("find /tmp /var/tmp -maxdepth 1 -name x").stdout, "its temporary files are its own")
        levels = {}
        for unit in (f"chat@{release}.service", "chat-upkeep.service", "chat-backup.service"):
            output = self.run(f"systemd-analyze security --no-pager {unit}").stdout
            levels[unit.partition("@")[0].partition(".")[0]] = float(
                re.search(r"exposure level for \S+: ([0-9.]+)", output)[1]
            )
        require(max(levels.values()) < 2, f"exposure below 2: {levels}")
        log = self.run("journalctl --no-pager; cat /var/log/nginx/*").stdout
        for secret in (self.alice.token, "correct-horse", "somebody.example.org/"):
            require(secret not in log, "no token, password or address is in a log")
        say(f"modes as they should be; the service reads none of {', '.join(SECRET_PLACES)}; exposure {levels}")

    def timers(self):
        """The daily work, run at once; and the rotation of logs."""
        timers = self.run("systemctl list-timers --no-pager --no-legend 'chat-*'").stdout
        require(timers.count(".timer") == 2, f"two timers: {timers}")
        self.run("systemctl start chat-upkeep.service")
        folder = "/var/backups/chat"
        self.run(
            f"cd {folder} && touch --date '15 days ago' chat-old.backup.gz"
            " && touch --date '13 days ago' chat-new.backup.gz"
            " && chown chat: * && systemctl start chat-backup.service"
        )
        found = self.run(f"cd {folder} && stat --format '%a %U %s %n' *").stdout.splitlines()
        names = [line.split()[3] for line in found]
        require("chat-old.backup.gz" not in names and "chat-new.backup.gz" in names, f"only old ones go: {names}")
        [made] = [line for line in found if re.search(r"chat-2\d{7}T\d{6}Z", line)]
        require(made.startswith("600 chat ") and int(made.split()[2]) > 1000, f"a backup: {made}")
        self.run("logrotate --force /etc/logrotate.d/nginx && test -s /var/log/nginx/chat-access.log.1")
        self.visitor().call("GET", "/healthz")
        time.sleep(0.5)
        line = self.run("tail -n 1 /var/log/nginx/chat-access.log").stdout.strip()
        identifier = line.rpartition(" ")[2]
        require(f"[{identifier}]" in self.run(f"journalctl --no-pager -u 'chat@*' --grep {identifier}").stdout, line)
        size = made.split()[2]
        say(f"timers: upkeep and backup ran ({size} bytes, mode 600, the old one gone); logs rotate: {line!r}")

    # Changes under load

    def begin_load(self):
        """A group of users, and a reader of its stream for the rest of the drill."""
        self.visitors = [self.visitor(address, f"user{n}").join() for n, address in enumerate(USERS[2:10])]
        members = [visitor.name for visitor in self.visitors] + ["bob"]
        status, group, _ = self.alice.call("POST", "/conversations/groups", {"name": "Load", "members": members})
        require(status == 201, f"a group: {status} {group}")
        self.group, self.answered = group["id"], {}
        self.reader = Stream(self.alice)
        require(self.reader.is_open.wait(10), "the stream opens")

    def under_load(self, what, work, *, may_lose=False):
        load, before = Load(self.visitors, self.group), self.reader.openings
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
        self.edit("main/users/views.py", "import ", "import no_such_module, ")
        result = self.run(install, check=False)
        require(result.returncode == 1 and "migrations" in result.stdout.splitlines()[-1], f"it fails: {result.stdout}")
        require((self.release, self.releases) == before, "all is as before")
        require(self.served_version() == "2", "the version before serves")
        say(f"it says {refusal!r}")
        self.edit("main/users/views.py", "import no_such_module, ", "import ")

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
        output = self.under_load("an upgrade with a new certificate", lambda: self.run(install)).stdout
        require("signed by this server itself" not in output, output)
        require("changed by hand and is kept" in output, f"what operators change is kept: {output}")
        stranger = Visitor(self.machine, authority, USERS[15])
        require(stranger.call("GET", "/healthz")[0] == 200, "the new certificate is shown")
        require(len(self.releases) == 3, f"three releases are kept: {self.releases}")

    def signals(self):
        _, workers = self.processes()
        unit = f"chat@{self.release}.service"

        def reload():
            self.run(f"systemctl reload {unit}")
            end = time.monotonic() + 30
            while set(self.processes()[1]) & set(workers) and time.monotonic() < end:
                time.sleep(0.5)
            require(not set(self.processes()[1]) & set(workers), "each process was replaced")

        self.under_load("SIGHUP", reload)
        self.under_load("a reload of nginx", lambda: self.run("systemctl reload nginx"))
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


def main():
    began = time.monotonic()
    with Machine(say) as machine:
        drill = Drill(machine)
        drill.install()
        drill.visit()
        drill.limits()
        drill.secrets()
        drill.timers()
        drill.begin_load()
        drill.upgrade()
        drill.broken_upgrades()
        drill.back()
        drill.upgrade_with_a_certificate()
        drill.signals()
        drill.count()
        drill.reboot()
        drill.count()
    say(f"The deployment did all that it should, in {time.monotonic() - began:.0f} s.")


if __name__ == "__main__":
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: sys.exit(1))
    main()
