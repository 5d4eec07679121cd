"""The cast of the tests: alice, bob and charlie, an API client for each, and one for a stranger without a token."""

import json
import secrets
from io import StringIO
from threading import Event
from urllib.parse import quote

import hypothesis
import pytest
from django.conf import settings
from django.contrib.auth.hashers import make_password
from django.contrib.auth.models import Group
from django.core.management import call_command
from django.http import HttpResponse
from django.test import Client as Browser
from django.utils import timezone
from rest_framework.test import APIClient

from common.rates import leases
from harness.smtp import MailServer
from mail import outbox
from mail.models import Mail
from tests import schema
from users import representations
from users.models import AuthToken, User

# Nothing is kept between runs, and no example has a time limit: the machine may be busy.
hypothesis.settings.register_profile("here", database=None, deadline=None)
hypothesis.settings.load_profile("here")


def pytest_addoption(parser):
    parser.addoption("--of-the-database", action="store_true", help="leave out tests that use no database")


def pytest_collection_modifyitems(config, items):
    if config.getoption("--of-the-database"):
        of_the_database = [item for item in items if uses_database(item)]
        config.hook.pytest_deselected(items=[item for item in items if not uses_database(item)])
        items[:] = of_the_database


def uses_database(item):
    return item.get_closest_marker("django_db") or not {"db", "transactional_db"}.isdisjoint(item.fixturenames)


class Client(APIClient):
    """Sends JSON, escaped as any client may, so that it can also hold what UTF-8 cannot.

    Every answer is held to the OpenAPI document, and so is what is accepted.
    """

    def request(self, **kwargs):
        answer = super().request(**kwargs)
        if answer.streaming:
            answer = read_whole(answer)
        if self.is_documented:
            schema.check(kwargs["REQUEST_METHOD"], quote(kwargs["PATH_INFO"], safe="/"), answer)
        return answer

    def generic(self, method, path, data="", content_type="application/octet-stream", **extra):
        answer = super().generic(method, path, data, content_type, **extra)
        if self.is_documented and answer.status_code < 300 and data and "json" in content_type:
            schema.check_accepted(method, path.partition("?")[0], data)
        return answer

    @property
    def is_documented(self):
        # Where a test makes a view fail, or has views of its own, the document knows nothing of it.
        return self.raise_request_exception and settings.ROOT_URLCONF == "main.urls"

    def _encode_data(self, data, format=None, content_type=None):
        if data is None or format or content_type:
            return super()._encode_data(data, format, content_type)
        return json.dumps(data).encode("ascii"), "application/json"


def read_whole(streamed):
    """The same answer, with a body that can be read more than once."""
    answer = HttpResponse(streamed.getvalue(), status=streamed.status_code, headers=streamed.headers)
    answer.json = lambda: json.loads(answer.content)
    return answer


def represent(user):
    """The user instance, as its owner sees it."""
    return representations.of_oneself(user)


PASSWORD = "correct-horse-battery"


@pytest.fixture(scope="session", autouse=True)
def _look_for_static_files_when_asked():
    """Every client would otherwise read the folders of the admin again: a third of the suite's time."""
    settings.WHITENOISE_AUTOREFRESH = True


@pytest.fixture(autouse=True)
def _end_leases():
    """Each test has a database of its own, in which nothing is reserved yet."""
    leases.clear()


@pytest.fixture(scope="session")
def password_hash():
    """Made once: it is meant to take time."""
    return make_password(PASSWORD)


@pytest.fixture
def make_user(db, password_hash):
    def make(username, **fields):
        user = User(**{"username": username, "email": f"{username}@example.org", "password": password_hash} | fields)
        user.save()
        return user

    return make


@pytest.fixture
def client_of(db):
    """Makes an API client with a token of its own for the user."""

    def client(user):
        api = Client()
        api.credentials(HTTP_AUTHORIZATION=f"Token {AuthToken.objects.issue(user)}")
        return api

    return client


@pytest.fixture
def alice(make_user):
    return make_user("alice", first_name="Alice", last_name="Liddell", bio="Curious.", phone_number="+44 1865 1")


@pytest.fixture
def bob(make_user):
    return make_user("bob")


@pytest.fixture
def charlie(make_user):
    return make_user("charlie")


@pytest.fixture
def as_alice(alice, client_of):
    return client_of(alice)


@pytest.fixture
def as_bob(bob, client_of):
    return client_of(bob)


@pytest.fixture
def as_charlie(charlie, client_of):
    return client_of(charlie)


@pytest.fixture
def moderator(make_user):
    user = make_user("moderator", is_staff=True)
    user.groups.add(Group.objects.get(name="Moderators"))
    return user


@pytest.fixture
def as_moderator(moderator):
    """A browser in which a moderator has logged in to the admin."""
    browser = Browser()
    browser.force_login(moderator)
    return browser


@pytest.fixture
def anonymous(db):
    return Client()


@pytest.fixture
def upkeep(db):
    """Finishes what calls have left behind; without it a test sees what other calls see in between."""
    return lambda: call_command("upkeep", stdout=StringIO())


@pytest.fixture
def queries(django_assert_num_queries):
    """`with queries(n):` fails unless exactly n queries are made."""
    return django_assert_num_queries


@pytest.fixture
def mail_server(settings):
    """A real mail server, to which mails are sent by `send_mails`."""
    settings.EMAIL_BACKEND = "mail.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_TIMEOUT = "127.0.0.1", 0.5
    settings.PUBLIC_URL = "https://chat.example.org"
    with MailServer() as server:
        settings.EMAIL_PORT = server.port
        yield server


@pytest.fixture
def send_mails(mail_server):
    """Sends what waits, also what is due later; returns the mails that have arrived by it."""

    def send():
        Mail.objects.waiting().update(due_at=timezone.now())
        arrived = len(mail_server.mails)
        outbox.send_due(secrets.token_hex(16), Event())
        return mail_server.mails[arrived:]

    return send
