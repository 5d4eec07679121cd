from typing import Protocol, cast

from django.contrib import admin
from django.db.models import Exists, Model, OuterRef
from django.http import HttpRequest

from common.admin import ReadOnlyAdmin, number_of
from conversations.models import Conversation, ConversationQuerySet, Membership, MembershipQuerySet


class MembershipInline(admin.TabularInline):
    model = Membership
    fields = readonly_fields = ("user", "joined_at", "read_number")
    extra = 0
    can_delete = False

    def get_queryset(self, request: HttpRequest) -> MembershipQuerySet:
        memberships = cast(MembershipQuerySet, super().get_queryset(request))
        return memberships.remaining().select_related("user", "conversation")

    def has_add_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False


class Counted(Protocol):
    number_of_members: int


@admin.register(Conversation)
class ConversationAdmin(ReadOnlyAdmin):
    """Who talks with whom, and when. Messages are private and have no page in the admin."""

    list_display = ("id", "kind", "name", "owner", "number_of_members", "last_number", "last_activity", "created_at")
    list_filter = ("kind", "last_activity")
    search_fields = ("memberships__user__username_key",)
    fields = ("kind", "name", "owner", "last_number", "last_activity", "created_at")
    list_select_related = ("owner",)
    ordering = ("-pk",)
    inlines = (MembershipInline,)

    def get_queryset(self, request: HttpRequest) -> ConversationQuerySet:
        remaining = Membership.objects.remaining()
        conversations = super().get_queryset(request).filter(Exists(remaining.filter(conversation=OuterRef("pk"))))
        return conversations.annotate(number_of_members=number_of(remaining, "conversation"))

    @admin.display(description="members", ordering="number_of_members")
    def number_of_members(self, conversation: Counted) -> int:
        return conversation.number_of_members
