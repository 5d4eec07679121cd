"""Runs deploy/install on a bare Debian machine, uses what it sets up as people do, upgrades and breaks it under load.

Called by scripts/drill-deploy, as root. It prints what it saw, a line a step, and fails if something is wrong.
"""

import http.client
import re
import signal
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from drills.changes import Changes
from drills.installed import ON_THE_MACHINE, Commands, require, say
from drills.machine import ADDRESS, GREEDY, USERS, Machine
from drills.visitors import NAME, Connection, Stream

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


class Drill(Changes):
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
        status, export, _ = self.alice.call("GET", "/users/export")  # which takes a temporary file
        require(status == 200 and len(export["conversations"][0]["messages"]) == 5, f"an export: {status} {export}")
        say(
            f"from outside by HTTPS: pages, redirect, register, log in, send, export; "
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
            reading = f"{inside} bash -c 'test -d {place} && ls {place} || cat {place}'"
            result = self.run(reading, check=False)
            require(result.returncode and not result.stdout, f"the service cannot read {place}: {result.stdout[:100]}")
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
        name = next(name for name in names if name in made)
        self.run(f"/opt/chat/current/deploy/manage restore --check {folder}/{name}")
        self.run("logrotate --force /etc/logrotate.d/nginx && test -s /var/log/nginx/chat-access.log.1")
        self.visitor().call("GET", "/healthz")
        time.sleep(0.5)
        line = self.run("tail -n 1 /var/log/nginx/chat-access.log").stdout.strip()
        identifier = line.rpartition(" ")[2]
        require(f"[{identifier}]" in self.run(f"journalctl --no-pager -u 'chat@*' --grep {identifier}").stdout, line)
        size = made.split()[2]
        say(f"timers: upkeep and backup ran ({size} bytes, mode 600, the old one gone); logs rotate: {line!r}")


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
