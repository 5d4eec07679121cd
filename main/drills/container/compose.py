"""compose.yaml, whole: docker-compose on podman, with images that stand in for those of MariaDB and nginx."""

import os
import shutil
import signal
import stat
import subprocess
import threading
import time
from pathlib import Path

from drills.container.client import PASSWORD, Client, free_port, require, run, say, wait_until
from drills.container.image import processes


class Engine:
    """podman's service, which docker-compose talks to, and the timer of health checks that systemd would be."""

    def __init__(self, folder):
        self.address = f"unix://{folder}/podman.sock"

    def __enter__(self):
        self.log = (Path(self.address.removeprefix("unix://")).parent / "podman.log").open("w")
        self.process = subprocess.Popen(  # noqa: S603
            ["podman", "system", "service", "--time=0", self.address],  # noqa: S607
            stdout=self.log,
            stderr=self.log,
        )
        self.done = threading.Event()
        self.timer = threading.Thread(target=self.check, daemon=True)
        self.timer.start()
        wait_until(lambda: Path(self.address.removeprefix("unix://")).exists(), "podman's service is there")
        return self

    def check(self):
        while not self.done.wait(1):
            for name in run("podman", "ps", "--format", "{{.Names}}", may_fail=True).stdout.split():
                run("podman", "healthcheck", "run", name, may_fail=True)

    def __exit__(self, *failure):
        self.done.set()
        self.timer.join(60)
        self.process.terminate()
        self.process.wait(30)


class Project:
    """The files of the project in a folder of its own."""

    def __init__(self, folder, engine, **environment):
        self.folder = folder
        self.environment = os.environ | {"DOCKER_HOST": engine.address} | environment

    def compose(self, *arguments, may_fail=False):
        return run("docker-compose", *arguments, cwd=self.folder, env=self.environment, timeout=240, may_fail=may_fail)

    def make_env(self, *arguments, may_fail=False):
        return run(f"{self.folder}/deploy/container/make-env", *arguments, may_fail=may_fail)


def state(service):
    return run(
        "podman", "inspect", "--format", "{{.State.Status}} {{.State.ExitCode}}", f"chat_{service}_1"
    ).stdout.strip()


def drill(folder):
    say("== compose.yaml")
    port, tls_port = free_port(), free_port()
    with Engine(folder) as engine:
        ports = {"HTTP_PORT": f"127.0.0.1:{port}", "HTTPS_PORT": f"127.0.0.1:{tls_port}"}
        project = Project(Path(folder) / "project", engine, CHAT_IMAGE="localhost/chat:latest", **ports)
        client = Client(port)
        secrets_are_made_once(project)
        began = time.monotonic()
        project.compose("up", "--detach", "--no-build")
        wait_until(lambda: client.status("/readyz") == 200, "the proxy passes requests on")
        say(f"  up, from nothing to the first answer: {time.monotonic() - began:.1f} s")
        require(state("migrate") == "exited 0", f"migrate has ended with 0, not {state('migrate')}")
        alice, conversation = client.talk()
        clients_cannot_claim_addresses(client)
        large_bodies_are_refused_in_json(client)
        the_database_is_out_of_reach_of_the_proxy()
        what_is_killed_comes_back(client, alice)
        the_database_may_be_away(project, client)
        an_upgrade(project, client, alice, conversation)
        data_outlives_the_containers(project, client, conversation)
        https(project, folder, client, tls_port)
        project.compose("down", "--volumes")


def secrets_are_made_once(project):
    missing = project.compose("config", may_fail=True)
    require(missing.returncode, "without .env nothing starts")
    project.make_env()
    file = project.folder / ".env"
    require(stat.S_IMODE(file.stat().st_mode) == 0o600, ".env is its owner's alone")
    require(project.make_env(may_fail=True).returncode == 1, "make-env keeps a file that is there")
    project.compose("config", "--quiet")


def clients_cannot_claim_addresses(client):
    """20 wrong passwords a minute for an address, whatever a client says of its address."""
    wrong = {"username": "nobody-at-all", "password": PASSWORD}
    statuses = [
        client.call("POST", "/users/login", wrong, headers={"X-Forwarded-For": f"192.0.2.{number}"})[0]
        for number in range(25)
    ]
    require(statuses == [400] * 20 + [429] * 5, f"20 guesses, then 429: {statuses}")
    say("  X-Forwarded-For of a client counts for nothing: the 21st wrong password gets 429")


def large_bodies_are_refused_in_json(client):
    for megabytes, whose in ((1.5, "the server"), (3, "the proxy")):
        status, body = client.call("POST", "/users/login", {"username": "x" * int(megabytes * 1024 * 1024)})
        require(status == 413 and body["detail"], f"{whose} refuses a large body with 413 and JSON: {status} {body}")
    say("  bodies of 1.5 and 3 MB: 413, in JSON")


def the_database_is_out_of_reach_of_the_proxy():
    address = run(
        "podman", "inspect", "--format", "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}", "chat_db_1"
    ).stdout.strip()
    for service, reaches in (("app", True), ("proxy", False)):
        command = ["timeout", "5", "bash", "-c", f": < /dev/tcp/{address}/3306"]
        reached = run("podman", "exec", f"chat_{service}_1", *command, may_fail=True).returncode == 0
        require(reached is reaches, f"{service} {'reaches' if reaches else 'does not reach'} the database")
    say("  the server reaches the database, the proxy does not")


def what_is_killed_comes_back(client, token):
    first = processes("chat_app_1")[0]
    os.kill(first, signal.SIGKILL)
    began = time.monotonic()
    wait_until(lambda: client.status("/readyz") != 200, "the killed server is noticed", 20)
    status, headers, content = client.answer("GET", "/users/profile", token=token)
    if status != 200:
        require((status, headers["Retry-After"]) == (503, "5"), f"meanwhile 503 with Retry-After: {status} {content}")
    wait_until(lambda: client.status("/readyz") == 200, "the killed server comes back")
    require(client.call("GET", "/users/profile", token=token)[0] == 200, "tokens are still good")
    say(f"  kill -9 of the server: it answers again after {time.monotonic() - began:.1f} s, meanwhile 503 in JSON")


def the_database_may_be_away(project, client):
    project.compose("stop", "db")
    require(client.status("/healthz") == 200, "/healthz answers 200 without the database")
    require(client.status("/readyz") == 503, "/readyz answers 503 without the database")
    project.compose("start", "db")
    seconds = wait_until(lambda: client.status("/readyz") == 200, "the server finds the database again")
    say(f"  the database stopped: /healthz 200, /readyz 503; started again: 200 after {seconds:.1f} s")


def an_upgrade(project, client, token, conversation):
    """`up` with another image replaces migrate and the server, while clients ask twenty times a second."""
    run("podman", "tag", "localhost/chat:latest", "localhost/chat:next")
    project.environment["CHAT_IMAGE"] = "localhost/chat:next"
    away, done, statuses = [], threading.Event(), set()

    def ask():
        while not done.wait(0.05):
            try:
                status = client.status("/healthz")
            except OSError:
                status = "no answer"
            statuses.add(status)
            if status != 200:
                away.append(time.monotonic())

    asking = threading.Thread(target=ask)
    asking.start()
    try:
        project.compose("up", "--detach", "--no-build")
        wait_until(lambda: client.status("/readyz") == 200, "the new server answers")
        time.sleep(1)
    finally:
        done.set()
        asking.join()
    client.send(token, conversation, "after the upgrade")
    seconds = away[-1] - away[0] if away else 0
    require(statuses <= {200, 503}, f"meanwhile nothing but 503: {statuses}")
    say(f"  upgrade by another image: 503 for {seconds:.1f} s")


def data_outlives_the_containers(project, client, conversation):
    project.compose("down")
    project.compose("up", "--detach", "--no-build")
    wait_until(lambda: client.status("/readyz") == 200, "it starts again")
    token = client.log_in("alice")
    status, messages = client.call("GET", f"/conversations/{conversation}/messages", token=token)
    texts = [message["text"] for message in messages]
    require((status, texts) == (200, ["after the upgrade", "Hello"]), f"the messages are there: {status} {texts}")
    say("  down and up again: account and messages are there")


def https(project, folder, plain, tls_port):
    project.compose("down", "--volumes")
    (project.folder / ".env").unlink()
    project.make_env("chat.example.org")
    tls = project.folder / "deploy/container/tls"
    tls.mkdir()
    request = ["-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    files = ["-addext", "subjectAltName=DNS:localhost", "-keyout", "privkey.pem", "-out", "fullchain.pem"]
    run("openssl", "req", *request, *files, cwd=tls)
    shutil.chown(tls / "privkey.pem", 101)
    project.compose("up", "--detach", "--no-build")
    client = Client(tls_port, "chat.example.org", str(tls / "fullchain.pem"))
    wait_until(lambda: client.status("/readyz") == 200, "HTTPS answers")
    client.talk()
    status, headers, _ = client.answer("GET", "/")
    require(headers["Strict-Transport-Security"] == "max-age=3600", "browsers are told to stay with HTTPS")
    status, headers, _ = plain.answer("GET", "/chat?x=1", headers={"Host": "chat.example.org"})
    require((status, headers["Location"]) == (308, "https://chat.example.org/chat?x=1"), "HTTP leads to HTTPS")
    say("  with deploy/container/tls.yaml: HTTPS with the certificate, HSTS, and 308 from HTTP")
