from rest_framework import status
from rest_framework.exceptions import NotFound, ValidationError
from rest_framework.permissions import AllowAny
from rest_framework.response import Response
from rest_framework.views import APIView

from common.keys import text_key
from common.pagination import paged, read_cursor, read_limit
from common.validators import has_control_characters
from users import actions
from users.models import BlacklistEntry, ContactBookEntry, User
from users.serializers import (
    LoginSerializer,
    PasswordChangeSerializer,
    ProfileChangeSerializer,
    RegisterSerializer,
)

# Accounts


class RegisterView(APIView):
    permission_classes = [AllowAny]

    def post(self, request):
        user = actions.register(**validated(RegisterSerializer, request))
        return Response(user.instance, status.HTTP_201_CREATED)


class LoginView(APIView):
    permission_classes = [AllowAny]

    def post(self, request):
        return Response({"token": actions.log_in(**validated(LoginSerializer, request))})


class LogoutView(APIView):
    def post(self, request):
        request.auth.delete()
        return Response(status=status.HTTP_204_NO_CONTENT)


class LogoutAllView(APIView):
    def post(self, request):
        request.user.auth_tokens.all().delete()
        return Response(status=status.HTTP_204_NO_CONTENT)


class PasswordView(APIView):
    def post(self, request):
        passwords = validated(PasswordChangeSerializer, request, context={"user": request.user})
        return Response({"token": actions.change_password(request.user, **passwords)})


class ProfileView(APIView):
    def get(self, request):
        return Response(request.user.instance)

    def put(self, request):
        changes = validated(ProfileChangeSerializer, request, partial=True)
        return Response(actions.change_profile(request.user, changes).instance)

    patch = put

    def delete(self, request):
        actions.delete_account(request.user)
        return Response(status=status.HTTP_204_NO_CONTENT)


# Other people


class FindUsersView(APIView):
    def get(self, request):
        text = self.read_search(request)
        limit = read_limit(request, default=20)
        others = User.objects.active().exclude(pk=request.user.pk)
        users, more_after = others.find(text, limit=limit, after=read_cursor(request))
        return paged(request, users, more_after)

    @staticmethod
    def read_search(request):
        text = request.query_params.get("search", "")
        if len(text) > 100:
            raise ValidationError({"search": ["Ensure this has no more than 100 characters."]})
        if has_control_characters("".join(text.split())):
            raise ValidationError({"search": ["Control characters are not allowed."]})
        return text


class ViewUserView(APIView):
    def get(self, request, username):
        user = User.objects.active().named(username).instances().first()
        return Response(found(user))


# Blacklist


class BlacklistUserView(APIView):
    MESSAGES = {
        (False, False): "Neither of you has blacklisted the other.",
        (True, False): "You have blacklisted this user.",
        (False, True): "This user has blacklisted you.",
        (True, True): "You have blacklisted each other.",
    }

    def get(self, request, username):
        return self.answer(request, User.objects.active().named(username))

    def post(self, request, username):
        other = found(User.objects.active().named(username).first())
        actions.blacklist(request.user, other)
        return self.answer(request, User.objects.filter(pk=other.pk), status.HTTP_201_CREATED)

    def delete(self, request, username):
        # Of a deactivated account too: what a user noted is theirs to take back.
        other = found(User.objects.named(username).first())
        deleted, _ = BlacklistEntry.objects.filter(user1=request.user, user2=other).delete()
        if not deleted:
            raise NotFound("You have not blacklisted this user.")
        return self.answer(request, User.objects.filter(pk=other.pk))

    def answer(self, request, other, status=status.HTTP_200_OK):
        by_user, by_other = found(other.blacklist_status(request.user).first())
        body = {
            "message": self.MESSAGES[by_user, by_other],
            "is_blacklisted": by_user or by_other,
            "is_blacklisted_by_user": by_user,
        }
        return Response(body, status)


# Contact book


class ContactBookView(APIView):
    def get(self, request):
        contacts = User.objects.active().filter(contactbookentry_as_user2__user1=request.user)
        return Response(list(contacts.order_by("username_key").instances()))


class ContactView(APIView):
    def post(self, request, username):
        other = found(User.objects.active().named(username).first())
        actions.add_contact(request.user, other)
        return Response(other.instance, status.HTTP_201_CREATED)

    def delete(self, request, username):
        entries = ContactBookEntry.objects.filter(user1=request.user, user2__username_key=text_key(username))
        deleted, _ = entries.delete()
        if not deleted:
            raise NotFound("This user is not in your contact book.")
        return Response(status=status.HTTP_204_NO_CONTENT)


def validated(serializer_class, request, **kwargs):
    """The body as the serializer reads it, or 400 by field."""
    serializer = serializer_class(data=request.data, **kwargs)
    serializer.is_valid(raise_exception=True)
    return serializer.validated_data


def found(user):
    if user is None:
        raise NotFound("There is no such user.")
    return user
