"""The start of the server: `scripts/serve`, where it listens, and the sentence with which it refuses."""

import os
import signal
import socket
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from harness.server import Server
from tests.test_settings import DEFAULTS, MAIN


@pytest.fixture
def serve(tmp_path):
    """Starts the server with an environment of its own; ends it after the test."""
    started = []

    def start(passed=None, **environment):
        """Pass a socket in the way of systemd, if one is given."""
        command = [str(MAIN.parent / "scripts/serve")]
        if passed:
            passing = 'exec 3<&"$1"; LISTEN_PID=$$ LISTEN_FDS=1 exec "$0"'
            command = ["bash", "-c", passing, *command, str(passed.fileno())]
        environment = {"PATH": os.environ["PATH"], "SQLITE_FILE": str(tmp_path / "db.sqlite3")} | DEFAULTS | environment
        process = subprocess.Popen(  # noqa: S603
            command,
            env=environment,
            pass_fds=[passed.fileno()] if passed else [],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.terminate()
        process.communicate(timeout=60)


@pytest.fixture
def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def health(family, address):
    """The first line of the answer at the address, once there is one."""
    for _ in range(200):
        with socket.socket(family) as client:
            try:
                client.connect(address)
            except OSError:
                time.sleep(0.1)
                continue
            client.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            return client.makefile().readline().strip()
    return None


def refusal(process):
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    assert errors.count("\n") == 1, errors
    return errors.strip()


def test_a_taken_port_is_one_sentence(serve):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert refusal(serve(BIND=f"127.0.0.1:{port}")) == (
            f"serve: 127.0.0.1:{port} cannot be listened at: Address already in use."
        )


def test_a_wrong_setting_is_one_sentence(serve):
    assert refusal(serve(THREADS="many")).startswith("serve: THREADS must be a whole number")


def test_a_database_that_is_away_is_one_sentence(serve, free_port):
    away = {"MYSQL_USER": "chat", "MYSQL_PASSWORD": "a-password", "MYSQL_PORT": str(free_port)}
    sentence = refusal(serve(BIND=f"127.0.0.1:{free_port}", **away))
    assert sentence.startswith("serve: The database cannot be reached: ")
    assert "a-password" not in sentence


def test_a_port_alone_is_one_on_all_addresses(serve, free_port):
    server = serve(PORT=str(free_port), ALLOWED_HOSTS="localhost")
    assert server.stdout.readline() == f"Serving at http://0.0.0.0:{free_port}\n"
    assert health(socket.AF_INET, ("127.0.0.2", free_port)) == "HTTP/1.1 200 OK"


def test_it_listens_at_an_ipv6_address(serve, free_port):
    serve(BIND=f"[::1]:{free_port}", WEB_CONCURRENCY="1")
    assert health(socket.AF_INET6, ("::1", free_port)) == "HTTP/1.1 200 OK"


def test_a_unix_socket_is_for_its_owner_and_group_alone(serve, tmp_path):
    path = str(tmp_path / "chat.sock")
    with socket.socket(socket.AF_UNIX) as left_behind:
        left_behind.bind(path)  # as by a server that was killed
    serve(BIND=f"unix:{path}")
    assert health(socket.AF_UNIX, path) == "HTTP/1.1 200 OK"
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o660
    assert "Address already in use" in refusal(serve(BIND=f"unix:{path}"))


@pytest.mark.parametrize("processes", ["1", "2"])
def test_who_connects_to_a_passed_socket_before_it_serves_is_answered(serve, tmp_path, processes):
    path = str(tmp_path / "chat.sock")
    with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as client:
        listener.bind(path)
        listener.listen()
        client.connect(path)
        client.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        server = serve(listener, BIND="systemd", WEB_CONCURRENCY=processes)
        assert server.stdout.readline() == "Serving at systemd\n"
        client.settimeout(30)
        assert client.makefile().readline().strip() == "HTTP/1.1 200 OK"
        server.terminate()
        server.wait(20)
        with socket.socket(socket.AF_UNIX) as another:
            another.connect(path)  # and waits for the next server


def test_a_socket_that_systemd_does_not_pass_is_one_sentence(serve):
    assert refusal(serve(BIND="systemd")) == (
        "serve: systemd cannot be listened at: it has not passed exactly one socket."
    )


def test_a_passed_socket_is_a_listening_unix_socket(serve, tmp_path):
    with socket.socket(socket.AF_UNIX) as deaf, socket.create_server(("127.0.0.1", 0)) as internet:
        deaf.bind(str(tmp_path / "chat.sock"))
        for passed in (deaf, internet):
            assert refusal(serve(passed, BIND="systemd")) == (
                "serve: systemd cannot be listened at: what it has passed is not a listening Unix socket."
            )


@pytest.mark.parametrize("ending", [signal.SIGHUP, signal.SIGTERM])
def test_a_single_process_finishes_what_runs(serve, free_port, ending, tmp_path):
    server = serve(BIND=f"127.0.0.1:{free_port}", WEB_CONCURRENCY="1", TMPDIR=str(tmp_path))
    assert health(socket.AF_INET, ("127.0.0.1", free_port)) == "HTTP/1.1 200 OK"
    with socket.socket() as client:
        client.connect(("127.0.0.1", free_port))
        client.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n")
        time.sleep(0.2)
        server.send_signal(ending)
        time.sleep(0.3)
        client.sendall(b"\r\n")
        assert client.makefile().readline().strip() == "HTTP/1.1 200 OK"
    assert server.wait(20) == 0
    assert list(tmp_path.glob("chat-*")) == []


def test_the_processes_stop_with_the_one_that_started_them(serve, free_port):
    server = serve(BIND=f"127.0.0.1:{free_port}")
    assert health(socket.AF_INET, ("127.0.0.1", free_port)) == "HTTP/1.1 200 OK"
    server.kill()
    for _ in range(100):
        with socket.socket() as client:
            if client.connect_ex(("127.0.0.1", free_port)):
                return
        time.sleep(0.1)
    pytest.fail("Somebody listens still.")


def test_a_process_that_ends_while_the_supervisor_asks_it_is_replaced_soon(serve, free_port):
    def workers():
        children = Path(f"/proc/{server.pid}/task/{server.pid}/children").read_text().split()
        return [pid for pid in map(int, children) if b"spawn_main" in Server.command_of(pid)]

    server = serve(BIND=f"127.0.0.1:{free_port}", WEB_CONCURRENCY="2")
    assert health(socket.AF_INET, ("127.0.0.1", free_port)) == "HTTP/1.1 200 OK"
    asked, other = workers()
    os.kill(asked, signal.SIGSTOP)
    time.sleep(2)  # it is asked every half a second
    os.kill(asked, signal.SIGKILL)
    for _ in range(100):
        if len(now := set(workers()) - {asked}) == 2 and other in now:
            return
        time.sleep(0.1)
    pytest.fail("It was not replaced.")


@pytest.mark.parametrize("place", ["0.0.0.0:{port}", "unix:{folder}/chat.sock"])
def test_the_health_check_of_containers_asks_where_the_server_listens(serve, free_port, tmp_path, place):
    environment = {"BIND": place.format(port=free_port, folder=tmp_path), "ALLOWED_HOSTS": "localhost"}
    command = [sys.executable, "-m", "main.health_check"]

    def check():
        return subprocess.run(  # noqa: S603
            command, cwd=MAIN, env=DEFAULTS | environment, stderr=subprocess.PIPE, text=True, timeout=20
        )

    red = check()
    assert red.returncode == 1
    assert red.stderr.startswith(f"health_check: {environment['BIND']} does not answer: ")
    server = serve(**environment, WEB_CONCURRENCY="1")
    assert server.stdout.readline().startswith("Serving at ")
    for _ in range(100):
        if (result := check()).returncode == 0:
            return
        time.sleep(0.1)
    pytest.fail(result.stderr)
