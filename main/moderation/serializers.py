from typing import Any

from rest_framework import serializers

from common.serializers import LineField, OptionalTextField
from moderation.models import REASONS


class ReportSerializer(serializers.Serializer):
    username = LineField(max_length=150)
    reason = serializers.ChoiceField(REASONS)
    text = OptionalTextField(max_length=1000)
    conversation = serializers.IntegerField(min_value=1, required=False, allow_null=True)
    number = serializers.IntegerField(min_value=1, required=False, allow_null=True)

    def validate(self, report: dict[str, Any]) -> dict[str, Any]:
        given = {field for field in ("conversation", "number") if report.get(field) is not None}
        if len(given) == 1:
            [missing] = {"conversation", "number"} - given
            raise serializers.ValidationError({missing: [f"This is needed with {given.pop()}."]})
        return report
