"""The messages that a report keeps: all that moderators ever read of a conversation."""

from collections.abc import Sequence
from datetime import datetime

from conversations.models import Message
from moderation.models import JSON
from users.models import User, not_deleted
from users.user_settings import as_json

# How many messages before the reported one are kept with it.
BEFORE = 5


def read(conversation_id: int, number: int) -> list[JSON]:
    """The message and those before it, the oldest first, as they are now. One statement, so that they fit together."""
    messages = Message.objects.filter(conversation=conversation_id, number__lte=number, number__gte=number - BEFORE)
    return [
        {
            "number": message.number,
            "sender_id": message.sender_id,
            "text": message.text,
            "created_at": message.created_at.isoformat(),
            "edited_at": message.edited_at and message.edited_at.isoformat(),
            "deleted": message.deleted,
        }
        for message in messages.order_by("number")
    ]


def stored(messages: Sequence[JSON]) -> str:
    return as_json(messages)


def shown(messages: Sequence[JSON], number: int | None) -> list[JSON]:
    """The messages with the present names of their senders, None for deleted accounts."""
    ids = {message["sender_id"] for message in messages} - {None}
    names = dict(User.objects.filter(not_deleted(), pk__in=ids).values_list("pk", "username"))
    return [
        message
        | {
            "sender": names.get(message["sender_id"]),
            "created_at": datetime.fromisoformat(message["created_at"]),
            "edited_at": message["edited_at"] and datetime.fromisoformat(message["edited_at"]),
            "is_reported": message["number"] == number,
        }
        for message in messages
    ]
