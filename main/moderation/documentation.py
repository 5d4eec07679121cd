"""The calls of this app in the OpenAPI document, in the order of urls.py."""

from drf_spectacular.utils import extend_schema_serializer
from rest_framework import serializers

from common.openapi import CURSOR, LIMIT, Call, document, example
from moderation import views
from moderation.models import REASONS, STATES
from moderation.serializers import ReportSerializer

ASKED = {"username": "bob", "reason": "harassment", "text": "Again.", "conversation": 1, "number": 7}
REPORT = {"id": 1, **ASKED, "created_at": "2026-11-22T21:20:03.131873Z", "state": "open"}


@extend_schema_serializer(component_name="Report", examples=[example("Of a message", REPORT)])
class ReportInstance(serializers.Serializer):
    """What you told moderators. They read the message and up to five before it, and nothing else of a conversation."""

    id = serializers.IntegerField()
    username = serializers.CharField(max_length=150, help_text="The name of the reported user, as it was then.")
    reason = serializers.ChoiceField(REASONS)
    text = serializers.CharField(max_length=1000)
    conversation = serializers.IntegerField(allow_null=True)
    number = serializers.IntegerField(allow_null=True, help_text="Of the reported message.")
    created_at = serializers.DateTimeField()
    state = serializers.ChoiceField(STATES)


extend_schema_serializer(component_name="NewReport", examples=[example("Of a message", ASKED, request_only=True)])(
    ReportSerializer
)

document(
    views.ReportsView,
    get=Call(
        "list_reports",
        "Your reports, newest first",
        parameters=[LIMIT, CURSOR],
        answers={200: ReportInstance(many=True)},
        bad="What is wrong, by parameter.",
        is_paged=True,
    ),
    post=Call(
        "report",
        "Report somebody, or one of their messages, to the moderators",
        body=ReportSerializer,
        answers={201: ReportInstance},
        bad="What is wrong, by field, or it is yourself.",
        refusals={409: "You have an open report about the same already."},
        missing="There is no such user.",
        is_limited=True,
    ),
)
