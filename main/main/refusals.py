"""Answers to requests that do not reach Django."""

import json
import logging
import secrets
from http import HTTPStatus

from common import metrics
from common.logs import request_id

logger = logging.getLogger("requests")

REASONS = {
    HTTPStatus.BAD_REQUEST: "This is not a well-formed HTTP/1.1 request.",
    HTTPStatus.REQUEST_TIMEOUT: "The request took too long to arrive.",
    HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE: "The request line and headers are too large.",
    HTTPStatus.SERVICE_UNAVAILABLE: "Too many requests are arriving. Try again in a moment.",
}


def refusal(status: HTTPStatus) -> bytes:
    """Log the refusal, and return the whole answer. The connection has to end after it."""
    metrics.connection_refusals.labels(str(status.value)).inc()
    token = request_id.set(secrets.token_hex(8))
    logger.info("- - %d", status, extra={"fields": {"method": "-", "route": "-", "status": status.value}})
    body = json.dumps({"detail": REASONS[status]}, separators=(",", ":"))
    lines = [
        f"HTTP/1.1 {status.value} {status.phrase}",
        "content-type: application/json",
        f"content-length: {len(body)}",
        "connection: close",
        f"x-request-id: {request_id.get()}",
    ]
    request_id.reset(token)
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        lines.append("retry-after: 5")
    return "\r\n".join([*lines, "", body]).encode()
