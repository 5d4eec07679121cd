"""What a client sees of conversations and messages, as dicts, in a fixed number of queries."""

from collections import defaultdict

from django.db.models import F

from conversations.models import Membership, Message

MESSAGE_FIELDS = ("conversation", "number", "text", "created_at", "edited_at", "deleted", "client_id")


def of_messages(messages, user):
    """Of a queryset of messages; a client_id is its sender's own affair."""
    rows = messages.values(*MESSAGE_FIELDS, "sender_id", sender_name=F("sender__username"))
    return [
        {
            "conversation": row["conversation"],
            "number": row["number"],
            "sender": row["sender_name"] or None,  # empty where the account was deleted just now
            "text": row["text"],
            "created_at": row["created_at"],
            "edited_at": row["edited_at"],
            "deleted": row["deleted"],
            "client_id": row["client_id"] if row["sender_id"] == user.pk else None,
        }
        for row in rows
    ]


def of_own_message(message, user):
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


def of_conversations(conversations, user):
    """Of conversations with the user's `read_number`: two queries, whatever their number."""
    ids = [conversation.pk for conversation in conversations]
    members = defaultdict(dict)
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


def owner_of(conversation, members):
    """The name of the owner, of the members' names by id; the longest-standing one inherits from one who is gone."""
    if conversation.is_private:
        return None
    return members.get(conversation.owner_id) or next(iter(members.values()), None)
