"""Changes of conversations: a receiver connects to the signal `changed`."""

from django.db import transaction
from django.dispatch import Signal

# Sent after the commit with `event`, one of the names below, `conversation_id`, and these details:
#   conversation_created, conversation_renamed, conversation_ended
#   member_added, member_removed: user_id
#   message_sent, message_edited, message_deleted: number
#   messages_read: user_id, number
changed = Signal()


def announce(event: str, conversation_id: int, **details: int) -> None:
    """Send the signal after the commit, and not at all after a rollback.

    Exceptions of receivers are logged. They stop neither other receivers nor the answer to the client.
    """
    transaction.on_commit(
        lambda: changed.send_robust(sender=None, event=event, conversation_id=conversation_id, **details)
    )
