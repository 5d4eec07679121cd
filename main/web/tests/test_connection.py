"""What goes wrong on the way to the server: nothing is missing afterwards, and nothing is there twice."""

import re

from playwright.sync_api import expect

from conversations.models import Message
from delivery.tests.live import eventually
from users.models import AuthToken
from web.tests.conftest import PHONE, slow

LOST = "No connection. What you write is sent when it is back."


def test_offline_and_back(alice, bob, private, browsers):
    at_alice, at_bob = browsers(alice), browsers(bob, PHONE)
    at_alice.open("bob")
    at_bob.open("alice")
    at_alice.send("Before")
    at_bob.expect_texts("Before")
    at_bob.page.context.set_offline(True)
    at_bob.send("Written offline 1", "Written offline 2")
    expect(at_bob.page.locator(".unsent .meta")).to_have_text(["Waiting to be sent"] * 2)
    at_alice.send("Meanwhile")
    at_bob.page.context.set_offline(False)
    at_bob.expect_settled()
    texts = ["Before", "Meanwhile", "Written offline 1", "Written offline 2"]
    for chat in (at_alice, at_bob):
        chat.expect_texts(*texts)


@slow
def test_a_killed_server_and_back(alice, bob, private, browsers):
    at_alice, at_bob = browsers(alice), browsers(bob)
    server = at_alice.server
    at_alice.open("bob")
    at_bob.open("alice")
    at_alice.send("Before")
    at_bob.expect_texts("Before")
    server.kill()
    for chat in (at_alice, at_bob):
        expect(chat.status).to_have_text(LOST)
    at_alice.send("Written meanwhile", "And this")
    expect(at_alice.page.locator(".unsent .meta")).to_have_text(["Waiting to be sent"] * 2)
    server.start()
    at_alice.expect_settled()
    for chat in (at_alice, at_bob):
        chat.expect_texts("Before", "Written meanwhile", "And this")
        expect(chat.status).to_be_empty()
    assert Message.objects.count() == 3


def test_what_was_written_while_the_server_was_away_is_sent_by_the_next_visit(alice, bob, private, browsers):
    at_alice, at_bob = browsers(alice), browsers(bob)
    at_alice.open("bob")
    at_alice.page.route("**/messages", lambda route: route.abort())
    at_alice.send("Kept", "Kept, too")
    expect(at_alice.page.locator(".unsent .meta")).to_have_text(["Waiting to be sent"] * 2)
    at_alice.page.unroute_all()
    at_alice.page.reload()
    at_alice.expect_settled()
    at_bob.open("alice")
    for chat in (at_alice, at_bob):
        chat.expect_texts("Kept", "Kept, too")


@slow
def test_a_restart_of_the_server_is_not_noticed(alice, bob, private, browsers):
    at_alice, at_bob = browsers(alice), browsers(bob)
    at_alice.open("bob")
    at_bob.open("alice")
    before = at_alice.server.replace()
    expected = [f"Message {number}" for number in range(25)]
    for text in expected:
        at_alice.send(text)
        at_alice.expect_settled()
    eventually(lambda: not at_alice.server.workers() & before)
    at_alice.send("After it")
    for chat in (at_alice, at_bob):
        chat.expect_texts(*expected, "After it")
        expect(chat.status).to_be_empty()


def test_a_token_that_ends_elsewhere_leads_back_to_the_sign_in(alice, bob, private, browsers):
    chat = browsers(alice, PHONE)
    chat.open("bob")
    place = chat.page.url
    chat.page.goto("about:blank")  # or the stream might tell it first
    AuthToken.objects.filter(user=alice).delete()
    chat.page.goto(place)
    expect(chat.page.get_by_text("You were logged out.")).to_be_visible()
    expect(chat.page.get_by_label("Username")).to_be_focused()
    chat.fill(Username="alice", Password="correct-horse-battery")
    chat.click("Log in")
    # Where one was before.
    expect(chat.page.locator("message-view h1")).to_have_text("bob")
    expect(chat.page).to_have_url(re.compile(r"#c/\d+$"))


def test_messages_that_came_while_nobody_was_there_are_marked(alice, bob, talk, client_of, private, browsers):
    chat = browsers(bob)
    talk.send(client_of(alice), private, "Old")
    chat.open("alice")
    chat.expect_texts("Old")
    eventually(lambda: not chat.badge.count())
    chat.link("People").click()
    talk.send(client_of(alice), private, "New 1", "New 2")
    chat.expect_title("(2) Chat")
    chat.open("alice")
    expect(chat.page.locator(".mark + .message")).to_contain_text("New 1")
    chat.expect_title("Chat")
