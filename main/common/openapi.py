"""The parts of the OpenAPI document. Each app describes its calls in its own module `documentation`."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import KW_ONLY, dataclass, field
from functools import cache
from threading import Lock
from typing import Any, TypeVar

from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.renderers import OpenApiJsonRenderer2
from drf_spectacular.utils import (
    OpenApiExample,
    OpenApiParameter,
    OpenApiResponse,
    extend_schema,
    extend_schema_view,
)
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.views import APIView

from common.access import is_public

Method = TypeVar("Method", bound=Callable[..., object])
# By status, or by status and media type.
Responses = dict[int | tuple[int, str], OpenApiResponse]
# The document, or a part of it.
JSON = dict[str, Any]


class Detail(serializers.Serializer):
    """An answer of the framework itself."""

    detail = serializers.CharField()


class Refusal(serializers.Serializer):
    """A rule refuses the request."""

    message = serializers.CharField()


# The reasons by field. No serializer can describe an object with any keys.
FIELD_ERRORS = {
    "type": "object",
    "additionalProperties": {"type": "array", "items": {"type": "string"}},
    "description": "Why, by the field that is wrong.",
    "example": {"email": ["This field is required."]},
}
# Generated clients take the first one that fits, so the one with any keys comes last.
BAD_REQUEST = {
    "oneOf": [{"$ref": f"#/components/schemas/{name}"} for name in ("Refusal", "Detail", "FieldErrors")],
}


@dataclass(frozen=True)
class Call:
    """The documentation of one call. Whether it needs a token is read from its view."""

    operation_id: str
    summary: str
    _: KW_ONLY
    # The answers by status: a serializer, or None for an empty body.
    answers: dict[int, serializers.Serializer | type[serializers.Serializer] | None]
    # The serializer of the request's body.
    body: serializers.Serializer | type[serializers.Serializer] | None = None
    parameters: Sequence[OpenApiParameter] = ()
    # Reasons for 400 other than a wrong body.
    bad: str | None = None
    # Reasons why a rule refuses, by status.
    refusals: dict[int, str] = field(default_factory=dict)
    # The meaning of a 404.
    missing: str | None = None
    # Whether there are Link headers; a 429; a 503 without the database; an HTML page for browsers.
    is_paged: bool = False
    is_limited: bool = False
    needs_database: bool = True
    is_page: bool = False
    # Whether an answer has an ETag.
    has_etag: bool = False
    # What else it answers, by media type, in words.
    streams: dict[str, str] = field(default_factory=dict)
    # The tag, if not the first part of the path.
    tag: str | None = None

    def schema(self, *, needs_token: bool) -> Callable[[Method], Method]:
        """The decorator that adds this documentation to a method of a view."""
        responses = self.responses(needs_token)
        return extend_schema(
            operation_id=self.operation_id,
            summary=self.summary,
            # One media type only: client generators cannot handle three. The document's text mentions forms.
            request={"application/json": self.body} if self.body else None,
            responses=responses,
            parameters=[*self.parameters, *_headers(responses, self.is_paged, self.has_etag)],
            auth=None if needs_token else [],
            tags=[self.tag] if self.tag else None,
        )

    def responses(self, needs_token: bool) -> Responses:
        responses: Responses = {
            status: OpenApiResponse(answer, _MEANINGS[status]) for status, answer in self.answers.items()
        }
        if self.is_page:
            responses[200, "text/html"] = OpenApiResponse(str, "The same as a page, where the client accepts HTML.")
        for media_type, what in self.streams.items():
            responses[200, media_type] = OpenApiResponse(str, what)
        for status, why in self.refusals.items():
            responses[status] = OpenApiResponse(Refusal, why)
        if self.body or self.bad:
            why = self.bad or "What is wrong, by field, or with the whole body."
            responses[400] = OpenApiResponse(BAD_REQUEST, why)
        details = {
            400: "The request is malformed: its Host, for example, is not the server's."
            if 400 not in responses
            else None,
            401: "There is no valid token." if needs_token else None,
            404: self.missing,
            411: "The body comes in chunks, without a Content-Length." if self.body else None,
            413: "The body is too large." if self.body else None,
            415: "The body is neither JSON nor a form." if self.body else None,
            429: "Too many; Retry-After tells when there may be more." if self.is_limited else None,
            503: "The database is away; Retry-After tells when to try again." if self.needs_database else None,
        }
        return responses | {status: OpenApiResponse(Detail, why) for status, why in details.items() if why}


def document(view: type[APIView], **calls: Call) -> None:
    """Add documentation to the methods of the view, by name."""
    needs_token = not is_public(view)
    extend_schema_view(**{method: call.schema(needs_token=needs_token) for method, call in calls.items()})(view)


def parameter(name: str, type: str, description: str, **constraints: int) -> OpenApiParameter:
    """An optional parameter of the query."""
    return OpenApiParameter(name, {"type": type, **constraints}, description=description)


def header(name: str, description: str) -> OpenApiParameter:
    """An optional header of the request."""
    return OpenApiParameter(name, str, OpenApiParameter.HEADER, description=description)


LIMIT = parameter("limit", "integer", "How many a page may have.", minimum=1, maximum=100)
USERNAME = OpenApiParameter("username", str, OpenApiParameter.PATH, description="In whatever case.")
CURSOR = parameter("cursor", "string", "Where to go on, from the Link header of the page before.")

# The tag of the calls about the service itself.
SERVICE = "service"

_generating = Lock()
_MEANINGS = {
    200: "Done.",
    201: "Made.",
    202: "Will be done.",
    204: "Done; there is nothing to say.",
    304: "Nothing has changed.",
}


def _headers(responses: Responses, paged: bool, has_etag: bool) -> Iterator[OpenApiParameter]:
    def answered(
        name: str, statuses: Sequence[int] | bool, description: str, type: type = str, required: bool = True
    ) -> OpenApiParameter:
        return OpenApiParameter(
            name, type, OpenApiParameter.HEADER, description=description, response=statuses, required=required
        )

    if paged:
        yield answered("Link", [200], '`<URL>; rel="next"` (RFC 8288), while there is more.', required=False)
    if 401 in responses:
        yield answered("WWW-Authenticate", [401], "`Token`")
    if waiting := [status for status in (429, 503) if status in responses]:
        yield answered("Retry-After", waiting, "In seconds.", int, required=False)
    if has_etag:
        yield answered("ETag", [status for status in (200, 304) if status in responses], "Changes with the answer.")
    yield answered("X-Request-ID", True, "What the server's log calls this request.")


def example(name: str, value: dict[str, Any], **options: Any) -> OpenApiExample:
    return OpenApiExample(name, value=value, **options)


def schema_as_json() -> bytes:
    """The OpenAPI document as bytes, generated once."""
    # The generator is not safe to use from several threads.
    with _generating:
        return _schema_as_json()


@cache
def _schema() -> JSON:
    return SchemaGenerator().get_schema(request=None, public=True)


@cache
def _schema_as_json() -> bytes:
    return OpenApiJsonRenderer2().render(_schema(), renderer_context={})


def operations() -> list[tuple[str, str, str, bool]]:
    """All calls as (method, path, summary, whether it needs a token), in the order of the URLs.

    The calls about the service itself are left out.
    """
    with _generating:
        paths = _schema()["paths"]
    return [
        (method.upper(), path, operation["summary"], "security" in operation)
        for path, operations in paths.items()
        for method, operation in operations.items()
        if SERVICE not in operation["tags"]
    ]


def each_call_once(endpoints: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """Hook of the generator: leave out the contact book's second URL, without the last slash."""
    return [endpoint for endpoint in endpoints if endpoint[0] != "/users/contacts/contact-book"]


def say_all(result: JSON, generator: SchemaGenerator, request: Request | None, public: bool) -> JSON:
    """Hook of the generator: what only answers have, has exactly the fields listed; a request may have others."""
    schemas = result["components"]["schemas"]
    schemas["FieldErrors"] = FIELD_ERRORS
    requested: set[str] = set()
    for path in result["paths"].values():
        for operation in path.values():
            _add_references(operation.get("requestBody"), schemas, requested)
    for name, schema in schemas.items():
        if name not in requested and "properties" in schema:
            schema["additionalProperties"] = False
    return result


def _add_references(part: Any, schemas: JSON, names: set[str]) -> None:
    """Add the names of the schemas that a part of the document refers to, also through other schemas."""
    if isinstance(part, dict) and "$ref" in part:
        name = part["$ref"].rpartition("/")[2]
        if name not in names:
            names.add(name)
            _add_references(schemas.get(name), schemas, names)
    elif isinstance(part, dict | list):
        for each in part.values() if isinstance(part, dict) else part:
            _add_references(each, schemas, names)
