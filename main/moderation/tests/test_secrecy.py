"""Of conversations moderators read what was reported, and nothing else, on whatever page."""

import re
from html import unescape

import pytest

from moderation import actions
from moderation.models import Report, What

MAX_PAGES = 500


def pages_within_reach(browser):
    """Every page of the admin that links lead to, by its address."""
    seen, waiting = {}, ["/admin/"]
    while waiting:
        url = waiting.pop()
        if url in seen:
            continue
        assert len(seen) < MAX_PAGES
        page = browser.get(url, follow=True)
        seen[url] = page.content.decode()
        for link in re.findall(r'href="([^"]+)"', seen[url]):
            link = re.sub(r"#.*|\?_changelist_filters=.*", "", unescape(link))
            if link.startswith("?"):
                link = url.partition("?")[0] + link
            # One query of its own for each filter is enough; the sorting of lists has no end.
            if link.startswith("/admin/") and "logout" not in link and "o=" not in link and link.count("=") < 2:
                waiting.append(link)
    return seen


@pytest.mark.parametrize("who", ["as_moderator", "admin_client"])
def test_nothing_of_a_conversation_but_the_evidence_is_on_any_page(
    request, who, as_alice, as_bob, as_charlie, group, private, talk, moderator
):
    # Eight messages, of which those numbered 2 to 7 are kept; and conversations of which nothing is.
    talk.send(as_alice, group, "hidden-before")
    talk.send(as_alice, group, *(f"kept-{number}" for number in range(2, 7)))
    talk.send(as_bob, group, "kept-7", "hidden-after")
    talk.send(as_bob, private, "hidden-private")
    other = talk.open(as_charlie, "bob")
    talk.send(as_charlie, other, "hidden-other")
    for number, reason in ((7, "spam"), (7, "other")):
        body = {"username": "bob", "reason": reason, "text": "told-by-alice", "conversation": group, "number": number}
        assert as_alice.post("/reports", body).status_code == 201
    as_charlie.post("/reports", {"username": "bob", "reason": "spam"})
    # What is said later is not read either, in the message itself or behind it.
    as_bob.put(f"/conversations/{group}/messages/7", {"text": "hidden-edit"})
    actions.decide(Report.objects.filter(reason="other").get().pk, moderator, What.DISMISSED, "why-it-was")

    pages = pages_within_reach(request.getfixturevalue(who))
    everything = "\n".join(pages.values())
    assert not re.findall(r"hidden-\w+", everything)
    # The crawl came to where it could have found them.
    assert set(re.findall(r"kept-\d", everything)) == {f"kept-{number}" for number in range(2, 8)}
    for needed in ("told-by-alice", "why-it-was"):
        assert needed in everything
    for path in (
        "/admin/moderation/report/",
        "/admin/moderation/decision/",
        "/admin/users/user/",
        "/admin/conversations/conversation/",
        f"/admin/conversations/conversation/{private}/change/",
        f"/admin/moderation/report/{Report.objects.first().pk}/change/",
    ):
        assert path in pages
    assert len(pages) > 30


def test_the_evidence_is_on_the_page_of_its_report_alone(as_moderator, as_alice, as_bob, private, talk):
    talk.send(as_bob, private, "kept-1")
    as_alice.post("/reports", {"username": "bob", "reason": "spam", "conversation": private, "number": 1})
    pages = pages_within_reach(as_moderator)
    report = Report.objects.get()
    assert [url for url, text in pages.items() if "kept-1" in text] == [f"/admin/moderation/report/{report.pk}/change/"]


def test_the_reporter_does_not_get_more_either(as_alice, as_bob, private, talk):
    talk.send(as_bob, private, "kept-1")
    as_alice.post("/reports", {"username": "bob", "reason": "spam", "conversation": private, "number": 1})
    assert "kept-1" not in as_alice.get("/reports").content.decode()
