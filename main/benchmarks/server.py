import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

from django.core.management import call_command
from django.db import connection

MAIN = Path(__file__).resolve().parent.parent
PORT = 8123


def prepare_database():
    """Make the database, where there is a server for it, and its tables."""
    if connection.vendor == "mysql":
        with connection._nodb_cursor() as cursor:
            cursor.execute(f"CREATE DATABASE IF NOT EXISTS {os.environ['MYSQL_DATABASE']}")
    call_command("migrate", verbosity=0)


class Server:
    """The production server on PORT, as `make run` serves it, for as long as a `with` lasts."""

    def __init__(self, application="main.wsgi"):
        self.application = application

    def __enter__(self):
        self.log = tempfile.TemporaryFile()
        command = [str(Path(sys.executable).parent / "gunicorn"), self.application, "--config", "../gunicorn.conf.py"]
        self.process = subprocess.Popen(  # noqa: S603
            [*command, "--bind", f"127.0.0.1:{PORT}"], cwd=MAIN, stdout=self.log, stderr=self.log
        )
        for _ in range(100):
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{PORT}/healthz")
            except OSError:
                time.sleep(0.1)
            else:
                return self
        raise RuntimeError("The server does not answer.")

    def __exit__(self, *failure):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait()

    def workers(self):
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        return [int(pid) for pid in children.read_text().split()]

    def lines(self):
        """What it has written to its log."""
        self.log.seek(0)
        return self.log.read().decode().splitlines()
