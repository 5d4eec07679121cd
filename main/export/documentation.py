"""The call of this app in the OpenAPI document."""

from drf_spectacular.utils import extend_schema_serializer
from rest_framework import serializers

from common.openapi import Call, document, example
from conversations.documentation import CONVERSATION, MESSAGE, ConversationInstance, MessageInstance
from export import views
from moderation.documentation import REPORT, ReportInstance
from users.documentation import ALICE, SETTINGS, SettingsInstance, UserInstance

MOMENT = "2026-11-22T21:20:03.131873Z"
EXAMPLE = {
    "exported_at": MOMENT,
    "profile": ALICE,
    "settings": SETTINGS,
    "contacts": [{"user": ALICE | {"username": "bob"}, "created_at": MOMENT}],
    "blacklist": [{"username": "charlie", "created_at": MOMENT}],
    "tokens": [{"created_at": MOMENT, "last_used": MOMENT}],
    "reports": [REPORT],
    "conversations": [{"conversation": CONVERSATION, "messages": [MESSAGE]}],
}


class ExportedContact(serializers.Serializer):
    user = UserInstance()
    created_at = serializers.DateTimeField(help_text="When you added them.")


class ExportedBlacklistEntry(serializers.Serializer):
    username = serializers.CharField(max_length=150)
    created_at = serializers.DateTimeField(help_text="When you blacklisted them.")


class ExportedToken(serializers.Serializer):
    """A login. Nothing of the token itself is told."""

    created_at = serializers.DateTimeField()
    last_used = serializers.DateTimeField(help_text="To ten minutes.")


class ExportedConversation(serializers.Serializer):
    conversation = ConversationInstance()
    messages = MessageInstance(many=True, help_text="All of them, oldest first.")


@extend_schema_serializer(examples=[example("Alice", EXAMPLE)])
class Export(serializers.Serializer):
    """What the server has of you, as you see it, as of one moment."""

    exported_at = serializers.DateTimeField()
    profile = UserInstance()
    settings = SettingsInstance()
    contacts = ExportedContact(many=True)
    blacklist = ExportedBlacklistEntry(many=True)
    tokens = ExportedToken(many=True, help_text="Those that are valid.")
    reports = ReportInstance(many=True, help_text="Those that you made, oldest first.")
    conversations = ExportedConversation(many=True)


document(
    views.ExportView,
    get=Call(
        "export_account",
        "All that the server has of you, as a file",
        answers={200: Export},
        is_limited=True,
    ),
)
