"""Hints: a process that has committed something wakes the others. A lost hint costs a quarter of a second, no event.

The processes of one server tell each other through Unix sockets in a folder that only their account can open; the
servers of several machines through Redis, if REDIS_URL is set.
"""

import asyncio
import logging
import os
import secrets
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Protocol

import redis.asyncio
from django.conf import settings
from redis.exceptions import RedisError

logger = logging.getLogger(__name__)

# The variable of the environment by which the processes of a server know their folder; main/serve.py sets it.
FOLDER = "CHAT_HINTS_FOLDER"
CHANNEL = "chat-server-events"
# Seconds until a lost connection to Redis is tried again.
PAUSE = 1
# Nanoseconds after a change of the folder from when on another change has another time.
SETTLED = 1_000_000_000


class Hints(Protocol):
    """Somebody to tell of something new, and who wakes this process."""

    @property
    def reach_machines(self) -> bool:
        """Whether what is committed on other machines wakes this process now."""

    def tell(self) -> None: ...

    async def close(self) -> None: ...


def all_hints(wake: Callable[[], None]) -> list[Hints]:
    hints: list[Hints] = []
    if folder := os.environ.get(FOLDER):
        hints.append(Neighbours(Path(folder), wake))
    if settings.REDIS_URL:
        hints.append(Machines(settings.REDIS_URL, wake))
    return hints


class Neighbours:
    """The other processes of this server. Each has a socket in the folder."""

    reach_machines = False

    def __init__(self, folder: Path, wake: Callable[[], None]) -> None:
        self.folder, self.wake = folder, wake
        self.path = folder / secrets.token_hex(8)
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.setblocking(False)
        self.socket.bind(str(self.path))
        self.others: list[str] = []
        self.others_as_of: int | None = None  # when the folder had changed, in nanoseconds
        asyncio.get_running_loop().add_reader(self.socket, self.receive)

    def receive(self) -> None:
        with suppress(BlockingIOError):
            while True:
                self.socket.recv(1)
                self.wake()

    def tell(self) -> None:
        self.look_for_others()
        for path in self.others:
            try:
                self.socket.sendto(b"!", path)
            except BlockingIOError:
                pass  # it has hints already that it did not read yet
            except OSError:
                Path(path).unlink(missing_ok=True)  # its process was killed

    def look_for_others(self) -> None:
        changed_at = self.folder.stat().st_mtime_ns
        # A folder may change twice within one tick of the clock of its file system.
        if changed_at != self.others_as_of or time.time_ns() - changed_at < SETTLED:
            self.others = [str(path) for path in self.folder.iterdir() if path != self.path]
            self.others_as_of = changed_at

    async def close(self) -> None:
        asyncio.get_running_loop().remove_reader(self.socket)
        self.socket.close()
        self.path.unlink(missing_ok=True)


class Machines:
    """The servers on other machines."""

    def __init__(self, url: str, wake: Callable[[], None]) -> None:
        self.wake = wake
        self.me = secrets.token_bytes(8)
        self.client = redis.asyncio.from_url(url, socket_connect_timeout=5)
        self.is_away = self.has_news = False
        self.listening = asyncio.create_task(self.listen())
        self.publishing: asyncio.Task[None] | None = None

    @property
    def reach_machines(self) -> bool:
        return not self.is_away

    async def listen(self) -> None:
        while True:
            try:
                async with self.client.pubsub() as subscription:
                    await subscription.subscribe(CHANNEL)
                    self.note(None)
                    self.wake()  # something may have been said before
                    async for message in subscription.listen():
                        if message["type"] == "message" and message["data"] != self.me:
                            self.wake()
            except (RedisError, OSError) as error:
                self.note(error)
            await asyncio.sleep(PAUSE)

    def tell(self) -> None:
        # One at a time: while Redis is slow, one hint for all that is committed meanwhile.
        self.has_news = True
        if not self.is_away and (self.publishing is None or self.publishing.done()):
            self.publishing = asyncio.create_task(self.publish())

    async def publish(self) -> None:
        try:
            while self.has_news:
                self.has_news = False
                await self.client.publish(CHANNEL, self.me)
        except (RedisError, OSError) as error:
            self.note(error)

    def note(self, error: Exception | None) -> None:
        if error and not self.is_away:
            logger.warning("Redis is away. Other machines notice later what is new: %s", type(error).__name__)
        elif self.is_away and not error:
            logger.info("Redis is back.")
        self.is_away = error is not None

    async def close(self) -> None:
        tasks = [task for task in (self.listening, self.publishing) if task]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self.client.aclose()
