"""What a client sees of conversations and messages, as dicts, in a fixed number of queries."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any

from django.db.models import F, QuerySet

from common.compiled import compiled
from conversations.models import Conversation, Membership, Message, Seen, Written
from users.models import User

COLUMNS = (
    "conversation",
    "number",
    "sender__username",
    "text",
    "created_at",
    "edited_at",
    "deleted",
    "client_id",
    "sender",
)
# Higher than the number of any message.
MAX_NUMBER = (1 << 63) - 1

Representation = dict[str, Any]
Sent = tuple[int | None, Representation]  # the id of the sender, and the message as the sender sees it


def of_messages(messages: QuerySet[Message], user: User) -> list[Representation]:
    """Of a queryset of messages, as the user sees them."""
    return as_seen(with_senders(messages), user)


def as_seen(messages: Iterable[Sent], user: User) -> list[Representation]:
    return [as_seen_by(user.pk, sender_id, message) for sender_id, message in messages]


def messages_before(conversation_id: int, number: int | None, user: User, limit: int) -> list[Representation]:
    """The last messages before the number, the newest first."""
    rows = _before(conversation_id, MAX_NUMBER if number is None else number, number=limit)
    return as_seen(map(from_row, rows), user)


def messages_after(conversation_id: int, number: int, user: User, limit: int) -> list[Representation]:
    """The first messages after the number, the oldest first."""
    return as_seen(map(from_row, _after(conversation_id, number, number=limit)), user)


def with_senders(messages: QuerySet[Message]) -> list[Sent]:
    """Of a queryset of messages, each with the id of the sender."""
    return list(map(from_row, messages.values_list(*COLUMNS)))


def from_row(row: tuple[Any, ...]) -> Sent:
    """From the values of COLUMNS."""
    conversation, number, sender, text, created_at, edited_at, deleted, client_id, sender_id = row
    return sender_id, {
        "conversation": conversation,
        "number": number,
        "sender": sender or None,  # empty while a deleted account is being removed
        "text": text,
        "created_at": created_at,
        "edited_at": edited_at,
        "deleted": deleted,
        "client_id": client_id,
    }


def as_seen_by(user_id: int, sender_id: int | None, message: Representation) -> Representation:
    """A client_id is shown to its sender only."""
    return message if user_id == sender_id or message["client_id"] is None else message | {"client_id": None}


def of_own_message(message: Message | Written, user: User) -> Representation:
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


def page_of(
    user: User, limit: int, after: Sequence[Any] | None = None
) -> tuple[list[Representation], tuple[str, int] | None]:
    """The user's conversations, latest activity first: a page, and the position of its last one if there are more."""
    if after is None:
        rows = _latest(user.pk, number=limit + 1)
    else:
        rows = _latest_before(user.pk, datetime.fromisoformat(after[0]), after[1], number=limit + 1)
    found = list(map(Seen._make, rows))
    page, last = found[:limit], found[limit - 1] if len(found) > limit else None
    return of_conversations(page, user), last and (last.last_activity.isoformat(), last.pk)


def of_conversations(conversations: Sequence[Seen], user: User) -> list[Representation]:
    """Of conversations as the user sees them: two queries, whatever their number."""
    ids = [conversation.pk for conversation in conversations]
    members: defaultdict[int, dict[int | None, str]] = defaultdict(dict)
    for conversation_id, user_id, username in _members(ids):
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
    found = Conversation.objects.filter(pk__in=ids).values_list(*Seen._fields[:-1])
    members: defaultdict[int, dict[int | None, str]] = defaultdict(dict)
    marks: defaultdict[int, dict[int, int]] = defaultdict(dict)
    conversations = list(map(Seen._make, ((*row, 0) for row in found)))
    memberships = Membership.objects.filter(conversation__in=ids).remaining()
    for pk, user_id, name, mark in memberships.values_list("conversation", "user", "user__username", "read_number"):
        members[pk][user_id] = name
        marks[pk][user_id] = mark
    for conversation in conversations:
        pk = conversation.pk
        for user_id in marks[pk].keys() & user_ids:
            mark = min(marks[pk][user_id], conversation.last_number)  # which may have been read before the mark moved
            yield pk, user_id, of_conversation(conversation, members[pk], last_messages, user_id, mark)


def last_messages_of(ids: Collection[int]) -> dict[object, Sent]:
    return {row[0]: from_row(row) for row in _last(list(ids))}


def of_conversation(
    conversation: Seen,
    members: dict[int | None, str],
    last_messages: dict[object, Sent],
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


def owner_of(conversation: Seen, members: dict[int | None, str]) -> str | None:
    """The owner's name, from the members' names by id. After a deleted owner the longest-standing member follows."""
    if conversation.is_private:
        return None
    return members.get(conversation.owner_id) or next(iter(members.values()), None)


# Queries that many calls run, compiled once.


@compiled
def _before(conversation_id: int, before: int, *, number: int) -> QuerySet[Message, Any]:
    messages = Message.objects.filter(conversation=conversation_id, number__lt=before)
    return messages.order_by("-number").values_list(*COLUMNS)[:number]


@compiled
def _after(conversation_id: int, after: int, *, number: int) -> QuerySet[Message, Any]:
    messages = Message.objects.filter(conversation=conversation_id, number__gt=after)
    return messages.order_by("number").values_list(*COLUMNS)[:number]


@compiled
def _last(conversation_ids: Sequence[int]) -> QuerySet[Message, Any]:
    last = Message.objects.filter(conversation__id__in=conversation_ids, number=F("conversation__last_number"))
    return last.values_list(*COLUMNS)


@compiled
def _members(conversation_ids: Sequence[int]) -> QuerySet[Membership, tuple[int, int, str]]:
    memberships = Membership.objects.filter(conversation__id__in=conversation_ids)
    return memberships.remaining().values_list("conversation", "user", "user__username")


@compiled
def _latest(user_id: int, *, number: int) -> QuerySet[Conversation, Any]:
    return Conversation.objects.of(user_id).latest_first().seen()[:number]


@compiled
def _latest_before(user_id: int, last_activity: datetime, pk: int, *, number: int) -> QuerySet[Conversation, Any]:
    return Conversation.objects.of(user_id).before(last_activity, pk).latest_first().seen()[:number]
