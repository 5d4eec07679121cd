"""What all drills share. Import it before anything of Django: it prepares the environment."""

import http.client
import json
import os
import resource
import secrets
import socket
import sys
import time
from pathlib import Path

MAIN = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(MAIN))
os.environ |= {"DJANGO_SETTINGS_MODULE": "main.settings", "SECRET_KEY": secrets.token_hex(), "ENV_FILE": "/dev/null"}
os.environ |= {"LOGIN_RATE": "5/min", "SEND_RATE": "", "SEARCH_RATE": "", "OPEN_RATE": ""}

import django  # noqa: E402

django.setup()

from harness.server import PORT  # noqa: E402

PASSWORD = "correct-horse-battery"  # noqa: S105

# Thousands of connections at a time need more open files than a process gets by default.
_, most = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def say(text):
    print(text, flush=True)  # noqa: T201


def require(condition, text):
    if not condition:
        raise SystemExit(f"Not as it should be: {text}")


def call(method, path, body=None, token=None, to=None):
    """The answer as (status, body); OSError or HTTPException where there is none."""
    to = to or http.client.HTTPConnection("127.0.0.1", PORT, timeout=60)
    headers = {"Content-Type": "application/json"} | ({"Authorization": f"Token {token}"} if token else {})
    to.request(method, path, None if body is None else json.dumps(body), headers)
    answer = to.getresponse()
    return answer.status, json.loads(answer.read() or "null")


def connect(*, receive_buffer=None):
    """A connection to the server, with a receive buffer of so many bytes if it is to read slowly."""
    sock = socket.socket()
    if receive_buffer:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    sock.settimeout(60)
    sock.connect(("127.0.0.1", PORT))
    return sock


def seconds_of_others(token, number=20):
    """The seconds that calls of another client take, each on a new connection."""
    started = time.monotonic()
    for _ in range(number):
        status, _ = call("GET", "/users/profile", token=token)
        require(status == 200, f"another client gets 200, not {status}")
    return time.monotonic() - started
