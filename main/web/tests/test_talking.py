"""Two people talk, in two browsers."""

import json

from playwright.sync_api import expect

from conversations.models import Message
from delivery.tests.live import eventually
from web.tests.conftest import DESK, HOST, PHONE


def test_two_people_talk_at_desk_and_phone(alice, bob, browsers):
    at_alice, at_bob = browsers(alice), browsers(bob, PHONE)

    at_alice.link("People").click()
    at_alice.fill(Find_people="bo")
    at_alice.link("bob").click()
    at_alice.click("Message")
    at_alice.send("Hello, Bob!", "How are you?")
    at_alice.expect_texts("Hello, Bob!", "How are you?")
    expect(at_alice.messages.last).to_contain_text("sent")
    at_alice.expect_settled()

    expect(at_bob.badge).to_have_text("2 unread")
    at_bob.expect_title("(2) Chat")
    at_bob.open("alice")
    at_bob.expect_texts("Hello, Bob!", "How are you?")
    expect(at_bob.page.locator(".mark + .message")).to_contain_text("Hello, Bob!")
    at_bob.expect_title("Chat")
    at_bob.send("Fine. And you?")
    at_alice.expect_texts("Hello, Bob!", "How are you?", "Fine. And you?")
    expect(at_alice.page.locator("chat-app > [role=log]")).to_have_text("bob: Fine. And you?")
    expect(at_alice.page.locator(".day h2")).to_have_text(["Today"])

    at_alice.menu("How are you?", "Edit")
    expect(at_alice.composer).to_have_value("How are you?")
    at_alice.composer.fill("How do you do?")
    at_alice.click("Save")
    at_bob.expect_texts("Hello, Bob!", "How do you do?", "Fine. And you?")
    expect(at_bob.messages.nth(1)).to_contain_text("edited")

    at_alice.menu("Hello, Bob!", "Delete")
    at_alice.agree("Delete")
    for chat in (at_alice, at_bob):
        chat.expect_texts("Message deleted", "How do you do?", "Fine. And you?")
    expect(at_alice.composer).to_be_focused()


def test_texts_and_names_are_only_text(make_user, bob, talk, client_of, browsers):
    mallory = make_user("<img>mallory", first_name="<b>Bold</b>", bio="<script>alert(1)</script>")
    client = client_of(mallory)
    group = talk.group(client, "bob", name="<i>Group</i>")
    texts = [
        "<img src=x onerror=alert(1)> & <b>bold</b>",
        "javascript:alert(1) data:text/html,x",
        "See https://example.org/a_(b)?c=d&e=<f>, or (http://example.org/g).",
    ]
    talk.send(client, group, *texts)
    chat = browsers(bob)
    chat.open("<i>Group</i>")
    chat.expect_texts(*texts)
    assert chat.page.locator("main :is(img, b, i, script)").count() == 0
    links = chat.messages.locator(".text a")
    found = [(each.get_attribute("href"), each.get_attribute("rel")) for each in links.all()]
    rel = "noopener noreferrer nofollow"
    assert found == [("https://example.org/a_(b)?c=d&e=", rel), ("http://example.org/g", rel)]
    chat.page.get_by_label("2 members").or_(chat.page.locator(".details summary")).click()
    chat.page.locator(".members").get_by_role("link", name="<img>mallory").click()
    expect(chat.page.locator(".facts")).to_contain_text("<script>alert(1)</script>")
    expect(chat.page.locator(".facts")).to_contain_text("<b>Bold</b>")


def test_a_group_gets_and_loses_members(alice, bob, charlie, browsers):
    at_alice, at_bob, at_charlie = browsers(alice), browsers(bob), browsers(charlie, PHONE)
    at_alice.link("New group").click()
    at_alice.fill(Name_of_the_group="Tea party", Members="bob nobody-knows")
    at_alice.click("Create the group")
    expect(at_alice.page.locator(".error:visible")).to_contain_text("nobody-knows")
    expect(at_alice.page.get_by_label("Members", exact=True)).to_be_focused()
    at_alice.fill(Members="bob")
    at_alice.click("Create the group")
    at_bob.open("Tea party")
    at_alice.send("Tea?")
    at_bob.expect_texts("Tea?")

    at_alice.page.locator(".details summary").click()
    at_alice.fill(Add_somebody="charlie")
    at_alice.click("Add")
    at_charlie.open("Tea party")
    at_charlie.expect_texts("Tea?")
    expect(at_charlie.page.locator(".sender")).to_have_text("alice")
    at_charlie.send("Yes, please.")
    at_bob.expect_texts("Tea?", "Yes, please.")

    at_alice.fill(Name_of_the_group="Coffee")
    at_alice.click("Rename")
    for chat in (at_alice, at_bob, at_charlie):
        expect(chat.page.locator("h1")).to_have_text("Coffee")

    at_alice.click("Remove bob")
    expect(at_bob.page.get_by_text("You are no longer in this conversation.")).to_be_visible()
    expect(at_bob.list).to_contain_text("No conversations yet")
    at_alice.send("Who is left?")
    at_charlie.expect_texts("Tea?", "Yes, please.", "Who is left?")

    at_charlie.page.locator(".details summary").click()
    at_charlie.click("Leave the group")
    at_charlie.agree("Leave")
    expect(at_charlie.list).to_contain_text("No conversations yet")
    expect(at_alice.page.locator(".details summary")).to_have_text("1 member")


def test_unread_counts_agree_in_all_tabs_and_devices(alice, bob, talk, client_of, private, browsers):
    group = talk.group(client_of(alice), "bob")
    desk = browsers(bob, DESK)
    tab = browsers.tab(desk.page.context, bob)
    phone = browsers(bob, PHONE)
    talk.send(client_of(alice), private, "One", "Two")
    talk.send(client_of(alice), group, "Three")
    for chat in (desk, tab, phone):
        chat.expect_title("(3) Chat")
        expect(chat.badge).to_have_text(["1 unread", "2 unread"])
    desk.open("alice")
    for chat in (desk, tab, phone):
        chat.expect_title("(1) Chat")
        expect(chat.badge).to_have_text(["1 unread"])
    phone.open("Tea party")
    phone.send("Seen")
    for chat in (desk, tab, phone):
        chat.expect_title("Chat")
    tab.open("Tea party")
    tab.expect_texts("Three", "Seen")
    assert tab.page.locator(".mark").count() == 0


def test_a_message_that_was_refused_can_be_sent_again_also_later(alice, bob, private, browsers):
    chat = browsers(alice)
    chat.open("bob")
    chat.send("First")
    chat.expect_settled()
    sent = []

    def refuse(route):
        sent.append(json.loads(route.request.post_data))
        route.fulfill(status=400, json={"text": ["Not now."]})

    chat.page.route("**/messages", refuse)
    chat.send("Second")
    expect(chat.page.locator(".unsent.failed")).to_contain_text("Not sent. Not now.")
    chat.page.reload()
    expect(chat.page.locator(".unsent.failed")).to_contain_text("Second")
    chat.page.unroute("**/messages")
    with chat.page.expect_request("**/messages") as request:
        chat.click("Try again")
    assert request.value.post_data_json == sent[0]
    chat.expect_settled()
    chat.expect_texts("First", "Second")

    chat.page.route("**/messages", refuse)
    chat.send("Third")
    chat.click("Discard")
    chat.expect_texts("First", "Second")
    expect(chat.composer).to_be_focused()
    chat.page.unroute("**/messages")
    chat.page.reload()
    chat.expect_texts("First", "Second")


def test_an_answer_that_was_lost_makes_no_second_message(alice, bob, private, browsers):
    chat = browsers(alice)
    chat.open("bob")
    lost = []

    def lose(route):
        if lost:
            route.continue_()
        else:
            lost.append(route.fetch(url=route.request.url.replace(HOST, "127.0.0.1")))
            route.abort()

    # What comes by the stream would tell that it was stored.
    chat.page.route("**/messages", lose)
    chat.send("One", "Two", "Three")
    chat.expect_settled()
    chat.expect_texts("One", "Two", "Three")
    eventually(lambda: Message.objects.count() == 3)


def test_what_is_being_written_stays_when_another_conversation_is_opened(
    alice, bob, charlie, talk, client_of, browsers
):
    for name in ("bob", "charlie"):
        talk.open(client_of(alice), name)
    chat = browsers(alice)
    chat.open("bob")
    chat.composer.fill("Half a senten")
    chat.open("charlie")
    expect(chat.composer).to_have_value("")
    chat.open("bob")
    expect(chat.composer).to_have_value("Half a senten")


def test_deleted_accounts_keep_their_words_without_a_name(alice, bob, talk, client_of, private, browsers):
    chat = browsers(alice)
    talk.send(client_of(bob), private, "Farewell")
    chat.open("bob")
    chat.expect_texts("Farewell")
    assert client_of(bob).delete("/users/profile").status_code == 204
    expect(chat.page.locator("h1")).to_have_text("Deleted account")
    expect(chat.page.get_by_text("This account is gone")).to_be_visible()
    expect(chat.composer).to_be_hidden()
    expect(chat.messages).to_contain_text("Deleted account: Farewell")
    chat.goto("u/bob")
    expect(chat.page.get_by_text("There is nobody of this name.")).to_be_visible()
    chat.goto("c/999")
    expect(chat.page.get_by_text("You are not in this conversation, or it has ended.")).to_be_visible()
