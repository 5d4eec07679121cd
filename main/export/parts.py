"""What an export consists of. Each app gives its part."""

from collections.abc import Iterator
from typing import Any

from django.utils import timezone
from rest_framework.renderers import JSONRenderer

from common.exports import Parts
from conversations.exports import parts_of as parts_of_conversations
from moderation.exports import parts_of as parts_of_reports
from users.exports import parts_of as parts_of_account
from users.models import User

render = JSONRenderer().render


def parts_of(user: User) -> Parts:
    return {
        "exported_at": timezone.now(),
        **parts_of_account(user),
        **parts_of_reports(user),
        **parts_of_conversations(user),
    }


def pieces_of(value: Any) -> Iterator[bytes]:
    """The value as JSON, in pieces. Of an array that an iterator gives one part is held at a time."""
    if isinstance(value, Iterator):
        yield b"["
        before = b""
        for part in value:
            if part:
                yield before
                before = b","
                if isinstance(part, list):
                    yield as_json(part)
                else:
                    yield from pieces_of(part)
        yield b"]"
    elif isinstance(value, dict) and any(isinstance(part, Iterator) for part in value.values()):
        before = b"{"
        for key, part in value.items():
            yield before + as_json([key]) + b":"
            yield from pieces_of(part)
            before = b","
        yield b"}"
    else:
        yield as_json([value])


def as_json(items: list[Any]) -> bytes:
    """The items of an array, without its brackets. One by one they would take twice the time."""
    return render(items)[1:-1]
