"""What a call needs before it may go on, or it ends with 404 or 403.

What is asked of a locked conversation holds until the end of the transaction.
"""

from rest_framework.exceptions import NotFound

from common.errors import Forbidden, found
from conversations.models import Conversation
from users.guards import require_exchange

NO_CONVERSATION = "There is no such conversation."


def find_conversation(user, conversation_id):
    """The conversation, as the user sees it; strangers learn no more than of one that does not exist."""
    return found(Conversation.objects.of(user).filter(pk=conversation_id).first(), NO_CONVERSATION)


def lock(user, conversation_id):
    """The conversation, if it is one of the user's, held until the end of the transaction."""
    conversation = lock_unchecked(user, conversation_id)
    if not conversation.memberships.filter(user=user).exists():
        raise NotFound(NO_CONVERSATION)
    return conversation


def lock_unchecked(user, conversation_id):
    return found(Conversation.objects.locked_for(user.pk).filter(pk=conversation_id).first(), NO_CONVERSATION)


def lock_own_message(user, conversation_id, number):
    conversation = lock(user, conversation_id)
    message = found(conversation.messages.filter(number=number).first(), "There is no such message.")
    if message.sender_id != user.pk:
        raise Forbidden("This is somebody else's message.")
    return conversation, message


def require_group(conversation):
    if conversation.is_private:
        raise Forbidden("The members of a private conversation do not change.")


def require_owner(conversation, user):
    if conversation.current_owner_id != user.pk:
        raise Forbidden("Only the owner of the group may do this.")


def require_counterpart(conversation, user):
    if conversation.is_private:
        counterpart_id = conversation.counterpart_of(user)
        if counterpart_id is None or not require_exchange(user, [counterpart_id]):
            raise Forbidden("The other member is gone.")
