"""Answers that go on after their view, in the event loop: what they are to the application, and it to them."""

from abc import ABC, abstractmethod
from asyncio import Future
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any, Protocol

from delivery.hub import Hub


class Channel(Protocol):
    """What the application offers to an answer that goes on."""

    hub: Hub
    # Runs a function in a thread, as a request; and in a thread for long work, which does one thing after the other.
    run: Callable[..., Awaitable[Any]]
    run_long: Callable[..., Future[Any]]
    # Whether the body may be of unknown length: HTTP/1.0 has no chunks, by which a client knows that it is complete.
    has_chunks: bool

    async def begin(self, length: int | None = None) -> None:
        """Write the head, and the body so far. More follows, up to the length if that is given."""

    async def write(self, data: bytes) -> None:
        """Write some more of a stream. This waits while the client does not read."""

    async def write_part(self, data: bytes) -> None:
        """Write some more of an answer that has an end: the client has some time to take each part."""

    async def answer(self, body: bytes) -> None:
        """Write the head and the whole body."""

    async def refuse(self, status: HTTPStatus, why: str, headers: dict[str, str]) -> None:
        """Answer with a failure instead, before the beginning."""

    def go_on_waiting(self) -> None:
        """The client waits longer for the head than for that of other answers."""

    def cut_off(self) -> None:
        """Close the connection at once."""

    def when_lost(self, function: Callable[[], None]) -> None:
        """Call the function when the connection is closed."""


class Continuation(ABC):
    """The rest of an answer. The application goes on with it, or abandons it."""

    # What clients are told while there is no place.
    no_place: str

    @abstractmethod
    def has_place(self, channel: Channel) -> bool:
        """Whether the process can take one more."""

    @abstractmethod
    async def go_on(self, channel: Channel) -> None: ...

    @abstractmethod
    def abandon(self) -> None:
        """The answer does not go on after all. This is called in a thread."""
