"""The calls of this app in the OpenAPI document, in the order of urls.py."""

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.utils import extend_schema_serializer
from rest_framework import serializers

from common.openapi import CURSOR, LIMIT, USERNAME, Call, document, example, header, parameter
from users import views
from users.hours import DAYS
from users.serializers import (
    CLOCK,
    MAX_WINDOWS,
    CodeSerializer,
    EmailSerializer,
    LoginSerializer,
    PasswordChangeSerializer,
    PasswordResetSerializer,
    ProfileChangeSerializer,
    RegisterSerializer,
)
from users.user_settings import AUDIENCE_NAMES

ALICE = {
    "username": "alice",
    "email": "alice@example.org",
    "first_name": "Alice",
    "last_name": "Liddell",
    "bio": "Curiouser and curiouser.",
    "phone_number": "+44 1865 276150",
}
SETTINGS = {
    "theme": "dark",
    "active_hours": {"time_zone": "Europe/Oslo", "weekly": [{"day": "monday", "start": "09:00", "end": "17:00"}]},
    "privacy": {"email": "contacts", "phone_number": "nobody", "active_hours": "everyone", "findable_by_address": True},
    "client": {"font_size": 14},
    "email_verified": False,
}
PASSWORD = "correct-horse-battery"  # noqa: S105
CODE = "pNHoCHR9iWmyUBcDvUZ1mOQrzVJrcXxO"
UNKNOWN = "There is no such user."
NO_MAIL = "This server sends no mail."
SUSPENDED = "The account is suspended until the time that the message tells."
CHANGED = "The settings are not those of the If-Match any more."


class TokenScheme(OpenApiAuthenticationExtension):
    target_class = "users.authentication.TokenAuthentication"
    name = "Token"

    def get_security_definition(self, auto_schema: AutoSchema) -> dict[str, str]:
        return {
            "type": "apiKey",
            "in": "header",
            "name": "Authorization",
            "description": "The word `Token`, a space, and the token that a login answers.",
        }


@extend_schema_serializer(component_name="User", examples=[example("Alice", ALICE)])
class UserInstance(serializers.Serializer):
    """A user, as you see them."""

    username = serializers.CharField(max_length=150)
    email = serializers.CharField(max_length=254, help_text="Empty if you may not see it.")
    first_name = serializers.CharField(max_length=150)
    last_name = serializers.CharField(max_length=150)
    bio = serializers.CharField(max_length=500)
    phone_number = serializers.CharField(max_length=32, help_text="Empty if you may not see it.")


class Token(serializers.Serializer):
    token = serializers.CharField(min_length=43, max_length=43, help_text="Shown only once.")


@extend_schema_serializer(component_name="Window")
class WindowInstance(serializers.Serializer):
    """A time of every week, by the clock on the wall. An end that is not after the start is on the next day."""

    day = serializers.ChoiceField(DAYS)
    start = serializers.RegexField(f"^{CLOCK}$", help_text="Included.")
    end = serializers.RegexField(f"^({CLOCK}|24:00)$", help_text="Not included.")


class ActiveHours(serializers.Serializer):
    time_zone = serializers.CharField(help_text="A name of the IANA database, such as Europe/Oslo.")
    weekly = serializers.ListField(child=WindowInstance(), min_length=1, max_length=MAX_WINDOWS)


class Privacy(serializers.Serializer):
    """Who may see what of you. Contacts are those in your own contact book."""

    email = serializers.ChoiceField(AUDIENCE_NAMES)
    phone_number = serializers.ChoiceField(AUDIENCE_NAMES)
    active_hours = serializers.ChoiceField(AUDIENCE_NAMES)
    findable_by_address = serializers.BooleanField(
        help_text="If false, your address finds you for nobody. If true, and it is hidden, only the whole of it does."
    )


@extend_schema_serializer(
    component_name="SettingsChange", examples=[example("Dark", {"theme": "dark"}, request_only=True)]
)
class SettingsChange(serializers.Serializer):
    """The settings that are to be replaced, each by a whole value."""

    theme = serializers.RegexField(r"^[a-z0-9-]{1,32}$", help_text="system, light, dark, or one of the clients' own.")
    active_hours = ActiveHours(allow_null=True, help_text="Outside of them the messages of others are silent.")
    privacy = Privacy()
    client = serializers.DictField(help_text="Of the clients' own: up to 100 keys, 16 KB as JSON.")


@extend_schema_serializer(
    component_name="SettingsPatch",
    examples=[example("Hidden", {"privacy": {"email": "nobody"}, "client": {"draft": None}}, request_only=True)],
)
class SettingsPatch(SettingsChange):
    """A JSON merge patch (RFC 7396): what is not named stays, at every depth; null removes a key."""

    active_hours = ActiveHours(partial=True, allow_null=True)
    privacy = Privacy(partial=True)


@extend_schema_serializer(component_name="Settings", examples=[example("Alice", SETTINGS)])
class SettingsInstance(SettingsChange):
    """What the server keeps for your clients."""

    email_verified = serializers.BooleanField(read_only=True)


class AvailabilityInstance(serializers.Serializer):
    username = serializers.CharField()
    is_active = serializers.BooleanField(allow_null=True, help_text="null without active hours that you may see.")
    changes_at = serializers.DateTimeField(allow_null=True, help_text="When it turns next; null if it never does.")


class Acceptance(serializers.Serializer):
    message = serializers.CharField()


class BlacklistStatus(serializers.Serializer):
    message = serializers.ChoiceField(list(views.BlacklistUserView.MESSAGES.values()))
    is_blacklisted = serializers.BooleanField(help_text="Whether either of the two has blacklisted the other.")
    is_blacklisted_by_user = serializers.BooleanField(help_text="Whether you have blacklisted the other.")


for serializer, value in (
    (RegisterSerializer, ALICE | {"password": PASSWORD}),
    (LoginSerializer, {"username": "alice", "password": PASSWORD}),
    (EmailSerializer, {"email": "alice@example.org"}),
    (CodeSerializer, {"code": CODE}),
    (PasswordResetSerializer, {"code": CODE, "new_password": "battery-staple-horse"}),
    (PasswordChangeSerializer, {"current_password": PASSWORD, "new_password": "battery-staple-horse"}),
    (ProfileChangeSerializer, {"bio": "Curiouser and curiouser."}),
):
    extend_schema_serializer(examples=[example("Alice", value, request_only=True)])(serializer)

profile_change = ProfileChangeSerializer(partial=True)
SEARCH = parameter("search", "string", "Every word of it is part of the name or address.", maxLength=100)

document(
    views.RegisterView,
    post=Call(
        "register",
        "Create an account",
        body=RegisterSerializer,
        answers={201: UserInstance},
        is_limited=True,
    ),
)
document(
    views.LoginView,
    post=Call(
        "log_in",
        "Get a token",
        body=LoginSerializer,
        answers={200: Token},
        refusals={403: "The password is right, and the account is suspended until the time that the message tells."},
        is_limited=True,
    ),
)
document(
    views.LogoutView,
    post=Call("log_out", "End this token", answers={204: None}),
)
document(
    views.LogoutAllView,
    post=Call("log_out_everywhere", "End all of your tokens", answers={204: None}),
)
document(
    views.PasswordView,
    post=Call(
        "change_password",
        "Change your password; all tokens end but the new one",
        body=PasswordChangeSerializer,
        answers={200: Token},
        is_limited=True,
    ),
)
document(
    views.ProfileView,
    get=Call("see_profile", "Your profile", answers={200: UserInstance}),
    put=Call("change_profile", "Change the fields sent", body=profile_change, answers={200: UserInstance}),
    patch=Call("patch_profile", "Change the fields sent, like PUT", body=profile_change, answers={200: UserInstance}),
    delete=Call("delete_account", "Delete your account", answers={204: None}),
)
IF_MATCH = header("If-Match", "Change nothing, and answer 412, unless the ETag is still this one.")
document(
    views.SettingsView,
    get=Call(
        "see_settings",
        "Your settings",
        parameters=[header("If-None-Match", "Answer 304 if the ETag is still this one.")],
        answers={200: SettingsInstance, 304: None},
        has_etag=True,
    ),
    patch=Call(
        "patch_settings",
        "Change settings by a JSON merge patch",
        parameters=[IF_MATCH],
        body=SettingsPatch(partial=True),
        answers={200: SettingsInstance},
        refusals={412: CHANGED},
        has_etag=True,
    ),
    put=Call(
        "change_settings",
        "Replace the settings that are sent",
        parameters=[IF_MATCH],
        body=SettingsChange(partial=True),
        answers={200: SettingsInstance},
        refusals={412: CHANGED},
        has_etag=True,
    ),
)
document(
    views.VerifyEmailView,
    post=Call(
        "verify_email",
        "Get a code at your address, which confirms that it is yours",
        answers={202: Acceptance},
        refusals={409: "Your address is verified already.", 501: NO_MAIL},
        is_limited=True,
    ),
)
document(
    views.ConfirmEmailView,
    post=Call("confirm_email", "Confirm an address", body=CodeSerializer, answers={204: None}, refusals={501: NO_MAIL}),
)
document(
    views.ForgotPasswordView,
    post=Call(
        "forgot_password",
        "Get a code by mail that sets a new password",
        body=EmailSerializer,
        answers={202: Acceptance},
        refusals={501: NO_MAIL},
        is_limited=True,
    ),
)
document(
    views.ResetPasswordView,
    post=Call(
        "reset_password",
        "Set a new password; all tokens and codes end",
        body=PasswordResetSerializer,
        answers={200: Token},
        refusals={403: SUSPENDED, 501: NO_MAIL},
    ),
)
document(
    views.AvailabilitiesView,
    get=Call(
        "see_availability_of_contacts",
        "Which of your contacts are within their active hours",
        answers={200: AvailabilityInstance(many=True)},
    ),
)
document(
    views.AvailabilityView,
    get=Call(
        "see_availability",
        "Whether somebody is within their active hours",
        parameters=[USERNAME],
        answers={200: AvailabilityInstance},
        missing=UNKNOWN,
    ),
)
document(
    views.FindUsersView,
    get=Call(
        "find_users",
        "Find other people by any part of a name or address",
        parameters=[SEARCH, LIMIT, CURSOR],
        answers={200: UserInstance(many=True)},
        bad="What is wrong, by parameter.",
        is_paged=True,
        is_limited=True,
    ),
)
document(
    views.ViewUserView,
    get=Call("see_user", "Somebody's profile", parameters=[USERNAME], answers={200: UserInstance}, missing=UNKNOWN),
)
document(
    views.BlacklistUserView,
    get=Call(
        "see_blacklisting",
        "Whether one of you has blacklisted the other",
        parameters=[USERNAME],
        answers={200: BlacklistStatus},
        missing=UNKNOWN,
    ),
    post=Call(
        "blacklist",
        "Blacklist somebody",
        parameters=[USERNAME],
        answers={201: BlacklistStatus},
        bad="It is yourself.",
        refusals={409: "You have blacklisted this user already, or 5 000 of them."},
        missing=UNKNOWN,
    ),
    delete=Call(
        "unblacklist",
        "Remove your blacklist entry",
        parameters=[USERNAME],
        answers={200: BlacklistStatus},
        missing="There is no such user, or no entry of yours.",
    ),
)
document(
    views.ContactBookView,
    get=Call("see_contacts", "Your contacts, by username", answers={200: UserInstance(many=True)}),
)
document(
    views.ContactView,
    post=Call(
        "add_contact",
        "Add a contact",
        parameters=[USERNAME],
        answers={201: UserInstance},
        bad="It is yourself.",
        refusals={409: "This user is in your contact book already, or 5 000 are."},
        missing=UNKNOWN,
    ),
    delete=Call(
        "remove_contact",
        "Remove a contact",
        parameters=[USERNAME],
        answers={204: None},
        missing="There is no such user, or not in your contact book.",
    ),
)
