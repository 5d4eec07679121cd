from django.shortcuts import render
from rest_framework import status
from rest_framework.permissions import AllowAny
from rest_framework.response import Response
from rest_framework.views import APIView

from common.health import what_is_missing

NAME = "Chat server"
DESCRIPTION = (
    "A chat server with a REST API: accounts, a search for people, a contact book, a blacklist, and conversations."
)

CALLS = (
    ("POST", "/users/register", "Create an account"),
    ("POST", "/users/login", "Get a token"),
    ("POST", "/users/logout", "End this token"),
    ("POST", "/users/logout-all", "End all of your tokens"),
    ("POST", "/users/password", "Change your password"),
    ("GET", "/users/profile", "Your profile"),
    ("PUT", "/users/profile", "Change your profile (or PATCH)"),
    ("DELETE", "/users/profile", "Delete your account"),
    ("GET", "/users/contacts/find-users?search=…", "Find other people"),
    ("GET", "/users/contacts/view-user/<username>", "Somebody's profile"),
    ("GET", "/users/contacts/blacklist-user/<username>", "Who blacklisted whom"),
    ("POST", "/users/contacts/blacklist-user/<username>", "Blacklist somebody"),
    ("DELETE", "/users/contacts/blacklist-user/<username>", "Take that back"),
    ("GET", "/users/contacts/contact-book/", "Your contacts"),
    ("POST", "/users/contacts/contact-book/<username>", "Add a contact"),
    ("DELETE", "/users/contacts/contact-book/<username>", "Remove a contact"),
    ("GET", "/conversations", "Your conversations, latest activity first"),
    ("POST", "/conversations/private/<username>", "Open a private conversation"),
    ("POST", "/conversations/groups", "Make a group"),
    ("GET", "/conversations/<id>", "A conversation"),
    ("PUT", "/conversations/<id>", "Rename your group"),
    ("POST", "/conversations/<id>/members/<username>", "Add somebody to your group"),
    ("DELETE", "/conversations/<id>/members/<username>", "Leave a group, or remove somebody from yours"),
    ("GET", "/conversations/<id>/messages", "Messages, newest first; with after=<number> those after it"),
    ("POST", "/conversations/<id>/messages", "Send a message"),
    ("PUT", "/conversations/<id>/messages/<number>", "Edit your message"),
    ("DELETE", "/conversations/<id>/messages/<number>", "Delete your message"),
    ("POST", "/conversations/<id>/read", "Mark messages as read"),
)


class HealthView(APIView):
    """Whether the process answers."""

    permission_classes = [AllowAny]

    def get(self, request):
        return Response({"status": "ok"})


class ReadyView(APIView):
    """Whether it can do its work: the database answers and has every migration."""

    permission_classes = [AllowAny]

    def get(self, request):
        if missing := what_is_missing():
            return Response({"detail": missing}, status.HTTP_503_SERVICE_UNAVAILABLE)
        return Response({"status": "ok"})


class IndexView(APIView):
    """What this is, as a page for a browser and as JSON for a client."""

    permission_classes = [AllowAny]

    def get(self, request):
        origin = request.build_absolute_uri("/")[:-1]
        if "text/html" in request.headers.get("Accept", ""):
            context = {"name": NAME, "description": DESCRIPTION, "calls": CALLS, "origin": origin}
            return render(request, "common/index.html", context)
        calls = [{"method": method, "path": path, "meaning": meaning} for method, path, meaning in CALLS]
        links = {"documentation": f"{origin}/docs", "schema": f"{origin}/schema", "admin": f"{origin}/admin/"}
        return Response({"name": NAME, "description": DESCRIPTION, **links, "calls": calls})
