"""Coming, going, and what is set once one is here."""

import json
from pathlib import Path

from playwright.sync_api import expect

from conftest import PASSWORD
from delivery.tests.live import eventually
from harness.smtp import text_of
from users.models import User
from web.tests.conftest import DESK, PHONE

NEW_PASSWORD = "another-horse-battery"


def log_in(chat, username, password):
    expect(chat.button("Log in")).to_be_visible()  # the settings have a field for the username, too
    chat.fill(Username=username, Password=password)
    chat.click("Log in")


def test_somebody_registers_logs_out_and_logs_in_again(browsers):
    chat = browsers(size=PHONE)
    expect(chat.page.get_by_label("Username")).to_be_focused()
    chat.link("Create an account").click()
    chat.fill(Username="dora", E_mail_address="dora@example.org", Password="dora")
    chat.click("Create an account")
    expect(chat.page.get_by_label("Password")).to_be_focused()
    expect(chat.page.get_by_label("Password")).to_have_attribute("aria-invalid", "true")
    assert not User.objects.filter(username="dora").exists()
    chat.fill(Password=PASSWORD)
    chat.click("Create an account")
    chat.ready()
    expect(chat.list).to_contain_text("No conversations yet")

    chat.link("Settings").click()
    chat.click("Log out")
    log_in(chat, "dora", "wrong")
    expect(chat.page.get_by_role("alert")).not_to_be_empty()
    expect(chat.button("Log in")).to_be_focused()
    log_in(chat, "dora", PASSWORD)
    chat.ready()
    chat.page.reload()
    chat.ready()


def test_logging_out_everywhere_ends_every_device_and_tab_with_a_reason(alice, browsers):
    desk, phone = browsers(alice), browsers(alice, PHONE)
    tab = browsers.tab(phone.page.context, alice)
    desk.link("Settings").click()
    desk.click("Log out on all devices")
    for chat in (desk, phone, tab):
        expect(chat.button("Log in")).to_be_visible()
    for chat in (phone, tab):
        expect(chat.page.get_by_text("You were logged out.")).to_be_visible()


def test_another_password_logs_out_the_other_devices_alone(alice, browsers):
    desk, phone = browsers(alice, DESK, "settings"), browsers(alice, PHONE)
    desk.fill(Current_password="wrong", New_password=NEW_PASSWORD)
    desk.click("Change the password")
    expect(desk.page.get_by_label("Current password")).to_be_focused()
    desk.fill(Current_password=PASSWORD)
    desk.click("Change the password")
    expect(phone.page.get_by_text("The password was changed.")).to_be_visible()
    log_in(phone, "alice", NEW_PASSWORD)
    phone.ready()
    desk.ready()


def test_a_forgotten_password_is_set_by_the_link_in_a_mail(alice, browsers, mail):
    chat = browsers()
    chat.link("Forgotten password?").click()
    chat.fill(E_mail_address="alice@example.org")
    chat.click("Send me a code")
    expect(chat.page.get_by_role("status").filter(has_text="a mail is on its way")).to_be_visible()
    chat.page.goto(link_of(next_mail(mail, "alice@example.org")))
    chat.fill(New_password=NEW_PASSWORD)
    chat.click("Set the password")
    chat.ready()
    assert "reset=" not in chat.page.url
    chat.link("Settings").click()
    expect(chat.page.get_by_text("Your address alice@example.org is confirmed.")).to_be_visible()


def test_an_address_is_confirmed_by_the_link_or_the_code(alice, browsers, mail):
    chat, phone = browsers(alice, DESK, "settings"), browsers(alice, PHONE, "settings")
    chat.click("Send me a code")
    expect(chat.page.get_by_text("A mail is on its way to alice@example.org.")).to_be_visible()
    chat.fill(Code_from_the_mail="wrong")
    chat.click("Confirm")
    expect(chat.page.get_by_label("Code from the mail")).to_have_attribute("aria-invalid", "true")
    other = browsers.tab(chat.page.context, None)
    other.page.goto(link_of(next_mail(mail, "alice@example.org")))
    other.click("Confirm")
    expect(other.page.get_by_text("The address is confirmed.")).to_be_visible()
    expect(phone.page.get_by_text("Your address alice@example.org is confirmed.")).to_be_visible()
    other.link("Back to the chat").click()
    other.ready()


def next_mail(mail, recipient):
    return eventually(lambda: next((each for each in mail.mails if each.recipients == [recipient]), None))


def link_of(mail):
    return next(line for line in text_of(mail).splitlines() if "/chat#" in line).strip()


def test_settings_are_followed_on_all_devices_at_once(alice, bob, browsers):
    desk, phone = browsers(alice, DESK, "settings"), browsers(alice, PHONE, "settings", color_scheme="dark")
    themes = [chat.page.locator("html") for chat in (desk, phone)]
    for theme, expected in zip(themes, ("light", "dark"), strict=True):
        expect(theme).to_have_attribute("data-theme", expected)
    for label, expected in (("Dark", "dark"), ("Light", "light")):
        desk.page.get_by_label(label).check()
        for theme in themes:
            expect(theme).to_have_attribute("data-theme", expected)
    expect(desk.page.get_by_label("Light")).to_be_focused()

    desk.click("Add a time on Monday")
    expect(desk.page.get_by_label("Monday, from")).to_be_focused()
    desk.page.get_by_label("Monday, from").fill("22:00")
    desk.page.get_by_label("Monday, to").fill("06:30")
    desk.page.get_by_label("Time zone").select_option("Asia/Tokyo")
    desk.click("Save the hours")
    expect(desk.page.get_by_text("Saved.")).to_be_visible()
    expect(phone.page.get_by_label("Monday, from")).to_have_value("22:00")
    phone.click("Remove this time on Monday")
    expect(phone.button("Add a time on Monday")).to_be_focused()

    desk.page.get_by_label("Who sees my e-mail address").select_option("Nobody")
    desk.page.get_by_label("Others find me by my e-mail address").uncheck()
    desk.click("Save the privacy")
    expect(phone.page.get_by_label("Who sees my e-mail address")).to_have_value("nobody")
    expect(phone.page.get_by_label("Others find me by my e-mail address")).not_to_be_checked()

    desk.fill(First_name="Alicia", E_mail_address="broken")
    desk.click("Save the profile")
    expect(desk.page.get_by_label("E-mail address", exact=True)).to_be_focused()
    desk.fill(E_mail_address="alicia@example.org")
    desk.click("Save the profile")
    expect(phone.page.get_by_label("First name")).to_have_value("Alicia")
    bob_sees = browsers(bob, DESK, "u/alice")
    expect(bob_sees.page.locator(".facts")).to_contain_text("Alicia Liddell")
    expect(bob_sees.page.locator(".facts")).not_to_contain_text("@example.org")


def test_another_name_is_followed_in_every_conversation(alice, bob, talk, client_of, private, browsers):
    at_alice, at_bob = browsers(alice), browsers(bob)
    talk.send(client_of(alice), private, "It is me")
    for chat, title in ((at_alice, "bob"), (at_bob, "alice")):
        chat.open(title)
        chat.expect_texts("It is me")
    assert client_of(alice).patch("/users/profile", {"username": "alicia"}).status_code == 200
    at_alice.send("Still me")
    at_alice.expect_settled()
    # Others are told by the next message.
    expect(at_bob.page.locator("h1")).to_have_text("alicia")
    expect(at_bob.messages).to_contain_text(["alicia: It is me", "alicia: Still me"])
    expect(at_alice.page.locator(".message.own")).to_have_count(2)


def test_an_account_is_deleted_after_a_question(alice, browsers):
    chat = browsers(alice, DESK, "settings")
    chat.click("Delete the account")
    expect(chat.page.get_by_role("dialog").get_by_role("button", name="Cancel")).to_be_focused()
    chat.page.keyboard.press("Escape")
    expect(chat.button("Delete the account")).to_be_focused()
    assert User.objects.filter(username="alice").exists()
    chat.click("Delete the account")
    chat.agree("Delete")
    expect(chat.page.get_by_text("This account was deleted.")).to_be_visible()
    log_in(chat, "alice", PASSWORD)
    expect(chat.page.get_by_role("alert")).not_to_be_empty()


def test_everything_of_an_account_can_be_downloaded(alice, browsers):
    chat = browsers(alice, DESK, "settings")
    with chat.page.expect_download() as download:
        chat.click("Download my data")
    assert json.loads(Path(download.value.path()).read_text())["profile"]["username"] == "alice"


def test_what_was_entered_at_the_sign_in_stays_when_the_place_to_go_on_to_changes(browsers):
    chat = browsers(address="settings")
    chat.fill(Username="dora")
    change = (
        "new Promise((done) => { addEventListener('hashchange', () => setTimeout(done)); location.hash = 'people' })"
    )
    chat.page.evaluate(change)
    expect(chat.page.get_by_label("Username")).to_have_value("dora")
