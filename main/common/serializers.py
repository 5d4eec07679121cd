"""Fields of the API's input. Where REST framework takes a number for text, these do not."""

from rest_framework import serializers
from rest_framework.fields import empty

from common.validators import has_control_characters


def validated(serializer_class, request, **kwargs):
    """The body as the serializer reads it, or 400 by field."""
    serializer = serializer_class(data=request.data, context={"user": request.user}, **kwargs)
    serializer.is_valid(raise_exception=True)
    return serializer.validated_data


class StrictCharField(serializers.CharField):
    def to_internal_value(self, data):
        if not isinstance(data, str):
            self.fail("invalid")
        return super().to_internal_value(data)


class LineField(StrictCharField):
    """A line of text, of which white space around it is cut off."""

    allowed_controls = ""

    def run_validation(self, data=empty):
        # Before REST framework cuts off the ends, where some of them count as white space.
        if isinstance(data, str) and has_control_characters(data, but=self.allowed_controls):
            raise serializers.ValidationError(["Control characters are not allowed."], code="control_characters")
        return super().run_validation(data)


class OptionalLineField(LineField):
    """A line that may be left out or be empty; `null` empties it."""

    def __init__(self, **kwargs):
        super().__init__(required=False, allow_blank=True, allow_null=True, **kwargs)

    def validate_empty_values(self, data):
        return (True, "") if data is None else super().validate_empty_values(data)


class OptionalTextField(OptionalLineField):
    """The same with line breaks."""

    allowed_controls = "\t\n\r"
