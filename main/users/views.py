from django.utils.http import parse_etags
from rest_framework import status
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from common.access import public
from common.addresses import address_of
from common.errors import found
from common.pagination import paged, read_cursor, read_limit
from common.parsers import MergePatchParser
from common.serializers import validated
from common.validators import has_control_characters
from mail import outbox
from users import actions, availability, finding, representations
from users.authentication import UserRequest
from users.guards import NO_USER, find_noted_user, find_user, find_user_as_seen, require_mail_or_code
from users.models import BlacklistEntry
from users.serializers import (
    CodeSerializer,
    EmailSerializer,
    LoginSerializer,
    PasswordChangeSerializer,
    PasswordResetSerializer,
    ProfileChangeSerializer,
    RegisterSerializer,
    changed_settings,
)
from users.throttles import SearchThrottle
from users.user_settings import UserSettings

# Accounts


@public
class RegisterView(APIView):
    def post(self, request: Request) -> Response:
        user = actions.register(**validated(RegisterSerializer, request), address=address_of(request))
        return Response(representations.of_oneself(user), status.HTTP_201_CREATED)


@public
class LoginView(APIView):
    def post(self, request: Request) -> Response:
        token = actions.log_in(**validated(LoginSerializer, request), address=address_of(request))
        return Response({"token": token})


class LogoutView(APIView):
    def post(self, request: UserRequest) -> Response:
        actions.log_out(request.auth)
        return Response(status=status.HTTP_204_NO_CONTENT)


class LogoutAllView(APIView):
    def post(self, request: UserRequest) -> Response:
        actions.log_out_everywhere(request.user)
        return Response(status=status.HTTP_204_NO_CONTENT)


class PasswordView(APIView):
    def post(self, request: UserRequest) -> Response:
        passwords = validated(PasswordChangeSerializer, request)
        token = actions.change_password(request.user, **passwords, address=address_of(request))
        return Response({"token": token})


class ProfileView(APIView):
    def get(self, request: UserRequest) -> Response:
        return Response(representations.of_oneself(request.user))

    def put(self, request: UserRequest) -> Response:
        changes = validated(ProfileChangeSerializer, request, partial=True)
        user = actions.change_profile(request.user, changes)
        return Response(representations.of_oneself(user))

    def patch(self, request: UserRequest) -> Response:
        return self.put(request)

    def delete(self, request: UserRequest) -> Response:
        actions.delete_account(request.user)
        return Response(status=status.HTTP_204_NO_CONTENT)


# Other people


class FindUsersView(APIView):
    throttle_classes = [SearchThrottle]

    def get(self, request: UserRequest) -> Response:
        text = self.read_search(request)
        limit = read_limit(request, default=20)
        after = read_cursor(request)
        users, more_after = finding.find(text, searcher=request.user, limit=limit, after=after)
        return paged(request, users, more_after)

    @staticmethod
    def read_search(request: Request) -> str:
        text = request.query_params.get("search", "")
        if len(text) > 100:
            raise ValidationError({"search": ["Ensure this has no more than 100 characters."]})
        if has_control_characters("".join(text.split())):
            raise ValidationError({"search": ["Control characters are not allowed."]})
        return text


class ViewUserView(APIView):
    def get(self, request: UserRequest, username: str) -> Response:
        return Response(found(representations.of_username(username, viewer=request.user), NO_USER))


# Blacklist


class BlacklistUserView(APIView):
    MESSAGES = {
        (False, False): "Neither of you has blacklisted the other.",
        (True, False): "You have blacklisted this user.",
        (False, True): "This user has blacklisted you.",
        (True, True): "You have blacklisted each other.",
    }

    def get(self, request: UserRequest, username: str) -> Response:
        return self.answer(request, username)

    def post(self, request: UserRequest, username: str) -> Response:
        actions.blacklist(request.user, find_user(username))
        return self.answer(request, username, status.HTTP_201_CREATED)

    def delete(self, request: UserRequest, username: str) -> Response:
        actions.unblacklist(request.user, find_noted_user(username))
        return self.answer(request, username, deactivated=True)

    def answer(
        self, request: UserRequest, username: str, status: int = status.HTTP_200_OK, *, deactivated: bool = False
    ) -> Response:
        entries = BlacklistEntry.objects.status(request.user, username, deactivated=deactivated)
        by_user, by_other = found(entries, NO_USER)
        body = {
            "message": self.MESSAGES[by_user, by_other],
            "is_blacklisted": by_user or by_other,
            "is_blacklisted_by_user": by_user,
        }
        return Response(body, status)


# Contact book


class ContactBookView(APIView):
    def get(self, request: UserRequest) -> Response:
        return Response(representations.of_contacts(request.user))


class ContactView(APIView):
    def post(self, request: UserRequest, username: str) -> Response:
        other, representation = find_user_as_seen(username, viewer=request.user)
        actions.add_contact(request.user, other)
        return Response(representation, status.HTTP_201_CREATED)

    def delete(self, request: UserRequest, username: str) -> Response:
        actions.remove_contact(request.user, find_noted_user(username))
        return Response(status=status.HTTP_204_NO_CONTENT)


# Settings


class SettingsView(APIView):
    parser_classes = [*APIView.parser_classes, MergePatchParser]

    def get(self, request: UserRequest) -> Response:
        kept = UserSettings.objects.of(request.user)
        if matches(request.headers.get("If-None-Match", ""), kept.etag, weakly=True):
            return Response(status=status.HTTP_304_NOT_MODIFIED, headers=self.headers_of(kept))
        return self.answer(kept)

    def patch(self, request: UserRequest) -> Response:
        return self.change(request, is_merge=True)

    def put(self, request: UserRequest) -> Response:
        return self.change(request, is_merge=False)

    def change(self, request: UserRequest, *, is_merge: bool) -> Response:
        change, tags = request.data, request.headers.get("If-Match")
        kept = actions.change_settings(
            request.user,
            lambda current: changed_settings(current, change, is_merge=is_merge),
            lambda etag: tags is None or matches(tags, etag),
        )
        return self.answer(kept)

    def answer(self, kept: UserSettings) -> Response:
        return Response(kept.as_data, headers=self.headers_of(kept))

    @staticmethod
    def headers_of(kept: UserSettings) -> dict[str, str]:
        return {"ETag": kept.etag, "Cache-Control": "private, no-cache", "Vary": "Authorization"}


def matches(tags: str, etag: str, *, weakly: bool = False) -> bool:
    """Whether one of the tags of a header is this one. A proxy may have made it weak."""
    listed = parse_etags(tags)
    return "*" in listed or etag in listed or (weakly and f"W/{etag}" in listed)


# By mail


class VerifyEmailView(APIView):
    def post(self, request: UserRequest) -> Response:
        outbox.require_set_up()
        actions.send_confirmation(request.user)
        return Response({"message": "A code is on its way to your address."}, status.HTTP_202_ACCEPTED)


@public
class ConfirmEmailView(APIView):
    def post(self, request: Request) -> Response:
        outbox.require_set_up()
        actions.confirm_address(**validated(CodeSerializer, request))
        return Response(status=status.HTTP_204_NO_CONTENT)


@public
class ForgotPasswordView(APIView):
    def post(self, request: Request) -> Response:
        outbox.require_set_up()
        actions.send_reset(**validated(EmailSerializer, request), address=address_of(request))
        message = "If this is the address of an account, a code is on its way."
        return Response({"message": message}, status.HTTP_202_ACCEPTED)


@public
class ResetPasswordView(APIView):
    def post(self, request: Request) -> Response:
        require_mail_or_code(request.data)
        token = actions.reset_password(**validated(PasswordResetSerializer, request))
        return Response({"token": token})


# Availability


class AvailabilityView(APIView):
    def get(self, request: UserRequest, username: str) -> Response:
        return Response(found(availability.of_username(username, viewer=request.user), NO_USER))


class AvailabilitiesView(APIView):
    def get(self, request: UserRequest) -> Response:
        return Response(availability.of_contacts(request.user))
