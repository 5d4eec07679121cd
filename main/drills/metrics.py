"""A drill with Prometheus, which reads the metrics by our configuration while processes and the database are killed.

Every expression of the dashboard and of the alerts must find something.
"""

import http.client
import json
import os
import random
import re
import secrets
import shutil
import signal
import subprocess
import tempfile
import threading
import time
import urllib.parse
import urllib.request
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from conversations import actions
from drills import events, mails, writes
from drills.service import MAIN, call, require, say
from harness.server import PORT, Server, free_port
from users.models import AuthToken

DEPLOY = MAIN.parent / "deploy"
UNPACKED = MAIN.parent / "env/prometheus/usr/bin"
SENT = 'chat_requests_total{method="POST",route="/conversations/<int:pk>/messages",status="201"}'
# Seconds of load in each part; and between two readings of Prometheus, each of which may take as long.
LOAD, INTERVAL = 6, 3


def tool(name):
    return shutil.which(name) or shutil.which(name, path=UNPACKED)


def run(alice, bob):
    if not (tool("prometheus") and tool("promtool")):
        say("Skipped: Prometheus is not here. It is Debian's package prometheus.")
        return
    os.environ |= {"METRICS_TOKEN": secrets.token_urlsafe(24), "EMAIL_HOST": "127.0.0.1"}
    group = actions.create_group(alice, "Metrics", [bob.pk])
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="chat-metrics-")))
        configure(folder)
        stack.enter_context(mails.mail_server())
        server = stack.enter_context(Server())
        prometheus = stack.enter_context(Prometheus(folder))
        reader = stack.enter_context(events.Reader(bob, random.Random()))  # noqa: S311
        stack.enter_context(variety(alice))
        reload_under_load(server, group, [alice, bob])
        require(prometheus.value("min(min_over_time(up[1m]))") == 1, "Prometheus could read the numbers at all times")
        kill_under_load(server, group, [alice, bob])
        expressions(prometheus)
        require(reader.told, "the stream was told something")
        processes_end(server)
        without_database(alice)


def configure(folder):
    """Our configuration, for a server on another port, which is read more often."""
    for path in (DEPLOY / "prometheus").iterdir():
        text = (
            path.read_text()
            .replace("127.0.0.1:8000", f"127.0.0.1:{PORT}")
            .replace("interval: 15s", f"interval: {INTERVAL}s")
        )
        (folder / path.name).write_text(text)
    (folder / "chat-metrics-token").write_text(os.environ["METRICS_TOKEN"])
    subprocess.run([tool("promtool"), "check", "config", folder / "prometheus.yml"], check=True)  # noqa: S603


class Prometheus:
    """Reads with the configuration of the folder for as long as a `with` lasts."""

    def __init__(self, folder):
        self.folder, self.port = folder, free_port()

    def __enter__(self):
        options = {
            "config.file": self.folder / "prometheus.yml",
            "storage.tsdb.path": self.folder / "data",
            "web.listen-address": f"127.0.0.1:{self.port}",
            "log.level": "warn",
        }
        self.process = subprocess.Popen([tool("prometheus"), *(f"--{key}={each}" for key, each in options.items())])  # noqa: S603
        for _ in range(100):
            with suppress(OSError):
                if self.query("up"):
                    return self
            time.sleep(0.2)
        self.__exit__()
        raise SystemExit("Prometheus does not answer.")

    def __exit__(self, *failure):
        self.process.terminate()
        self.process.wait()

    def get(self, path, **query):
        address = f"http://127.0.0.1:{self.port}/api/v1/{path}?{urllib.parse.urlencode(query)}"
        with urllib.request.urlopen(address, timeout=20) as answer:
            return json.load(answer)["data"]

    def query(self, expression):
        return self.get("query", query=expression)["result"]

    def value(self, expression):
        [found] = self.query(expression)
        return float(found["value"][1])


def read():
    """The numbers by name with labels, and the seconds that they took."""
    began = time.monotonic()
    to = http.client.HTTPConnection("127.0.0.1", PORT, timeout=20)
    to.request("GET", "/metrics", headers={"Authorization": f"Bearer {os.environ['METRICS_TOKEN']}"})
    answer = to.getresponse()
    lines = answer.read().decode().splitlines()
    to.close()
    require(answer.status == 200, f"the numbers are shown: {answer.status}")
    pairs = (line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
    return {name: float(value) for name, value in pairs}, time.monotonic() - began


@contextmanager
def variety(alice):
    """Calls of other kinds, some of which are refused, for as long as a `with` lasts."""
    done, token = threading.Event(), AuthToken.objects.issue(alice)

    def load():
        while not done.wait(0.05):
            with suppress(OSError, http.client.HTTPException):
                call("GET", "/users/profile", token=token)
                call("GET", f"/users/contacts/view-user/{secrets.token_hex(4)}", token=token)
                call("GET", f"/{secrets.token_hex(4)}")
                call("POST", "/users/login", {"username": "alice", "password": "wrong"})
                call("POST", "/users/email/verify", token=token)

    thread = threading.Thread(target=load)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def reload_under_load(server, group, users):
    with writes.Writers(group, users) as writers:
        time.sleep(LOAD / 2)
        server.process.send_signal(signal.SIGHUP)
        time.sleep(LOAD)
    time.sleep(2)  # each process tells once a second
    found, _ = read()
    say(f"a reload under load: {len(writers.answered)} messages answered, {found[SENT]:.0f} counted")
    require(not writers.others, f"no request is lost: {dict(writers.others)}")
    require(found[SENT] == len(writers.answered), "all are counted, also those of the processes that were replaced")


def kill_under_load(server, group, users):
    before, _ = read()
    with writes.Writers(group, users) as writers:
        time.sleep(LOAD / 2)
        os.kill(server.workers()[0], signal.SIGKILL)
        time.sleep(LOAD)
    time.sleep(2)
    found, _ = read()
    counted, answered = found[SENT] - before[SENT], len(writers.answered)
    say(f"a kill under load: {answered} messages answered, {counted:.0f} counted")
    require(0.5 * answered < counted <= answered + writes.WRITERS, "nearly all are counted")
    # The client of the only stream comes back by itself, if it was with the killed process.
    deadline = time.monotonic() + 20
    while (streams := read()[0]['chat_streams_open{kind="stream"}']) != 1 and time.monotonic() < deadline:
        time.sleep(0.5)
    require(streams == 1, f"one stream is open: {streams:.0f}")


def processes_end(server):
    """What is open and counted after many replacements."""
    before, _ = read()
    for _ in range(3):
        for pid in server.workers():
            os.kill(pid, signal.SIGKILL)
        time.sleep(0.5)
        for _ in range(100):
            with suppress(OSError, http.client.HTTPException):
                if len(server.workers()) == 2 and call("GET", "/healthz")[0] == 200:
                    break
            time.sleep(0.1)
    time.sleep(2)
    found, _ = read()
    fallen = [name for name in before if name.endswith("_total") and found.get(name, 0) < before[name]]
    say(f"six processes killed: {len(before)} numbers before, {len(found)} after")
    require(not fallen, f"no counter has fallen: {fallen}")
    require(sum("memory" in name for name in found) == 2, "two processes serve")


def expressions(prometheus):
    """Each expression of the dashboard and the alerts finds something."""
    dashboard = json.loads((DEPLOY / "grafana/dashboard.json").read_text())
    used = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    used = [each.replace("$instance", ".*").replace("$__rate_interval", "10s") for each in used]
    rules = [rule for group in prometheus.get("rules")["groups"] for rule in group["rules"]]
    require(all(rule["health"] == "ok" for rule in rules), "all alerts can be computed")
    # Without the threshold, which should not be reached.
    used += [re.sub(r"\s(>|==) [0-9.e+]+$", "", rule["query"]) for rule in rules]
    missing = [each for each in used if not prometheus.query(each)]
    say(f"{len(used)} expressions of the dashboard and {len(rules)} alerts")
    require(not missing, f"each finds something: {missing}")
    targets = prometheus.get("targets")["activeTargets"]
    require([each["health"] for each in targets] == ["up"], "the target is up")
    require(prometheus.value("sum(resets(chat_requests_total[2m]))") == 0, "no counter has begun anew")


def without_database(alice):
    """The numbers are shown while the database hangs, and tell when it is away."""
    if "MARIADB_PID_FILE" not in os.environ:
        return
    token, pid = AuthToken.objects.issue(alice), int(Path(os.environ["MARIADB_PID_FILE"]).read_text())
    os.kill(pid, signal.SIGSTOP)
    try:
        seconds = max(read()[1] for _ in range(10))
    finally:
        os.kill(pid, signal.SIGCONT)
    before, _ = read()
    os.kill(pid, signal.SIGKILL)
    status, deadline = 200, time.monotonic() + 10
    while status != 503 and time.monotonic() < deadline:
        status, _ = call("GET", "/users/profile", token=token)
    time.sleep(1.5)
    found, _ = read()
    away = found["chat_database_away_total"] - before["chat_database_away_total"]
    say(f"while the database hangs the numbers take {1000 * seconds:.0f} ms; killed: {away:.0f} answers 503 counted")
    require(seconds < 1, "nobody waits for the database")
    require(status == 503 and away > 0, "its absence is counted")
