from django.contrib import admin

from common.admin import ReadOnlyAdmin
from mail.models import Mail


@admin.register(Mail)
class MailAdmin(ReadOnlyAdmin):
    """For operators: what waits, and what was sent when. The text of a mail is not kept."""

    list_display = ("id", "kind", "recipient", "created_at", "tries", "due_at", "sent_at")
    list_filter = ("kind", "created_at")
    search_fields = ("recipient",)
    fields = list_display
    ordering = ("-pk",)
