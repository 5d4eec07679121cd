"""What a client sees of a report."""

from typing import Any

from moderation.models import Report

# The columns that are shown: the evidence is for moderators.
FIELDS = ("username", "reason", "text", "conversation_id", "number", "created_at", "closed_at")


def of_report(report: Report) -> dict[str, Any]:
    return {
        "id": report.pk,
        "username": report.username,
        "reason": report.reason,
        "text": report.text,
        "conversation": report.conversation_id,
        "number": report.number,
        "created_at": report.created_at,
        "state": report.state,
    }
