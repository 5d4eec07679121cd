"""The bodies of requests. Answers are built in `representations`, without the cost of serializers."""

from typing import Any

from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.core.validators import EmailValidator
from rest_framework import serializers

from common.serializers import LineField, OptionalLineField, OptionalTextField, StrictCharField
from common.validators import refuse_long_keys
from users.models import User
from users.validators import validate_username


class PasswordField(StrictCharField):
    def __init__(self) -> None:
        super().__init__(max_length=1024, trim_whitespace=False, write_only=True)


class ProfileSerializer(serializers.Serializer):
    username = LineField(max_length=150, validators=[validate_username, refuse_long_keys])
    email = LineField(max_length=254, validators=[EmailValidator(), refuse_long_keys])
    first_name = OptionalLineField(max_length=150, validators=[refuse_long_keys])
    last_name = OptionalLineField(max_length=150, validators=[refuse_long_keys])
    bio = OptionalTextField(max_length=500)
    phone_number = OptionalLineField(max_length=32)


class RegisterSerializer(ProfileSerializer):
    password = PasswordField()

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        profile = {field: value for field, value in attrs.items() if field != "password"}
        require_strength(attrs["password"], User(**profile), field="password")
        return attrs


class ProfileChangeSerializer(ProfileSerializer):
    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if "password" in self.initial_data:
            raise serializers.ValidationError({"password": ["To change the password, use POST /users/password."]})
        return attrs


class LoginSerializer(serializers.Serializer):
    username = LineField(max_length=150)
    password = PasswordField()


class PasswordChangeSerializer(serializers.Serializer):
    current_password = PasswordField()
    new_password = PasswordField()

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        require_strength(attrs["new_password"], self.context["user"], field="new_password")
        return attrs


def require_strength(password: str, user: User, *, field: str) -> None:
    try:
        validate_password(password, user)
    except ValidationError as error:
        raise serializers.ValidationError({field: error.messages}) from None
