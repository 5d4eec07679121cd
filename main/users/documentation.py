"""The calls of this app in the OpenAPI document, in the order of urls.py."""

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.utils import extend_schema_serializer
from rest_framework import serializers

from common.openapi import CURSOR, LIMIT, USERNAME, Call, document, example, parameter
from users import views
from users.serializers import LoginSerializer, PasswordChangeSerializer, ProfileChangeSerializer, RegisterSerializer

ALICE = {
    "username": "alice",
    "email": "alice@example.org",
    "first_name": "Alice",
    "last_name": "Liddell",
    "bio": "Curiouser and curiouser.",
    "phone_number": "+44 1865 276150",
}
PASSWORD = "correct-horse-battery"  # noqa: S105
UNKNOWN = "There is no such user."


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
    """A user, as every logged-in user sees them."""

    username = serializers.CharField(max_length=150)
    email = serializers.CharField(max_length=254)
    first_name = serializers.CharField(max_length=150)
    last_name = serializers.CharField(max_length=150)
    bio = serializers.CharField(max_length=500)
    phone_number = serializers.CharField(max_length=32)


class Token(serializers.Serializer):
    token = serializers.CharField(min_length=43, max_length=43, help_text="Shown only once.")


class BlacklistStatus(serializers.Serializer):
    message = serializers.ChoiceField(list(views.BlacklistUserView.MESSAGES.values()))
    is_blacklisted = serializers.BooleanField(help_text="Whether either of the two has blacklisted the other.")
    is_blacklisted_by_user = serializers.BooleanField(help_text="Whether you have blacklisted the other.")


for serializer, value in (
    (RegisterSerializer, ALICE | {"password": PASSWORD}),
    (LoginSerializer, {"username": "alice", "password": PASSWORD}),
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
    post=Call("log_in", "Get a token", body=LoginSerializer, answers={200: Token}, is_limited=True),
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
