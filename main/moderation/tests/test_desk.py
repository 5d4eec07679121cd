"""The desk: the list of reports, the page of one, and who may decide there."""

import re
from datetime import timedelta

import pytest
from django.contrib.auth.models import Group, Permission
from django.test import Client as Browser
from django.utils import timezone

from moderation import actions
from moderation.models import Decision, Report, What
from users.models import User

REPORTS = "/admin/moderation/report/"


def page_of(report):
    return f"{REPORTS}{report.pk}/change/"


def make(reporter, reported, number=1, **fields):
    """So many open reports, made at once."""
    fields = {"reporter": reporter, "reported": reported, "username": reported.username, "reason": "spam"} | fields
    first = Report.objects.count()
    keys = [None if "closed_at" in fields else str(first + n) for n in range(number)]
    Report.objects.bulk_create(Report(**fields, open_key=key) for key in keys)


def listed(page):
    assert page.status_code == 200
    return [
        (report.reported.username, report.reason, report.earlier_reports, report.decisions)
        for report in page.context["cl"].result_list
    ]


def decide(browser, report, decision="suspended-7", why="Enough.", **more):
    return browser.post(page_of(report), {"decision": decision, "why": why, **more}, follow=True)


def text_of(page):
    return page.content.decode()


def is_untouched(user):
    user.refresh_from_db()
    return user.is_active and user.suspended_until is None


# The list


def test_the_open_reports_are_listed_the_oldest_first_with_what_was_before(
    as_moderator, alice, bob, charlie, moderator
):
    make(alice, bob, 2)
    actions.decide(Report.objects.first().pk, moderator, What.DISMISSED, "Nothing.")
    make(alice, charlie, reason="other")
    make(charlie, bob)
    page = as_moderator.get(REPORTS)
    assert listed(page) == [("bob", "spam", 1, 1), ("charlie", "other", 0, 0), ("bob", "spam", 2, 1)]
    page = as_moderator.get(REPORTS, {"state": "closed"})
    assert listed(page) == [("bob", "spam", 0, 1)]
    assert listed(as_moderator.get(REPORTS, {"reason__exact": "other"})) == [("charlie", "other", 0, 0)]
    assert listed(as_moderator.get(REPORTS, {"q": "CHAR"})) == [("charlie", "other", 0, 0)]


def test_the_closed_ones_are_listed_the_latest_first(as_moderator, alice, bob, charlie):
    now = timezone.now()
    make(alice, charlie, closed_at=now)
    make(alice, bob, closed_at=now - timedelta(days=1))
    assert [row[0] for row in listed(as_moderator.get(REPORTS, {"state": "closed"}))] == ["charlie", "bob"]


def test_the_list_takes_the_same_queries_whatever_it_holds(as_moderator, alice, bob, charlie, queries):
    make(alice, bob)
    # The session and its user, the rights of the user and of the group, the number of reports, the ids of a page, the
    # reports, what was before.
    with queries(8):
        as_moderator.get(REPORTS)
    make(alice, bob, 9)
    make(bob, charlie, 9)
    with queries(8) as made:
        page = as_moderator.get(REPORTS)
    assert len(listed(page)) == 19
    assert not [query for query in made if "evidence_json" in query["sql"]]


def test_a_report_about_a_deleted_account_stays_in_the_list(as_moderator, as_bob, report, upkeep):
    as_bob.delete("/users/profile")
    assert "bob (deleted)" in text_of(as_moderator.get(REPORTS))
    upkeep()
    assert "bob (deleted)" in text_of(as_moderator.get(REPORTS))


@pytest.mark.parametrize(
    "query",
    ["reported__password__startswith=a", "evidence_json__contains=a", "text__startswith=a", "reporter__email=a"],
)
def test_nothing_hidden_can_be_guessed_at(as_moderator, report, query):
    assert as_moderator.get(f"{REPORTS}?{query}").status_code == 400


@pytest.mark.parametrize("query", ["state=x", "state=", "reason__exact=x", "q=%00", "p=9", "p=x", "o=1", "o=-1.2"])
def test_odd_queries_are_only_queries(as_moderator, report, query):
    assert as_moderator.get(f"{REPORTS}?{query}", follow=True).status_code == 200


# The page


def test_the_page_shows_the_person_the_report_and_what_was_before(
    as_moderator, as_alice, as_bob, charlie, alice, bob, private, talk, moderator
):
    talk.send(as_bob, private, "First words", "<b>Rude</b> words")
    make(charlie, bob, 2)
    for closed in Report.objects.all():
        actions.decide(closed.pk, moderator, What.SUSPENDED, "Was rude to Charlie.", 1)
    body = {
        "username": "bob",
        "reason": "harassment",
        "text": "<i>He</i> is rude",
        "conversation": private,
        "number": 2,
    }
    as_alice.post("/reports", body)
    text = text_of(as_moderator.get(page_of(Report.objects.latest("pk"))))
    for shown in ("Harassment", "&lt;i&gt;He&lt;/i&gt; is rude", "First words", "&lt;b&gt;Rude&lt;/b&gt; words"):
        assert shown in text
    assert text.count("Was rude to Charlie.") == 2
    assert re.search(r"Earlier reports</dt>\s*<dd>2</dd>", text)
    assert re.search(r"Other open reports</dt>\s*<dd>0</dd>", text)
    assert re.search(r"Decisions</dt>\s*<dd>2</dd>", text)


def test_the_page_takes_the_same_queries_whatever_there_is(
    as_moderator, as_alice, as_bob, alice, bob, charlie, group, talk, queries
):
    as_alice.post(f"/conversations/{group}/members/charlie")
    talk.send(as_alice, group, "1")
    talk.send(as_bob, group, "2", "3")
    body = {"username": "bob", "reason": "spam", "conversation": group, "number": 3}
    report = Report.objects.get(pk=as_alice.post("/reports", body).json()["id"])
    with queries(13):
        as_moderator.get(page_of(report))
    make(charlie, bob, 20)
    Decision.objects.bulk_create(
        Decision(moderator_id=1, moderator="m", what="dismissed", user_id=bob.pk, username="bob", why="x")
        for _ in range(20)
    )
    # The session and its user, the rights of the user and of the group; the report, the two accounts, what was before,
    # the names of the senders, the other reports, how many of them are open, the decisions, the one about this report.
    with queries(13):
        text = text_of(as_moderator.get(page_of(report)))
    assert "The latest 10 decisions" in text


def test_the_page_shows_the_names_as_they_are_now(as_moderator, as_alice, as_bob, as_charlie, group, talk, upkeep):
    as_alice.post(f"/conversations/{group}/members/charlie")
    talk.send(as_charlie, group, "From charlie")
    talk.send(as_bob, group, "From bob")
    as_alice.post("/reports", {"username": "bob", "reason": "spam", "conversation": group, "number": 2})
    as_bob.put("/users/profile", {"username": "robert"})
    as_charlie.delete("/users/profile")
    for _ in range(2):
        text = text_of(as_moderator.get(page_of(Report.objects.get())))
        assert "robert" in text
        assert "(then <bdi>bob</bdi>)" in text
        assert "a deleted account" in text
        assert "<bdi>charlie</bdi>" not in text
        upkeep()


def test_a_reporter_who_is_gone_has_no_name(as_moderator, as_alice, report, upkeep):
    as_alice.delete("/users/profile")
    for _ in range(2):
        text = text_of(as_moderator.get(page_of(report)))
        assert "was reported by" in text
        assert "a deleted account" in text
        assert "alice" not in text
        upkeep()


@pytest.mark.parametrize("pk", ["0", "x", "9999", "9" * 30, "%00"])
def test_a_report_that_is_not_there_is_404(as_moderator, pk):
    assert as_moderator.get(f"{REPORTS}{pk}/change/").status_code == 404
    assert as_moderator.post(f"{REPORTS}{pk}/change/", {"decision": "dismissed", "why": "x"}).status_code == 404


# Deciding


@pytest.mark.parametrize(
    ("decision", "told"),
    [
        ("dismissed", "The report was closed without consequence."),
        ("suspended-1", "The account bob is suspended until"),
        ("suspended-7", "The account bob is suspended until"),
        ("suspended-30", "The account bob is suspended until"),
        ("deactivated", "The account bob was deactivated."),
    ],
)
@pytest.mark.parametrize("who", ["as_moderator", "admin_client"])
def test_each_choice_does_what_it_says(request, report, bob, as_bob, who, decision, told):
    page = decide(request.getfixturevalue(who), report, decision)
    assert page.redirect_chain == [(REPORTS, 302)]
    assert told in text_of(page)
    report.refresh_from_db()
    bob.refresh_from_db()
    made = Decision.objects.get()
    what, _, days = decision.partition("-")
    assert (report.state, made.what, made.why, made.report_id) == ("closed", what, "Enough.", report.pk)
    assert bob.is_active == (what != "deactivated")
    assert bob.is_suspended == (what == "suspended")
    if days:
        assert abs(bob.suspended_until - timezone.now() - timedelta(days=int(days))) < timedelta(minutes=1)
    assert as_bob.get("/users/profile").status_code == (200 if what == "dismissed" else 401)


@pytest.mark.parametrize(
    ("form", "field"),
    [
        ({"why": ""}, "why"),
        ({"why": "   "}, "why"),
        ({"why": "x" * 1001}, "why"),
        ({"why": "a\x1bb"}, "why"),
        ({"decision": ""}, "decision"),
        ({"decision": "suspended"}, "decision"),
        ({"decision": "suspended-2"}, "decision"),
        ({"decision": "reactivated"}, "decision"),
        ({"decision": "deleted"}, "decision"),
    ],
)
def test_a_decision_needs_a_choice_and_a_reason(as_moderator, report, bob, form, field):
    page = decide(as_moderator, report, **{"decision": "deactivated", "why": "Enough."} | form)
    assert list(page.context["form"].errors) == [field]
    report.refresh_from_db()
    assert report.state == "open"
    assert is_untouched(bob)
    assert not Decision.objects.exists()


def test_the_second_moderator_is_told_who_was_faster_and_keeps_what_was_written(
    as_moderator, admin_client, report, bob
):
    decide(as_moderator, report, "dismissed", "First.")
    page = decide(admin_client, report, "deactivated", "Second.")
    assert "This report was decided by moderator just now." in text_of(page)
    assert "First." in text_of(page)
    assert is_untouched(bob)
    assert Decision.objects.count() == 1


def test_after_a_decision_the_list_is_filtered_as_before(as_moderator, report):
    form = {"decision": "dismissed", "why": "x"}
    page = as_moderator.post(f"{page_of(report)}?_changelist_filters=reason__exact%3Dharassment", form)
    assert page["Location"] == f"{REPORTS}?reason__exact=harassment"


def test_a_closed_report_shows_its_decision_and_no_form(as_moderator, report):
    decide(as_moderator, report, "dismissed", "They were joking.")
    text = text_of(as_moderator.get(page_of(report)))
    assert "They were joking." in text
    assert 'name="decision"' not in text


def test_a_deleted_account_leaves_one_choice(as_moderator, as_bob, report):
    as_bob.delete("/users/profile")
    text = text_of(as_moderator.get(page_of(report)))
    assert "This account was deleted." in text
    assert re.findall(r'name="decision" value="([\w-]+)"', text) == ["dismissed"]
    decide(as_moderator, report, "deactivated")
    assert not Decision.objects.exists()
    decide(as_moderator, report, "dismissed")
    assert Decision.objects.get().username == "bob"


# Who may


@pytest.mark.parametrize("right", ["is_staff", "is_superuser"])
@pytest.mark.parametrize("who", ["as_moderator", "admin_client"])
def test_staff_is_out_of_reach_whatever_is_posted(request, report, bob, right, who):
    User.objects.filter(pk=bob.pk).update(**{right: True})
    browser = request.getfixturevalue(who)
    assert re.findall(r'name="decision" value="([\w-]+)"', text_of(browser.get(page_of(report)))) == ["dismissed"]
    for decision in ("deactivated", "suspended-30"):
        decide(browser, report, decision, reported=bob.pk, user=bob.pk, user_id=bob.pk, report_id=report.pk)
    report.refresh_from_db()
    assert report.state == "open"
    assert is_untouched(bob)
    assert not Decision.objects.exists()


def test_a_forged_form_reaches_nobody_but_the_reported(as_moderator, moderator, admin_user, report, bob, charlie):
    more = {"reported": charlie.pk, "user": charlie.pk, "reporter": charlie.pk, "report_id": 99, "moderator": "root"}
    decide(as_moderator, report, "deactivated", **more)
    assert all(map(is_untouched, (moderator, admin_user, charlie)))
    made = Decision.objects.get()
    assert (made.moderator_id, made.moderator, made.user_id, made.report_id) == (
        moderator.pk,
        "moderator",
        bob.pk,
        report.pk,
    )


def test_nobody_decides_about_themselves(as_moderator, as_alice, moderator):
    pk = as_alice.post("/reports", {"username": "moderator", "reason": "other"}).json()["id"]
    report = Report.objects.get(pk=pk)
    assert "This report is about yourself." in text_of(as_moderator.get(page_of(report)))
    assert "This report is about yourself." in text_of(decide(as_moderator, report, "dismissed"))
    assert not Decision.objects.exists()


def browser_of(user):
    browser = Browser()
    browser.force_login(user)
    return browser


def test_staff_without_the_right_decides_nothing(make_user, report, bob):
    colleague = make_user("colleague", is_staff=True)
    browser = browser_of(colleague)
    assert browser.get(REPORTS).status_code == 403
    assert browser.get(page_of(report)).status_code == 403
    assert browser.post(page_of(report), {"decision": "deactivated", "why": "x"}).status_code == 403
    colleague.user_permissions.add(Permission.objects.get(codename="view_report"))
    browser = browser_of(User.objects.get(pk=colleague.pk))
    assert 'name="decision"' not in text_of(browser.get(page_of(report)))
    assert browser.post(page_of(report), {"decision": "deactivated", "why": "x"}).status_code == 403
    assert is_untouched(bob)
    assert not Decision.objects.exists()


def test_who_is_no_staff_is_not_let_in(report, alice, bob):
    alice.groups.add(Group.objects.get(name="Moderators"))
    browser = browser_of(alice)
    for path in (REPORTS, page_of(report), "/admin/moderation/decision/"):
        assert browser.get(path).status_code == 302
        assert browser.post(path, {"decision": "deactivated", "why": "x"}).status_code == 302
    assert is_untouched(bob)


def test_a_form_from_elsewhere_decides_nothing(moderator, report, bob):
    browser = Browser(enforce_csrf_checks=True)
    browser.force_login(moderator)
    assert browser.post(page_of(report), {"decision": "deactivated", "why": "x"}).status_code == 403
    assert is_untouched(bob)


@pytest.mark.parametrize("who", ["as_moderator", "admin_client"])
def test_a_report_is_neither_added_nor_deleted(request, report, who):
    browser = request.getfixturevalue(who)
    assert browser.get(f"{REPORTS}add/").status_code == 403
    assert browser.post(f"{REPORTS}add/", {"reason": "spam", "username": "bob"}).status_code == 403
    assert browser.post(f"{REPORTS}{report.pk}/delete/", {"post": "yes"}).status_code == 403
    browser.post(REPORTS, {"action": "delete_selected", "_selected_action": [report.pk], "post": "yes"})
    browser.post(REPORTS, {"form-TOTAL_FORMS": 1, "form-INITIAL_FORMS": 1, "form-0-id": report.pk, "_save": "Save"})
    before = Report.objects.filter(pk=report.pk).values().get()
    decide(browser, report, "", "", text="Changed", username="alice", closed_at="2026-01-01")
    assert Report.objects.filter(pk=report.pk).values().get() == before
