"""Answers that go on after the view, in the event loop: a stream, and a page that waits until there is something."""

import asyncio
import logging
from abc import abstractmethod
from collections.abc import Sequence
from contextlib import suppress
from time import monotonic
from typing import Any

from django.db import Error
from django.http import HttpResponse

from common import metrics
from delivery import slots, tokens
from delivery.continuations import Channel, Continuation
from delivery.descriptions import Told
from delivery.hub import in_thread
from delivery.pages import Page, read_page
from delivery.streams import Stream
from delivery.wire import HEARTBEAT, as_json, as_server_sent_event, end_event, identify, identify_end
from events.models import Log

logger = logging.getLogger("requests")

# Events that a stream that catches up reads at a time.
CATCH_UP = 100
# Seconds until a stream that catches up asks the database again, which was away.
PAUSE = 1


class EventContinuation(Continuation):
    """Holds one of the user's streams, until it is released."""

    no_place = "Too many streams are open. Try again in a moment."
    kind: str  # as the metrics call it

    def __init__(self, user_id: int, token_id: int, log_name: str, position: int) -> None:
        self.user_id, self.token_id, self.log_name, self.position = user_id, token_id, log_name, position
        self.slot_id = slots.reserve(user_id)

    def has_place(self, channel: Channel) -> bool:
        return not channel.hub.is_full

    async def go_on(self, channel: Channel) -> None:
        stream = Stream(self.user_id, self.token_id, self.log_name, self.position, channel.cut_off)
        channel.when_lost(stream.end)
        began = monotonic()
        number = metrics.streams_open.labels(self.kind)
        number.inc()
        try:
            await self.serve(stream, channel)
        finally:
            number.dec()
            channel.hub.detach(stream)
            channel.hub.release(self.slot_id)
            fields = {
                "method": "GET",
                "route": "/events",
                "closed_after_seconds": round(monotonic() - began, 1),
                "events": stream.number,
                "user": self.user_id,
            }
            logger.info(
                "{method} {route} closed after {closed_after_seconds} s, {events} events, user {user}".format(**fields),
                extra={"fields": fields},
            )

    @abstractmethod
    async def serve(self, stream: Stream, channel: Channel) -> None: ...

    def abandon(self) -> None:
        slots.release([self.slot_id])


class StreamContinuation(EventContinuation):
    kind = "stream"

    async def serve(self, stream: Stream, channel: Channel) -> None:
        await channel.begin()
        while not await channel.hub.attach(stream) and not stream.is_over:
            try:
                page, why = await channel.run(in_thread, catch_up, stream, CATCH_UP)
            except Error:
                # The stream stays while the database is away.
                await asyncio.sleep(PAUSE)
                await channel.write(HEARTBEAT)
                continue
            if why:
                await channel.write(end_event(stream.log_name, stream.position, why))
                return
            if page is None:
                return
            stream.position = page.end
            stream.number += len(page.told)
            metrics.events_delivered.inc(len(page.told))
            if page.told:
                await channel.write(as_text(stream.log_name, page.told))
        while data := await stream.take():
            await channel.write(data)


class PageContinuation(EventContinuation):
    """Waits for so many seconds until there is something, and answers with a page."""

    kind = "page"

    def __init__(self, *args: Any, seconds: int, limit: int) -> None:
        super().__init__(*args)
        self.seconds, self.limit = seconds, limit

    async def serve(self, stream: Stream, channel: Channel) -> None:
        page: Page | None = None
        with suppress(TimeoutError, Error):
            async with asyncio.timeout(self.seconds):
                page = await self.next_page(stream, channel)
        data = page_as_data(stream.log_name, page or Page([], stream.position, is_last=True))
        if stream.why:
            end = {"id": identify_end(stream.log_name, stream.position), "event": "end", "data": {"why": stream.why}}
            data |= {"events": [end]}
        stream.number = len(page.told) if page else 0
        metrics.events_delivered.inc(stream.number)
        await channel.answer(as_json(data))

    async def next_page(self, stream: Stream, channel: Channel) -> Page | None:
        """The first page that is not empty; None if the stream is over before."""
        while True:
            if await channel.hub.attach(stream):
                await stream.take()
                channel.hub.detach(stream)
            if stream.is_over:
                return None
            page, stream.why = await channel.run(in_thread, catch_up, stream, self.limit)
            if page is None or page.told or stream.why:
                return None if stream.why else page
            stream.position = page.end


def catch_up(stream: Stream, limit: int) -> tuple[Page | None, str | None]:
    """The next page for a stream, and why its token has died, if it has; no page if the log was replaced."""
    log = Log.objects.current()
    if log.name != stream.log_name or log.last_position < stream.position:
        return None, None
    page = read_page(stream.user_id, stream.position, limit, log.last_position)
    # Asked last: what is given to the client was read while its token was alive.
    return page, tokens.find_dead({stream.token_id: stream.user_id}).get(stream.token_id)


def as_text(log_name: str, told: Sequence[Told]) -> bytes:
    return b"".join(as_server_sent_event(identify(log_name, each.position), each.name, each.data) for each in told)


def page_as_data(log_name: str, page: Page) -> dict[str, object]:
    events = [{"id": identify(log_name, each.position), "event": each.name, "data": each.data} for each in page.told]
    return {"events": events, "cursor": identify(log_name, page.end), "more": not page.is_last}


class GoingOn(HttpResponse):
    """An answer whose body is what is there now. The application takes the continuation and goes on with it.

    A server that does not know continuations, such as runserver, ends the answer here; a client then asks again.
    """

    continuation: Continuation | None = None

    def close(self) -> None:
        if self.continuation:
            self.continuation.abandon()
            self.continuation = None
        super().close()
