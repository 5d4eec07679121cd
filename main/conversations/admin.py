from django.contrib import admin

from common.admin import ReadOnlyAdmin, number_of
from conversations.models import Conversation, Membership


class MembershipInline(admin.TabularInline):
    model = Membership
    fields = readonly_fields = ("user", "joined_at", "read_number")
    extra = 0
    can_delete = False

    def get_queryset(self, request):
        return super().get_queryset(request).remaining().select_related("user", "conversation")

    def has_add_permission(self, request, obj=None):
        return False


@admin.register(Conversation)
class ConversationAdmin(ReadOnlyAdmin):
    """Who talks with whom, and when last. What they say is theirs: messages have no page here."""

    list_display = ("id", "kind", "name", "owner", "number_of_members", "last_number", "last_activity", "created_at")
    list_filter = ("kind", "last_activity")
    search_fields = ("memberships__user__username_key",)
    fields = ("kind", "name", "owner", "last_number", "last_activity", "created_at")
    list_select_related = ("owner",)
    ordering = ("-pk",)
    inlines = (MembershipInline,)

    def get_queryset(self, request):
        conversations = super().get_queryset(request).filter(ended_at=None)
        return conversations.annotate(number_of_members=number_of(Membership, "conversation"))

    @admin.display(description="members", ordering="number_of_members")
    def number_of_members(self, conversation):
        return conversation.number_of_members
