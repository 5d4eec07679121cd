"""The calls of the service itself in the OpenAPI document."""

from drf_spectacular.utils import extend_schema
from rest_framework import serializers

from common import views
from common.openapi import SERVICE, Call, document


class Status(serializers.Serializer):
    status = serializers.ChoiceField(["ok"])


class ListedCall(serializers.Serializer):
    method = serializers.CharField()
    path = serializers.CharField()
    meaning = serializers.CharField()


class Index(serializers.Serializer):
    name = serializers.CharField()
    description = serializers.CharField()
    chat = serializers.URLField()
    documentation = serializers.URLField()
    schema = serializers.URLField()
    admin = serializers.URLField()
    calls = ListedCall(many=True)


document(
    views.IndexView,
    get=Call("see_index", "What this is", answers={200: Index}, tag=SERVICE, needs_database=False, is_page=True),
)
document(
    views.HealthView,
    get=Call("see_health", "Whether the process answers", answers={200: Status}, tag=SERVICE, needs_database=False),
)
document(
    views.ReadyView,
    get=Call("see_readiness", "Whether it can do its work", answers={200: Status}, tag=SERVICE),
)
extend_schema(exclude=True)(views.SchemaView)
