from contextlib import suppress

from django.contrib import admin, messages
from django.contrib.admin.forms import AdminAuthenticationForm
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.forms import AdminUserCreationForm, UserChangeForm
from django.core.exceptions import ValidationError
from django.http import HttpResponseRedirect
from django.utils.safestring import mark_safe
from rest_framework.exceptions import Throttled

from common.addresses import address_of
from common.admin import ReadOnlyAdmin, SafeLookups, number_of
from users import actions
from users.actions import AccountGone
from users.models import AuthToken, BlacklistEntry, ContactBookEntry, User


class GuardedAuthenticationForm(AdminAuthenticationForm):
    """The form that the admin logs in by; guesses count here as they do at /users/login."""

    def clean(self):
        try:
            with actions.guessing(self.cleaned_data.get("username", ""), address_of(self.request)):
                return super().clean()
        except Throttled as refusal:
            raise ValidationError(refusal.detail) from None


admin.site.login_form = GuardedAuthenticationForm


class UserCreationForm(AdminUserCreationForm):
    class Meta(AdminUserCreationForm.Meta):
        model = User
        fields = ("username", "email")

    def clean_username(self):
        # The model's clean() tells whether it is taken, by its key.
        return self.cleaned_data["username"]


class UserForm(UserChangeForm):
    password = None  # Django would show parts of the hash.

    class Meta(UserChangeForm.Meta):
        model = User
        field_classes = {}  # Django's would change how a name is written.


@admin.register(User)
class UserAdmin(SafeLookups, DjangoUserAdmin):
    """Superusers change accounts; who may only look and deactivate (the group Moderators) does just that."""

    form = UserForm
    add_form = UserCreationForm
    list_display = (
        "username",
        "email",
        "first_name",
        "last_name",
        "is_active",
        "is_staff",
        "last_login",
        "contacts",
        "blacklisted",
        "blacklisted_by",
    )
    list_filter = ("is_active", "is_staff", "is_superuser", "date_joined", "last_login")
    ordering = ("username_key",)
    # The fields are searched by their keys in get_search_results; these names only make the search box appear.
    search_fields = ("username", "email", "first_name", "last_name")
    search_help_text = "Any part of a username, an e-mail address or a name."
    readonly_fields = ("last_login", "date_joined")
    fieldsets = (
        (None, {"fields": ("username", "email", "first_name", "last_name", "bio", "phone_number")}),
        (
            "Rights",
            {
                "fields": ("is_active", "is_staff", "is_superuser", "groups", "user_permissions"),
                "description": mark_safe('Superusers can <a href="../password/">set a new password</a>.'),
            },
        ),
        ("Times", {"fields": ("date_joined", "last_login")}),
    )
    add_fieldsets = (
        (None, {"classes": ("wide",), "fields": ("username", "email", "usable_password", "password1", "password2")}),
    )
    actions = ("deactivate", "reactivate")

    def get_queryset(self, request):
        return (
            super()
            .get_queryset(request)
            .filter(deleted_at=None)
            .annotate(
                contacts=number_of(ContactBookEntry, "user1"),
                blacklisted=number_of(BlacklistEntry, "user1"),
                blacklisted_by=number_of(BlacklistEntry, "user2"),
            )
        )

    def get_search_results(self, request, queryset, search_term):
        return queryset.containing(search_term[:100]), False

    @admin.display(description="contacts", ordering="contacts")
    def contacts(self, user):
        return user.contacts

    @admin.display(description="blacklisted", ordering="blacklisted")
    def blacklisted(self, user):
        return user.blacklisted

    @admin.display(description="blacklisted by", ordering="blacklisted_by")
    def blacklisted_by(self, user):
        return user.blacklisted_by

    # A permission to change accounts would be one to make oneself a superuser.

    def has_add_permission(self, request):
        return request.user.is_superuser

    def has_change_permission(self, request, obj=None):
        return request.user.is_superuser

    def has_delete_permission(self, request, obj=None):
        return request.user.is_superuser

    def get_deleted_objects(self, objs, request):
        # All that hangs on an account goes with it. Django's own would read all of it to list it.
        accounts = [str(user) for user in objs]
        return accounts, {self.opts.verbose_name_plural: len(accounts)}, set(), []

    def delete_model(self, request, obj):
        with suppress(AccountGone):
            actions.delete_account(obj)

    def delete_queryset(self, request, queryset):
        for user in queryset:
            self.delete_model(request, user)

    def changeform_view(self, request, *args, **kwargs):
        try:
            return super().changeform_view(request, *args, **kwargs)
        except ValidationError as error:
            # Somebody took the name or the address after the form had found it free.
            self.message_user(request, " ".join(error.messages), messages.ERROR)
            return HttpResponseRedirect(request.get_full_path())

    def has_deactivate_permission(self, request):
        return request.user.has_perm("users.deactivate_user")

    def has_reactivate_permission(self, request):
        return request.user.has_perm("users.reactivate_user")

    @admin.action(description="Deactivate the selected accounts and end their tokens", permissions=["deactivate"])
    def deactivate(self, request, queryset):
        self.act(request, queryset, actions.deactivate, "deactivated")

    @admin.action(description="Reactivate the selected accounts", permissions=["reactivate"])
    def reactivate(self, request, queryset):
        self.act(request, queryset, actions.reactivate, "reactivated")

    def act(self, request, queryset, action, done):
        """Apply the action to the accounts it may touch: no one's own, and for others than superusers no staff's."""
        allowed = queryset.exclude(pk=request.user.pk)
        if not request.user.is_superuser:
            allowed = allowed.filter(is_staff=False, is_superuser=False)
        selected = queryset.count()
        changed = 0
        for user in allowed:
            with suppress(AccountGone):
                action(user)
                self.log_change(request, user, f"Was {done}.")
                changed += 1
        self.message_user(request, f"{changed} {done}.", messages.SUCCESS)
        if changed < selected:
            kept = f"{selected - changed} left as they were: your own account, or staff."
            self.message_user(request, kept, messages.WARNING)


@admin.register(ContactBookEntry, BlacklistEntry)
class PairAdmin(ReadOnlyAdmin):
    list_display = ("user1", "user2", "created_at")
    list_select_related = ("user1", "user2")
    search_fields = ("user1__username_key", "user2__username_key")
    fields = ("user1", "user2", "created_at")


@admin.register(AuthToken)
class AuthTokenAdmin(ReadOnlyAdmin):
    """When somebody logged in and was last here; nothing of the token itself."""

    list_display = ("user", "created_at", "last_used")
    list_select_related = ("user",)
    search_fields = ("user__username_key",)
    fields = ("user", "created_at", "last_used")
