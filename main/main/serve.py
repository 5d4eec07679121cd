"""Starts the server: `scripts/serve`. BIND, PORT, WEB_CONCURRENCY and THREADS are settings like the others."""

import os
import socket
import stat
import sys
from contextlib import suppress
from importlib import import_module

import uvicorn
from django.core.exceptions import ImproperlyConfigured
from django.db import DatabaseError, connection

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "main.settings")

# Seconds for which a connection without a request is kept; and in which what runs must be done when the server stops,
# longer than an answer may take.
KEEP_ALIVE, GRACE = 15, 45


def bind(address):
    """Where uvicorn is to listen, as its arguments; OSError with a sentence where it cannot."""
    try:
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
        raise OSError(f"{address} cannot be listened at: {error.strerror}.") from None


def unix_socket(path):
    """The descriptor of a socket of that path, for its owner and group alone.

    Whoever may connect to it is believed about the address of a client. One that a killed server left is replaced.
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


def serve(application="main.asgi:application"):
    """Serve until a signal ends it: SIGTERM finishes what runs, SIGHUP replaces one process after the other."""
    try:
        import django
        from django.conf import settings

        django.setup()
        import_module(application.partition(":")[0])  # what is wrong with it is told once, and not by each process
        address = bind(settings.BIND)
        connection.ensure_connection()
    except (ImproperlyConfigured, OSError) as error:
        sys.exit(f"serve: {error}")
    except DatabaseError as error:
        sys.exit(f"serve: The database cannot be reached: {error}")
    connection.close()
    place = settings.BIND if "fd" in address else f"http://{settings.BIND}"
    print(f"Serving at {place}", flush=True)  # noqa: T201
    uvicorn.run(
        application,
        **address,
        workers=settings.WEB_CONCURRENCY,
        loop="main.connections:Loop",
        http="httptools",
        ws="none",
        lifespan="on",
        interface="asgi3",
        proxy_headers=False,  # TRUSTED_PROXIES says whom to believe
        server_header=False,
        access_log=False,  # common.middleware writes a line a request
        log_config=None,
        timeout_keep_alive=KEEP_ALIVE,
        timeout_graceful_shutdown=GRACE,
    )


if __name__ == "__main__":
    serve()
