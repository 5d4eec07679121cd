"""The application as a server runs it: the event loop receives and writes, threads run Django.

Django's own ASGI handler runs every view in a thread of its own without a lasting database connection, at a third of
the throughput. Here the loop receives the whole request, a thread of a small pool runs Django's WSGI handler on it, and
the loop writes the answer. So a client that sends, or reads, slowly costs a connection and no thread.
"""

import asyncio
import os
import signal
import sys
from functools import lru_cache
from http import HTTPStatus
from io import BytesIO
from multiprocessing import parent_process
from queue import SimpleQueue
from threading import Event, Thread
from urllib.parse import unquote_to_bytes

from django.conf import settings

from main.wsgi import application as django  # which loads the apps

# isort: split
from common import upkeep
from main import connections

# Bytes of a body that is thrown away instead of being kept. Many clients read no answer before they have sent all.
MAX_DISCARDED = 16 * 1024 * 1024
# Bytes of an answer that are made and written at a time.
PART = 64 * 1024


class Application:
    """An ASGI application around a WSGI application."""

    def __init__(self, wsgi):
        self.wsgi = wsgi

    async def __call__(self, scope, receive, send):
        if scope["type"] == "lifespan":
            await self.live(receive, send)
        else:
            await self.answer(scope, receive, send)

    async def live(self, receive, send):
        """Keep the threads, and the watch over slow clients, for as long as the server runs."""
        await receive()
        self.threads = Threads(settings.THREADS)
        # A request that waits here is dropped when its client goes; one that a thread has been given is run.
        self.turns = asyncio.Semaphore(2 * settings.THREADS)
        tasks = [asyncio.create_task(task) for task in (connections.close_overdue(), stop_with_parent())]
        is_stopping = Event()
        keeper = Thread(target=upkeep.work_in_background, args=[is_stopping], daemon=True)
        keeper.start()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        is_stopping.set()
        for task in tasks:
            task.cancel()
        self.threads.stop()
        keeper.join(timeout=5)
        await send({"type": "lifespan.shutdown.complete"})

    async def answer(self, scope, receive, send):
        connection = connections.current.get()
        environ = environ_of(scope)
        length = int(environ.get("CONTENT_LENGTH") or 0)
        # Django refuses a body in chunks, or one that is too large. After an upgrade, which is not done, the server
        # would parse a body as the next request.
        is_read = length <= MAX_DISCARDED and not {"HTTP_TRANSFER_ENCODING", "HTTP_UPGRADE"} & environ.keys()
        if "HTTP_HOST" not in environ and scope["http_version"] != "1.0":
            connection.end(HTTPStatus.BAD_REQUEST)
            await client_is_gone(receive)
            return
        if length and is_read and not await receive_body(connection, receive, length):
            return
        connection.received()

        run = self.threads.run
        async with self.turns:
            is_waited_for = not connection.is_closing
            if is_waited_for:
                environ["wsgi.input"] = BytesIO(connection.take_body())
                status, headers, part, more = await run(begin_answer, self.wsgi, environ)
        if not is_waited_for:
            await client_is_gone(receive)
            return
        if connection.is_last or not is_read:  # what follows a body that was not read is no request
            headers.append((b"connection", b"close"))
        try:
            await send({"type": "http.response.start", "status": status, "headers": headers})
            while more and not connection.is_closing:
                connection.taking(len(part))
                await send({"type": "http.response.body", "body": part, "more_body": True})
                part, more = await run(next_part, more)
        finally:
            if more:
                await run(more.close)
        connection.taking(len(part))
        await send({"type": "http.response.body", "body": part})
        connection.answered()


application = Application(django)


async def client_is_gone(receive):
    """Wait until the server knows that the connection is closed, and so wants no answer."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def receive_body(connection, receive, length):
    """Let the connection keep the body, if it is not too long; return whether the client has sent it to its end."""
    missing = length
    connection.expect(length)
    while missing > 0:
        message = await receive()
        if message["type"] != "http.request":
            return False
        missing -= len(message["body"])
        if length <= settings.DATA_UPLOAD_MAX_MEMORY_SIZE:
            connection.body.append(message["body"])
        else:
            connection.release()
    return True


def begin_answer(wsgi, environ):
    """Run the request; return the status, the headers, the first part of the body, and more, None if that is all."""
    started = []
    answer = wsgi(environ, lambda status, headers, exc_info=None: started.extend((status, headers)))
    part, more = next_part(Parts(answer))
    status = int(started[0][:3])
    headers = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in started[1]]
    if status in (HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED):  # which have no body, and no length of it
        headers = [header for header in headers if header[0] != b"content-length"]
    elif not more and not any(name == b"content-length" for name, _ in headers):
        headers.append((b"content-length", b"%d" % len(part)))
    return status, headers, part, more


class Threads:
    """A pool of threads that run functions for the event loop.

    An executor of the standard library costs about 40 microseconds more for each, a twentieth of a short call.
    """

    def __init__(self, number):
        self.loop = asyncio.get_running_loop()
        self.jobs = SimpleQueue()
        self.threads = [Thread(target=self._work) for _ in range(number)]
        for thread in self.threads:
            thread.start()

    def run(self, function, *arguments):
        """A future of what the function returns."""
        future = self.loop.create_future()
        self.jobs.put((future, function, arguments))
        return future

    def stop(self):
        for _ in self.threads:
            self.jobs.put(None)
        for thread in self.threads:
            thread.join()

    def _work(self):
        while job := self.jobs.get():
            future, function, arguments = job
            try:
                finish, result = future.set_result, function(*arguments)
            except BaseException as error:
                finish, result = future.set_exception, error
            self.loop.call_soon_threadsafe(self._finish, future, finish, result)

    @staticmethod
    def _finish(future, finish, result):
        if not future.cancelled():
            finish(result)


class Parts:
    """The rest of an answer."""

    def __init__(self, answer):
        self.chunks = iter(answer)
        self.close = answer.close


def next_part(parts):
    """The next part of the body, and more, None if that is all."""
    chunks, size = [], 0
    for chunk in parts.chunks:
        chunks.append(chunk)
        size += len(chunk)
        if size >= PART:
            return b"".join(chunks), parts
    parts.close()
    return b"".join(chunks), None


@lru_cache(1000)
def key_of(name):
    """The key in a WSGI environment of a header, or None if it is to be left out.

    With an underscore it would have the key of another: `X_Forwarded_For`, which no proxy takes away, for example.
    """
    if b"_" in name:
        return None
    key = name.decode("latin-1").upper().replace("-", "_")
    return key if key in ("CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{key}"


def environ_of(scope):
    """The WSGI environment (PEP 3333) of a request, but for its body."""
    path = scope["raw_path"]
    environ = {
        "REQUEST_METHOD": scope["method"],
        "SCRIPT_NAME": "",
        "PATH_INFO": (unquote_to_bytes(path) if b"%" in path else path).decode("latin-1"),
        "QUERY_STRING": scope["query_string"].decode("latin-1"),
        "SERVER_PROTOCOL": f"HTTP/{scope['http_version']}",
        # Through a Unix socket there are no addresses.
        "SERVER_NAME": (scope["server"] or ("localhost",))[0],
        "SERVER_PORT": str((scope["server"] or ("", None))[1] or 80),
        "REMOTE_ADDR": scope["client"][0] if scope["client"] else "",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
    }
    for name, value in scope["headers"]:
        key = key_of(name)
        if key in environ:
            environ[key] += (";" if key == "HTTP_COOKIE" else ",") + value.decode("latin-1")
        elif key:
            environ[key] = value.decode("latin-1")
    return environ


async def stop_with_parent():
    """Stop when the process that supervises this one is gone, for otherwise nobody would ever stop this one."""
    parent = parent_process()
    while parent and parent.is_alive():
        await asyncio.sleep(1)
    if parent:
        os.kill(os.getpid(), signal.SIGTERM)
