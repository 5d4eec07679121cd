from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any, Protocol

from django.contrib import admin, messages
from django.contrib.admin.forms import AdminAuthenticationForm
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.forms import AdminUserCreationForm, UserChangeForm
from django.core.exceptions import ValidationError
from django.db.models import Exists, F, OuterRef, QuerySet
from django.db.models.functions import Coalesce
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.defaultfilters import pluralize
from django.utils.safestring import mark_safe
from rest_framework.exceptions import Throttled

from common.addresses import address_of
from common.admin import ReadOnlyAdmin, SafeLookups, number_of
from mail import outbox
from users import actions
from users.actions import AccountGone
from users.models import AuthToken, BlacklistEntry, ContactBookEntry, User, UserQuerySet
from users.user_settings import UserSettings


class GuardedAuthenticationForm(AdminAuthenticationForm):
    """The login form of the admin. Wrong passwords count here as they do at /users/login."""

    request: HttpRequest

    def clean(self) -> dict[str, Any]:
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

    def clean_username(self) -> str:
        # The model's clean() checks by the key whether the name is taken.
        return self.cleaned_data["username"]


class UserForm(UserChangeForm):
    password = None  # type: ignore[assignment]  # Django's would show parts of the hash.

    class Meta(UserChangeForm.Meta):
        model = User
        field_classes = {}  # Django's would normalise the name.


class VerifiedFilter(admin.SimpleListFilter):
    title = "verified address"
    parameter_name = "verified"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("yes", "Yes"), ("no", "No")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[User]) -> QuerySet[User]:
        verified = UserSettings.objects.filter(user=OuterRef("pk"), email_verified=True)
        match self.value():
            case "yes":
                return queryset.filter(Exists(verified))
            case "no":
                return queryset.filter(~Exists(verified))
        return queryset


class Counted(Protocol):
    is_verified: bool
    contacts: int
    blacklisted: int
    blacklisted_by: int


@admin.register(User)
class UserAdmin(SafeLookups, DjangoUserAdmin):
    """Superusers change accounts. Moderators, who have their own group, look and deactivate."""

    form = UserForm
    add_form = UserCreationForm
    list_display = (
        "username",
        "email",
        "is_verified",
        "first_name",
        "last_name",
        "is_active",
        "is_staff",
        "last_login",
        "contacts",
        "blacklisted",
        "blacklisted_by",
    )
    list_filter = (VerifiedFilter, "is_active", "is_staff", "is_superuser", "date_joined", "last_login")
    ordering = ("username_key",)
    # These names only make the search box appear; get_search_results searches by keys.
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
    actions = ("deactivate", "reactivate", "send_reset")

    def get_queryset(self, request: HttpRequest) -> UserQuerySet:
        return (
            super()
            .get_queryset(request)
            .filter(deleted_at=None)
            .annotate(
                is_verified=Coalesce(F("usersettings__email_verified"), False),
                contacts=number_of(ContactBookEntry.objects, "user1"),
                blacklisted=number_of(BlacklistEntry.objects, "user1"),
                blacklisted_by=number_of(BlacklistEntry.objects, "user2"),
            )
        )

    def get_search_results(  # type: ignore[override]
        self, request: HttpRequest, queryset: UserQuerySet, search_term: str
    ) -> tuple[UserQuerySet, bool]:
        return queryset.containing(search_term[:100]), False

    @admin.display(description="verified", boolean=True)
    def is_verified(self, user: Counted) -> bool:
        return user.is_verified

    @admin.display(description="contacts", ordering="contacts")
    def contacts(self, user: Counted) -> int:
        return user.contacts

    @admin.display(description="blacklisted", ordering="blacklisted")
    def blacklisted(self, user: Counted) -> int:
        return user.blacklisted

    @admin.display(description="blacklisted by", ordering="blacklisted_by")
    def blacklisted_by(self, user: Counted) -> int:
        return user.blacklisted_by

    # Whoever may change accounts could make themselves a superuser.

    def has_add_permission(self, request: HttpRequest) -> bool:
        return request.user.is_superuser

    def has_change_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        return request.user.is_superuser

    def has_delete_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        return request.user.is_superuser

    def get_deleted_objects(
        self, objs: Iterable[User], request: HttpRequest
    ) -> tuple[list[str], dict[str, int], set[str], list[str]]:
        # All rows of an account are deleted with it. Django's method would read all of them to list them.
        accounts = [str(user) for user in objs]
        return accounts, {str(self.opts.verbose_name_plural): len(accounts)}, set(), []

    def delete_model(self, request: HttpRequest, obj: User) -> None:
        with suppress(AccountGone):
            actions.delete_account(obj)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[User]) -> None:
        for user in queryset:
            self.delete_model(request, user)

    # Between the validation of a form and `save` somebody may take the name or the address, or delete the account.

    def changeform_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        try:
            return super().changeform_view(request, *args, **kwargs)
        except ValidationError as error:
            return self.answer_refusal(request, error)

    def user_change_password(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        try:
            return super().user_change_password(request, *args, **kwargs)
        except ValidationError as error:
            return self.answer_refusal(request, error)

    def answer_refusal(self, request: HttpRequest, error: ValidationError) -> HttpResponse:
        self.message_user(request, " ".join(error.messages), messages.ERROR)
        return HttpResponseRedirect(request.get_full_path())

    def has_deactivate_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("users.deactivate_user")

    def has_reactivate_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("users.reactivate_user")

    @admin.action(description="Deactivate the selected accounts and end their tokens", permissions=["deactivate"])
    def deactivate(self, request: HttpRequest, queryset: UserQuerySet) -> None:
        self.act(request, queryset, actions.deactivate, "deactivated")

    @admin.action(description="Reactivate the selected accounts", permissions=["reactivate"])
    def reactivate(self, request: HttpRequest, queryset: UserQuerySet) -> None:
        self.act(request, queryset, actions.reactivate, "reactivated")

    def has_send_reset_permission(self, request: HttpRequest) -> bool:
        return request.user.is_superuser and outbox.is_set_up()

    @admin.action(description="Send a mail to set a new password", permissions=["send_reset"])
    def send_reset(self, request: HttpRequest, queryset: UserQuerySet) -> None:
        selected = list(queryset.active())
        for user in selected:
            actions.send_reset_by_operator(user)
            self.log_change(request, user, "Was sent a mail to set a new password.")
        self.message_user(request, f"{len(selected)} mail{pluralize(len(selected))} will be sent.", messages.SUCCESS)

    def act(self, request: HttpRequest, queryset: UserQuerySet, action: Callable[[User], None], done: str) -> None:
        """Apply the action, except to the user's own account and, unless the user is a superuser, to staff."""
        allowed = queryset.exclude(pk=request.user.pk)  # type: ignore[misc]
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


@admin.register(UserSettings)
class UserSettingsAdmin(ReadOnlyAdmin):
    """What a user has set, except what the user's clients keep for themselves."""

    list_display = ("user", "theme", "email_for", "phone_number_for", "active_hours_for", "findable_by_address")
    list_select_related = ("user",)
    search_fields = ("user__username_key",)
    fields = (*list_display, "active_hours", "email_verified")

    def get_queryset(self, request: HttpRequest) -> QuerySet[UserSettings]:
        return super().get_queryset(request).filter(user__deleted_at=None)

    @admin.display(description="active hours")
    def active_hours(self, settings: UserSettings) -> str:
        hours = settings.active_hours
        if hours is None:
            return "none"
        windows = ", ".join(f"{window['day']} {window['start']} to {window['end']}" for window in hours["weekly"])
        return f"{hours['time_zone']}: {windows}"


@admin.register(ContactBookEntry, BlacklistEntry)
class PairAdmin(ReadOnlyAdmin):
    list_display = ("user1", "user2", "created_at")
    list_select_related = ("user1", "user2")
    search_fields = ("user1__username_key", "user2__username_key")
    fields = ("user1", "user2", "created_at")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return super().get_queryset(request).filter(user1__deleted_at=None, user2__deleted_at=None)


@admin.register(AuthToken)
class AuthTokenAdmin(ReadOnlyAdmin):
    """When users logged in and were last active. Nothing of the token itself is shown."""

    list_display = ("user", "created_at", "last_used")
    list_select_related = ("user",)
    search_fields = ("user__username_key",)
    fields = ("user", "created_at", "last_used")

    def get_queryset(self, request: HttpRequest) -> QuerySet[AuthToken]:
        return super().get_queryset(request).filter(user__deleted_at=None)
