"""What the OpenAPI document is made of. Each app describes its calls in a module `documentation` of its own."""

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass, field
from functools import cache
from threading import Lock

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

from common.access import is_public


class Detail(serializers.Serializer):
    """What the framework answers itself."""

    detail = serializers.CharField()


class Refusal(serializers.Serializer):
    """A rule of the service refuses."""

    message = serializers.CharField()


# Why, by the field that is wrong: an object that no serializer can describe.
FIELD_ERRORS = {
    "type": "object",
    "additionalProperties": {"type": "array", "items": {"type": "string"}},
    "description": "Why, by the field that is wrong.",
    "example": {"email": ["This field is required."]},
}
BAD_REQUEST = {
    "oneOf": [{"$ref": f"#/components/schemas/{name}"} for name in ("FieldErrors", "Refusal", "Detail")],
}


@dataclass(frozen=True)
class Call:
    """What the document says of one call, besides who may call it."""

    operation_id: str
    summary: str
    _: KW_ONLY
    # What is answered, by status: a serializer, or None for an empty body.
    answers: dict
    # The serializer of the request.
    body: type | None = None
    parameters: Sequence = ()
    # Why it may be 400, besides what is wrong with a body.
    bad: str | None = None
    # Why a rule refuses, by status.
    refusals: dict = field(default_factory=dict)
    # What a 404 may mean.
    missing: str | None = None
    # Whether there are Link headers, a 429, a 503 without the database, and a page for browsers.
    is_paged: bool = False
    is_limited: bool = False
    needs_database: bool = True
    is_page: bool = False
    # What it stands under, if not under the first part of its path.
    tag: str | None = None

    def schema(self, *, needs_token):
        """The decorator that gives this to the method of a view."""
        responses = self.responses(needs_token)
        return extend_schema(
            operation_id=self.operation_id,
            summary=self.summary,
            # Clients that are generated understand one media type. The text of the document tells of forms.
            request={"application/json": self.body} if self.body else None,
            responses=responses,
            parameters=[*self.parameters, *_headers(responses, self.is_paged)],
            auth=None if needs_token else [],
            tags=[self.tag] if self.tag else None,
        )

    def responses(self, needs_token):
        responses = {status: OpenApiResponse(answer, _MEANINGS[status]) for status, answer in self.answers.items()}
        if self.is_page:
            responses[200, "text/html"] = OpenApiResponse(str, "The same as a page, where the client accepts HTML.")
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


def document(view, **calls):
    """Give the methods of the view, by name, their documentation."""
    needs_token = not is_public(view)
    extend_schema_view(**{method: call.schema(needs_token=needs_token) for method, call in calls.items()})(view)


def parameter(name, type, description, **constraints):
    """A parameter of the query that may be left out."""
    return OpenApiParameter(name, {"type": type, **constraints}, description=description)


LIMIT = parameter("limit", "integer", "How many a page may have.", minimum=1, maximum=100)
USERNAME = OpenApiParameter("username", str, OpenApiParameter.PATH, description="In whatever case.")
CURSOR = parameter("cursor", "string", "Where to go on, from the Link header of the page before.")

# The tag of the calls that tell of the service itself.
SERVICE = "service"

_generating = Lock()
_MEANINGS = {200: "Done.", 201: "Made.", 204: "Done; there is nothing to say."}


def _headers(responses, paged):
    def header(name, statuses, description, type=str, required=True):
        return OpenApiParameter(
            name, type, OpenApiParameter.HEADER, description=description, response=statuses, required=required
        )

    if paged:
        yield header("Link", [200], '`<URL>; rel="next"` (RFC 8288), while there is more.', required=False)
    if 401 in responses:
        yield header("WWW-Authenticate", [401], "`Token`")
    if waiting := [status for status in (429, 503) if status in responses]:
        yield header("Retry-After", waiting, "In seconds.", int, required=False)
    yield header("X-Request-ID", True, "What the server's log calls this request.")


def example(name, value, **options):
    return OpenApiExample(name, value=value, **options)


def schema_as_json():
    """The OpenAPI document as bytes, made once."""
    # The generator is not made for several threads.
    with _generating:
        return _schema_as_json()


@cache
def _schema():
    return SchemaGenerator().get_schema(request=None, public=True)


@cache
def _schema_as_json():
    return OpenApiJsonRenderer2().render(_schema(), renderer_context={})


def operations():
    """All calls as (method, path, summary, whether it needs a token), in the order of the URLs.

    Those that tell of the service itself are left out.
    """
    with _generating:
        paths = _schema()["paths"]
    return [
        (method.upper(), path, operation["summary"], "security" in operation)
        for path, operations in paths.items()
        for method, operation in operations.items()
        if SERVICE not in operation["tags"]
    ]


def each_call_once(endpoints):
    """A hook of the generator: the contact book is served without its last slash, too."""
    return [endpoint for endpoint in endpoints if endpoint[0] != "/users/contacts/contact-book"]


def say_all(result, generator, request, public):
    """A hook of the generator: an answer has all of the fields listed and no others; a request may have others."""
    schemas = result["components"]["schemas"]
    schemas["FieldErrors"] = FIELD_ERRORS
    requested = {
        reference["schema"]["$ref"].rpartition("/")[2]
        for path in result["paths"].values()
        for operation in path.values()
        for reference in operation.get("requestBody", {}).get("content", {}).values()
    }
    for name, schema in schemas.items():
        if name not in requested and "properties" in schema:
            schema["additionalProperties"] = False
    return result
