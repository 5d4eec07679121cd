"""Checks that end a call with 404 or 403.

What is checked of a locked conversation holds until the end of the transaction.
"""

from rest_framework.exceptions import NotFound

from common.errors import Forbidden, found
from conversations.models import Conversation, Message
from users.guards import require_exchange
from users.models import User

NO_CONVERSATION = "There is no such conversation."


def find_conversation(user: User, conversation_id: int) -> Conversation:
    """The conversation as the user sees it, or 404. Others cannot tell whether it exists."""
    return found(Conversation.objects.of(user).filter(pk=conversation_id).first(), NO_CONVERSATION)


def lock(user: User, conversation_id: int) -> Conversation:
    """The user's conversation, locked until the end of the transaction, or 404."""
    conversation = lock_unchecked(user, conversation_id)
    if not conversation.memberships.filter(user=user).exists():
        raise NotFound(NO_CONVERSATION)
    return conversation


def lock_unchecked(user: User, conversation_id: int) -> Conversation:
    return found(Conversation.objects.locked_for(user.pk).filter(pk=conversation_id).first(), NO_CONVERSATION)


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


def require_counterpart(conversation: Conversation, user: User) -> None:
    if conversation.is_private:
        counterpart_id = conversation.counterpart_of(user)
        if counterpart_id is None or not require_exchange(user, [counterpart_id]):
            raise Forbidden("The other member is gone.")
