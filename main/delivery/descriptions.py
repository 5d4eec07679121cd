"""What clients are told of events: the data as it is now, and only to those who may see it now."""

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from django.db import connection
from django.db.models import Q, QuerySet

from common.compiled import compiled
from common.database import placeholders
from conversations import representations as conversations
from conversations.models import Conversation, Membership, Message
from events.models import MEMBERSHIP_KINDS, Kind, Row
from users import representations as users
from users.availability import those_who_rest
from users.models import User, not_deleted
from users.user_settings import UserSettings

# For up to so many users the database looks for these, and else for all members of the conversations.
FEW_USERS = 100
# Higher than every position.
NO_POSITION = 1 << 62


class Told(NamedTuple):
    """What some users are told at a position."""

    position: int
    name: str
    data: Mapping[str, object]
    user_ids: Collection[int]


Members = Mapping[int | None, set[int]]


def describe(rows: Sequence[Row], user_ids: Collection[int]) -> list[Told]:
    """What those of the users who may see it are told of the events, in the order of the events.

    What happens in a conversation is told to those who were members then and still are.
    """
    own = [row for row in rows if row.user_id in user_ids]
    members = members_of({row.conversation_id for row in rows if row.user_id is None}, user_ids)
    shared = [row for row in rows if row.user_id is None and members[row.conversation_id]]
    within = [*of_messages(shared, members), *of_conversations(shared, own, members), *of_marks(own)]

    # Asked again after the data was read: whoever was taken out meanwhile must not get what came after.
    conversation_of = {row.position: row.conversation_id for row in rows}
    concerned = {conversation_of[told.position] for told in within}
    members = members_of(concerned, user_ids)
    changes: defaultdict[tuple[int | None, int | None], list[Row]] = defaultdict(list)
    for row in [*own, *changes_behind(rows[-1].position, concerned, user_ids)]:
        if row.kind in MEMBERSHIP_KINDS:
            changes[row.user_id, row.conversation_id].append(row)

    def may_see(user_id: int, position: int) -> bool:
        conversation_id = conversation_of[position]
        is_member = user_id in members[conversation_id]
        return is_member and (not changes or was_member(changes.get((user_id, conversation_id), []), position))

    told = [each._replace(user_ids=[pk for pk in each.user_ids if may_see(pk, each.position)]) for each in within]
    return sorted([each for each in told if each.user_ids] + list(of_users(own)), key=lambda each: each.position)


def members_of(conversation_ids: Collection[int | None], user_ids: Collection[int]) -> Members:
    """Those of the users who are members, by conversation."""
    members: defaultdict[int | None, set[int]] = defaultdict(set)
    if conversation_ids and user_ids:
        conversations = [pk for pk in conversation_ids if pk is not None]
        few = len(user_ids) <= FEW_USERS
        rows = _members_among(conversations, list(user_ids)) if few else _all_members(conversations)
        for conversation_id, user_id in rows:
            if user_id in user_ids:
                members[conversation_id].add(user_id)
    return members


@compiled
def _all_members(conversation_ids: Sequence[int]) -> QuerySet[Membership, tuple[int, int]]:
    return Membership.objects.filter(conversation__id__in=conversation_ids).values_list("conversation", "user")


@compiled
def _members_among(conversation_ids: Sequence[int], user_ids: Sequence[int]) -> QuerySet[Membership, tuple[int, int]]:
    among = Membership.objects.filter(conversation__id__in=conversation_ids, user__id__in=user_ids)
    return among.values_list("conversation", "user")


def changes_behind(position: int, conversation_ids: Collection[int | None], user_ids: Collection[int]) -> list[Row]:
    """What has changed the users' memberships behind the position, also what has no position yet, in order."""
    if not conversation_ids:
        return []
    few = user_ids if len(user_ids) <= FEW_USERS else ()
    condition = f"conversation_id IN ({placeholders(conversation_ids)}) AND kind IN ({placeholders(MEMBERSHIP_KINDS)})"
    condition += f" AND user_id IN ({placeholders(few)})" if few else ""
    parameters = [*conversation_ids, *MEMBERSHIP_KINDS, *few]
    with connection.cursor() as cursor:
        # One statement, so that nothing is missed that gets its position just now. What has none comes last.
        cursor.execute(
            "SELECT position AS place, kind, user_id, conversation_id, number, other_id FROM events_event"  # noqa: S608
            f" WHERE position > %s AND {condition} UNION ALL"
            " SELECT %s + id AS place, kind, user_id, conversation_id, number, other_id FROM events_announcement"
            f" WHERE {condition} ORDER BY place",
            [position, *parameters, NO_POSITION, *parameters],
        )
        return [row for row in map(Row._make, cursor.fetchall()) if row.user_id in user_ids]


def was_member(changes: Sequence[Row], position: int) -> bool:
    """Whether somebody who is a member now was one at the position, given the user's changes in their order."""
    before = [row for row in changes if row.position <= position]
    if before:
        return before[-1].kind == Kind.JOINED
    return not changes or changes[0].kind == Kind.LEFT


def of_messages(shared: Sequence[Row], members: Members) -> Iterator[Told]:
    numbers: defaultdict[int | None, set[int | None]] = defaultdict(set)
    for row in shared:
        if row.kind == Kind.MESSAGE:
            numbers[row.conversation_id].add(row.number)
    if not numbers:
        return
    wanted = Q()
    for conversation_id, of_conversation in numbers.items():
        wanted |= Q(conversation=conversation_id, number__in=of_conversation)
    found = conversations.with_senders(Message.objects.filter(wanted))
    messages = {(message["conversation"], message["number"]): (sender, message) for sender, message in found}
    moments = {said_at(message) for _, message in messages.values()}
    resting = those_who_rest(set().union(*(members[pk] for pk in numbers)), moments)
    for row in shared:
        sender_id, message = messages.get((row.conversation_id, row.number), (None, None))
        if row.kind != Kind.MESSAGE or message is None:
            continue
        sender = members[row.conversation_id] & {sender_id}
        others = members[row.conversation_id] - sender
        silenced = others & resting[said_at(message)]
        for user_ids, is_silent in ((sender, False), (others - silenced, False), (silenced, True)):
            for user_id in list(user_ids)[:1]:
                seen = conversations.as_seen_by(user_id, sender_id, message)
                yield Told(row.position, "message", {"message": seen, "silent": is_silent}, user_ids)


def said_at(message: conversations.Representation) -> datetime:
    """When the text was written, as it is now."""
    return message["edited_at"] or message["created_at"]


def of_conversations(shared: Sequence[Row], own: Sequence[Row], members: Members) -> Iterator[Told]:
    changed = [row for row in shared if row.kind == Kind.CONVERSATION]
    joined = [row for row in own if row.kind == Kind.JOINED]
    ids = {row.conversation_id for row in [*changed, *joined] if row.conversation_id}
    if not ids:
        return
    user_ids = {row.user_id for row in joined if row.user_id}.union(*(members[pk] for pk in ids))
    seen: defaultdict[int | None, dict[int, conversations.Representation]] = defaultdict(dict)
    for conversation_id, user_id, representation in conversations.for_members(ids, user_ids):
        seen[conversation_id][user_id] = representation
    for row in changed:
        # Most members see the same.
        alike: list[tuple[conversations.Representation, list[int]]] = []
        for user_id, representation in seen[row.conversation_id].items():
            if user_id == row.other_id:
                continue
            for same, same_user_ids in alike:
                if representation == same:
                    same_user_ids.append(user_id)
                    break
            else:
                alike.append((representation, [user_id]))
        for same, same_user_ids in alike:
            yield Told(row.position, "conversation", {"conversation": same}, same_user_ids)
    for row in joined:
        if row.user_id in seen[row.conversation_id]:
            data = {"conversation": seen[row.conversation_id][row.user_id]}
            yield Told(row.position, "conversation", data, [row.user_id])


def of_marks(own: Sequence[Row]) -> Iterator[Told]:
    marks = [row for row in own if row.kind == Kind.READ]
    ids = {row.conversation_id for row in marks if row.conversation_id}
    found = Conversation.objects.filter(pk__in=ids).values_list("pk", "last_number") if ids else []
    last_numbers = dict(found)
    for row in marks:
        if row.conversation_id in last_numbers and row.user_id and row.number is not None:
            unread = last_numbers[row.conversation_id] - row.number
            data = {"conversation": row.conversation_id, "number": row.number, "unread_count": unread}
            yield Told(row.position, "read", data, [row.user_id])


# What changes of a contact book or a blacklist tell: the name of the event, the key, and its value.
ENTRIES = {
    Kind.CONTACT_ADDED: ("contact", "in_contact_book", True),
    Kind.CONTACT_REMOVED: ("contact", "in_contact_book", False),
    Kind.BLACKLISTED: ("blacklist", "is_blacklisted_by_user", True),
    Kind.UNBLACKLISTED: ("blacklist", "is_blacklisted_by_user", False),
}


def of_users(own: Sequence[Row]) -> Iterator[Told]:
    ids = {row.user_id for row in own if row.user_id and row.kind == Kind.PROFILE}
    ids |= {row.other_id for row in own if row.other_id}
    owners = {row.user_id for row in own if row.user_id and row.kind == Kind.SETTINGS}
    settings = UserSettings.objects.in_bulk(owners) if owners else {}
    people = User.objects.filter(not_deleted()).in_bulk(ids) if ids else {}
    for row in own:
        if row.user_id is None:
            continue
        if row.kind == Kind.LEFT:
            data: dict[str, object] = {"conversation": row.conversation_id}
            yield Told(row.position, "conversation_removed", data, [row.user_id])
        elif row.kind == Kind.PROFILE and (user := people.get(row.user_id)):
            yield Told(row.position, "profile", {"profile": users.of_oneself(user)}, [row.user_id])
        elif row.kind == Kind.SETTINGS:
            kept = settings.get(row.user_id) or UserSettings(user_id=row.user_id)
            yield Told(row.position, "settings", {"settings": kept.as_data}, [row.user_id])
        elif row.kind in ENTRIES and (other := people.get(row.other_id or 0)):
            name, key, value = ENTRIES[Kind(row.kind)]
            yield Told(row.position, name, {"username": other.username, key: value}, [row.user_id])
