"""The server as operators run it, on a port of its own, for the drills and the benchmarks."""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

from django.core.management import call_command
from django.db import connection

MAIN = Path(__file__).resolve().parent.parent


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as sock:
        return sock.getsockname()[1]


PORT = free_port()


def prepare_database():
    """Make the database, where there is a server for it, and its tables."""
    if connection.vendor == "mysql":
        with connection._nodb_cursor() as cursor:
            cursor.execute(f"CREATE DATABASE IF NOT EXISTS {os.environ['MYSQL_DATABASE']}")
    call_command("migrate", verbosity=0)


class Server:
    """The production server, for as long as a `with` lasts; two processes, started by the module."""

    def __init__(self, module="main.serve", port=PORT, **environment):
        self.module, self.port = module, port
        self.environment = {"BIND": f"127.0.0.1:{port}", "WEB_CONCURRENCY": "2"} | environment

    def __enter__(self):
        self.log = tempfile.TemporaryFile()
        self.process = subprocess.Popen(  # noqa: S603
            [sys.executable, "-m", self.module],
            cwd=MAIN,
            env=os.environ | self.environment,
            stdout=self.log,
            stderr=self.log,
        )
        for _ in range(600):  # a busy machine takes long
            if self.process.poll() is not None:
                break
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{self.port}/healthz")
            except OSError:
                time.sleep(0.1)
            else:
                return self
        self.__exit__()
        raise RuntimeError("The server does not answer:\n" + "\n".join(self.lines()[-20:]))

    def __exit__(self, *failure):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait()

    def workers(self):
        """The ids of the processes that serve; Python's own tracker of their resources is not one."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        return [int(pid) for pid in children if b"spawn_main" in self.command_of(pid)]

    @staticmethod
    def command_of(pid):
        try:
            return Path(f"/proc/{pid}/cmdline").read_bytes()
        except OSError:
            return b""  # it has just ended

    def memory(self):
        """The megabytes that the processes that serve have in memory, together."""
        pages = (int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in self.workers())
        return sum(pages) * os.sysconf("SC_PAGE_SIZE") / 1e6

    def lines(self):
        """What it has written to its log, also what it gathers; see common.logs."""
        time.sleep(0.1)
        self.log.seek(0)
        return self.log.read().decode().splitlines()
