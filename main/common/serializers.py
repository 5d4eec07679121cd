"""Fields of the API's input. Where REST framework takes a number for text, these do not."""

from rest_framework import serializers


class StrictCharField(serializers.CharField):
    def to_internal_value(self, data):
        if not isinstance(data, str):
            self.fail("invalid")
        return super().to_internal_value(data)


class OptionalCharField(StrictCharField):
    """Text that may be left out or be empty; `null` empties it."""

    def __init__(self, **kwargs):
        super().__init__(required=False, allow_blank=True, allow_null=True, **kwargs)

    def validate_empty_values(self, data):
        return (True, "") if data is None else super().validate_empty_values(data)
