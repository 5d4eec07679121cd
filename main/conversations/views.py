from rest_framework import status
from rest_framework.exceptions import APIException, ValidationError
from rest_framework.response import Response
from rest_framework.views import APIView

from common.pagination import paged, paged_by, read_cursor, read_limit, read_number
from common.serializers import validated
from conversations import actions, guards, representations
from conversations.models import Conversation
from conversations.serializers import (
    GroupNameSerializer,
    GroupSerializer,
    MessageSerializer,
    MessageTextSerializer,
    ReadSerializer,
)
from conversations.throttles import SendThrottle
from users.guards import find_user

# Conversations


class ConversationsView(APIView):
    def get(self, request):
        limit = read_limit(request, default=20)
        conversations, more_after = Conversation.objects.of(request.user).page(limit, after=read_cursor(request))
        return paged(request, representations.of_conversations(conversations, request.user), more_after)


class PrivateConversationView(APIView):
    def post(self, request, username):
        conversation, created = actions.open_private(request.user, find_user(username))
        return answer(conversation, request, status.HTTP_201_CREATED if created else status.HTTP_200_OK)


class GroupsView(APIView):
    def post(self, request):
        group = validated(GroupSerializer, request)
        conversation = actions.create_group(request.user, group["name"], group["members"])
        return answer(conversation, request, status.HTTP_201_CREATED)


class ConversationView(APIView):
    def get(self, request, pk):
        return answer(guards.find_conversation(request.user, pk), request)

    def put(self, request, pk):
        actions.rename_group(request.user, pk, validated_within(pk, GroupNameSerializer, request)["name"])
        return answer(guards.find_conversation(request.user, pk), request)


class MemberView(APIView):
    def post(self, request, pk, username):
        # Strangers first: they are told nothing, not even which users there are.
        guards.find_conversation(request.user, pk)
        actions.add_member(request.user, pk, find_user(username))
        return answer(guards.find_conversation(request.user, pk), request, status.HTTP_201_CREATED)

    def delete(self, request, pk, username):
        actions.remove_member(request.user, pk, username)
        return Response(status=status.HTTP_204_NO_CONTENT)


class ReadView(APIView):
    def post(self, request, pk):
        actions.mark_read(request.user, pk, validated_within(pk, ReadSerializer, request)["number"])
        return Response(status=status.HTTP_204_NO_CONTENT)


# Messages


class MessagesView(APIView):
    throttle_classes = [SendThrottle]

    def get(self, request, pk):
        messages = guards.find_conversation(request.user, pk).messages
        limit = read_limit(request, default=50)
        before, after = read_number(request, "before"), read_number(request, "after")
        if before is not None and after is not None:
            raise ValidationError({"after": ["Cannot go together with before."]})
        if after is not None:
            page, direction = messages.filter(number__gt=after).order_by("number"), "after"
        else:
            page = messages.order_by("-number")
            page, direction = page if before is None else page.filter(number__lt=before), "before"
        page = representations.of_messages(page[: limit + 1], request.user)
        if len(page) <= limit:
            return Response(page)
        return paged_by(request, page[:limit], direction, page[limit - 1]["number"])

    def post(self, request, pk):
        message, created = actions.send_message(request.user, pk, **validated_within(pk, MessageSerializer, request))
        return Response(
            representations.of_own_message(message, request.user),
            status.HTTP_201_CREATED if created else status.HTTP_200_OK,
        )


class MessageView(APIView):
    def put(self, request, pk, number):
        message = actions.edit_message(request.user, pk, number, **validated_within(pk, MessageTextSerializer, request))
        return Response(representations.of_own_message(message, request.user))

    def delete(self, request, pk, number):
        actions.delete_message(request.user, pk, number)
        return Response(status=status.HTTP_204_NO_CONTENT)


def validated_within(pk, serializer_class, request):
    """The body as the serializer reads it; a stranger to the conversation is not told what is wrong with it."""
    try:
        return validated(serializer_class, request)
    except APIException:
        guards.find_conversation(request.user, pk)
        raise


def answer(conversation, request, status=status.HTTP_200_OK):
    [representation] = representations.of_conversations([conversation], request.user)
    return Response(representation, status)
