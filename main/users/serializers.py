"""The bodies of requests. Answers are built in `representations`, without the cost of serializers."""

import re
from collections.abc import Mapping
from typing import Any

from django.core.validators import EmailValidator, RegexValidator
from rest_framework import serializers
from rest_framework.settings import api_settings

from common.parsers import merged
from common.serializers import LineField, OptionalLineField, OptionalTextField, StrictCharField
from common.validators import refuse_long_keys
from users.guards import require_strength
from users.hours import DAYS
from users.models import User
from users.user_settings import AUDIENCE_NAMES, JSON, TIME_ZONES, as_json
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


class EmailSerializer(serializers.Serializer):
    email = LineField(max_length=254, validators=[EmailValidator()])


class CodeSerializer(serializers.Serializer):
    code = LineField(max_length=100)


class PasswordResetSerializer(CodeSerializer):
    new_password = PasswordField()


# The settings. Each field takes a whole value; errors are one sentence.

CLOCK = "([01][0-9]|2[0-3]):[0-5][0-9]"
# What of a user an audience is chosen for.
AUDIENCES = ("email", "phone_number", "active_hours")
MAX_DEPTH, MAX_KEYS, MAX_KEY_LENGTH, MAX_BYTES, MAX_WINDOWS = 100, 100, 64, 16 * 1024, 28


class ThemeField(StrictCharField):
    def __init__(self) -> None:
        wrong = "Must be 1 to 32 characters of a-z, 0-9 and -."
        super().__init__(trim_whitespace=False, validators=[RegexValidator(r"\A[a-z0-9-]{1,32}\Z", wrong)])


class ActiveHoursField(serializers.Field):
    default_error_messages = {
        "shape": "Must be null, or an object with time_zone and weekly.",
        "time_zone": "time_zone must be a name of the IANA database, such as Europe/Oslo.",
        "weekly": f"weekly must be a list of 1 to {MAX_WINDOWS} windows.",
        "window": "Each window must be an object with day, start and end.",
        "day": "day must be one of monday to sunday.",
        "start": "start must be a time from 00:00 to 23:59.",
        "end": "end must be a time from 00:00 to 24:00.",
    }

    def __init__(self) -> None:
        super().__init__(allow_null=True)

    def to_internal_value(self, data: object) -> JSON:
        if not isinstance(data, dict) or not {"time_zone", "weekly"} <= data.keys():
            self.fail("shape")
        time_zone, weekly = data["time_zone"], data["weekly"]
        if not isinstance(time_zone, str) or time_zone not in TIME_ZONES:
            self.fail("time_zone")
        if not isinstance(weekly, list) or not 1 <= len(weekly) <= MAX_WINDOWS:
            self.fail("weekly")
        return {"time_zone": time_zone, "weekly": [self.window(window) for window in weekly]}

    def window(self, window: object) -> JSON:
        if not isinstance(window, dict):
            self.fail("window")
        if window.get("day") not in DAYS:
            self.fail("day")
        for key, pattern in (("start", CLOCK), ("end", f"{CLOCK}|24:00")):
            if not isinstance(window.get(key), str) or not re.fullmatch(pattern, window[key]):
                self.fail(key)
        return {key: window[key] for key in ("day", "start", "end")}


class PrivacyField(serializers.Field):
    default_error_messages = {
        "shape": "Must be an object with email, phone_number, active_hours and findable_by_address.",
        "audience": "{name} must be everyone, contacts or nobody.",
        "findable_by_address": "findable_by_address must be true or false.",
    }

    def to_internal_value(self, data: object) -> JSON:
        keys = (*AUDIENCES, "findable_by_address")
        if not isinstance(data, dict) or not data.keys() >= {*keys}:
            self.fail("shape")
        for name in AUDIENCES:
            if data[name] not in AUDIENCE_NAMES:
                self.fail("audience", name=name)
        if not isinstance(data["findable_by_address"], bool):
            self.fail("findable_by_address")
        return {key: data[key] for key in keys}


class ClientField(serializers.Field):
    default_error_messages = {
        "shape": "Must be an object.",
        "keys": f"Must have at most {MAX_KEYS} keys, of 1 to {MAX_KEY_LENGTH} characters.",
        "json": "Must be JSON, without numbers beyond its range.",
        "size": f"Must have at most {MAX_BYTES} bytes as JSON.",
    }

    def to_internal_value(self, data: object) -> JSON:
        if not isinstance(data, dict):
            self.fail("shape")
        if len(data) > MAX_KEYS or not all(1 <= len(key) <= MAX_KEY_LENGTH for key in data):
            self.fail("keys")
        try:
            size = len(as_json(data).encode())
        except ValueError:  # an infinite number, or half a character
            self.fail("json")
        if size > MAX_BYTES:
            self.fail("size")
        return data


class SettingsSerializer(serializers.Serializer):
    theme = ThemeField()
    active_hours = ActiveHoursField()
    privacy = PrivacyField()
    client = ClientField()


def changed_settings(current: JSON, change: object, *, is_merge: bool) -> JSON:
    """The settings with a change: a JSON merge patch, or whole values. 400 by field; unknown keys are ignored."""
    if not isinstance(change, Mapping):
        raise serializers.ValidationError({api_settings.NON_FIELD_ERRORS_KEY: ["Must be an object."]})
    if is_deep(change, MAX_DEPTH):
        raise serializers.ValidationError({"client": [f"Must not be nested deeper than {MAX_DEPTH}."]})
    known = {key: change[key] for key in ("theme", "active_hours", "privacy", "client") if key in change}
    values = {key: merged(current[key], value) for key, value in known.items()} if is_merge else known
    serializer = SettingsSerializer(data=values, partial=True)
    serializer.is_valid(raise_exception=True)
    return current | serializer.validated_data


def is_deep(value: object, depth: int) -> bool:
    """Whether objects and arrays are nested deeper. Without recursion, which Python bounds."""
    level: list[Any] = [value]
    for _ in range(depth + 1):
        level = [
            each
            for parent in level
            for each in (parent.values() if isinstance(parent, Mapping) else parent)
            if isinstance(each, Mapping | list)
        ]
        if not level:
            return False
    return True
