"""What the OpenAPI documents of all apps are made of, and the calls at which they and the health are served."""

from functools import cache
from threading import Lock

from django.http import HttpResponse
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
from rest_framework.permissions import AllowAny
from rest_framework.views import APIView

from common import views

OPEN = []  # the security of a call that takes no token


class Detail(serializers.Serializer):
    """What the framework answers itself."""

    detail = serializers.CharField()


class Refusal(serializers.Serializer):
    """A rule of the service refuses."""

    message = serializers.CharField()


class Status(serializers.Serializer):
    status = serializers.ChoiceField(["ok"])


class Call(serializers.Serializer):
    method = serializers.CharField()
    path = serializers.CharField()
    meaning = serializers.CharField()


class Index(serializers.Serializer):
    name = serializers.CharField()
    description = serializers.CharField()
    documentation = serializers.URLField()
    schema = serializers.URLField()
    admin = serializers.URLField()
    calls = Call(many=True)


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


def call(
    operation_id,
    summary,
    *,
    answers,
    body=None,
    parameters=(),
    bad=None,
    refusals=(),
    missing=None,
    paged=False,
    limited=False,
    closed=True,
    needs_database=True,
    page=False,
    tag=None,
):
    """The documentation of a call.

    answers: what is answered, by status: a serializer, or None for an empty body. body: the serializer of the request.
    bad: why it may be 400, besides what is wrong with a body. refusals: why a rule refuses, by status. missing: what a
    404 may mean. paged: whether there are Link headers. limited: whether there is a 429. closed: whether it takes a
    token. needs_database: whether it is 503 without. page: whether there is one for browsers.
    tag: what it stands under, if not under the first part of its path.
    """
    responses = {status: OpenApiResponse(answer, _MEANINGS[status]) for status, answer in answers.items()}
    if page:
        responses[200, "text/html"] = OpenApiResponse(str, "The same as a page, where the client accepts HTML.")
    if body or bad:
        responses[400] = OpenApiResponse(BAD_REQUEST, bad or "What is wrong, by field, or with the whole body.")
    else:
        responses[400] = OpenApiResponse(
            Detail, "The request is malformed: its Host, for example, is not the server's."
        )
    if closed:
        responses[401] = OpenApiResponse(Detail, "There is no good token.")
    for status, why in dict(refusals).items():
        responses[status] = OpenApiResponse(Refusal, why)
    if missing:
        responses[404] = OpenApiResponse(Detail, missing)
    if body:
        responses[411] = OpenApiResponse(Detail, "The body comes in chunks, without a Content-Length.")
        responses[413] = OpenApiResponse(Detail, "The body is too large.")
        responses[415] = OpenApiResponse(Detail, "The body is neither JSON nor a form.")
    if limited:
        responses[429] = OpenApiResponse(Detail, "Too many; Retry-After tells when there may be more.")
    if needs_database:
        responses[503] = OpenApiResponse(Detail, "The database is away; Retry-After tells when to try again.")
    return extend_schema(
        operation_id=operation_id,
        summary=summary,
        request=body,
        responses=responses,
        parameters=[*parameters, *_headers(responses, paged)],
        auth=None if closed else OPEN,
        tags=[tag] if tag else None,
    )


def document(view, **calls):
    """Give the methods of the view, by name, their documentation."""
    extend_schema_view(**calls)(view)


def parameter(name, type, description, **constraints):
    """A parameter of the query that may be left out."""
    return OpenApiParameter(name, {"type": type, **constraints}, description=description)


LIMIT = parameter("limit", "integer", "How many a page may have.", minimum=1, maximum=100)
USERNAME = OpenApiParameter("username", str, OpenApiParameter.PATH, description="In whatever case.")
CURSOR = parameter("cursor", "string", "Where to go on, from the Link header of the page before.")

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


class SchemaView(APIView):
    """The OpenAPI document of all calls, made once."""

    permission_classes = [AllowAny]

    def get(self, request):
        return HttpResponse(schema_as_json(), content_type="application/json")


def schema_as_json():
    # The generator is not made for several threads.
    with _generating:
        return _schema_as_json()


@cache
def _schema_as_json():
    return OpenApiJsonRenderer2().render(SchemaGenerator().get_schema(request=None, public=True), renderer_context={})


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


document(
    views.IndexView,
    get=call(
        "see_index", "What this is", answers={200: Index}, tag="service", closed=False, needs_database=False, page=True
    ),
)
document(
    views.HealthView,
    get=call(
        "see_health",
        "Whether the process answers",
        answers={200: Status},
        tag="service",
        closed=False,
        needs_database=False,
    ),
)
document(
    views.ReadyView,
    get=call("see_readiness", "Whether it can do its work", answers={200: Status}, tag="service", closed=False),
)
document(SchemaView, get=extend_schema(exclude=True))
