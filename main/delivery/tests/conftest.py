"""Clients that listen to their events."""

import pytest
from django.core.handlers.wsgi import WSGIHandler
from django.http.response import HttpResponseBase
from rest_framework.test import APIRequestFactory

from conversations.tests.conftest import group, private, talk  # noqa: F401  (fixtures)
from events import log

STREAM = "text/event-stream"
# No events, and the end of the pages.
NOTHING = {"events": [], "more": False}


class Listener:
    """A client that takes its events page by page, from the moment at which this is made."""

    def __init__(self, client):
        self.client = client
        self.cursor = self.page()["cursor"]

    def page(self, **query):
        answer = self.client.get("/events", query)
        assert answer.status_code == 200, answer.content
        return answer.json()

    def pages(self, **query):
        """The pages since the last time."""
        more = True
        while more:
            page = self.page(after=self.cursor, **query)
            self.cursor, more = page["cursor"], page["more"]
            yield page

    def news(self, **query):
        """What has come since the last time, as (event, data)."""
        return [(each["event"], each["data"]) for page in self.pages(**query) for each in page["events"]]


@pytest.fixture
def listen():
    return Listener


@pytest.fixture
def ask(db, monkeypatch):
    """Asks for events, and leaves the answer open: the test client closes each one, which gives up its stream."""
    # At the end of an answer Django closes the connection to the database, which holds the transaction of the test.
    monkeypatch.setattr(HttpResponseBase, "close", lambda answer: None)
    handler = WSGIHandler()

    def get(client, query="", accept=STREAM, method="get", **headers):
        call = getattr(APIRequestFactory(), method)
        answer = handler.get_response(call("/events" + query, HTTP_ACCEPT=accept, **client._credentials, **headers))
        assert answer.status_code == 200, answer.content
        return answer

    return get


@pytest.fixture
def order(db):
    """Gives what was announced its place in the log."""
    return log.order


@pytest.fixture
def told():
    """The event `message`, as (event, data)."""
    return lambda message: ("message", {"message": message, "silent": False})
