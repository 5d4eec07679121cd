"""What a client sees of conversations and messages, as dicts, in a fixed number of queries."""

from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from typing import Any

from django.db.models import F, QuerySet

from conversations.models import Conversation, Membership, Message
from users.models import User

MESSAGE_FIELDS = ("conversation", "number", "text", "created_at", "edited_at", "deleted", "client_id")

Representation = dict[str, Any]


def of_messages(messages: QuerySet[Message], user: User) -> list[Representation]:
    """Of a queryset of messages, as the user sees them."""
    return [as_seen_by(user.pk, sender_id, message) for sender_id, message in with_senders(messages)]


def with_senders(messages: QuerySet[Message]) -> list[tuple[int | None, Representation]]:
    """Of a queryset of messages, as (id of the sender, representation for the sender)."""
    rows = messages.values(*MESSAGE_FIELDS, "sender_id", sender_name=F("sender__username"))
    return [
        (
            row["sender_id"],
            {
                "conversation": row["conversation"],
                "number": row["number"],
                "sender": row["sender_name"] or None,  # empty while a deleted account is being removed
                "text": row["text"],
                "created_at": row["created_at"],
                "edited_at": row["edited_at"],
                "deleted": row["deleted"],
                "client_id": row["client_id"],
            },
        )
        for row in rows
    ]


def as_seen_by(user_id: int, sender_id: int | None, message: Representation) -> Representation:
    """A client_id is shown to its sender only."""
    return message if user_id == sender_id or message["client_id"] is None else message | {"client_id": None}


def of_own_message(message: Message, user: User) -> Representation:
    """Of a message that the user sent."""
    return {
        "conversation": message.conversation_id,
        "number": message.number,
        "sender": user.username,
        "text": message.text,
        "created_at": message.created_at,
        "edited_at": message.edited_at,
        "deleted": message.deleted,
        "client_id": message.client_id,
    }


def of_conversations(conversations: Sequence[Conversation], user: User) -> list[Representation]:
    """Of conversations with the user's `read_number`: two queries, whatever their number."""
    ids = [conversation.pk for conversation in conversations]
    members: defaultdict[int, dict[int | None, str]] = defaultdict(dict)
    memberships = Membership.objects.filter(conversation__in=ids).remaining()
    for conversation_id, user_id, username in memberships.values_list("conversation", "user", "user__username"):
        members[conversation_id][user_id] = username
    last_messages = last_messages_of(ids)
    return [
        of_conversation(conversation, members[conversation.pk], last_messages, user.pk, conversation.read_number)
        for conversation in conversations
    ]


def for_members(ids: Collection[int], user_ids: Collection[int]) -> Iterator[tuple[int, int, Representation]]:
    """Of conversations, for those of the users who are members: (id of the conversation, of the user, representation).

    Three queries, whatever the numbers.
    """
    last_messages = last_messages_of(ids)
    conversations = Conversation.objects.in_bulk(ids)
    members: defaultdict[int, dict[int | None, str]] = defaultdict(dict)
    marks: defaultdict[int, dict[int, int]] = defaultdict(dict)
    memberships = Membership.objects.filter(conversation__in=ids).remaining()
    for pk, user_id, name, mark in memberships.values_list("conversation", "user", "user__username", "read_number"):
        members[pk][user_id] = name
        marks[pk][user_id] = mark
    for pk, conversation in conversations.items():
        for user_id in marks[pk].keys() & user_ids:
            mark = min(marks[pk][user_id], conversation.last_number)  # which may have been read before the mark moved
            yield pk, user_id, of_conversation(conversation, members[pk], last_messages, user_id, mark)


def last_messages_of(ids: Collection[int]) -> dict[object, tuple[int | None, Representation]]:
    last = Message.objects.filter(conversation__in=ids, number=F("conversation__last_number"))
    return {message["conversation"]: (sender_id, message) for sender_id, message in with_senders(last)}


def of_conversation(
    conversation: Conversation,
    members: dict[int | None, str],
    last_messages: dict[object, tuple[int | None, Representation]],
    user_id: int,
    read_number: int,
) -> Representation:
    last = last_messages.get(conversation.pk)
    return {
        "id": conversation.pk,
        "kind": conversation.kind,
        "name": None if conversation.is_private else conversation.name,
        "owner": owner_of(conversation, members),
        "members": list(members.values()),
        "created_at": conversation.created_at,
        "last_message": last and as_seen_by(user_id, *last),
        "unread_count": conversation.last_number - read_number,
    }


def owner_of(conversation: Conversation, members: dict[int | None, str]) -> str | None:
    """The owner's name, from the members' names by id. After a deleted owner the longest-standing member follows."""
    if conversation.is_private:
        return None
    return members.get(conversation.owner_id) or next(iter(members.values()), None)
