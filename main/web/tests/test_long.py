"""Long conversations: older messages on scrolling up, and the place of what one reads."""

import pytest
from playwright.sync_api import expect

from conversations.models import Conversation, Membership
from web.tests.conftest import DESK, PHONE, slow

pytestmark = slow

TOP_MESSAGE = """() => {
  const scroller = document.querySelector(".scroller"), edge = scroller.getBoundingClientRect().top;
  const item = [...document.querySelectorAll(".message")].find((each) => each.getBoundingClientRect().bottom > edge);
  return [item.dataset.number, item.getBoundingClientRect().top - edge];
}"""
# Scrolls up, and tells where the message at the top was before and after older ones were put above it.
JUMP = """async () => {
  const scroller = document.querySelector(".scroller"), list = document.querySelector(".messages");
  const edge = scroller.getBoundingClientRect().top;
  scroller.scrollTop = 0;
  await new Promise(requestAnimationFrame);
  const item = [...list.querySelectorAll(".message")].find((each) => each.getBoundingClientRect().bottom > edge);
  const before = item.getBoundingClientRect().top, count = list.querySelectorAll("li").length;
  while (list.querySelectorAll("li").length === count) await new Promise(requestAnimationFrame);
  await new Promise(requestAnimationFrame);
  const after = list.querySelector(`[data-number="${item.dataset.number}"]`).getBoundingClientRect().top;
  return Math.abs(after - before);
}"""


@pytest.mark.parametrize("size", [DESK, PHONE], ids=["desk", "phone"])
def test_older_messages_come_without_a_jump(alice, bob, private, fill_conversation, browsers, size):
    fill_conversation(private, [alice, bob], 170, "Message {} " + "with some more words " * 8)
    chat = browsers(alice, size)
    chat.open("bob")
    expect(chat.messages.last).to_be_in_viewport()
    for count in (100, 150, 170):
        assert chat.page.evaluate(JUMP) < 2
        expect(chat.messages).to_have_count(count)
    numbers = chat.messages.evaluate_all("all => all.map((each) => Number(each.dataset.number))")
    assert numbers == list(range(1, 171))
    expect(chat.button("Show older messages")).to_be_hidden()


def test_whoever_reads_above_stays_there(alice, bob, talk, client_of, private, fill_conversation, browsers):
    fill_conversation(private, [alice, bob], 45)
    chat = browsers(alice)
    chat.open("bob")
    expect(chat.messages.last).to_be_in_viewport()
    chat.page.locator(".scroller").evaluate("scroller => scroller.scrollTop = 900")
    expect(chat.button("↓ Latest")).to_be_visible()
    place = chat.page.evaluate(TOP_MESSAGE)
    talk.send(client_of(bob), private, "Are you there?")
    expect(chat.button("↓ 1 new message")).to_be_visible()
    chat.expect_title("(1) Chat")
    as_bob = client_of(bob)
    own = chat.messages.locator("visible=true").filter(has_text="bob:").first.get_attribute("data-number")
    long = {"text": "Much longer. " * 60}
    assert as_bob.put(f"/conversations/{private}/messages/{own}", long).status_code == 200
    expect(chat.page.locator(f"[data-number='{own}']")).to_contain_text("Much longer.")
    assert chat.page.evaluate(TOP_MESSAGE) == [place[0], pytest.approx(place[1], abs=2)]
    chat.click("↓ 1 new message")
    expect(chat.messages.last).to_be_in_viewport()
    chat.expect_title("Chat")
    # Who is at the end stays at the end.
    chat.send(*(f"Line\nby line {number}" for number in range(3)))
    expect(chat.messages.last).to_be_in_viewport()
    chat.page.set_viewport_size({"width": 1000, "height": 500})
    expect(chat.messages.last).to_be_in_viewport()


def test_the_first_unread_message_is_in_sight_also_far_up(alice, bob, private, fill_conversation, browsers):
    fill_conversation(private, [bob], 260, is_read=False)
    chat = browsers(alice)
    chat.expect_title("(260) Chat")
    chat.open("bob")
    expect(chat.page.locator(".mark")).to_be_in_viewport()
    expect(chat.page.locator(".mark + .message")).to_have_attribute("data-number", "1")
    chat.expect_title("(260) Chat")
    chat.click("↓ 260 new messages")
    chat.expect_title("Chat")


def test_unread_conversations_far_down_are_counted(alice, bob, talk, client_of, browsers):
    as_bob = client_of(bob)
    first = talk.group(as_bob, "alice", name="The oldest")
    talk.send(as_bob, first, "Unread")
    names = [f"Group {number}" for number in range(110)]
    make_groups(alice, names)
    chat = browsers(alice)
    chat.expect_title("(1) Chat")
    expect(chat.page.locator(".conversations li")).to_have_count(111)
    chat.open("The oldest")
    chat.expect_texts("Unread")


def make_groups(owner, names):
    groups = [Conversation(kind="group", name=name, owner=owner) for name in names]
    for each in groups:
        each.save()
    Membership.objects.bulk_create(Membership(conversation=each, user=owner) for each in groups)
