"""Finding people, the contact book and the blacklist."""

import re
from urllib.parse import parse_qs, urlsplit

from playwright.sync_api import expect

from moderation.models import Report
from web.tests.conftest import DESK, PHONE

DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


def searches(chat):
    urls = [urlsplit(url) for _, url in chat.requests]
    return [parse_qs(url.query)["search"] for url in urls if url.path == "/users/contacts/find-users"]


def test_people_are_found_as_one_types_without_a_request_a_letter(alice, bob, make_user, browsers):
    for number in range(30):
        make_user(f"bobby{number:02}")
    chat = browsers(alice, DESK, "people")
    search = chat.page.get_by_label("Find people")
    search.press_sequentially("bobby", delay=20)
    found = chat.page.get_by_role("list", name="Found").get_by_role("listitem")
    expect(found).to_have_count(20)
    assert searches(chat) == [["bobby"]]
    expect(chat.page.get_by_text("20 people found, and there are more.")).to_be_visible()
    chat.click("Show more")
    expect(found).to_have_count(30)
    search.fill("nobody at all")
    expect(chat.page.get_by_text("Nobody was found.")).to_be_visible()
    expect(found).to_have_count(0)
    search.fill("BOB")
    expect(found.first.locator(".name")).to_have_text("bob")


def test_a_contact_is_added_seen_and_removed(alice, bob, client_of, browsers):
    whole_week = [{"day": day, "start": "00:00", "end": "24:00"} for day in DAYS]
    hours = {"time_zone": "Europe/Oslo", "weekly": whole_week}
    assert client_of(bob).patch("/users/settings", {"active_hours": hours}).status_code == 200
    desk, phone = browsers(alice, DESK, "u/bob"), browsers(alice, PHONE, "people")
    expect(phone.page.get_by_text("Nobody yet.")).to_be_visible()
    desk.click("Add to contacts")
    expect(desk.button("Remove from contacts")).to_be_focused()
    contacts = phone.page.get_by_role("list", name="Your contacts")
    expect(contacts).to_contain_text("Active")
    contacts.get_by_role("link").click()
    expect(phone.page.get_by_role("heading", name="bob")).to_be_focused()
    phone.click("Remove from contacts")
    expect(desk.button("Add to contacts")).to_be_visible()


def test_a_blacklisted_pair_is_told_what_it_cannot_do(alice, bob, private, browsers):
    at_alice, tab, at_bob = browsers(alice, DESK, "u/bob"), browsers(alice, PHONE, "u/bob"), browsers(bob)
    at_alice.click("Blacklist")
    dialog = at_alice.page.get_by_role("dialog")
    expect(dialog).to_contain_text("Neither of you can send the other direct messages")
    expect(dialog).to_contain_text("They are not told.")
    at_alice.agree("Blacklist")
    expect(at_alice.button("Remove from blacklist")).to_be_focused()
    expect(at_alice.page.get_by_text("You have blacklisted this user.")).to_be_visible()
    expect(tab.button("Remove from blacklist")).to_be_visible()

    at_bob.open("alice")
    at_bob.send("Hello?")
    expect(at_bob.page.locator(".unsent.failed")).to_contain_text("One of you has blacklisted the other.")
    tab.click("Remove from blacklist")
    expect(at_alice.button("Blacklist")).to_be_visible()
    at_bob.click("Try again")
    at_bob.expect_settled()
    at_alice.click("Message")
    at_alice.expect_texts("Hello?")


def test_a_message_is_reported_from_its_menu(alice, bob, talk, client_of, private, browsers):
    talk.send(client_of(bob), private, "Buy my pills")
    chat = browsers(alice)
    chat.open("bob")
    chat.menu("Buy my pills", "Report")
    expect(chat.page.get_by_text("Moderators will read the message that you report")).to_be_visible()
    chat.page.get_by_label("Reason").select_option("Spam")
    chat.fill(What_happened="Again and again.")
    chat.click("Report")
    expect(chat.page.get_by_text("Thank you. The moderators will look at it.")).to_be_visible()
    report = Report.objects.get()
    assert (report.reporter, report.reported, report.reason, report.number) == (alice, bob, "spam", 1)
    chat.click("Report")
    expect(chat.page.get_by_role("alert").filter(has_text=re.compile("."))).to_be_visible()
    assert Report.objects.count() == 1
