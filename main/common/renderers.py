from collections.abc import Mapping
from typing import Any

import orjson
from rest_framework import renderers


class JSONRenderer(renderers.JSONRenderer):
    """JSON in UTF-8, written by orjson in a fraction of the time."""

    def render(
        self, data: Any, accepted_media_type: str | None = None, renderer_context: Mapping[str, Any] | None = None
    ) -> bytes:
        if data is None:
            return b""
        try:
            return orjson.dumps(data, option=orjson.OPT_UTC_Z)
        except TypeError:
            # It knows neither numbers of more than 64 bits nor translated texts, nor dicts deeper than 254.
            return super().render(data, accepted_media_type, renderer_context)
