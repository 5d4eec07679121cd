"""Writes. Whatever depends on the state of a conversation locks it first, so that it still holds at the commit."""

from collections.abc import Iterator, Sequence
from datetime import datetime

from django.db import IntegrityError
from django.utils import timezone
from rest_framework.exceptions import NotFound, ValidationError

from common import upkeep
from common.compiled import Insert, Update, compiled
from common.errors import BadRequest, Conflict, Forbidden, found
from common.keys import text_key
from common.rates import Limit
from common.transactions import retried_transaction
from conversations import guards
from conversations.models import Conversation, Membership, Message, Written
from events.log import announce
from events.models import Kind
from users.guards import require_exchange
from users.models import User

MAX_MEMBERS = 256

# Conversations


def open_private(user: User, other: User) -> tuple[Conversation, bool]:
    """Return the pair's conversation, and whether it is new."""
    if user == other:
        raise BadRequest("This cannot be done with yourself.")
    try:
        created = _open_private(user, other)
    except IntegrityError:
        # The other user has opened it at the same moment, or one of the accounts was deleted.
        created = False
    conversation = Conversation.objects.filter(members=user, pair_key=Conversation.pair_key_of(user, other)).first()
    if conversation is None:
        raise NotFound("There is no such user.")
    return conversation, created


@retried_transaction
def _open_private(user: User, other: User) -> bool:
    require_exchange(user, [other.pk])
    pair_key = Conversation.pair_key_of(user, other)
    if Conversation.objects.filter(pair_key=pair_key).exists():
        return False
    Limit("OPEN_RATE", user.pk).spend()
    conversation = Conversation.objects.create(kind=Conversation.Kind.PRIVATE, pair_key=pair_key)
    _create_memberships(conversation, [user.pk, other.pk])
    return True


def create_group(user: User, name: str, member_ids: Sequence[int]) -> Conversation:
    """Create a group of the user, who owns it, and the members; return it."""
    try:
        return _create_group(user, name, member_ids)
    except IntegrityError:
        raise ValidationError({"members": ["One of them deleted their account just now."]}) from None


@retried_transaction
def _create_group(user: User, name: str, member_ids: Sequence[int]) -> Conversation:
    require_exchange(user, member_ids)
    Limit("OPEN_RATE", user.pk).spend()
    conversation = Conversation.objects.create(kind=Conversation.Kind.GROUP, name=name, owner=user)
    _create_memberships(conversation, [user.pk, *member_ids])
    return conversation


def _create_memberships(conversation: Conversation, user_ids: Sequence[int]) -> None:
    Membership.objects.bulk_create(Membership(conversation=conversation, user_id=user_id) for user_id in user_ids)
    announce(Kind.CONVERSATION, conversation_id=conversation.pk)


@retried_transaction
def rename_group(user: User, conversation_id: int, name: str) -> None:
    conversation = guards.lock(user, conversation_id)
    if conversation.is_private:
        raise BadRequest("A private conversation has no name.")
    guards.require_owner(conversation, user)
    if name != conversation.name:
        conversation.name = name
        conversation.save(update_fields=["name"])
        announce(Kind.CONVERSATION, conversation_id=conversation.pk)


@retried_transaction
def mark_read(user: User, conversation_id: int, number: int) -> None:
    """Move the user's mark forward to the number, but not past the last message."""
    conversation = guards.find_conversation(user, conversation_id)
    number = min(number, conversation.last_number)
    if _move_mark(conversation.pk, user.pk, number):
        announce(Kind.READ, user_id=user.pk, conversation_id=conversation.pk, number=number)


# Members


def add_member(user: User, conversation_id: int, other: User) -> None:
    """Add a member to the user's group. New members see the whole history, none of it unread."""
    try:
        _add_member(user, conversation_id, other)
    except IntegrityError:
        raise NotFound("There is no such user.") from None


@retried_transaction
def _add_member(user: User, conversation_id: int, other: User) -> None:
    conversation = guards.lock(user, conversation_id)
    guards.require_group(conversation)
    guards.require_owner(conversation, user)
    members = set(conversation.memberships.remaining().values_list("user", flat=True))
    if other.pk in members:
        raise Conflict("This user is a member already.")
    require_exchange(user, [other.pk])
    if len(members) >= MAX_MEMBERS:
        raise Conflict(f"A group has at most {MAX_MEMBERS} members.")
    Membership.objects.create(conversation=conversation, user=other, read_number=conversation.last_number)
    announce(Kind.JOINED, user_id=other.pk, conversation_id=conversation.pk)
    announce(Kind.CONVERSATION, conversation_id=conversation.pk, other_id=other.pk)


@retried_transaction
def remove_member(user: User, conversation_id: int, username: str) -> None:
    """Remove a member from a group: oneself, or, as the owner, anybody."""
    conversation = guards.lock(user, conversation_id)
    guards.require_group(conversation)
    member = found(conversation.members.filter(username_key=text_key(username)).first(), "This user is not a member.")
    if member != user:
        guards.require_owner(conversation, user)
    _remove(conversation, member.pk)


def leave_everything(user: User) -> None:
    """Remove an account, which is about to be deleted, from all its conversations, in the same transaction."""
    for conversation in list(Conversation.objects.locked_for(user.pk).order_by("pk")):
        _remove(conversation, user.pk)


@retried_transaction
def leave_one(user_id: int) -> bool:
    """Remove a deleted account from one of its conversations; return whether there was one."""
    conversation_id = Membership.objects.filter(user=user_id).values_list("conversation", flat=True).first()
    if conversation_id is None:
        return False
    for conversation in Conversation.objects.locked_for(user_id).filter(pk=conversation_id):
        _remove(conversation, user_id)
    return True


def disown_some(user_id: int) -> bool:
    """Remove the sender from some messages of a deleted account; return whether there were any."""
    return upkeep.update_some(Message.objects.filter(sender=user_id), sender=None)


def pieces_of_ended(conversation_id: int) -> Iterator[None]:
    """Remove the messages of an ended conversation, then its own row; yield after each piece."""
    while upkeep.remove_some(Message.objects.filter(conversation=conversation_id)):
        yield
    retried_transaction(Conversation.objects.filter(pk=conversation_id, memberships=None).delete)()


def pieces_of_all_ended() -> Iterator[None]:
    for conversation_id in Conversation.objects.filter(ended_at__isnull=False).values_list("pk", flat=True):
        yield from pieces_of_ended(conversation_id)
        yield


def _remove(conversation: Conversation, user_id: int) -> None:
    conversation.memberships.filter(user=user_id).delete()
    announce(Kind.LEFT, user_id=user_id, conversation_id=conversation.pk)
    # A private conversation stays readable for the other member, but belongs to no pair any more.
    conversation.pair_key = None
    heir_id = conversation.memberships.longest_standing()
    if heir_id is None:
        if conversation.ended_at is None:  # and not ended before, with other accounts that are being removed
            conversation.ended_at = timezone.now()
        conversation.owner = None
        conversation.save(update_fields=["pair_key", "owner", "ended_at"])
        upkeep.work_after_commit(pieces_of_ended(conversation.pk))
        return
    if conversation.owner_id == user_id:
        conversation.owner_id = heir_id
    conversation.save(update_fields=["pair_key", "owner"])
    announce(Kind.CONVERSATION, conversation_id=conversation.pk)


# Messages


def send_message(user: User, conversation_id: int, text: str, client_id: str | None = None) -> tuple[Written, bool]:
    """Return the message and whether it is new: an earlier one with the same client_id is returned as stored."""
    try:
        return _send_message(user, conversation_id, text, client_id), True
    except (IntegrityError, Forbidden) as error:
        # Hardly any client_id comes twice, so that the earlier message is looked for only where it is in the way, or
        # where it may have been sent while it was allowed.
        earlier = None if client_id is None else _earlier(conversation_id, user.pk, client_id)
        if earlier is not None:
            return earlier, False
        if isinstance(error, Forbidden):
            raise
        raise NotFound(guards.NO_CONVERSATION) from None  # the sender's account was deleted just now


@retried_transaction
def _send_message(user: User, conversation_id: int, text: str, client_id: str | None) -> Written:
    conversation = guards.lock_to_send(user, conversation_id)
    guards.require_counterpart(conversation, user)
    number, now = conversation.last_number + 1, timezone.now()
    is_member, *_ = announce(
        Kind.MESSAGE,
        conversation_id=conversation_id,
        number=number,
        writes=[
            # This moves the sender's mark, and tells under the lock whether the sender is still a member.
            _move_mark.bind(conversation_id, user.pk, number),
            _move_on.bind(conversation_id, number, now),
            _insert_message.bind(conversation_id, number, user.pk, text, now, client_id),
        ],
    )
    if not is_member:
        raise NotFound(guards.NO_CONVERSATION)
    return Written(conversation_id, number, text, now, edited_at=None, deleted=False, client_id=client_id)


def _earlier(conversation_id: int, sender_id: int, client_id: str) -> Written | None:
    """What a member of the conversation sent under the client_id."""
    earlier = Message.objects.filter(conversation=conversation_id, sender=sender_id, client_id=client_id)
    row = earlier.filter(conversation__memberships__user=sender_id).values_list(*Written._fields).first()
    return row and Written._make(row)


@compiled
def _move_mark(conversation_id: int, user_id: int, number: int) -> Update:
    behind = Membership.objects.filter(conversation=conversation_id, user=user_id, read_number__lt=number)
    return Update(behind, {"read_number": number})


@compiled
def _move_on(conversation_id: int, number: int, now: datetime) -> Update:
    conversation = Conversation.objects.filter(pk=conversation_id)
    return Update(conversation, {"last_number": number, "last_activity": now})


@compiled
def _insert_message(
    conversation_id: int, number: int, sender_id: int, text: str, created_at: datetime, client_id: str | None
) -> Insert:
    return Insert(
        Message(
            conversation_id=conversation_id,
            number=number,
            sender_id=sender_id,
            text=text,
            created_at=created_at,
            client_id=client_id,
        )
    )


@retried_transaction
def edit_message(user: User, conversation_id: int, number: int, text: str) -> Message:
    conversation, message = guards.lock_own_message(user, conversation_id, number)
    guards.require_counterpart(conversation, user)
    if message.deleted:
        raise Conflict("The message is deleted.")
    message.text = text
    message.edited_at = timezone.now()
    message.save(update_fields=["text", "edited_at"])
    announce(Kind.MESSAGE, conversation_id=conversation.pk, number=number)
    return message


@retried_transaction
def delete_message(user: User, conversation_id: int, number: int) -> None:
    """Empty the message. It keeps its place and number."""
    conversation, message = guards.lock_own_message(user, conversation_id, number)
    if not message.deleted:
        message.text = ""
        message.deleted = True
        message.save(update_fields=["text", "deleted"])
        announce(Kind.MESSAGE, conversation_id=conversation.pk, number=number)
