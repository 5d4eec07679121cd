"""For everybody: keyboard alone, screen readers, narrow and wide screens, both themes."""

import re
from pathlib import Path

import axe_core_python
import pytest
from playwright.sync_api import expect

from users import actions as users
from web.files import FOLDER
from web.tests.conftest import DESK, PHONE

AXE = (Path(axe_core_python.__file__).parent / "axe.min.js").read_text()
RULES = {"resultTypes": ["violations"]}
RIGHT_TO_LEFT = "שולמית"


def problems_of(chat):
    if not chat.page.evaluate("() => 'axe' in window"):
        chat.page.evaluate(AXE)
    found = chat.page.evaluate("rules => axe.run(document, rules)", RULES)["violations"]
    serious = [each for each in found if each["impact"] in ("serious", "critical")]
    return [(each["id"], [node["html"] for node in each["nodes"]]) for each in serious]


def overflow_of(chat):
    """By how many pixels something is wider than the screen."""
    return chat.page.evaluate("() => document.documentElement.scrollWidth - document.documentElement.clientWidth")


@pytest.fixture
def neighbours(alice, bob, make_user, talk, client_of, private):
    """Alice, who has conversations of all kinds: their ids."""
    other = make_user(RIGHT_TO_LEFT, bio="שלום " * 20)
    users.add_contact(alice, bob)
    as_alice, as_bob = client_of(alice), client_of(bob)
    talk.send(as_bob, private, "Hello", "https://example.org/" + "long" * 40, "x" * 300, "שלום לכולם!")
    talk.send(as_alice, private, "Mine", "Mine, too")
    as_alice.delete(f"/conversations/{private}/messages/6")
    group = talk.group(as_alice, "bob", RIGHT_TO_LEFT, name="A group with a name that is too long for its line " * 2)
    talk.send(client_of(other), group, "מה שלומכם?")
    talk.send(as_bob, group, "Fine")
    return private, group


@pytest.mark.parametrize(("theme", "size"), [("light", DESK), ("dark", PHONE)])
def test_axe_finds_nothing_serious_on_any_view(alice, neighbours, browsers, theme, size):
    # Scripts may only come from the server, except here.
    options = {"color_scheme": theme, "bypass_csp": True}
    stranger, chat = browsers(size=size, **options), browsers(alice, size, **options)
    found = {}
    for address in ("", "register", "forgot", "reset=code", "confirm=code"):
        stranger.goto(address)
        expect(stranger.page.locator("h1")).to_be_visible()
        found[f"stranger {address}"] = problems_of(stranger)
    private, group = neighbours
    for address in ("", f"c/{private}", f"c/{group}", "people", "u/bob", "u/nobody", "group", "settings", "c/99999"):
        chat.goto(address)
        expect(chat.page.locator("main h1, main .notice:visible").first).to_be_attached()
        found[address] = problems_of(chat)
        assert overflow_of(chat) <= 0, address
    chat.goto(f"c/{group}")
    chat.page.locator(".details summary").click()
    found["members"] = problems_of(chat)
    chat.click("Leave the group")
    found["dialog"] = problems_of(chat)
    chat.agree("Cancel")
    chat.goto("people")
    chat.fill(Find_people="bob")
    expect(chat.page.get_by_role("list", name="Found").get_by_role("listitem")).to_have_count(1)
    found["found"] = problems_of(chat)
    assert {view: problems for view, problems in found.items() if problems} == {}


def test_a_conversation_by_keyboard_alone(alice, bob, browsers):
    at_alice, at_bob = browsers(alice), browsers(bob)
    keyboard = at_alice.page.keyboard

    def focused(role, name):
        return at_alice.page.get_by_role(role, name=name, exact=True)

    def tab_to(role, name, key="Tab"):
        target = focused(role, name).first
        for _ in range(40):
            keyboard.press(key)
            if target.count() and target.evaluate("element => element === document.activeElement"):
                return
        raise AssertionError(f"{name} is not reached.")

    tab_to("link", "People")
    keyboard.press("Enter")
    expect(at_alice.page.get_by_label("Find people")).to_be_focused()
    keyboard.type("bob")
    expect(at_alice.page.get_by_role("list", name="Found").get_by_role("link")).to_have_count(1)
    tab_to("link", "bob")
    keyboard.press("Enter")
    expect(focused("heading", "bob")).to_be_focused()
    tab_to("button", "Message")
    keyboard.press("Enter")
    expect(at_alice.composer).to_be_focused()
    keyboard.type("First line")
    keyboard.press("Shift+Enter")
    keyboard.type("second line")
    keyboard.press("Enter")
    keyboard.type("Another")
    keyboard.press("Enter")
    at_bob.open("alice")
    at_bob.expect_texts("First line\nsecond line", "Another")
    at_alice.expect_settled()

    keyboard.press("Shift+Tab")
    summary = at_alice.messages.last.locator("summary")
    expect(summary).to_be_focused()
    keyboard.press("Enter")
    expect(at_alice.messages.last.get_by_role("button", name="Edit")).to_be_visible()
    keyboard.press("Escape")
    expect(at_alice.messages.last.get_by_role("button", name="Edit")).to_be_hidden()
    expect(summary).to_be_focused()
    keyboard.press("Enter")
    keyboard.press("Tab")
    keyboard.press("Enter")
    expect(at_alice.composer).to_be_focused()
    keyboard.type(", edited")
    keyboard.press("Enter")
    at_bob.expect_texts("First line\nsecond line", "Another, edited")

    expect(at_alice.messages.last).to_contain_text("edited")
    keyboard.press("Shift+Tab")
    keyboard.press("Enter")
    keyboard.press("Tab")
    keyboard.press("Tab")
    keyboard.press("Enter")
    expect(at_alice.page.get_by_role("dialog").get_by_role("button", name="Cancel")).to_be_focused()
    keyboard.press("Tab")
    keyboard.press("Enter")
    at_bob.expect_texts("First line\nsecond line", "Message deleted")
    expect(at_alice.composer).to_be_focused()


@pytest.mark.parametrize(
    "size", [{"width": 320, "height": 560}, {"width": 640, "height": 400}, {"width": 2560, "height": 1200}]
)
def test_narrow_wide_and_zoomed_screens_need_no_scrolling_sideways(alice, neighbours, browsers, size):
    # 640 pixels are what is left of 1280 with a zoom of 200 %.
    chat = browsers(alice, size)
    private, group = neighbours
    for address in ("", f"c/{private}", f"c/{group}", "people", "u/bob", "group", "settings"):
        chat.goto(address)
        expect(chat.page.locator("main h1").first).to_be_attached()
        assert overflow_of(chat) <= 0, address
        wide = chat.page.locator(".page, .scroller, conversation-list").evaluate_all(
            "all => all.filter((each) => each.scrollWidth > each.clientWidth).map((each) => each.className)"
        )
        assert wide == [], address
    chat.goto(f"c/{private}")
    expect(chat.composer).to_be_in_viewport()


def test_right_to_left_names_and_texts_are_shown_so(alice, neighbours, browsers):
    chat = browsers(alice, DESK, f"c/{neighbours[1]}")
    text = chat.messages.filter(has_text="מה שלומכם?").locator(".text")
    expect(text).to_have_attribute("dir", "auto")
    assert text.evaluate("element => getComputedStyle(element).direction") == "rtl"
    expect(chat.page.locator(".sender").first).to_have_text(RIGHT_TO_LEFT)


def test_the_focus_is_never_lost(alice, bob, neighbours, browsers):
    chat = browsers(alice, PHONE)
    active = "() => document.activeElement.localName"
    chat.open("bob")
    assert chat.page.evaluate(active) != "body"
    chat.page.get_by_label("All conversations").click()
    expect(chat.list.get_by_role("link").filter(has_text="bob").filter(has_text="deleted")).to_be_focused()
    for name in ("People", "New group", "Settings"):
        chat.link(name).click()
        assert chat.page.evaluate(active) != "body"
        chat.page.get_by_label("All conversations").click()
        assert chat.page.evaluate(active) != "body"


def colours(selector):
    block = re.search(re.escape(selector) + r" \{(.*?)\}", (FOLDER / "style.css").read_text(), re.DOTALL)[1]
    return dict(re.findall(r"--([a-z0-9-]+): (#[0-9a-f]+);", block))


def luminance(colour):
    digits = colour[1:] if len(colour) == 7 else "".join(2 * digit for digit in colour[1:])
    parts = [int(digits[place : place + 2], 16) / 255 for place in (0, 2, 4)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


@pytest.mark.parametrize("selector", [":root", ':root[data-theme="dark"]'])
def test_all_colours_can_be_told_apart(selector):
    colour = colours(selector)
    texts = {"ink": ("ground", "surface", "raised", "own", *(f"avatar-{number}" for number in range(6)))}
    texts |= {"quiet": ("ground", "surface", "raised"), "accent": ("ground", "surface", "raised", "own")}
    texts |= {"on-accent": ("accent",), "on-own-quiet": ("own",), "good": ("ground", "surface")}
    texts |= {"danger": ("ground", "surface", "raised"), "ground": ("ink",)}
    outlines = {"edge": ("ground", "surface"), "accent": ("ground", "surface", "raised", "own")}
    for least, pairs in ((4.5, texts), (3, outlines)):
        for name, grounds in pairs.items():
            for ground in grounds:
                light, dark = sorted((luminance(colour[name]), luminance(colour[ground])), reverse=True)
                assert (light + 0.05) / (dark + 0.05) >= least, (name, ground)
