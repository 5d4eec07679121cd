"""The calls of this app in the OpenAPI document, in the order of urls.py."""

from drf_spectacular.utils import extend_schema_serializer
from rest_framework import serializers

from common.openapi import CURSOR, LIMIT, USERNAME, Call, document, example, parameter
from conversations import views
from conversations.models import Conversation
from conversations.serializers import (
    GroupNameSerializer,
    GroupSerializer,
    MessageSerializer,
    MessageTextSerializer,
    ReadSerializer,
)

MESSAGE = {
    "conversation": 1,
    "number": 1,
    "sender": "alice",
    "text": "Hello, Bob!",
    "created_at": "2026-11-22T21:20:03.131873Z",
    "edited_at": None,
    "deleted": False,
    "client_id": None,
}
CONVERSATION = {
    "id": 1,
    "kind": "private",
    "name": None,
    "owner": None,
    "members": ["alice", "bob"],
    "created_at": "2026-11-22T21:20:03.104522Z",
    "last_message": MESSAGE,
    "unread_count": 1,
}
UNKNOWN = "There is no such conversation, or you are not a member."
UNKNOWN_MESSAGE = "There is no such message, or you are not a member of the conversation."
PAIR = "One of you has blacklisted the other."
NOT_OWNER = "Only the owner of the group may do this."


@extend_schema_serializer(component_name="Message", examples=[example("A greeting", MESSAGE)])
class MessageInstance(serializers.Serializer):
    conversation = serializers.IntegerField()
    number = serializers.IntegerField(min_value=1, help_text="1, 2, 3 … in its conversation, in the order of commit.")
    sender = serializers.CharField(allow_null=True, help_text="null if the account is deleted.")
    text = serializers.CharField(max_length=4000)
    created_at = serializers.DateTimeField()
    edited_at = serializers.DateTimeField(allow_null=True)
    deleted = serializers.BooleanField()
    client_id = serializers.CharField(max_length=64, allow_null=True, help_text="Shown to its sender only.")


@extend_schema_serializer(component_name="Conversation", examples=[example("Of a pair", CONVERSATION)])
class ConversationInstance(serializers.Serializer):
    id = serializers.IntegerField()
    kind = serializers.ChoiceField([str(kind) for kind in Conversation.Kind.values])
    name = serializers.CharField(max_length=120, allow_null=True, help_text="null for a private conversation.")
    owner = serializers.CharField(allow_null=True, help_text="null for a private conversation.")
    members = serializers.ListField(child=serializers.CharField())
    created_at = serializers.DateTimeField()
    last_message = MessageInstance(allow_null=True)
    unread_count = serializers.IntegerField(min_value=0)


extend_schema_serializer(component_name="NewMessage")(MessageSerializer)
for serializer, value in (
    (GroupSerializer, {"name": "Tea party", "members": ["bob", "charlie"]}),
    (GroupNameSerializer, {"name": "Mad tea party"}),
    (
        extend_schema_serializer(component_name="NewMessage")(MessageSerializer),
        {"text": "Hello, Bob!", "client_id": "b1946ac9"},
    ),
    (MessageTextSerializer, {"text": "Hello, dear Bob!"}),
    (ReadSerializer, {"number": 1}),
):
    extend_schema_serializer(examples=[example("For example", value, request_only=True)])(serializer)

BEFORE = parameter("before", "integer", "Only messages with a lower number.", minimum=0)
AFTER = parameter("after", "integer", "Only messages with a higher number, oldest first.", minimum=0)

document(
    views.ConversationsView,
    get=Call(
        "list_conversations",
        "Your conversations, latest activity first",
        parameters=[LIMIT, CURSOR],
        answers={200: ConversationInstance(many=True)},
        bad="What is wrong, by parameter.",
        is_paged=True,
    ),
)
document(
    views.PrivateConversationView,
    post=Call(
        "open_private_conversation",
        "Open a private conversation, or get the existing one",
        parameters=[USERNAME],
        answers={200: ConversationInstance, 201: ConversationInstance},
        bad="It is yourself.",
        refusals={403: PAIR},
        missing="There is no such user.",
        is_limited=True,
    ),
)
document(
    views.GroupsView,
    post=Call(
        "create_group",
        "Create a group, which you own",
        body=GroupSerializer,
        answers={201: ConversationInstance},
        refusals={403: PAIR},
        is_limited=True,
    ),
)
document(
    views.ConversationView,
    get=Call("see_conversation", "A conversation", answers={200: ConversationInstance}, missing=UNKNOWN),
    put=Call(
        "rename_group",
        "Rename your group",
        body=GroupNameSerializer,
        answers={200: ConversationInstance},
        refusals={403: NOT_OWNER},
        missing=UNKNOWN,
    ),
)
document(
    views.MemberView,
    post=Call(
        "add_member",
        "Add somebody to your group",
        parameters=[USERNAME],
        answers={201: ConversationInstance},
        refusals={
            403: f"{NOT_OWNER} {PAIR} The members of a private conversation do not change.",
            409: "This user is a member already, or the group has 256.",
        },
        missing="There is no such user, or you are not a member of the conversation.",
    ),
    delete=Call(
        "remove_member",
        "Leave a group, or remove somebody from yours",
        parameters=[USERNAME],
        answers={204: None},
        refusals={403: f"{NOT_OWNER} The members of a private conversation do not change."},
        missing="This user is not a member, or you are not a member yourself.",
    ),
)
document(
    views.MessagesView,
    get=Call(
        "list_messages",
        "Messages, newest first; with `after` those after it, oldest first",
        parameters=[LIMIT, BEFORE, AFTER],
        answers={200: MessageInstance(many=True)},
        bad="What is wrong, by parameter.",
        missing=UNKNOWN,
        is_paged=True,
    ),
    post=Call(
        "send_message",
        "Send a message; the same `client_id` again returns the stored message",
        body=MessageSerializer,
        answers={200: MessageInstance, 201: MessageInstance},
        refusals={403: f"{PAIR} The other member is gone, or deactivated."},
        missing=UNKNOWN,
        is_limited=True,
    ),
)
document(
    views.MessageView,
    put=Call(
        "edit_message",
        "Edit your message",
        body=MessageTextSerializer,
        answers={200: MessageInstance},
        refusals={403: f"This is somebody else's message. {PAIR}", 409: "The message is deleted."},
        missing=UNKNOWN_MESSAGE,
    ),
    delete=Call(
        "delete_message",
        "Delete your message; it keeps its number, without text",
        answers={204: None},
        refusals={403: "This is somebody else's message."},
        missing=UNKNOWN_MESSAGE,
    ),
)
document(
    views.ReadView,
    post=Call(
        "mark_read",
        "Mark messages as read, up to a number",
        body=ReadSerializer,
        answers={204: None},
        missing=UNKNOWN,
    ),
)
