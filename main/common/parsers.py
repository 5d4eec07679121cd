import json

from rest_framework.exceptions import ParseError
from rest_framework.parsers import BaseParser
from rest_framework.utils.json import strict_constant


class JSONParser(BaseParser):
    """JSON in UTF-8 (RFC 8259); whatever is not answers 400, brackets nested too deep for Python included."""

    media_type = "application/json"

    def parse(self, stream, media_type=None, parser_context=None):
        try:
            return json.loads(stream.read().decode("utf-8"), parse_constant=strict_constant)
        except (ValueError, RecursionError):
            raise ParseError("The body is not JSON.") from None
