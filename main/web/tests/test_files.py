"""The files of the page, as a browser gets them."""

import gzip
import re

import pytest
from django.test import Client

from web.files import FOLDER, files
from web.views import POLICY


@pytest.fixture
def browser():
    return Client()


def test_the_page_is_open_to_everybody_and_asked_for_again_each_time(browser):
    answer = browser.get("/chat", HTTP_ACCEPT_ENCODING="identity")
    assert answer.status_code == 200
    assert answer["Content-Type"] == "text/html; charset=utf-8"
    assert answer["Cache-Control"] == "no-cache"
    assert answer["Content-Security-Policy"] == POLICY
    again = browser.get("/chat", HTTP_IF_NONE_MATCH=answer["ETag"])
    assert (again.status_code, again.content) == (304, b"")


def test_the_policy_lets_in_nothing_but_the_pages_own_files():
    directives = dict(directive.split(" ", 1) for directive in POLICY.split("; "))
    assert directives["default-src"] == "'none'"
    assert {directives[name] for name in ("script-src", "style-src", "img-src", "connect-src")} == {"'self'"}
    assert directives["frame-ancestors"] == directives["base-uri"] == directives["form-action"] == "'none'"
    assert directives["require-trusted-types-for"] == "'script'"
    assert "unsafe" not in POLICY


def test_the_page_holds_no_script_and_no_style_of_its_own(browser):
    page = browser.get("/chat", HTTP_ACCEPT_ENCODING="identity").content.decode()
    assert re.findall(r"<script[^>]*>([^<]*)</script>", page) == [""]
    assert not re.search(r"<style|\son\w+=|\sstyle=|https?:", page)


def test_every_file_is_kept_for_a_year_under_a_path_that_changes_with_it(browser):
    page = browser.get("/chat", HTTP_ACCEPT_ENCODING="identity").content.decode()
    paths = set(re.findall(r'(?:href|src)="(chat/[^"]+)"', page))
    assert {path.rpartition("/")[2] for path in paths} == set(files().others)
    for path in paths:
        answer = browser.get(f"/{path}", HTTP_ACCEPT_ENCODING="identity")
        assert answer.status_code == 200
        assert answer["Cache-Control"] == "public, max-age=31536000, immutable"
        assert "Accept-Encoding" in answer["Vary"]
        assert answer["X-Content-Type-Options"] == "nosniff"
        assert answer.content == (FOLDER / path.rpartition("/")[2]).read_bytes()


def test_a_file_of_another_version_is_not_kept(browser):
    assert browser.get("/chat/0123456789abcdef/app.js")["Cache-Control"] == "no-store"


@pytest.mark.parametrize("name", ["nothing.js", "index.html", "..%2fviews.py", "app.js/", "APP.JS", ""])
def test_there_is_nothing_but_the_pages_files(browser, as_alice, name):
    assert browser.get(f"/chat/{files().version}/{name}").status_code in (401, 404)
    assert as_alice.get(f"/chat/{files().version}/{name}").status_code == 404


def test_everything_together_is_small(browser):
    names = ["", *(f"/{files().version}/{name}" for name in files().others)]
    answers = [browser.get(f"/chat{name}", HTTP_ACCEPT_ENCODING="gzip, br") for name in names]
    assert {answer["Content-Encoding"] for answer in answers} == {"gzip"}
    assert sum(len(answer.content) for answer in answers) < 100_000
    assert gzip.decompress(answers[0].content).startswith(b"<!doctype html>")


def test_modules_are_short_and_lines_too():
    for path in FOLDER.glob("*.js"):
        lines = path.read_text().splitlines()
        assert len(lines) <= 400, path
        assert not [line for line in lines if len(line) > 120], path
