"""Hooks for schemathesis: which token to use, and which users, conversations and messages exist."""

import django
import schemathesis

django.setup()

from conversations import actions  # noqa: E402
from users.models import AuthToken, User  # noqa: E402

# These calls end the token, or the account, of their caller.
ENDING = {"log_out", "log_out_everywhere", "change_password", "delete_account"}
NAMES = ("bob", "charlie", "BOB")


def user_called(name):
    return User.objects.get_or_create(username_key=name, defaults={"username": name, "email": f"{name}@example.org"})[0]


alice, bob, charlie = map(user_called, ("caller", "bob", "charlie"))
private, _ = actions.open_private(alice, bob)
group = actions.create_group(alice, "Tea party", [bob.pk])
for conversation in (private, group):
    actions.send_message(alice, conversation.pk, "Hello")
actions.send_message(bob, private.pk, "Hello, too")
token = AuthToken.objects.issue(alice)


@schemathesis.auth(refresh_interval=None)
class TokenAuth:
    throwaways = 0

    def get(self, case, context):
        if case.operation.definition.raw["operationId"] not in ENDING:
            return token
        TokenAuth.throwaways += 1
        return AuthToken.objects.issue(user_called(f"throwaway-{TokenAuth.throwaways}"))

    def set(self, case, data, context):
        case.headers["Authorization"] = f"Token {data}"


@schemathesis.hook
def map_path_parameters(context, path_parameters):
    """Half of the requests are about users, conversations and messages that exist."""
    chosen = len(str(path_parameters))
    if path_parameters and chosen % 2:
        if "username" in path_parameters:
            path_parameters["username"] = NAMES[chosen % 3]
        if "id" in path_parameters:
            path_parameters["id"] = (private, group)[chosen // 2 % 2].pk
        if "number" in path_parameters:
            path_parameters["number"] = 1
    return path_parameters


@schemathesis.hook
def map_body(context, body):
    """Half of the reports are about users and messages that exist, where what is replaced was well-formed."""
    if not (isinstance(body, dict) and "reason" in body and isinstance(body.get("username"), str)):
        return body
    chosen = len(str(body))
    if chosen % 2 and 0 < len(body["username"]) <= 150:
        body["username"] = NAMES[chosen % 3]
        if all(isinstance(body.get(key), int) and body[key] > 0 for key in ("conversation", "number")):
            body["conversation"], body["number"] = private.pk, 2
    return body
