"""What the benchmark asks of each of the servers that are compared, in the same way."""

import http.client
import json
import queue
import threading
import time
from urllib.parse import quote

# Seconds within which each answer must come.
PATIENCE = 60


def require(condition, text):
    if not condition:
        raise SystemExit(f"Not as it should be: {text}")


class Peer:
    """A server that is compared. The kinds of them say where its calls are and what their answers mean."""

    name = scheme = ""
    # Names of kinds of listening, and whether each is a stream; see Listener.
    listening = {}

    def __init__(self, port):
        self.port, self.tokens = port, {}

    def headers(self, username):
        authorization = {"Authorization": f"{self.scheme} {self.tokens[username]}"} if username else {}
        return {"Content-Type": "application/json"} | authorization

    def ask(self, method, path, body=None, by=None, expected=200, to=None):
        """The body of the answer, which must have the expected status."""
        connection = to or http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        connection.request(method, path, None if body is None else json.dumps(body), self.headers(by))
        answer = connection.getresponse()
        text = answer.read()
        require(answer.status == expected, f"{self.name}: {method} {path} answers {answer.status} {text[:300]!r}")
        if not to:
            connection.close()
        return json.loads(text or "null")

    def require(self, condition, text):
        require(condition, f"{self.name}: {text}")


class Listener(threading.Thread):
    """One client that listens as its user, and notes when it has which message."""

    def __init__(self, peer, username, is_stream):
        super().__init__(daemon=True)
        self.peer, self.username, self.is_stream = peer, username, is_stream
        self.connection = http.client.HTTPConnection("127.0.0.1", peer.port, timeout=PATIENCE)
        self.arrivals, self.is_listening, self.is_stopping = queue.Queue(), threading.Event(), False

    def __enter__(self):
        self.connection.connect()
        self.socket = self.connection.sock  # which a connection for one answer alone does not keep
        self.start()
        require(self.is_listening.wait(PATIENCE), f"{self.peer.name}: it lets somebody listen")
        return self

    def __exit__(self, *failure):
        self.is_stopping = True
        self.socket.shutdown(2)
        self.join(PATIENCE)
        self.socket.close()

    def run(self):
        try:
            self.read_stream() if self.is_stream else self.ask_again_and_again()
        except Exception as error:
            if not self.is_stopping:
                self.arrivals.put(error)

    def read_stream(self):
        headers = self.peer.headers(self.username) | {"Accept": "text/event-stream"}
        self.connection.request("GET", self.peer.stream_path, headers=headers)
        answer = self.connection.getresponse()
        while not self.is_stopping:
            line = answer.readline()
            arrived = time.perf_counter()
            if line == b"event: ready\n":
                self.is_listening.set()
            if line.startswith(b"data: "):
                self.note(arrived, self.peer.texts_of_event(json.loads(line.removeprefix(b"data: "))))
            if not line:
                raise RuntimeError("The stream has ended.")

    def ask_again_and_again(self):
        place = self.peer.present_place(self.username)
        while not self.is_stopping:
            self.connection.request("GET", self.peer.poll_path(place), headers=self.peer.headers(self.username))
            self.is_listening.set()
            answer = self.connection.getresponse()
            body = answer.read()
            arrived = time.perf_counter()
            if answer.status != 200:
                raise RuntimeError(f"Listening is answered by {answer.status} {body[:300]!r}")
            place, texts = self.peer.read_poll(json.loads(body))
            self.note(arrived, texts)

    def note(self, arrived, texts):
        for text in texts:
            self.arrivals.put((arrived, text))

    def wait_for(self, expected):
        """When it had the message, which must be the next one."""
        try:
            arrival = self.arrivals.get(timeout=PATIENCE)
        except queue.Empty:
            raise SystemExit(f"{self.peer.name}: {expected!r} did not arrive.") from None
        if isinstance(arrival, Exception):
            raise arrival
        arrived, text = arrival
        require(text == expected, f"{self.peer.name}: {text!r} arrives instead of {expected!r}")
        return arrived


def quoted(text):
    return quote(text, safe="")
