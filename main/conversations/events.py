"""The door for delivery: who wants to know of changes connects to `changed`."""

from django.db import transaction
from django.dispatch import Signal

# Sent after the commit with `event`, one of the names below, `conversation_id`, and what the event names:
#   conversation_created, conversation_renamed, conversation_ended
#   member_added, member_removed: user_id
#   message_sent, message_edited, message_deleted: number
#   messages_read: user_id, number
changed = Signal()


def announce(event, conversation_id, **details):
    """Tell of a change once it is committed, and not at all if it is rolled back.

    What a receiver raises is logged, and stops neither the others nor the answer to the client.
    """
    transaction.on_commit(
        lambda: changed.send_robust(sender=None, event=event, conversation_id=conversation_id, **details)
    )
