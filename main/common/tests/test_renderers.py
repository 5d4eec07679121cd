"""The renderer writes what REST framework's own does, in every case."""

from datetime import UTC, datetime

import pytest
from django.utils.translation import gettext_lazy
from rest_framework import renderers
from rest_framework.exceptions import ErrorDetail

from common.renderers import JSONRenderer

DEEP = []
for _ in range(300):
    DEEP = [DEEP]


@pytest.mark.parametrize(
    "data",
    [
        {"username": "bob", "text": 'quotes " and \\, 日本語, 🦊, \n\t\x00', "number": 1, "none": None, "yes": True},
        {"begin": datetime(2026, 1, 1, tzinfo=UTC), "end": datetime(2026, 11, 22, 21, 20, 3, 104522, UTC)},
        {"number": 1 << 70, "negative": -(1 << 63), "fraction": 1.5},
        {"field": [ErrorDetail("This field is required.", code="required")]},
        {"detail": gettext_lazy("Not found.")},
        {"half": "\ud83e"},
        DEEP,
        (1, 2),
        "",
        [],
    ],
)
def test_it_writes_the_same_as_the_one_of_the_framework(data):
    try:
        expected = renderers.JSONRenderer().render(data)
    except UnicodeEncodeError:
        with pytest.raises(UnicodeEncodeError):
            JSONRenderer().render(data)
    else:
        assert JSONRenderer().render(data) == expected


def test_no_data_is_no_body():
    assert JSONRenderer().render(None) == b""
