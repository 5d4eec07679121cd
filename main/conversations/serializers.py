from collections.abc import Mapping
from typing import Any

from django.core.exceptions import ValidationError
from rest_framework import serializers
from rest_framework.fields import empty

from common.keys import text_key
from common.serializers import LineField, SharedSerializer, StrictCharField
from users.models import User


def refuse_white_space_around(text: str) -> None:
    # The databases disagree whether "a" and "a " are equal.
    if text != text.strip():
        raise ValidationError("White space around it is not allowed.", code="white_space")


class GroupNameSerializer(serializers.Serializer):
    name = LineField(max_length=120)


class UsernamesField(serializers.ListField):
    child = LineField(max_length=150)
    field_name: str

    def get_value(self, data: Mapping[str, Any]) -> Any:
        # A form repeats the field for each name. An empty text means no members.
        if hasattr(data, "getlist") and self.field_name in data:
            return [username for username in data.getlist(self.field_name) if username]
        return data.get(self.field_name, empty)

    def run_child_validation(self, data: list[Any]) -> list[str]:
        # One list of errors for the field, as everywhere, instead of one per position.
        return [self.child.run_validation(username) for username in data]


class GroupSerializer(GroupNameSerializer):
    members = UsernamesField(max_length=255)

    def validate_members(self, usernames: list[str]) -> list[int]:
        """The ids of these users, without duplicates."""
        wanted = {text_key(username): username for username in usernames}
        if self.context["user"].username_key in wanted:
            raise serializers.ValidationError(["You are a member anyway."])
        known = dict(User.objects.active().filter(username_key__in=wanted).values_list("username_key", "pk"))
        unknown = [username for key, username in wanted.items() if key not in known]
        if unknown:
            raise serializers.ValidationError([f"There is no user {username!r}." for username in unknown])
        return [known[key] for key in wanted]


class MessageTextSerializer(SharedSerializer):
    text = StrictCharField(max_length=4000, trim_whitespace=False)

    def validate_text(self, text: str) -> str:
        if not text.strip():
            raise serializers.ValidationError("This field may not be blank.", code="blank")
        return text


class MessageSerializer(MessageTextSerializer):
    client_id = LineField(
        max_length=64,
        required=False,
        allow_null=True,
        trim_whitespace=False,
        validators=[refuse_white_space_around],
    )


class ReadSerializer(SharedSerializer):
    number = serializers.IntegerField(min_value=0)
