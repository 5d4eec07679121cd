"""Fields for input. Unlike REST framework's, text fields do not accept numbers."""

from functools import cache
from typing import Any, Self

from rest_framework import serializers
from rest_framework.fields import empty
from rest_framework.request import Request

from common.validators import has_control_characters


class SharedSerializer(serializers.Serializer):
    """For bodies that are valid or not by themselves, whoever sends them.

    One instance serves all requests: making one takes nine times as long as what it does.
    """

    @classmethod
    @cache
    def instance_for_all(cls) -> Self:
        return cls()


def validated(serializer_class: type[serializers.Serializer], request: Request, **kwargs: Any) -> dict[str, Any]:
    """The validated data of the body, or 400 by field."""
    if issubclass(serializer_class, SharedSerializer) and request.data is not None:
        return serializer_class.instance_for_all().run_validation(request.data)
    serializer = serializer_class(data=request.data, context={"user": request.user}, **kwargs)
    serializer.is_valid(raise_exception=True)
    return serializer.validated_data


class StrictCharField(serializers.CharField):
    def to_internal_value(self, data: object) -> str:
        if not isinstance(data, str):
            self.fail("invalid")
        return super().to_internal_value(data)


class LineField(StrictCharField):
    """A line of text. White space at its ends is removed."""

    allowed_controls = ""

    def run_validation(self, data: Any = empty) -> Any:
        # Checked before REST framework strips the text: some control characters count as white space.
        if isinstance(data, str) and has_control_characters(data, but=self.allowed_controls):
            raise serializers.ValidationError(["Control characters are not allowed."], code="control_characters")
        return super().run_validation(data)


class OptionalLineField(LineField):
    """A line that may be missing or empty; `null` means empty."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(required=False, allow_blank=True, allow_null=True, **kwargs)

    def validate_empty_values(self, data: Any) -> tuple[bool, Any]:
        return (True, "") if data is None else super().validate_empty_values(data)


class OptionalTextField(OptionalLineField):
    """An optional text that may have line breaks."""

    allowed_controls = "\t\n\r"
