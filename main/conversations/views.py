from typing import Any

from rest_framework import status
from rest_framework.exceptions import APIException, ValidationError
from rest_framework.response import Response
from rest_framework.serializers import Serializer
from rest_framework.views import APIView

from common.pagination import paged, paged_by, read_cursor, read_limit, read_number
from common.serializers import validated
from conversations import actions, guards, representations
from conversations.serializers import (
    GroupNameSerializer,
    GroupSerializer,
    MessageSerializer,
    MessageTextSerializer,
    ReadSerializer,
)
from conversations.throttles import SendThrottle
from users.authentication import UserRequest
from users.guards import find_user

# Conversations


class ConversationsView(APIView):
    def get(self, request: UserRequest) -> Response:
        limit = read_limit(request, default=20)
        conversations, more_after = representations.page_of(request.user, limit, after=read_cursor(request))
        return paged(request, conversations, more_after)


class PrivateConversationView(APIView):
    def post(self, request: UserRequest, username: str) -> Response:
        conversation, created = actions.open_private(request.user, find_user(username))
        return answer(conversation.pk, request, status.HTTP_201_CREATED if created else status.HTTP_200_OK)


class GroupsView(APIView):
    def post(self, request: UserRequest) -> Response:
        group = validated(GroupSerializer, request)
        conversation = actions.create_group(request.user, group["name"], group["members"])
        return answer(conversation.pk, request, status.HTTP_201_CREATED)


class ConversationView(APIView):
    def get(self, request: UserRequest, pk: int) -> Response:
        return answer(pk, request)

    def put(self, request: UserRequest, pk: int) -> Response:
        actions.rename_group(request.user, pk, validated_within(pk, GroupNameSerializer, request)["name"])
        return answer(pk, request)


class MemberView(APIView):
    def post(self, request: UserRequest, pk: int, username: str) -> Response:
        # First of all: others must not learn anything, not even which users exist.
        guards.find_conversation(request.user, pk)
        actions.add_member(request.user, pk, find_user(username))
        return answer(pk, request, status.HTTP_201_CREATED)

    def delete(self, request: UserRequest, pk: int, username: str) -> Response:
        actions.remove_member(request.user, pk, username)
        return Response(status=status.HTTP_204_NO_CONTENT)


class ReadView(APIView):
    def post(self, request: UserRequest, pk: int) -> Response:
        actions.mark_read(request.user, pk, validated_within(pk, ReadSerializer, request)["number"])
        return Response(status=status.HTTP_204_NO_CONTENT)


# Messages


class MessagesView(APIView):
    throttle_classes = [SendThrottle]

    def get(self, request: UserRequest, pk: int) -> Response:
        guards.find_conversation(request.user, pk)
        limit = read_limit(request, default=50)
        before, after = read_number(request, "before"), read_number(request, "after")
        if before is not None and after is not None:
            raise ValidationError({"after": ["Cannot go together with before."]})
        if after is not None:
            page, direction = representations.messages_after(pk, after, request.user, limit + 1), "after"
        else:
            page, direction = representations.messages_before(pk, before, request.user, limit + 1), "before"
        if len(page) <= limit:
            return Response(page)
        return paged_by(request, page[:limit], direction, page[limit - 1]["number"])

    def post(self, request: UserRequest, pk: int) -> Response:
        message, created = actions.send_message(request.user, pk, **validated_within(pk, MessageSerializer, request))
        return Response(
            representations.of_own_message(message, request.user),
            status.HTTP_201_CREATED if created else status.HTTP_200_OK,
        )


class MessageView(APIView):
    def put(self, request: UserRequest, pk: int, number: int) -> Response:
        message = actions.edit_message(request.user, pk, number, **validated_within(pk, MessageTextSerializer, request))
        return Response(representations.of_own_message(message, request.user))

    def delete(self, request: UserRequest, pk: int, number: int) -> Response:
        actions.delete_message(request.user, pk, number)
        return Response(status=status.HTTP_204_NO_CONTENT)


def validated_within(pk: int, serializer_class: type[Serializer], request: UserRequest) -> dict[str, Any]:
    """The validated data of the body. Who is not a member gets the 404 instead of errors in the body."""
    try:
        return validated(serializer_class, request)
    except APIException:
        guards.find_conversation(request.user, pk)
        raise


def answer(pk: int, request: UserRequest, status: int = status.HTTP_200_OK) -> Response:
    conversation = guards.find_conversation(request.user, pk)
    [representation] = representations.of_conversations([conversation], request.user)
    return Response(representation, status)
