"""The service as it is, and the limits beside it in the same process, without any middleware."""

import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "main.settings")

from django.conf import settings
from django.core.handlers.wsgi import WSGIHandler
from django.urls import set_urlconf

from main.wsgi import application as service  # loads the apps

# isort: split
from delivery.hub import Hub
from main.asgi import Application


class Limits(WSGIHandler):
    def load_middleware(self, is_async=False):
        middleware, settings.MIDDLEWARE = settings.MIDDLEWARE, []
        super().load_middleware(is_async)
        settings.MIDDLEWARE = middleware

    def get_response(self, request):
        request.urlconf = "benchmarks.urls"
        set_urlconf(request.urlconf)
        response = self._middleware_chain(request)
        set_urlconf(None)
        return response


limits = Limits()


def both(environ, start_response):
    handler = limits if environ["PATH_INFO"].startswith("/limits/") else service
    return handler(environ, start_response)


if os.environ.get("BENCHMARK_HINTS") == "off":
    Hub.wake = Hub.wake_from_thread = lambda self: None

application = Application(both)
