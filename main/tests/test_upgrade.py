"""A database with data in it, upgraded from the migrations of the last release."""

from operator import attrgetter

import pytest
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

from conftest import PASSWORD, Client
from users.models import User

LANDED = [
    ("common", "0002_rate_counter"),
    ("events", "0001_initial"),
    ("users", "0008_moderators_see_settings"),
    ("conversations", "0003_ended_conversations"),
    ("delivery", "0001_initial"),
]
# Apps that the last release did not have.
NEW = [("mail", None), ("moderation", None)]


def migrate(targets):
    """Migrate to these, and return the models as they are then."""
    executor = MigrationExecutor(connection)
    executor.migrate(targets)
    return MigrationExecutor(connection).loader.project_state([name for name in targets if name[1]]).apps


@pytest.fixture
def landed():
    """The models of the last release, in a database that has its tables; afterwards it has all tables again."""
    latest = MigrationExecutor(connection).loader.graph.leaf_nodes()
    yield migrate([*LANDED, *NEW])
    migrate(latest)


@pytest.mark.django_db(transaction=True)
def test_people_and_what_they_said_are_there_after_an_upgrade(landed, password_hash):
    user_model = landed.get_model("users", "User")
    # Models of migrations have no properties.
    user_model.searched_email, user_model.whole_address = property(attrgetter("email")), ""
    users = [
        user_model.objects.create(username=name, email=f"{name}@example.org", password=password_hash)
        for name in ("alice", "bob")
    ]
    for user in users:
        entry = landed.get_model("users", "SearchEntry")
        entry.objects.create(rank=0, text=user.username, user_id=user.pk)
    landed.get_model("users", "UserSettings").objects.create(user=users[0], theme="dark", version=3)
    group = landed.get_model("conversations", "Conversation").objects.create(
        kind="group", name="Tea party", owner=users[0], last_number=1
    )
    for user in users:
        landed.get_model("conversations", "Membership").objects.create(conversation=group, user=user)
    message = landed.get_model("conversations", "Message")
    message.objects.create(conversation=group, number=1, sender=users[1], text="Hello")

    migrate(MigrationExecutor(connection).loader.graph.leaf_nodes())
    assert User.objects.filter(deleted_at=None).count() == 2
    client = Client()
    token = client.post("/users/login", {"username": "alice", "password": PASSWORD}).json()["token"]
    client.credentials(HTTP_AUTHORIZATION=f"Token {token}")
    [conversation] = client.get("/conversations").json()
    assert (conversation["owner"], conversation["members"]) == ("alice", ["alice", "bob"])
    assert conversation["last_message"]["text"] == "Hello"
    assert client.get("/users/settings").json()["theme"] == "dark"
    cursor = client.get("/events").json()["cursor"]
    client.post(f"/conversations/{conversation['id']}/messages", {"text": "Hello, Bob"})
    assert [user["username"] for user in client.get("/users/contacts/find-users?search=bo").json()] == ["bob"]
    [event] = client.get(f"/events?after={cursor}").json()["events"]
    assert (event["event"], event["data"]["message"]["text"]) == ("message", "Hello, Bob")
    assert client.delete("/users/profile").status_code == 204
    assert list(User.objects.values_list("username", flat=True)) == ["bob"]
