"""The ASGI application: the event loop receives and writes, a pool of threads runs Django's WSGI handler.

The loop receives the whole request, a thread runs Django on it, and the loop writes the answer. So a client that sends
or reads slowly costs a connection and no thread. Django's own ASGI handler has a third of the throughput: it runs every
view in a new thread context, without a persistent database connection.
"""

import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from functools import lru_cache
from http import HTTPStatus
from io import BytesIO
from multiprocessing import parent_process
from queue import SimpleQueue
from threading import Event, Thread
from typing import Any, TypeVar, TypeVarTuple
from urllib.parse import unquote_to_bytes
from wsgiref.types import WSGIEnvironment

from django.conf import settings
from django.http.response import HttpResponseBase

from main.wsgi import application as django  # loads the apps

# isort: split
from common import logs, metrics, upkeep
from delivery.continuations import Continuation
from delivery.hub import Hub
from mail import outbox
from main import connections
from main.channels import Channel
from main.measuring import Turns, measure

# Bytes of a body that is received and thrown away. Many clients read no answer before they have sent everything.
MAX_DISCARDED = 16 * 1024 * 1024
# Bytes of an answer that are produced and written at a time.
PART = 64 * 1024

Message = dict[str, Any]
Scope = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
WSGI = Callable[[WSGIEnvironment, Callable[..., Any]], HttpResponseBase]

# Status, headers, the first part of the body, and the rest of it, if there is one.
Begun = tuple[int, list[tuple[bytes, bytes]], bytes, "Parts | None", Continuation | None]

Arguments = TypeVarTuple("Arguments")
Result = TypeVar("Result")


class Application:
    """An ASGI application around a WSGI application."""

    def __init__(self, wsgi: WSGI) -> None:
        self.wsgi = wsgi

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            with logs.written_in_background():
                await self.live(receive, send)
        else:
            await self.answer(scope, receive, send)

    async def live(self, receive: Receive, send: Send) -> None:
        """Run the threads, the deadlines of connections and the upkeep for as long as the server runs."""
        await receive()
        self.threads = Threads(settings.THREADS)
        # A request that waits here is dropped if its client leaves; one that is given to a thread runs.
        self.turns = Turns(2 * settings.THREADS)
        reader, self.long_work = Threads(1), Threads(1)
        self.hub = Hub(reader.run)
        # The server waits for all connections before it says that it stops. So the listener says when it begins to.
        when_closing = getattr(asyncio.get_running_loop(), "when_closing", [])
        when_closing.append(self.hub.stop)
        tasks = [
            asyncio.create_task(task) for task in (connections.close_overdue(), measure(self.turns), stop_with_parent())
        ]
        is_stopping = Event()
        works = [upkeep.work_in_background, *([outbox.send_in_background] if outbox.is_set_up() else [])]
        if settings.METRICS_TOKEN:
            works.append(metrics.ask_in_background)
        background = [Thread(target=work, args=[is_stopping], daemon=True) for work in works]
        for thread in background:
            thread.start()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        is_stopping.set()
        for task in tasks:
            task.cancel()
        await self.hub.close()
        for threads in (reader, self.long_work, self.threads):
            threads.stop()
        for thread in background:
            thread.join(timeout=5)
        await send({"type": "lifespan.shutdown.complete"})

    async def answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        connection = connections.current.get()
        environ = environ_of(scope)
        # Python refuses to read a number of thousands of digits; the server has accepted zeros at its beginning.
        environ["CONTENT_LENGTH"] = environ.get("CONTENT_LENGTH", "").lstrip("0") or "0"
        length = int(environ["CONTENT_LENGTH"])
        is_read = length <= MAX_DISCARDED and has_readable_body(environ)
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
                status, headers, part, more, continuation = await run(begin_answer, self.wsgi, environ)
                del environ
        if not is_waited_for:
            await client_is_gone(receive)
            return
        if connection.is_last or not is_read:  # bytes after a body that was not read are no request
            headers.append((b"connection", b"close"))
        if continuation:
            has_chunks = scope["http_version"] != "1.0"
            runs = (self.run, self.long_work.run)
            await self.go_on(
                continuation, Channel(connection, self.hub, send, *runs, has_chunks, status, headers, part)
            )
            if connection.is_closing:
                await client_is_gone(receive)
            return
        connection.cork()
        await send({"type": "http.response.start", "status": status, "headers": headers})
        try:
            while more and not connection.is_closing:
                connection.taking(len(part))
                await send({"type": "http.response.body", "body": part, "more_body": True})
                connection.uncork()
                part, more = await run(next_part, more)
        finally:
            if more:
                await run(more.close)
        if more:
            await client_is_gone(receive)
            return
        connection.taking(len(part))
        await send({"type": "http.response.body", "body": part})
        connection.uncork()
        connection.answered()

    async def go_on(self, continuation: Continuation, channel: Channel) -> None:
        """Go on with an answer after its view."""
        logs.request_id.set(dict(channel.headers).get(b"x-request-id", b"-").decode("latin-1"))
        is_gone = channel.connection.is_closing or channel.connection.client_is_done
        if is_gone or not continuation.has_place(channel):
            await self.run(continuation.abandon)
            await channel.refuse(HTTPStatus.SERVICE_UNAVAILABLE, continuation.no_place, {"Retry-After": "5"})
            return
        try:
            await continuation.go_on(channel)
        finally:
            channel.connection.when_lost = None
        await channel.end()

    async def run(self, function: Callable[[*Arguments], Result], *arguments: *Arguments) -> Result:
        """The result of the function, which waits for its turn among the requests."""
        async with self.turns:
            return await self.threads.run(function, *arguments)


application = Application(django)


def has_readable_body(environ: WSGIEnvironment) -> bool:
    """Whether the server passes the body on as it is.

    Django refuses a body in chunks. After an upgrade, which is not done here, the server would parse the body as the
    next request.
    """
    is_upgrade = "HTTP_UPGRADE" in environ and "upgrade" in environ.get("HTTP_CONNECTION", "").lower()
    return not is_upgrade and "HTTP_TRANSFER_ENCODING" not in environ


async def client_is_gone(receive: Receive) -> None:
    """Wait until the server knows that the connection is closed, so that it expects no answer."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def receive_body(connection: connections.Connection, receive: Receive, length: int) -> bool:
    """Receive the body, and keep it unless it is too long; return whether it came to its end."""
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


def begin_answer(wsgi: WSGI, environ: WSGIEnvironment) -> Begun:
    """Run the request; return status, headers, the first part of the body, and the rest: as parts, or to go on with."""
    started: list[Any] = []
    answer = wsgi(environ, lambda status, headers, exc_info=None: started.extend((status, headers)))
    continuation = getattr(answer, "continuation", None)
    if continuation:
        answer.continuation = None  # type: ignore[attr-defined]
    part, more = next_part(Parts(answer))
    status = int(started[0][:3])
    headers = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in started[1]]
    if continuation or status in (HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED):
        # These have no body, so no length; or nobody knows the length yet.
        headers = [header for header in headers if header[0] != b"content-length"]
    elif (
        not more
        and environ.get("REQUEST_METHOD") != "HEAD"
        and not any(name == b"content-length" for name, _ in headers)
    ):
        headers.append((b"content-length", b"%d" % len(part)))
    return status, headers, part, more, continuation


class Threads:
    """A pool of threads that run functions for the event loop.

    The standard library's executor takes about 40 microseconds more for each, a twentieth of a short call.
    """

    def __init__(self, number: int) -> None:
        self.loop = asyncio.get_running_loop()
        self.jobs: SimpleQueue[tuple[asyncio.Future[Any], Callable[..., Any], tuple[Any, ...]] | None] = SimpleQueue()
        self.threads = [Thread(target=self._work, daemon=True) for _ in range(number)]
        for thread in self.threads:
            thread.start()

    def run(self, function: Callable[[*Arguments], Result], *arguments: *Arguments) -> asyncio.Future[Result]:
        """Return a future of the function's result."""
        future = self.loop.create_future()
        self.jobs.put((future, function, arguments))
        return future

    def stop(self) -> None:
        for _ in self.threads:
            self.jobs.put(None)
        for thread in self.threads:
            thread.join()

    def _work(self) -> None:
        while job := self.jobs.get():
            future, function, arguments = job
            try:
                finish, result = future.set_result, function(*arguments)
            except BaseException as error:
                finish, result = future.set_exception, error
            self.loop.call_soon_threadsafe(self._finish, future, finish, result)

    @staticmethod
    def _finish(future: asyncio.Future[Any], finish: Callable[[Any], None], result: Any) -> None:
        if not future.cancelled():
            finish(result)


class Parts:
    """The chunks of an answer that are not written yet."""

    def __init__(self, answer: HttpResponseBase) -> None:
        self.answer = answer
        self.chunks = iter(answer)
        self.is_closed = False

    def close(self) -> None:
        if not self.is_closed:
            self.is_closed = True
            self.answer.close()


def next_part(parts: Parts) -> tuple[bytes, Parts | None]:
    """The next part of the body, and the rest or None."""
    chunks, size = [], 0
    try:
        for chunk in parts.chunks:
            chunks.append(chunk)
            size += len(chunk)
            if size >= PART:
                return b"".join(chunks), parts
    except BaseException:
        parts.close()
        raise
    parts.close()
    return b"".join(chunks), None


@lru_cache(1000)
def key_of(name: bytes) -> str | None:
    """The key of a header in the WSGI environment, or None if the header is left out.

    A name with an underscore would get the key of another header: a proxy that removes X-Forwarded-For lets
    X_Forwarded_For pass.
    """
    if b"_" in name:
        return None
    key = name.decode("latin-1").upper().replace("-", "_")
    return key if key in ("CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{key}"


def environ_of(scope: Scope) -> WSGIEnvironment:
    """The WSGI environment (PEP 3333) of a request, without its body."""
    path = scope["raw_path"]
    environ = {
        "REQUEST_METHOD": scope["method"],
        "SCRIPT_NAME": "",
        "PATH_INFO": (unquote_to_bytes(path) if b"%" in path else path).decode("latin-1"),
        "QUERY_STRING": scope["query_string"].decode("latin-1"),
        "SERVER_PROTOCOL": f"HTTP/{scope['http_version']}",
        # A Unix socket has no addresses.
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


async def stop_with_parent() -> None:
    """Stop when the supervising process is gone: nobody else would stop this one."""
    parent = parent_process()
    while parent and parent.is_alive():
        await asyncio.sleep(1)
    if parent:
        os.kill(os.getpid(), signal.SIGTERM)
