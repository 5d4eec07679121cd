from django.core.exceptions import ValidationError
from rest_framework import serializers
from rest_framework.fields import empty

from common.keys import text_key
from common.serializers import LineField, StrictCharField
from users.models import User


def refuse_white_space_around(text):
    # The databases disagree on whether "a" and "a " are the same.
    if text != text.strip():
        raise ValidationError("White space around it is not allowed.", code="white_space")


class GroupNameSerializer(serializers.Serializer):
    name = LineField(max_length=120)


class UsernamesField(serializers.ListField):
    child = LineField(max_length=150)

    def get_value(self, data):
        # A form names the field once for each; an empty text stands for nobody.
        if hasattr(data, "getlist") and self.field_name in data:
            return [username for username in data.getlist(self.field_name) if username]
        return data.get(self.field_name, empty)

    def run_child_validation(self, data):
        # The errors in one list for the field, as everywhere, instead of by position.
        return [self.child.run_validation(username) for username in data]


class GroupSerializer(GroupNameSerializer):
    members = UsernamesField(max_length=255)

    def validate_members(self, usernames):
        """The ids of the users named, each once."""
        wanted = {text_key(username): username for username in usernames}
        if self.context["user"].username_key in wanted:
            raise serializers.ValidationError(["You are a member anyway."])
        known = dict(User.objects.active().filter(username_key__in=wanted).values_list("username_key", "pk"))
        unknown = [username for key, username in wanted.items() if key not in known]
        if unknown:
            raise serializers.ValidationError([f"There is no user {username!r}." for username in unknown])
        return [known[key] for key in wanted]


class MessageTextSerializer(serializers.Serializer):
    text = StrictCharField(max_length=4000, trim_whitespace=False)

    def validate_text(self, text):
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


class ReadSerializer(serializers.Serializer):
    number = serializers.IntegerField(min_value=0)
