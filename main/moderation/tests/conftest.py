import pytest

from conversations.tests.conftest import group, private, talk  # noqa: F401  (fixtures)
from moderation.models import Report


@pytest.fixture
def report(as_alice, bob):
    """An open report of alice about bob."""
    answer = as_alice.post("/reports", {"username": "bob", "reason": "harassment", "text": "Again and again."})
    return Report.objects.get(pk=answer.json()["id"])
