"""One open stream: what waits for its client."""

import asyncio
from collections.abc import Callable
from time import monotonic

from common import metrics

# What may wait for a client that does not read; beyond that its stream is cut off, and the client resumes.
MAX_WAITING_BYTES, MAX_WAITING = 256 * 1024, 1000


class Stream:
    """A client that waits for events of a user. It belongs to the event loop."""

    __slots__ = (
        "cut_off",
        "is_over",
        "log_name",
        "number",
        "position",
        "put_at",
        "size",
        "token_id",
        "user_id",
        "waiter",
        "waiting",
        "why",
    )

    def __init__(self, user_id: int, token_id: int, log_name: str, position: int, cut_off: Callable[[], None]) -> None:
        self.user_id = user_id
        self.token_id = token_id
        self.log_name = log_name
        self.position = position  # the client has everything up to here
        self.cut_off = cut_off  # closes the connection at once
        self.number = 0  # of events
        self.waiting: list[bytes] = []
        self.size = 0  # of what waits, in bytes
        self.put_at = monotonic()
        self.waiter: asyncio.Future[None] | None = None
        self.is_over = False
        self.why: str | None = None  # if the token died: of what

    def put(self, data: bytes, events: int = 0) -> None:
        """Give the client some more, with so many events, or cut it off if too much waits for it already."""
        if self.is_over:
            return
        self.number += events
        self.waiting.append(data)
        self.size += len(data)
        self.put_at = monotonic()
        if self.size > MAX_WAITING_BYTES or len(self.waiting) > MAX_WAITING:
            self.waiting = []
            self.is_over = True
            metrics.connections_cut_off.labels("too many events wait").inc()
            self.cut_off()
        self._wake()

    def end(self, data: bytes = b"") -> None:
        """Give the client a last piece, and nothing after it."""
        if data:
            self.put(data)
        self.is_over = True
        self._wake()

    async def take(self) -> bytes:
        """What waits for the client, once there is something; nothing if the stream is over."""
        if not self.waiting and not self.is_over:
            self.waiter = asyncio.get_running_loop().create_future()
            await self.waiter
        data = b"".join(self.waiting)
        self.waiting, self.size = [], 0
        return data

    def _wake(self) -> None:
        if self.waiter and not self.waiter.done():
            self.waiter.set_result(None)
