"""Starts the server; called by `scripts/serve`. See BIND, PORT, WEB_CONCURRENCY and THREADS in the settings."""

import os
import resource
import signal
import socket
import stat
import sys
import tempfile
from contextlib import suppress
from importlib import import_module
from typing import Any

import uvicorn
from django.core.exceptions import ImproperlyConfigured
from django.db import DatabaseError, connection
from uvicorn.supervisors import multiprocess

from main.supervisor import Process

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "main.settings")

# Seconds for which an idle connection is kept open; and within which running requests must end when the server stops,
# longer than an answer may take.
KEEP_ALIVE, GRACE = 15, 45
# Seconds within which a process must start to serve, and answer the one that started it. On a busy machine uvicorn's
# own five were too few: SIGHUP replaced nothing.
ALIVE = 20


def bind(address: str) -> dict[str, Any]:
    """uvicorn's arguments for the address; OSError with a sentence if it cannot be used."""
    try:
        if address == "systemd":
            return {"fd": passed_socket()}
        if address.startswith("unix:"):
            return {"fd": unix_socket(address.removeprefix("unix:"))}
        host, _, port = address.rpartition(":")
        host, port = host.strip("[]"), int(port)
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
        return {"host": host, "port": port}
    except OSError as error:
        raise OSError(f"{address} cannot be listened at: {error.strerror or error}.") from None


def unix_socket(path: str) -> int:
    """The file descriptor of a listening socket at the path, for its owner and group only.

    Whoever can connect to it is trusted about the addresses of clients. The socket of a killed server is replaced.
    """
    with suppress(FileNotFoundError), socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        if stat.S_ISSOCK(os.stat(path).st_mode):
            try:
                probe.connect(path)
            except ConnectionRefusedError:
                os.unlink(path)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    umask = os.umask(0o117)
    try:
        listener.bind(path)
    finally:
        os.umask(umask)
    listener.set_inheritable(True)
    return listener.detach()


def passed_socket() -> int:
    """The file descriptor of the listening Unix socket that systemd has passed to this process, see sd_listen_fds(3).

    It stays open while no process serves: who connects meanwhile waits.
    """
    first = 3
    passed = (os.environ.pop("LISTEN_PID", ""), os.environ.pop("LISTEN_FDS", ""))
    if passed != (str(os.getpid()), "1"):
        raise OSError("it has not passed exactly one socket")
    with socket.socket(fileno=os.dup(first)) as listener:
        kind = (listener.family, listener.type, listener.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))
    if kind != (socket.AF_UNIX, socket.SOCK_STREAM, 1):
        raise OSError("what it has passed is not a listening Unix socket")
    return first


def allow_open_files() -> None:
    """Let the processes open as many files as the system allows: each stream is one. By default it is 1 024."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def serve(application: str = "main.asgi:application") -> None:
    """Serve until SIGTERM, which finishes running requests. SIGHUP replaces one process after the other."""
    # The first process of a container would ignore it until uvicorn handles it. At its end uvicorn raises it once more.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        import django
        from django.conf import settings

        django.setup()
        from common import processes
        from delivery import hints

        import_module(application.partition(":")[0])  # so that an error is reported once, and not by each process
        address = bind(settings.BIND)
        connection.ensure_connection()
    except (ImproperlyConfigured, OSError) as error:
        sys.exit(f"serve: {error}")
    except DatabaseError as error:
        sys.exit(f"serve: The database cannot be reached: {error}")
    connection.close()
    place = f"http://{settings.BIND}" if "port" in address else settings.BIND
    print(f"Serving at {place}", flush=True)  # noqa: T201
    allow_open_files()
    if settings.WEB_CONCURRENCY == 1:
        # There is no supervisor that would replace the only process. It ends, and whoever started it starts another.
        signal.signal(signal.SIGHUP, lambda *_: signal.raise_signal(signal.SIGTERM))
    with tempfile.TemporaryDirectory(prefix="chat-") as folder:  # for its owner only
        for variable in (hints.FOLDER, processes.FOLDER):
            os.environ[variable] = tempfile.mkdtemp(dir=folder)
        # uvicorn offers no other way to choose the class of the processes that its supervisor starts.
        multiprocess.Process = Process  # type: ignore[misc]
        uvicorn.run(
            application,
            **address,
            workers=settings.WEB_CONCURRENCY,
            loop="main.listening:Loop",
            http="httptools",
            ws="none",
            lifespan="on",
            interface="asgi3",
            proxy_headers=False,  # TRUSTED_PROXIES is used instead
            server_header=False,
            access_log=False,  # common.middleware logs requests
            log_config=None,
            timeout_keep_alive=KEEP_ALIVE,
            timeout_graceful_shutdown=GRACE,
            timeout_worker_healthcheck=ALIVE,
        )


if __name__ == "__main__":
    serve()
