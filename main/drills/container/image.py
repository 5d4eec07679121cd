"""The image alone, on a MariaDB server of this drill: read-only, without capabilities; health check and SIGTERM."""

import os
import signal
import time
from contextlib import suppress
from pathlib import Path

import MySQLdb

from drills.container.client import Client, free_port, require, run, say, stopped_during_a_call, wait_until

IMAGE = "localhost/chat:latest"
# podman would leave /run and more writable by itself; Docker does not.
READ_ONLY = ("--read-only", "--read-only-tmpfs=false", "--tmpfs", "/tmp")  # noqa: S108
HARDENED = (*READ_ONLY, "--cap-drop", "ALL", "--security-opt", "no-new-privileges")
DATABASE = ("MYSQL_HOST", "MYSQL_PORT", "MYSQL_USER", "MYSQL_PASSWORD", "MYSQL_DATABASE")


def container(*arguments, **environment):
    """The arguments of podman for a container of the image on the network of the drill."""
    values = {name: os.environ[name] for name in DATABASE} | {"SECRET_KEY": "k" * 60, "ALLOWED_HOSTS": "localhost"}
    pairs = [f"--env={name}={value}" for name, value in (values | environment).items()]
    return ["podman", "run", "--network", "host", *HARDENED, *pairs, *arguments]


def database():
    return MySQLdb.connect(
        host=os.environ["MYSQL_HOST"],
        port=int(os.environ["MYSQL_PORT"]),
        user=os.environ["MYSQL_USER"],
        password=os.environ["MYSQL_PASSWORD"],
    )


def processes(name):
    """The ids of the processes of a container, its first one first."""
    first = int(run("podman", "inspect", "--format", "{{.State.Pid}}", name).stdout)
    found = [first]
    for pid in found:
        found += [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return found


def drill():
    say("== The image alone")
    with database() as connection:
        connection.cursor().execute(f"CREATE DATABASE {os.environ['MYSQL_DATABASE']}")
    began = time.monotonic()
    run(*container("--rm", IMAGE, "python", "manage.py", "migrate", "--no-input", "--verbosity", "0"))
    say(f"  migrate, in a container of its own: {time.monotonic() - began:.1f} s")
    port = free_port()
    began = time.monotonic()
    run(*container("--detach", "--name", "one", IMAGE, PORT=str(port)))
    client = Client(port)
    wait_until(lambda: client.status("/readyz") == 200, "the container answers")
    say(f"  it answers {time.monotonic() - began:.1f} s after its start")
    is_locked_down()
    alice, conversation = client.talk()
    health_check_is_green_and_red()
    sigterm_finishes_what_runs(client, "one", alice, conversation)
    # A single process is the first process and the server in one.
    run(*container("--detach", "--name", "single", IMAGE, PORT=str(port), WEB_CONCURRENCY="1"))
    wait_until(lambda: client.status("/readyz") == 200, "the container answers")
    sigterm_finishes_what_runs(client, "single", alice, conversation)


def is_locked_down():
    first = processes("one")[0]
    require(
        Path(f"/proc/{first}/cmdline").read_bytes() == b"python\0-m\0main.serve\0", "the first process is the server"
    )
    status = dict(line.split(":\t", 1) for line in Path(f"/proc/{first}/status").read_text().splitlines())
    require(status["Uid"].split() == ["10001"] * 4, f"it runs as 10001, not as {status['Uid']}")
    require(all(int(status[f"Cap{kind}"], 16) == 0 for kind in ("Eff", "Prm", "Bnd")), "it has no capabilities")
    require(status["NoNewPrivs"] == "1", "it gains no privileges")
    for place in ("/srv/chat/main/x", "/etc/x", "/run/x"):
        require(run("podman", "exec", "one", "touch", place, may_fail=True).returncode, f"{place} cannot be written")
    say("  its first process is the server, as user 10001, without capabilities, and cannot write to the file system")


def health_check_is_green_and_red():
    def health():
        return run("podman", "healthcheck", "run", "one", may_fail=True).returncode

    require(health() == 0, "the health check is green")
    began = time.monotonic()
    stopped = processes("one")
    try:
        for pid in stopped:
            os.kill(pid, signal.SIGSTOP)
        require(health() != 0, "the health check is red while the server does not move")
    finally:
        for pid in stopped:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
    seconds = time.monotonic() - began
    wait_until(lambda: health() == 0, "the health check is green again")
    say(f"  health check: green, red after {seconds:.1f} s while the server is stopped, green again")


def sigterm_finishes_what_runs(client, name, token, conversation):
    """A message that waits for a lock is answered after SIGTERM, and the container ends with 0."""

    def stop():
        run("podman", "kill", "--signal", "TERM", name)

    with database() as connection:
        began = stopped_during_a_call(client, connection, os.environ["MYSQL_DATABASE"], token, conversation, stop)
    code = run("podman", "wait", name, timeout=60).stdout.strip()
    require(code == "0", f"SIGTERM ends the container with 0, not {code}")
    say(f"  SIGTERM during a slow call ({name}): answered 201, exit code 0 after {time.monotonic() - began:.1f} s")
    run("podman", "rm", name)
