"""What a client sees of conversations and messages, as dicts, in a fixed number of queries."""

from collections import defaultdict
from collections.abc import Sequence

from django.db.models import F, QuerySet

from conversations.models import Conversation, Membership, Message
from users.models import User

MESSAGE_FIELDS = ("conversation", "number", "text", "created_at", "edited_at", "deleted", "client_id")

Representation = dict[str, object]


def of_messages(messages: QuerySet[Message], user: User) -> list[Representation]:
    """Of a queryset of messages. A client_id is shown to its sender only."""
    rows = messages.values(*MESSAGE_FIELDS, "sender_id", sender_name=F("sender__username"))
    return [
        {
            "conversation": row["conversation"],
            "number": row["number"],
            "sender": row["sender_name"] or None,  # empty while a deleted account is being removed
            "text": row["text"],
            "created_at": row["created_at"],
            "edited_at": row["edited_at"],
            "deleted": row["deleted"],
            "client_id": row["client_id"] if row["sender_id"] == user.pk else None,
        }
        for row in rows
    ]


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
    last = Message.objects.filter(conversation__in=ids, number=F("conversation__last_number"))
    last_messages = {message["conversation"]: message for message in of_messages(last, user)}
    return [
        {
            "id": conversation.pk,
            "kind": conversation.kind,
            "name": None if conversation.is_private else conversation.name,
            "owner": owner_of(conversation, members[conversation.pk]),
            "members": list(members[conversation.pk].values()),
            "created_at": conversation.created_at,
            "last_message": last_messages.get(conversation.pk),
            "unread_count": conversation.last_number - conversation.read_number,
        }
        for conversation in conversations
    ]


def owner_of(conversation: Conversation, members: dict[int | None, str]) -> str | None:
    """The owner's name, from the members' names by id. After a deleted owner the longest-standing member follows."""
    if conversation.is_private:
        return None
    return members.get(conversation.owner_id) or next(iter(members.values()), None)
