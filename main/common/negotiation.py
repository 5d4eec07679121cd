from collections.abc import Iterable

from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.parsers import BaseParser
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request


class AlwaysJSON(DefaultContentNegotiation):
    """Always answers in JSON, whatever the client accepts, so that no answer is 406 or an HTML page."""

    def select_parser(self, request: Request, parsers: Iterable[BaseParser]) -> BaseParser | None:
        # Nearly all bodies come with a type that needs no reading of parameters.
        content_type = request.content_type
        exact = next((parser for parser in parsers if parser.media_type == content_type), None)
        return exact or super().select_parser(request, parsers)

    def select_renderer(  # type: ignore[override]
        self, request: Request, renderers: list[BaseRenderer], format_suffix: str | None = None
    ) -> tuple[BaseRenderer, str | None]:
        return renderers[0], renderers[0].media_type
