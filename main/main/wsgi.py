import os

import django
from django.core.handlers.wsgi import WSGIHandler
from django.http import HttpRequest
from django.urls import ResolverMatch

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "main.settings")


class Handler(WSGIHandler):
    """Django's, which looks for the view of a path without parameters once; that takes a twelfth of a short call."""

    def __init__(self) -> None:
        super().__init__()
        self.matches: dict[str, ResolverMatch] = {}  # one for each route without parameters

    def resolve_request(self, request: HttpRequest) -> ResolverMatch:
        match = self.matches.get(request.path_info)
        if match is None:
            match = super().resolve_request(request)
            if not match.kwargs:
                self.matches[request.path_info] = match
        request.resolver_match = match
        return match


django.setup(set_prefix=False)
application = Handler()
