"""Asks the server that has this environment whether it works: exit code 0, or 1 with a sentence. For containers.

It asks `/healthz`, not the database: restarting the server would not bring that back.
"""

import http.client
import socket
import sys

from main import settings

# Seconds for the whole answer.
PATIENCE = 3


class Connection(http.client.HTTPConnection):
    """A connection to where the server of these settings listens."""

    def connect(self) -> None:
        if settings.BIND.startswith("unix:"):
            self.sock = socket.socket(socket.AF_UNIX)
            self.sock.settimeout(self.timeout)
            self.sock.connect(settings.BIND.removeprefix("unix:"))
            return
        host, _, port = settings.BIND.rpartition(":")
        host = {"0.0.0.0": "127.0.0.1", "[::]": "::1"}.get(host, host.strip("[]"))  # noqa: S104
        self.sock = socket.create_connection((host, int(port)), self.timeout)


def main() -> None:
    connection = Connection("localhost", timeout=PATIENCE)
    try:
        connection.request("GET", "/healthz")
        status = connection.getresponse().status
    except OSError as error:
        sys.exit(f"health_check: {settings.BIND} does not answer: {error}")
    if status != http.client.OK:
        sys.exit(f"health_check: {settings.BIND} answers {status}.")


if __name__ == "__main__":
    main()
