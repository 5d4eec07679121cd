"""Clients that tools generate from the OpenAPI document, used as a developer uses them who has only the document."""

import json
import shutil
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

from common.openapi import schema_as_json
from conftest import PASSWORD
from tests.test_settings import MAIN

TYPESCRIPT = MAIN / "tests/typescript"
PACKAGES = MAIN.parent / "env/typescript"
GENERATED = "generated_chat_client"


def run(*command, cwd):
    done = subprocess.run(  # noqa: S603
        [str(part) for part in command],
        cwd=cwd,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


@pytest.fixture
def folder(tmp_path):
    """Where a client is generated, with the document in it."""
    (tmp_path / "schema.json").write_bytes(schema_as_json())
    return tmp_path


@pytest.fixture
def python_client(folder, monkeypatch):
    """Gives the modules of the generated client by their names."""
    (folder / "config.json").write_text('{"post_hooks": []}')
    run(
        *(Path(sys.executable).with_name("openapi-python-client"), "generate", "--fail-on-warning"),
        *("--path", "schema.json", "--config", "config.json", "--meta", "none", "--output-path", GENERATED),
        cwd=folder,
    )
    monkeypatch.syspath_prepend(folder)
    yield lambda name: import_module(f"{GENERATED}.{name}")
    for name in [name for name in sys.modules if name.partition(".")[0] == GENERATED]:
        del sys.modules[name]


@pytest.fixture
def typescript_packages():
    """The folder of the packages, installed once: a second run needs no network."""
    if not shutil.which("node") or not shutil.which("npm"):
        pytest.skip("Node.js and npm are not here.")
    PACKAGES.mkdir(parents=True, exist_ok=True)
    shutil.copy(TYPESCRIPT / "package.json", PACKAGES)
    run(shutil.which("npm"), "install", "--no-audit", "--no-fund", cwd=PACKAGES)
    return PACKAGES / "node_modules"


def test_every_enumeration_is_named_after_what_it_lists():
    schemas = json.loads(schema_as_json())["components"]["schemas"]
    named = {name for name, schema in schemas.items() if "enum" in schema}
    assert named == {
        "Audience",
        "BlacklistMessage",
        "ConversationKind",
        "Day",
        "EndReason",
        "EventName",
        "HealthStatus",
        "ReportReason",
        "ReportState",
    }


@pytest.mark.django_db(transaction=True)
def test_a_python_client_can_be_generated_and_used(live_server, python_client):
    models = python_client("models")
    clients = python_client("client")

    def call(operation, *arguments, **options):
        return python_client(f"api.{operation}").sync(*arguments, **options)

    def register(client, username):
        body = models.Register(username, f"{username}@example.org", PASSWORD)
        return call("users.register", client=client, body=body)

    with clients.Client(live_server.url, raise_on_unexpected_status=True) as client:
        assert call("service.see_health", client=client) == models.Status(models.HealthStatus.OK)
        alice, bob = register(client, "alice"), register(client, "bob")
        assert bob == models.User("bob", "bob@example.org", "", "", "", "")
        taken = register(client, "bob")
        assert isinstance(taken, models.FieldErrors)
        assert taken["username"] == ["This username is taken."]
        token = call("users.log_in", client=client, body=models.Login("alice", PASSWORD)).token

    with clients.AuthenticatedClient(live_server.url, token, prefix="Token", raise_on_unexpected_status=True) as client:
        assert call("users.see_profile", client=client) == alice
        change = models.PatchedProfileChange(bio="Curious.")
        assert call("users.change_profile", client=client, body=change).bio == "Curious."
        assert call("users.find_users", client=client, search="bob", limit=5) == [bob]

        assert call("users.add_contact", "bob", client=client) == bob
        assert call("users.see_contacts", client=client) == [bob]

        conversation = call("conversations.open_private_conversation", "bob", client=client)
        assert conversation.kind is models.ConversationKind.PRIVATE
        assert conversation.members == ["alice", "bob"]
        hello = models.NewMessage("Hello, Bob!")
        message = call("conversations.send_message", conversation.id, client=client, body=hello)
        assert (message.number, message.sender, message.text) == (1, "alice", "Hello, Bob!")
        assert call("conversations.see_conversation", conversation.id, client=client).last_message == message

        myself = call("users.blacklist", "alice", client=client)
        assert myself == models.Refusal("This cannot be done with yourself.")
        blacklisted = call("users.blacklist", "bob", client=client)
        assert blacklisted.message is models.BlacklistMessage.YOU_HAVE_BLACKLISTED_THIS_USER
        refused = call("conversations.send_message", conversation.id, client=client, body=hello)
        assert refused == models.Refusal("One of you has blacklisted the other.")


@pytest.mark.django_db(transaction=True)
def test_a_typescript_client_can_be_generated_and_used(live_server, folder, typescript_packages):
    (folder / "node_modules").symlink_to(typescript_packages)
    shutil.copy(TYPESCRIPT / "client.mts", folder)
    commands = typescript_packages / ".bin"
    run(commands / "openapi-typescript", "schema.json", "--output", "schema.ts", cwd=folder)
    # The types of the libraries are theirs to check; schema.ts is none of them.
    options = ("--strict", "--skipLibCheck", "--noEmitOnError", "--target", "es2022", "--module", "nodenext")
    run(commands / "tsc", *options, "client.mts", cwd=folder)
    assert json.loads(run(shutil.which("node"), "client.mjs", live_server.url, cwd=folder)) == {
        "health": "ok",
        "usernames": ["alice", "bob"],
        "bio": "Curious.",
        "found": ["bob"],
        "contact": "bob",
        "contacts": ["bob"],
        "kind": "private",
        "members": ["alice", "bob"],
        "message": [1, "alice", "Hello, Bob!"],
        "why": "You have blacklisted this user.",
        "refused": {"message": "One of you has blacklisted the other."},
    }
