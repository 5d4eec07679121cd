"""The documentation in a real browser, as a developer uses it who has never seen it."""

import json
import re

import pytest
from django.conf import settings
from playwright.sync_api import expect, sync_playwright

from conftest import PASSWORD

CHROMIUM = "/usr/bin/chromium"


def test_the_schema_is_for_everybody(anonymous):
    answer = anonymous.get("/schema")
    assert answer["Content-Type"] == "application/json"
    document = json.loads(answer.content)
    assert document["openapi"].startswith("3.1")
    assert {"get", "put", "patch", "delete"} == set(document["paths"]["/users/profile"])
    assert "Link" in document["paths"]["/conversations"]["get"]["responses"]["200"]["headers"]
    assert "security" not in document["paths"]["/users/login"]["post"]
    assert document["paths"]["/users/profile"]["get"]["security"] == [{"Token": []}]


def try_out(page, operation):
    """Open the operation, fill nothing in, and return its panel."""
    panel = page.locator(f"#operations-{operation}")
    panel.locator(".opblock-summary-control").click()
    panel.get_by_role("button", name="Try it out").click()
    return panel


def answer_of(panel):
    live = panel.locator(".live-responses-table")
    expect(live.locator(".response-col_status").last).to_be_visible()
    return live.locator(".response-col_status").last.inner_text(), live.locator("pre.microlight").first.inner_text()


@pytest.fixture
def browser_page():
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(viewport={"width": 1280, "height": 1600})
        page.set_default_timeout(30_000)
        yield page
        browser.close()


@pytest.mark.django_db(transaction=True)
def test_a_developer_logs_in_and_calls_the_profile(alice, live_server, tmp_path, browser_page):
    asked = []
    browser_page.on("request", lambda request: asked.append(request.url))
    browser_page.goto(f"{live_server.url}/docs")

    login = try_out(browser_page, "users-log_in")
    login.locator("textarea").fill(json.dumps({"username": "alice", "password": PASSWORD}))
    login.get_by_role("button", name="Execute").click()
    status, body = answer_of(login)
    assert status.startswith("200")
    token = json.loads(body)["token"]

    profile = try_out(browser_page, "users-see_profile")
    profile.get_by_role("button", name="Execute").click()
    assert answer_of(profile)[0].startswith("401")

    browser_page.get_by_role("button", name="Authorize").first.click()
    dialog = browser_page.locator(".dialog-ux")
    dialog.locator("input").fill(f"Token {token}")
    dialog.get_by_role("button", name="Apply credentials").click()
    dialog.get_by_role("button", name="Close").last.click()
    profile.get_by_role("button", name="Clear").click()
    profile.get_by_role("button", name="Execute").click()
    status, body = answer_of(profile)
    assert status.startswith("200")
    assert json.loads(body)["username"] == "alice"

    profile.scroll_into_view_if_needed()
    shot = browser_page.screenshot(path=tmp_path / "docs.png")
    assert len(shot) > 20_000
    assert not [url for url in asked if not re.match(rf"{live_server.url}/|data:", url)]
    assert settings.SPECTACULAR_SETTINGS["SWAGGER_UI_SETTINGS"]["validatorUrl"] is None
