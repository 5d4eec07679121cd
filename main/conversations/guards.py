"""Checks that end a call with 404 or 403.

What is checked of a locked conversation holds until the end of the transaction.
"""

from typing import Any

from django.db.models import QuerySet
from rest_framework.exceptions import NotFound

from common.compiled import compiled
from common.errors import Forbidden, found
from conversations.models import Conversation, Locked, Message, Seen
from users.guards import require_exchange
from users.models import User

NO_CONVERSATION = "There is no such conversation."


def find_conversation(user: User, conversation_id: int) -> Seen:
    """The conversation as the user sees it, or 404. Others cannot tell whether it exists."""
    for row in _find(user.pk, conversation_id):
        return Seen._make(row)
    raise NotFound(NO_CONVERSATION)


@compiled
def _find(user_id: int, conversation_id: int) -> QuerySet[Conversation, Any]:
    return Conversation.objects.of(user_id).filter(pk=conversation_id).seen()


def lock(user: User, conversation_id: int) -> Conversation:
    """The user's conversation, locked until the end of the transaction, or 404."""
    conversation = Conversation.objects.locked_for(user.pk).filter(pk=conversation_id).first()
    if conversation is None or not conversation.memberships.filter(user=user).exists():
        raise NotFound(NO_CONVERSATION)
    return conversation


def lock_to_send(user: User, conversation_id: int) -> Locked:
    """As `lock`, but the caller has to check under the lock that the user is still a member."""
    for row in _lock(user.pk, conversation_id):
        return Locked._make(row)
    raise NotFound(NO_CONVERSATION)


@compiled
def _lock(user_id: int, conversation_id: int) -> QuerySet[Conversation, Any]:
    return Conversation.objects.locked_for(user_id).filter(pk=conversation_id).values_list(*Locked._fields)


def lock_own_message(user: User, conversation_id: int, number: int) -> tuple[Conversation, Message]:
    conversation = lock(user, conversation_id)
    message = found(conversation.messages.filter(number=number).first(), "There is no such message.")
    if message.sender_id != user.pk:
        raise Forbidden("This is somebody else's message.")
    return conversation, message


def require_group(conversation: Conversation) -> None:
    if conversation.is_private:
        raise Forbidden("The members of a private conversation do not change.")


def require_owner(conversation: Conversation, user: User) -> None:
    if conversation.current_owner_id != user.pk:
        raise Forbidden("Only the owner of the group may do this.")


def require_counterpart(conversation: Conversation | Locked, user: User) -> None:
    if conversation.kind == Conversation.Kind.PRIVATE:
        counterpart_id = Conversation.counterpart_in(conversation.pair_key, user)
        if counterpart_id is None or not require_exchange(user, [counterpart_id]):
            raise Forbidden("The other member is gone.")
