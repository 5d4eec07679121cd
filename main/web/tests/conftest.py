"""People in real browsers, on a real server of two processes.

The server has a name of its own, so that the page is what it is for somebody else on the network by plain HTTP: not a
"secure context", in which browsers offer more.
"""

import os
import re
import signal

import pytest
from django.db import connection
from playwright.sync_api import expect, sync_playwright

from conversations.models import Conversation, Membership, Message
from conversations.tests.conftest import private, talk  # noqa: F401  (fixtures)
from delivery.models import Slot
from delivery.tests.live import Server, eventually
from events import log
from harness.smtp import MailServer
from users.models import AuthToken

HOST = "chat.test"
DESK, PHONE = {"width": 1280, "height": 800}, {"width": 390, "height": 844}
# Milliseconds after which a test gives up. What it waits for takes a fraction of that.
PATIENCE = 20_000


def pytest_collection_modifyitems(items):
    for item in items:
        if "browsers" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.django_db(transaction=True))


slow = pytest.mark.skipif(not os.environ.get("SLOW"), reason="It takes long: `make test-page` runs it.")


@pytest.fixture(scope="package")
def chromium():
    if connection.vendor == "sqlite" and not os.environ.get("QUICK"):
        pytest.skip("The page knows nothing of the database. In a run on both it is tried on MariaDB.")
    # While playwright runs there is an event loop in this thread, which Django takes for asynchronous code.
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"
    expect.set_options(timeout=PATIENCE)
    with sync_playwright() as playwright:
        arguments = ["--no-sandbox", "--disable-gpu", f"--host-resolver-rules=MAP {HOST} 127.0.0.1"]
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=arguments)
        yield browser
        browser.close()
    del os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"]


class ChatServer(Server):
    def __init__(self, **environment):
        super().__init__(ALLOWED_HOSTS=f"{HOST},127.0.0.1", **environment)
        self.origin = f"http://{HOST}:{self.port}"
        self.environment["PUBLIC_URL"] = self.origin

    def start(self):
        self.__enter__()
        eventually(lambda: self.is_up() and len(self.workers()) == 2)

    def stop(self):
        self.__exit__()

    def kill(self):
        """Without a farewell, as a power cut does."""
        workers = self.workers()
        self.process.kill()
        for pid in workers:
            os.kill(pid, signal.SIGKILL)
        self.stop()


@pytest.fixture(scope="package")
def mail_of_all():
    with MailServer() as server:
        yield server


@pytest.fixture
def mail(mail_of_all):
    """The mail server of the running server, without the mails of other tests."""
    mail_of_all.mails.clear()
    return mail_of_all


@pytest.fixture(scope="package")
def running(django_db_setup, mail_of_all):
    server = ChatServer(EMAIL_HOST="127.0.0.1", EMAIL_PORT=str(mail_of_all.port))
    server.start()
    yield server
    server.stop()


@pytest.fixture
def server(running, transactional_db):
    """The server, to which nothing of a test is left when the tables are emptied."""
    yield running
    eventually(lambda: not Slot.objects.exists())
    log.order()


class Chat:
    """Somebody's page, and what people do with it."""

    def __init__(self, page, server):
        self.page, self.server, self.origin = page, server, server.origin
        self.trouble, self.requests = [], []
        page.set_default_timeout(PATIENCE)
        page.on("pageerror", lambda error: self.trouble.append(str(error)))
        page.on("console", self.hear)
        page.on("request", lambda request: self.requests.append((request.method, request.url)))
        self.list = page.get_by_role("navigation", name="Conversations")
        self.messages = page.locator(".message")
        self.composer = page.get_by_label("Message", exact=True)
        self.status = page.locator(".status")
        self.badge = page.locator(".badge")

    def hear(self, message):
        # Chromium reports every answer of 400 and more here, refusals included; and on plain HTTP a header of Django's.
        usual = ("Failed to load resource", "The Cross-Origin-Opener-Policy header has been ignored")
        if message.type in ("error", "warning") and not message.text.startswith(usual):
            self.trouble.append(message.text)

    def goto(self, address=""):
        self.page.goto(f"{self.origin}/chat#{address}")
        return self

    def ready(self):
        """Wait until the page is there and holds its stream."""
        expect(self.page.locator("conversation-list")).to_be_attached()
        expect(self.status).to_be_empty()
        return self

    def button(self, name):
        return self.page.get_by_role("button", name=name, exact=True)

    def link(self, name, exact=True):
        return self.page.get_by_role("link", name=name, exact=exact)

    def click(self, name):
        self.button(name).click()

    def fill(self, **fields):
        for label, text in fields.items():
            self.page.get_by_label(label.replace("E_mail", "E-mail").replace("_", " "), exact=True).fill(text)

    def open(self, title):
        """Open a conversation from the list, also where the list is another screen."""
        if not self.list.is_visible():
            self.page.get_by_label("All conversations").click()
        self.list.locator(".name").filter(has_text=re.compile(f"^{re.escape(title)}$")).click()
        expect(self.page.locator("message-view h1")).to_have_text(title)
        expect(self.composer).to_be_visible()

    def send(self, *texts):
        for text in texts:
            self.composer.fill(text)
            self.click("Send")

    def texts(self):
        return self.messages.locator(".text").all_inner_texts()

    def expect_texts(self, *texts):
        expect(self.messages.locator(".text")).to_have_text(list(texts))

    def menu(self, text, item):
        """Choose from the menu of a message."""
        message = self.messages.filter(has_text=text)
        message.hover()
        message.locator("summary").click()
        message.get_by_role("button", name=item).click()

    def expect_title(self, title):
        expect(self.page).to_have_title(re.compile(rf"^{re.escape(title)}$"))

    def agree(self, button):
        self.page.get_by_role("dialog").get_by_role("button", name=button).click()

    def expect_settled(self):
        """All that was sent is stored."""
        expect(self.page.locator(".unsent")).to_have_count(0)


@pytest.fixture
def browsers(chromium, server):
    """Opens the page in a browser of its own, at a width, for somebody who is logged in or for a stranger."""
    contexts, chats = [], []

    def open_browser(user=None, size=DESK, address="", **options):
        storage = {"cookies": [], "origins": []}
        if user:
            stored = [{"name": "chat.token", "value": AuthToken.objects.issue(user)}]
            storage["origins"].append({"origin": server.origin, "localStorage": stored})
        options = {"locale": "en-GB", "reduced_motion": "reduce"} | options
        context = chromium.new_context(viewport=size, storage_state=storage, **options)
        contexts.append(context)
        return open_tab(context, user, address)

    def open_tab(context, user, address=""):
        chat = Chat(context.new_page(), server)
        chats.append(chat)
        chat.goto(address)
        return chat.ready() if user else chat

    open_browser.tab = open_tab
    yield open_browser
    for context in contexts:
        context.close()
    for chat in chats:
        assert chat.trouble == []
        assert all(url.startswith(server.origin + "/") for _, url in chat.requests)


@pytest.fixture
def fill_conversation():
    """Writes many messages at once, alternately by the users, without events. All count as read, unless told."""

    def fill(conversation_id, users, number, text="Message {}", is_read=True):
        conversation = Conversation.objects.get(pk=conversation_id)
        first = conversation.last_number + 1
        Message.objects.bulk_create(
            Message(
                conversation=conversation,
                number=each,
                sender=users[each // 3 % len(users)],
                text=text.format(each),
            )
            for each in range(first, first + number)
        )
        Conversation.objects.filter(pk=conversation_id).update(last_number=first + number - 1)
        if is_read:
            Membership.objects.filter(conversation=conversation).update(read_number=first + number - 1)

    return fill
