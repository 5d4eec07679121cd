import os
from functools import lru_cache

import django
from django.core.handlers.wsgi import WSGIHandler
from django.http import HttpRequest
from django.urls import ResolverMatch, resolve

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "main.settings")


class Handler(WSGIHandler):
    """Django's, which looks for the views of the latest paths once; that takes a fortieth to a twelfth of a call."""

    def resolve_request(self, request: HttpRequest) -> ResolverMatch:
        path = request.path_info
        request.resolver_match = match = kept_match(path) if len(path) <= LONGEST_KEPT else resolve(path)
        return match


# What is kept is bounded in number and size: two kilobytes for a conversation, at most eight for a page of the admin.
LONGEST_KEPT = 200
kept_match = lru_cache(maxsize=1000)(resolve)


django.setup(set_prefix=False)
application = Handler()
