"""How events and positions are written for clients."""

from collections.abc import Mapping

from rest_framework.renderers import JSONRenderer

from events.log import oldest_position
from events.models import Log

# A comment: it tells both sides that the connection is there.
HEARTBEAT = b":\n\n"

END = "e"

EVENT_NAMES = [
    "ready",
    "reset",
    "message",
    "conversation",
    "conversation_removed",
    "read",
    "profile",
    "settings",
    "contact",
    "blacklist",
    "end",
]
# Why a token has died.
END_REASONS = ["logout", "password", "suspended", "deactivated", "deleted", "expired"]

as_json = JSONRenderer().render


def identify(name: str, position: int) -> str:
    """The id of an event, or a cursor, from the name of the log and a position: at most 29 characters."""
    return f"{name}-{position}"


def identify_end(name: str, position: int) -> str:
    """The id of the event `end`, of the same meaning as the one before it, but not equal to it."""
    return identify(name, position) + END


def find_position(log: Log, identifier: str) -> int | None:
    """The position that the id means; None if it is unknown, or what came after it is not kept any more."""
    name, _, number = identifier.removesuffix(END).partition("-")
    if name != log.name or not (number.isascii() and number.isdecimal() and len(number) < 20):
        return None
    position = int(number)
    return position if oldest_position(log) - 1 <= position <= log.last_position else None


def end_event(name: str, position: int, why: str) -> bytes:
    return as_server_sent_event(identify_end(name, position), "end", {"why": why})


def as_server_sent_event(identifier: str, name: str, data: Mapping[str, object]) -> bytes:
    # JSON escapes line breaks within texts, so that the data is one line.
    return b"id: %s\nevent: %s\ndata: %s\n\n" % (identifier.encode(), name.encode(), as_json(data))
