"""The call of this app in the OpenAPI document."""

from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.utils import (
    PolymorphicProxySerializer,
    extend_schema_field,
    extend_schema_serializer,
)
from rest_framework import serializers
from rest_framework.request import Request

from common.openapi import JSON, LIMIT, Call, document, example, header, parameter
from conversations.documentation import CONVERSATION, MESSAGE, ConversationInstance, MessageInstance
from delivery import views
from delivery.wire import END_REASONS, EVENT_NAMES
from users.documentation import SettingsInstance, UserInstance

STREAM = (
    "Server-sent events, if the client accepts `text/event-stream`. Each has an `id`, an `event` and, as JSON, its "
    "`data`, in the shapes of the JSON answer. A comment comes at least every 20 seconds."
)
EXAMPLE = {
    "events": [
        {"id": "5ba41d3c-17", "event": "message", "data": {"message": MESSAGE, "silent": False}},
        {"id": "5ba41d3c-18", "event": "conversation", "data": {"conversation": CONVERSATION}},
    ],
    "cursor": "5ba41d3c-18",
    "more": False,
}


class MessageData(serializers.Serializer):
    """Of `message`: sent, edited or deleted. It replaces what the client has under this number."""

    message = MessageInstance()
    silent = serializers.BooleanField(help_text="It is somebody else's, outside of your active hours.")


class ConversationData(serializers.Serializer):
    """Of `conversation`: created, renamed, its members or owner changed, or you were brought in."""

    conversation = ConversationInstance()


class ConversationRemovedData(serializers.Serializer):
    """Of `conversation_removed`: you left, were taken out, or it ended."""

    conversation = serializers.IntegerField()


class ReadData(serializers.Serializer):
    """Of `read`: your own mark moved. Sending moves it, too, without this event."""

    conversation = serializers.IntegerField()
    number = serializers.IntegerField(min_value=0)
    unread_count = serializers.IntegerField(min_value=0)


class ProfileData(serializers.Serializer):
    """Of `profile`: your own changed."""

    profile = UserInstance()


class SettingsData(serializers.Serializer):
    """Of `settings`: your own changed."""

    settings = SettingsInstance()


class ContactData(serializers.Serializer):
    """Of `contact`: your own contact book changed."""

    username = serializers.CharField()
    in_contact_book = serializers.BooleanField()


class BlacklistData(serializers.Serializer):
    """Of `blacklist`: your own blacklist changed."""

    username = serializers.CharField()
    is_blacklisted_by_user = serializers.BooleanField()


class EndData(serializers.Serializer):
    """Of `end`: your token died, and the stream ends."""

    why = serializers.ChoiceField(END_REASONS)


DATA = [
    MessageData,
    ConversationData,
    ConversationRemovedData,
    ReadData,
    ProfileData,
    SettingsData,
    ContactData,
    BlacklistData,
    EndData,
]


@extend_schema_field(PolymorphicProxySerializer("EventData", DATA, resource_type_field_name=None))
class DataField(serializers.JSONField):
    pass


class EventInstance(serializers.Serializer):
    id = serializers.CharField(max_length=32, help_text="Opaque. What comes after it is asked for with `after`.")
    event = serializers.ChoiceField(EVENT_NAMES)
    data = DataField()  # type: ignore[assignment]


@extend_schema_serializer(examples=[example("A message and a new conversation", EXAMPLE)])
class EventPage(serializers.Serializer):
    events = EventInstance(many=True)
    cursor = serializers.CharField(max_length=32, help_text="For `after` of the next call.")
    more = serializers.BooleanField(help_text="Whether there is more already.")


def say_nothing(result: JSON, generator: SchemaGenerator, request: Request | None, public: bool) -> JSON:
    """Hook of the generator, which leaves out serializers without fields: `ready` and `reset` have no data."""
    nothing = {"type": "object", "additionalProperties": False, "description": "Of `ready` and `reset`."}
    result["components"]["schemas"]["EventData"]["oneOf"].append(nothing)
    return result


document(
    views.EventsView,
    get=Call(
        "get_events",
        "What happens to you, as it happens: a stream, or pages of JSON",
        parameters=[
            parameter("after", "string", "The id of the last event that you have, or the last cursor."),
            header("Last-Event-ID", "For streams, like `after`, and before it."),
            LIMIT,
            parameter("wait", "integer", "Wait so many seconds until there is something.", minimum=1, maximum=25),
        ],
        answers={200: EventPage},
        streams={"text/event-stream": STREAM},
        bad="What is wrong, by parameter.",
        is_limited=True,
    ),
)
