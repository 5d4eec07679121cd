import pytest

from users.models import BlacklistEntry


class Talk:
    """What the tests of conversations do again and again, with plain answers."""

    @staticmethod
    def open(client, username):
        answer = client.post(f"/conversations/private/{username}")
        assert answer.status_code in (200, 201), answer.content
        return answer.json()["id"]

    @staticmethod
    def group(client, *members, name="Tea party"):
        answer = client.post("/conversations/groups", {"name": name, "members": members})
        assert answer.status_code == 201, answer.content
        return answer.json()["id"]

    @staticmethod
    def send(client, conversation, *texts):
        for text in texts:
            answer = client.post(f"/conversations/{conversation}/messages", {"text": text})
            assert answer.status_code == 201, answer.content
        return answer.json()

    @staticmethod
    def texts(answer):
        assert answer.status_code == 200, answer.content
        return [message["text"] for message in answer.json()]


@pytest.fixture
def talk():
    return Talk


@pytest.fixture
def private(as_alice, as_bob):
    """The id of the private conversation of alice and bob."""
    return Talk.open(as_alice, "bob")


@pytest.fixture
def group(as_alice, as_bob):
    """The id of a group that alice owns and bob is in."""
    return Talk.group(as_alice, "bob")


@pytest.fixture(params=["by alice", "by bob"])
def blacklisted(request, alice, bob):
    """Puts an entry between alice and bob when called, once in each direction."""

    def blacklist():
        user1, user2 = (alice, bob) if request.param == "by alice" else (bob, alice)
        BlacklistEntry.objects.create(user1=user1, user2=user2)

    return blacklist


REFUSED_PAIR = {"message": "One of you has blacklisted the other."}
NO_CONVERSATION = {"detail": "There is no such conversation."}
