"""All open streams of a process, and the one reader that asks the database for their events."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterator, Mapping
from contextlib import asynccontextmanager, suppress
from datetime import datetime
from time import monotonic
from typing import Any, NamedTuple

from django.db import Error, connection
from django.utils import timezone

from common import metrics
from delivery import slots, tokens
from delivery.descriptions import Told, describe
from delivery.hints import all_hints
from delivery.streams import Stream
from delivery.wire import HEARTBEAT, as_server_sent_event, end_event, identify
from events import log
from events.models import END_KINDS, Log

logger = logging.getLogger(__name__)

# Seconds until the database is asked without a hint: while there are streams, the same while Redis hints, and while
# there are none, when all that is left is to order what was announced.
POLL, POLL_WITH_REDIS, POLL_IDLE = 0.25, 2, 1
# The reader pauses for this many times the time that it took, so that under load it works a third of the time; at most
# for the time of a poll.
PAUSE = 2
# Events that are read at a time.
BATCH = 100
# Seconds between two readings at least.
LEAST_PAUSE = 0.005
# Seconds of silence after which a stream gets a comment.
SILENCE = 18
# Tokens that are asked for each second, in turn, in case that one has died without an announcement.
TOKENS_PER_SECOND = 500
# Seconds between two rounds of the keeper at least, so that it does the work of many closed streams at once.
PAUSE_OF_KEEPER = 0.05
# Seconds after which a process says again that it lives.
SIGN_OF_LIFE = 5
# Streams of one process.
CAPACITY = 10_000

Streams = Mapping[int, tuple[Stream, ...]]


class Batch(NamedTuple):
    """What the reader found."""

    end: int
    texts: list[tuple[int, bytes, Collection[int]]]  # position, what is told, ids of users
    dead: dict[int, str]  # ids of tokens, and why they died
    sent_at: list[datetime]  # of the new messages that are told of


class LogReplacedError(Exception):
    """The log is not the one that was read before: the database was restored, say."""


class Hub:
    """Belongs to the event loop. `run` runs a function in the reader's thread."""

    def __init__(self, run: Callable[..., Awaitable[Any]]) -> None:
        self.run = run
        self.loop = asyncio.get_running_loop()
        # By user. The tuples are replaced, and never changed: the reader's thread reads them.
        self.streams: dict[int, tuple[Stream, ...]] = {}
        self.number = 0
        # Everything up to here was given to the streams. Without streams nothing is read.
        self.log_name, self.position = "", 0
        self.turn = asyncio.Lock()  # held while a batch is read and given to the streams
        self.news, self.is_own_news = asyncio.Event(), False
        # What is to be done soon: ids of slots to release, and tokens to look at.
        self.released: list[int] = []
        self.unchecked: dict[int, int] = {}
        self.round: list[tuple[int, int]] = []  # tokens that are still to be looked at in this round, with users
        self.has_work = asyncio.Event()
        self.is_stopping = self.is_away = False
        self.hints = all_hints(self.wake)
        self.tasks = [asyncio.create_task(task) for task in (self.read(), self.beat(), self.keep())]
        log.listeners.append(self.wake_from_thread)

    # Wake-ups

    def wake(self) -> None:
        """Another process has committed something."""
        if self.number:  # without streams nothing is read
            self.news.set()

    def wake_from_thread(self) -> None:
        """This process has committed something."""
        if not self.is_own_news:
            self.is_own_news = True
            self.loop.call_soon_threadsafe(self.note_own_news)

    def note_own_news(self) -> None:
        if self.number:
            self.news.set()
        else:
            self.is_own_news = False
            self.tell_others()

    def tell_others(self) -> None:
        for hints in self.hints:
            hints.tell()

    def tell_others_from_thread(self) -> None:
        self.loop.call_soon_threadsafe(self.tell_others)

    # Streams

    async def attach(self, stream: Stream) -> bool:
        """Add the stream, unless it has to catch up first: events behind its position were given out already."""
        async with self.turn:
            if self.is_stopping:
                stream.end()
                return True
            if not self.number:
                self.log_name, self.position = stream.log_name, stream.position
            if stream.position < self.position:
                return False
            self.streams[stream.user_id] = (*self.streams.get(stream.user_id, ()), stream)
            self.number += 1
            self.news.set()  # hints before this moment were for nobody
            self.unchecked[stream.token_id] = stream.user_id  # it may have died since the request began
            self.has_work.set()
            return True

    def detach(self, stream: Stream) -> None:
        streams = self.streams.get(stream.user_id, ())
        rest = tuple(each for each in streams if each is not stream)
        self.number -= len(streams) - len(rest)
        if rest:
            self.streams[stream.user_id] = rest
        else:
            self.streams.pop(stream.user_id, None)

    def release(self, slot_id: int) -> None:
        """Give up a stream that was reserved. This may be called in any thread."""
        self.released.append(slot_id)
        self.loop.call_soon_threadsafe(self.has_work.set)

    @property
    def is_full(self) -> bool:
        return self.number >= CAPACITY

    def end_all(self) -> None:
        for stream in self.all_streams():
            stream.end()

    def end_dead(self, dead: Mapping[int, str]) -> None:
        """End the streams of dead tokens, given with the reason."""
        for stream in self.all_streams() if dead else ():
            if why := dead.get(stream.token_id):
                stream.why = why
                stream.end(end_event(self.log_name, max(self.position, stream.position), why))

    def all_streams(self) -> list[Stream]:
        return [stream for streams in self.streams.values() for stream in streams]

    # Tasks

    @property
    def poll(self) -> float:
        """Seconds until the database is asked without a hint."""
        if not self.number:
            return POLL_IDLE
        return POLL_WITH_REDIS if any(hints.reach_machines for hints in self.hints) else POLL

    async def read(self) -> None:
        """Give the streams what is new, for as long as the server runs."""
        ordered_at = 0.0
        began = monotonic()
        while True:
            await wait(self.news, began + self.poll - monotonic())
            began = monotonic()
            # What is committed from here on is news again: it may not be in what is read now.
            is_own_news, self.is_own_news = self.is_own_news, False
            tell = self.tell_others_from_thread if is_own_news else None
            if tell and not self.number:  # the last stream has just gone
                self.tell_others()
            async with self.surviving():
                if self.number:
                    while await self.read_batch(tell):
                        tell = None
                elif ordered_at < began - POLL_IDLE:
                    ordered_at = began
                    await self.run(in_thread, log.order)
            await asyncio.sleep(max(LEAST_PAUSE, min(PAUSE * (monotonic() - began), POLL)))

    async def read_batch(self, tell: Callable[[], None] | None) -> bool:
        """Read some events and give them to the streams; return whether there are likely to be more."""
        async with self.turn:
            users = frozenset(self.streams)
            batch = await self.run(in_thread, find_batch, self.log_name, self.position, users, self.streams, tell)
            if batch is None:
                return False
            self.end_dead(batch.dead)
            number = 0
            for position, text, user_ids in batch.texts:
                for user_id in user_ids:
                    for stream in self.streams.get(user_id, ()):
                        if stream.position < position:
                            stream.put(text, events=1)
                            number += 1
            self.measure(batch, number)
            is_full = batch.end - self.position == BATCH
            self.position = batch.end
            return is_full

    @staticmethod
    def measure(batch: Batch, number: int) -> None:
        """Note that a batch was given to streams, as so many events."""
        metrics.events_delivered.inc(number)
        now = timezone.now()
        for sent_at in batch.sent_at:
            # The clocks of two machines differ a little.
            metrics.delivery_seconds.observe(max(0.0, (now - sent_at).total_seconds()))

    async def beat(self) -> None:
        """Give a comment to streams that were silent."""
        while True:
            await asyncio.sleep(1)
            silent = monotonic() - SILENCE
            for stream in self.all_streams():
                if stream.put_at < silent:
                    stream.put(HEARTBEAT)

    async def keep(self) -> None:
        """Look for dead tokens, release slots, and say that this process lives."""
        alive_at = swept_at = 0.0
        while True:
            await wait(self.has_work, 1)
            now = monotonic()
            async with self.surviving():
                if released := self.released[:]:
                    await self.run(in_thread, slots.release, released)
                    del self.released[: len(released)]
                if self.number and alive_at < now - SIGN_OF_LIFE:
                    await self.run(in_thread, slots.say_alive)
                    alive_at = now
                asked, self.unchecked = self.unchecked, {}
                if swept_at < now - 1:
                    asked |= self.some_tokens()
                    swept_at = now
                    await self.run(in_thread, require_log, self.log_name, self.number)
                if asked:
                    self.end_dead(await self.run(in_thread, tokens.find_dead, asked))
            await asyncio.sleep(PAUSE_OF_KEEPER)

    def some_tokens(self) -> dict[int, int]:
        """The next tokens in turn, with their users."""
        if not self.round:
            self.round = [(stream.token_id, stream.user_id) for stream in self.all_streams()]
        some, self.round = self.round[:TOKENS_PER_SECOND], self.round[TOKENS_PER_SECOND:]
        return dict(some)

    @asynccontextmanager
    async def surviving(self) -> AsyncIterator[None]:
        """Go on after errors: the streams stay while the database is away."""
        try:
            yield
        except LogReplacedError:
            self.end_all()
        except Exception as error:
            if not isinstance(error, Error):
                logger.exception("The reader of events failed.")
            elif not self.is_away:
                logger.warning("The reader of events cannot reach the database: %s", error)
            self.is_away = True
            await asyncio.sleep(POLL)
        else:
            if self.is_away:
                logger.info("The reader of events goes on.")
            self.is_away = False

    # The end

    def stop(self) -> None:
        """End all streams. Their clients resume at another process, or later."""
        self.is_stopping = True
        self.end_all()

    async def close(self) -> None:
        log.listeners.remove(self.wake_from_thread)
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        for hints in self.hints:
            await hints.close()
        with suppress(Error):
            await self.run(in_thread, slots.release_all)


async def wait(event: asyncio.Event, seconds: float) -> None:
    """Wait for the event, and clear it; or for so many seconds."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()
    event.clear()


# In the reader's thread.


def in_thread(function: Callable[..., Any], *arguments: Any) -> Any:
    """Run the function, and close a connection that has failed, so that the next call gets a new one."""
    try:
        return function(*arguments)
    except Error:
        connection.close()
        raise


def require_log(name: str, number: int) -> None:
    """Raise LogReplacedError if there are streams and the log is not the one of this name."""
    if number and Log.objects.current().name != name:
        raise LogReplacedError


def find_batch(
    log_name: str, after: int, user_ids: frozenset[int], streams: Streams, tell: Callable[[], None] | None
) -> Batch | None:
    """Some events after the position, None if there are none. `tell` is called once they are in the log."""
    last = log.order()
    if tell:
        tell()
    if last < after:
        raise LogReplacedError
    rows = log.read(after, BATCH) if last > after else []
    if not rows:
        return None
    if rows[0].position != after + 1:
        raise LogReplacedError
    told = describe(rows, user_ids)
    # The last question of all: what is given to a stream was read while its token was alive.
    concerned = {user_id for each in told for user_id in each.user_ids}
    concerned |= {row.user_id for row in rows if row.user_id in user_ids and row.kind in END_KINDS}
    dead = tokens.find_dead({each.token_id: pk for pk in concerned for each in streams.get(pk, ())})
    texts = [
        (each.position, as_server_sent_event(identify(log_name, each.position), each.name, each.data), each.user_ids)
        for each in told
    ]
    return Batch(rows[-1].position, texts, dead, list(times_of_new_messages(told)))


def times_of_new_messages(told: Collection[Told]) -> Iterator[datetime]:
    """When the messages were sent that are told of; each once, without those that have changed since."""
    positions = set()
    for each in told:
        if each.name == "message" and each.position not in positions:
            positions.add(each.position)
            message: Any = each.data["message"]
            if not (message["edited_at"] or message["deleted"]):
                yield message["created_at"]
