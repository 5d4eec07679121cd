"""The answer with an export: a thread makes a file, and the event loop writes what is there of it to the client.

Neither the thread nor the database waits for the client.
"""

import asyncio
import logging
from collections.abc import Iterator
from contextlib import suppress
from http import HTTPStatus
from time import monotonic
from typing import Any, ClassVar

from django.db import Error
from django.http import StreamingHttpResponse

from common import metrics
from common.database import database_is_away
from delivery.continuations import Channel, Continuation
from delivery.hub import in_thread
from delivery.tokens import find_dead
from export.files import GrowingFile
from export.making import DeadTokenError, make
from export.throttles import limit_of

logger = logging.getLogger("requests")

# Exports of a process that wait for their turn, are made, or are taken by their clients. Each may have a file.
MAX_EXPORTS = 8
# Seconds in which a client must take the whole export. Besides, each part has to be taken in the time for an answer.
TIME_TO_TAKE = 3600
# Seconds after which a client that is slower loses its place to a new one, where there is no other.
TIME_OF_ITS_OWN = 300
# Seconds of silence after which a client that waits for its turn gets something.
SILENCE = 10
# Seconds after which is asked again whether the token is alive.
TOKEN_CHECKED_EVERY = 5
# Bytes that are written to the client at a time. What is shorter is an ordinary answer.
PART = 64 * 1024


class Sending:
    """The way of one export to its client. It belongs to the event loop."""

    def __init__(self, channel: Channel, user_id: int, token_id: int) -> None:
        self.channel, self.user_id, self.token_id = channel, user_id, token_id
        self.progress = asyncio.Event()
        loop = asyncio.get_running_loop()
        self.file = GrowingFile(lambda: loop.call_soon_threadsafe(self.progress.set))
        self.sent = 0  # bytes of the file
        self.has_begun = self.is_complete = False
        self.broken_by: str | Exception | None = None  # why it ends before its end
        self.token_checked_at = self.began = monotonic()

    async def run(self) -> None:
        self.channel.when_lost(lambda: self.break_off("the client has left"))
        # Nobody waits for the end: the file tells of it.
        self.channel.run_long(make, self.user_id, self.token_id, self.file)
        while not self.is_complete and not self.broken_by:
            await self.go_on(self.file, self.file.is_finished)

    async def go_on(self, file: GrowingFile, is_finished: bool) -> None:
        if file.error:
            await self.fail(file.error)
        elif is_finished and not self.has_begun and file.size <= PART:
            await self.channel.answer(await self.channel.run(file.read, 0, PART))
            self.sent, self.is_complete = file.size, True
        elif is_finished and self.sent == file.size:
            self.is_complete = True
        elif is_finished or (self.channel.has_chunks and file.size >= self.sent + PART):
            await self.write_part(file, is_finished)
        else:
            await self.wait()

    async def write_part(self, file: GrowingFile, is_finished: bool) -> None:
        if await self.token_is_dead():
            self.break_off("the token has died")
            return
        part = await self.channel.run(file.read, self.sent, PART)
        if not self.has_begun:
            await self.begin(file.size if is_finished else None)
        await self.channel.write_part(part)
        self.sent += len(part)

    async def begin(self, length: int | None = None) -> None:
        self.has_begun = True
        await self.channel.begin(length)

    async def wait(self) -> None:
        """Wait until there is more to write."""
        try:
            async with asyncio.timeout(SILENCE):
                await self.progress.wait()
        except TimeoutError:
            if self.sent or not self.channel.has_chunks:
                self.channel.go_on_waiting()
            else:
                # JSON may begin with white space. It tells proxies that the server is there.
                if not self.has_begun:
                    await self.begin()
                await self.channel.write_part(b" ")
        self.progress.clear()

    async def token_is_dead(self) -> bool:
        """Whether the token has died while the client takes the export; asked now and then."""
        if monotonic() < self.token_checked_at + TOKEN_CHECKED_EVERY:
            return False
        self.token_checked_at = monotonic()
        with suppress(Error):
            return bool(await self.channel.run(in_thread, find_dead, {self.token_id: self.user_id}))
        return False  # the database is away, and what is sent was read before

    async def fail(self, error: Exception) -> None:
        """End an export that could not be made. It does not count, unless the token is the reason."""
        if not isinstance(error, DeadTokenError):
            with suppress(Error):
                await self.channel.run(in_thread, limit_of(self.user_id).refund)
        if self.has_begun:
            self.break_off(error)
        else:
            self.broken_by = error
            await self.channel.refuse(*refusal(error))

    def break_off(self, why: str | Exception) -> None:
        """End it in the middle, so that no client takes it for the whole."""
        self.broken_by = self.broken_by or why
        self.channel.cut_off()
        self.progress.set()

    def log(self) -> None:
        fields: dict[str, Any] = {
            "method": "GET",
            "route": "/users/export",
            "closed_after_seconds": round(monotonic() - self.began, 1),
            "bytes": self.sent,
            "user": self.user_id,
        }
        line = "{method} {route} closed after {closed_after_seconds} s, {bytes} bytes, user {user}".format(**fields)
        if self.is_complete and not self.broken_by:
            logger.info(line, extra={"fields": fields})
            return
        why = str(self.broken_by) or type(self.broken_by).__name__
        line, extra = f"{line}: it is not complete, since {why}", {"fields": fields | {"broken_by": why}}
        if isinstance(self.broken_by, Exception) and not is_outage(self.broken_by):
            logger.error(line, exc_info=self.broken_by, extra=extra)
        else:
            logger.warning(line, extra=extra)


def is_outage(error: Exception) -> bool:
    """Of the database or the disk; or the token has died."""
    return database_is_away(error) or isinstance(error, (OSError, DeadTokenError))


def refusal(error: Exception) -> tuple[HTTPStatus, str, dict[str, str]]:
    """Status, reason and headers of the answer to an export that could not be made."""
    if isinstance(error, DeadTokenError):
        return HTTPStatus.UNAUTHORIZED, "A valid token is required.", {"WWW-Authenticate": "Token"}
    if is_outage(error):
        why = "The service cannot reach its data right now. Try again in a moment."
        return HTTPStatus.SERVICE_UNAVAILABLE, why, {"Retry-After": "5"}
    return HTTPStatus.INTERNAL_SERVER_ERROR, "Something went wrong on our side.", {}


class ExportContinuation(Continuation):
    no_place = "Too many exports are being made. Try again in a moment."

    # All of this process, the oldest first. They belong to the event loop.
    opened: ClassVar[list[Sending]] = []

    def __init__(self, user_id: int, token_id: int) -> None:
        self.user_id, self.token_id = user_id, token_id

    def has_place(self, channel: Channel) -> bool:
        return len(self.opened) < MAX_EXPORTS or monotonic() - self.opened[0].began > TIME_OF_ITS_OWN

    def abandon(self) -> None:
        """Nothing was given, so it does not count."""
        limit_of(self.user_id).refund()

    async def go_on(self, channel: Channel) -> None:
        if len(self.opened) >= MAX_EXPORTS:
            self.opened.pop(0).break_off("it was slow, and its place was needed")
        sending = Sending(channel, self.user_id, self.token_id)
        self.opened.append(sending)
        metrics.exports_running.inc()
        try:
            async with asyncio.timeout(TIME_TO_TAKE):
                await sending.run()
        except TimeoutError:
            sending.break_off("the client was too slow")
        except asyncio.CancelledError:
            sending.break_off("the server stops")
            raise
        finally:
            metrics.exports_running.dec()
            if sending in self.opened:
                self.opened.remove(sending)
            sending.log()
            await channel.run(sending.file.close)

    def make_here(self) -> Iterator[bytes]:
        """The export, made in this thread."""
        file = GrowingFile()
        try:
            make(self.user_id, self.token_id, file)
            if file.error:
                raise file.error
            for start in range(0, file.size, PART):
                yield file.read(start, PART)
        finally:
            file.close()


class ExportAnswer(StreamingHttpResponse):
    """The application takes the continuation and goes on with it. Other servers, such as runserver, get the whole."""

    def __init__(self, continuation: ExportContinuation | None, **options: Any) -> None:
        super().__init__(self.whole(), **options)
        self.continuation = continuation

    def whole(self) -> Iterator[bytes]:
        continuation, self.continuation = self.continuation, None
        if continuation:
            yield from continuation.make_here()

    def close(self) -> None:
        if self.continuation:
            self.continuation.abandon()
            self.continuation = None
        super().close()
