import json
from collections.abc import Mapping
from typing import IO, Any
from urllib.parse import parse_qsl

from django.conf import settings
from django.http import QueryDict
from rest_framework import parsers
from rest_framework.exceptions import ParseError
from rest_framework.utils.json import strict_constant

Context = Mapping[str, Any]

decoder = json.JSONDecoder(parse_constant=strict_constant)


class JSONParser(parsers.BaseParser):
    """JSON in UTF-8 (RFC 8259). Anything else answers 400, also brackets nested too deep for Python."""

    media_type = "application/json"

    def parse(self, stream: IO[bytes], media_type: str | None = None, parser_context: Context | None = None) -> Any:
        try:
            return decoder.decode(stream.read().decode("utf-8"))
        except (ValueError, RecursionError):
            raise ParseError("The body is not JSON.") from None


class MergePatchParser(JSONParser):
    """A JSON merge patch (RFC 7396)."""

    media_type = "application/merge-patch+json"


def merged(target: object, patch: object) -> Any:
    """What a JSON merge patch makes of the target, which stays as it is."""
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merged(result.get(key), value)
    return result


class FormParser(parsers.FormParser):
    """A form in UTF-8. Django would replace invalid bytes by U+FFFD; this answers 400."""

    def parse(  # type: ignore[override]
        self, stream: IO[bytes], media_type: str | None = None, parser_context: Context | None = None
    ) -> QueryDict:
        form = QueryDict(mutable=True)
        try:
            fields = parse_qsl(
                stream.read().decode("utf-8"),
                keep_blank_values=True,
                errors="strict",
                max_num_fields=settings.DATA_UPLOAD_MAX_NUMBER_FIELDS,
            )
        except ValueError:
            raise ParseError("The body is not a form in UTF-8 of a reasonable number of fields.") from None
        for name, value in fields:
            form.appendlist(name, value)
        return form


class MultiPartParser(parsers.MultiPartParser):
    """A multipart form in UTF-8."""

    def parse(
        self, stream: IO[bytes], media_type: str | None = None, parser_context: Context | None = None
    ) -> parsers.DataAndFiles:
        form = super().parse(stream, media_type, parser_context)
        if not form.data and not form.files:
            raise ParseError("The body has no parts.")
        # Django has replaced bytes that are not UTF-8 by U+FFFD.
        if any("\ufffd" in text for name, values in form.data.lists() for text in (name, *values)):
            raise ParseError("The body is not in UTF-8.")
        return form
