"""What an export has of the user's conversations: all that the user can see, without a query for each message."""

from collections import defaultdict
from collections.abc import Iterable, Iterator

from common.exports import CHUNK, Items, Parts, chunks
from conversations import representations
from conversations.models import Conversation, Membership, Message, Seen
from conversations.representations import Representation
from users.models import User

# Conversations that are read at a time, each with up to 256 members.
PAGE = 50


def parts_of(user: User) -> Parts:
    return {"conversations": conversations_of(user)}


def conversations_of(user: User) -> Iterator[Parts]:
    """In the order in which the user came to be a member: of all orders this one has an index."""
    memberships = Membership.objects.filter(user=user).values_list("pk", "conversation")
    for chunk in chunks(memberships, "pk", PAGE):
        ids = [conversation_id for _, conversation_id in chunk]
        found = {row[0]: Seen._make(row) for row in Conversation.objects.of(user.pk).filter(pk__in=ids).seen()}
        conversations = [found[conversation_id] for conversation_id in ids]
        shown = {each["id"]: each for each in representations.of_conversations(conversations, user)}
        for group in groups_of(conversations):
            for pk, messages in messages_of_group(group, user):
                yield {"conversation": shown[pk], "messages": messages}


def groups_of(conversations: Iterable[Seen]) -> Iterator[list[Seen]]:
    """Conversations whose messages are few enough to be read together; those with many stand alone."""
    group: list[Seen] = []
    number = 0
    for conversation in conversations:
        if group and number + conversation.last_number > CHUNK:
            yield group
            group, number = [], 0
        group.append(conversation)
        number += conversation.last_number
    if group:
        yield group


def messages_of_group(group: list[Seen], user: User) -> Iterator[tuple[int, Items | list[Representation]]]:
    """The messages of each conversation, by its id."""
    if len(group) == 1:
        yield group[0].pk, messages_of(group[0], user)
        return
    messages: defaultdict[int, list[Representation]] = defaultdict(list)
    rows = Message.objects.filter(conversation__in=[conversation.pk for conversation in group])
    rows = rows.order_by("conversation", "number")
    for message in representations.of_messages(rows, user):
        messages[message["conversation"]].append(message)
    for conversation in group:
        yield conversation.pk, messages[conversation.pk]


def messages_of(conversation: Seen, user: User) -> Items:
    # The numbers have no gaps. With LIMIT instead of an upper end MariaDB would begin at the first message each time.
    for after in range(0, conversation.last_number, CHUNK):
        messages = Message.objects.filter(conversation=conversation.pk, number__gt=after, number__lte=after + CHUNK)
        yield representations.of_messages(messages.order_by("number"), user)
