from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.crypto import constant_time_compare
from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from common import metrics, processes
from common.access import public
from common.health import what_is_missing
from common.openapi import operations, schema_as_json

NAME = "Chat server"
DESCRIPTION = (
    "A chat server with a REST API: accounts, a search for people, a contact book, a blacklist, and conversations."
)
NO_MAIL = "This server sends no mail: the calls that need it answer 501."


@public
class HealthView(APIView):
    """Whether the process answers."""

    def get(self, request: Request) -> Response:
        return Response({"status": "ok"})


@public
class ReadyView(APIView):
    """Whether the service can work: the database answers and has every migration."""

    def get(self, request: Request) -> Response:
        if missing := what_is_missing():
            return Response({"detail": missing}, status.HTTP_503_SERVICE_UNAVAILABLE)
        return Response({"status": "ok"})


@public
class IndexView(APIView):
    """What this service is: a page for browsers, JSON for clients."""

    def get(self, request: Request) -> HttpResponse:
        origin = request.build_absolute_uri("/")[:-1]
        calls = [
            {"method": method, "path": path.replace("{", "<").replace("}", ">"), "meaning": summary}
            for method, path, summary, _ in operations()
        ]
        description = DESCRIPTION if settings.EMAIL_HOST else f"{DESCRIPTION} {NO_MAIL}"
        if "text/html" in request.headers.get("Accept", ""):
            context = {"name": NAME, "description": description, "calls": calls, "origin": origin}
            return render(request, "common/index.html", context)
        links = {
            "chat": f"{origin}/chat",
            "documentation": f"{origin}/docs",
            "schema": f"{origin}/schema",
            "admin": f"{origin}/admin/",
        }
        return Response({"name": NAME, "description": description, **links, "calls": calls})


@public
class SchemaView(APIView):
    """The OpenAPI document of all calls."""

    def get(self, request: Request) -> HttpResponse:
        return HttpResponse(schema_as_json(), content_type="application/json")


def see_metrics(request: HttpRequest) -> HttpResponse:
    """The numbers of this server for the monitoring of its operators, which shows METRICS_TOKEN.

    Everybody else is answered as at a path that does not exist: 404, or without a user's token 401. This call is not in
    the OpenAPI document, which is for clients.
    """
    if request.method not in ("GET", "HEAD") or not shows_metrics_token(request):
        request.resolver_match = None  # so that users.middleware takes it for unknown
        raise Http404
    metrics.watch()
    headers = {"Cache-Control": "no-store"}
    return HttpResponse(processes.as_text(), content_type=CONTENT_TYPE_PLAIN_0_0_4, headers=headers)


def shows_metrics_token(request: HttpRequest) -> bool:
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    is_right = constant_time_compare(token, settings.METRICS_TOKEN)
    return is_right and scheme.lower() == "bearer" and bool(settings.METRICS_TOKEN)
