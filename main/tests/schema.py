"""Holds calls to the OpenAPI document: what the tests receive is what it says, or what the framework says itself.

What is accepted from them is what it says, too.
"""

import json
import re
from functools import cache

from jsonschema import Draft202012Validator

from common.openapi import schema_as_json

# What is answered before a call is reached, or in its place, in one shape for all calls.
FRAMEWORK_STATUSES = {400, 401, 404, 405, 411, 413, 415}
DETAIL = {"$ref": "#/components/schemas/Detail"}


def check(method, path, answer):
    """Raise AssertionError unless the answer is one that the document has for the call."""
    if method in ("HEAD", "OPTIONS") or path.startswith("/admin/") or path in ("/admin", "/docs", "/schema"):
        return
    operation = _operation(method, path)
    here = f"{method} {path}: {answer.status_code} {answer.content[:200]}"
    assert "X-Request-ID" in answer, here
    response = operation and operation["responses"].get(str(answer.status_code))
    if response is None:
        assert answer.status_code in FRAMEWORK_STATUSES, f"not documented: {here}"
        _check_body(answer, DETAIL, here)
        return
    for name, header in response.get("headers", {}).items():
        assert name in answer or not header.get("required"), f"without {name}: {here}"
    for name in ("Link", "Retry-After", "WWW-Authenticate"):
        assert name not in answer or name in response["headers"], f"with {name}: {here}"
    content = response.get("content")
    if content is None:
        assert answer.content == b"", here
    else:
        kind = answer["Content-Type"].split(";")[0]
        assert kind in content, here
        if kind == "application/json":
            _check_body(answer, content[kind]["schema"], here)


def check_accepted(method, path, body):
    """Raise AssertionError if a JSON body that was accepted is not one that the document has for the call."""
    operation = _operation(method, path)
    if operation and "requestBody" in operation:
        schema = operation["requestBody"]["content"]["application/json"]["schema"]
        # A number may also come as text, as it does in a form.
        errors = [
            error.message
            for error in _validator(json.dumps(schema)).iter_errors(json.loads(body))
            if not (error.validator_value == "integer" and str(error.instance).isdigit())
        ]
        assert not errors, f"accepted, but not documented: {method} {path}: {body[:200]}: {errors}"


def _check_body(answer, schema, here):
    assert answer["Content-Type"] == "application/json", here
    errors = [error.message for error in _validator(json.dumps(schema)).iter_errors(json.loads(answer.content))]
    assert not errors, f"{here}: {errors}"


@cache
def _document():
    return json.loads(schema_as_json())


@cache
def _validator(schema):
    # With the components beside it, to which it refers.
    return Draft202012Validator(json.loads(schema) | {"components": _document()["components"]})


@cache
def _paths():
    """The paths as patterns, those without a parameter first."""
    found = []
    for path, operations in _document()["paths"].items():
        parts = [
            "[^/]+" if part.startswith("{") else re.escape(part) for part in re.split(r"(\{\w+\})", path.rstrip("/"))
        ]
        found.append((path.count("{"), re.compile("".join(parts) + "/?"), operations))
    return sorted(found, key=lambda each: each[0])


def _operation(method, path):
    for _, pattern, operations in _paths():
        if pattern.fullmatch(path):
            return operations.get(method.lower())
    return None
