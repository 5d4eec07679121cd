"""The audit trail in the admin, and the list of accounts, which adds to it."""

from datetime import timedelta

import pytest
from django.contrib.admin.models import LogEntry
from django.utils import timezone

from moderation import actions
from moderation.models import Decision, What
from users import actions as user_actions
from users.models import AuthToken, User

DECISIONS = "/admin/moderation/decision/"
USERS = "/admin/users/user/"


@pytest.fixture
def decision(report, moderator):
    return actions.decide(report.pk, moderator, What.SUSPENDED, "Was <b>rude</b>.", 7)


def post_action(browser, action, *users):
    return browser.post(USERS, {"action": action, "_selected_action": [user.pk for user in users]}, follow=True)


def rows():
    fields = ("moderator", "what", "username", "why", "report_id", "until")
    return list(Decision.objects.order_by("pk").values_list(*fields))


FROM_LIST = "From the list of accounts, without a report."
FROM_FORM = "In the form of the account, without a report."


# Looking, and nothing else


@pytest.mark.parametrize("who", ["as_moderator", "admin_client"])
def test_the_trail_can_be_looked_at(request, decision, who):
    browser = request.getfixturevalue(who)
    for path in (DECISIONS, f"{DECISIONS}{decision.pk}/change/"):
        page = browser.get(path)
        assert page.status_code == 200
        text = page.content.decode()
        for shown in ("moderator", "bob", "Was &lt;b&gt;rude&lt;/b&gt;.", f"{decision.until:%Y-%m-%d %H:%M}"):
            assert shown in text
        assert 'name="_save"' not in text
    for query, found in (("q=BO", 1), ("q=moder", 1), ("q=alice", 0), ("what__exact=suspended", 1)):
        assert browser.get(f"{DECISIONS}?{query}").context["cl"].result_count == found


@pytest.mark.parametrize("who", ["as_moderator", "admin_client"])
def test_nobody_adds_changes_or_deletes_a_row(request, decision, who):
    browser = request.getfixturevalue(who)
    before = rows()
    form = {"what": "dismissed", "why": "x", "moderator": "x", "moderator_id": 1, "username": "x", "post": "yes"}
    for path in ("add/", f"{decision.pk}/change/", f"{decision.pk}/delete/"):
        assert browser.post(DECISIONS + path, form).status_code == 403
    assert browser.get(f"{DECISIONS}add/").status_code == 403
    assert browser.get(f"{DECISIONS}{decision.pk}/delete/").status_code == 403
    for action in ("delete_selected", "deactivate"):
        browser.post(DECISIONS, {"action": action, "_selected_action": [decision.pk], "post": "yes"})
    browser.post(DECISIONS, {"form-TOTAL_FORMS": 1, "form-INITIAL_FORMS": 1, "form-0-id": decision.pk, "_save": "Save"})
    assert rows() == before


def test_the_trail_outlives_the_accounts_that_a_superuser_deletes(admin_client, decision, bob, moderator, upkeep):
    before = rows()
    admin_client.post(f"{USERS}{bob.pk}/delete/", {"post": "yes"})
    admin_client.post(USERS, {"action": "delete_selected", "_selected_action": [moderator.pk], "post": "yes"})
    upkeep()
    assert not User.objects.filter(pk__in=[bob.pk, moderator.pk]).exists()
    assert rows() == before


def test_the_list_takes_the_same_queries_whatever_it_holds(as_moderator, decision, queries):
    with queries(6):
        as_moderator.get(DECISIONS)
    Decision.objects.bulk_create(
        Decision(moderator_id=1, moderator="m", what="dismissed", user_id=1, username="x", why="x") for _ in range(9)
    )
    with queries(6):
        assert as_moderator.get(DECISIONS).context["cl"].result_count == 10


@pytest.mark.parametrize("query", ["why__startswith=a", "moderator_id__gt=1"])
def test_only_the_filters_of_the_page_are_filters(as_moderator, decision, query):
    assert as_moderator.get(f"{DECISIONS}?{query}").status_code == 400


# What the list of accounts adds


def test_a_deactivation_from_the_list_leaves_a_row(as_moderator, alice, bob):
    assert "2 deactivated." in post_action(as_moderator, "deactivate", alice, bob).content.decode()
    assert sorted(rows()) == [("moderator", "deactivated", name, FROM_LIST, None, None) for name in ("alice", "bob")]
    assert set(Decision.objects.values_list("user_id", flat=True)) == {alice.pk, bob.pk}


def test_a_reactivation_leaves_one_too_and_what_changes_nothing_leaves_none(admin_client, alice):
    for action in ("reactivate", "deactivate", "deactivate", "reactivate"):
        post_action(admin_client, action, alice)
    assert [row[:2] for row in rows()] == [("admin", "deactivated"), ("admin", "reactivated")]


def test_staff_and_oneself_leave_none_since_nothing_is_done(as_moderator, moderator, admin_user, make_user):
    colleague = make_user("colleague", is_staff=True)
    post_action(as_moderator, "deactivate", moderator, admin_user, colleague)
    assert rows() == []


def test_who_became_staff_after_the_list_was_read_is_left_alone(as_moderator, alice, monkeypatch):
    decide = actions.decide_without_report

    def after_a_promotion(moderator, user, what, action):
        User.objects.filter(pk=alice.pk).update(is_staff=True)
        decide(moderator, user, what, action)

    monkeypatch.setattr(actions, "decide_without_report", after_a_promotion)
    assert "1 left as they were" in post_action(as_moderator, "deactivate", alice).content.decode()
    assert User.objects.get(pk=alice.pk).is_active
    assert rows() == []


def test_a_change_of_the_form_leaves_a_row_if_it_is_about_being_active(admin_client, alice):
    form = {"username": "alice", "email": "alice@example.org", "bio": "New"}
    admin_client.post(f"{USERS}{alice.pk}/change/", form | {"is_active": "on"})
    assert rows() == []
    admin_client.post(f"{USERS}{alice.pk}/change/", form)
    admin_client.post(f"{USERS}{alice.pk}/change/", form | {"is_active": "on"})
    assert rows() == [
        ("admin", "deactivated", "alice", FROM_FORM, None, None),
        ("admin", "reactivated", "alice", FROM_FORM, None, None),
    ]


@pytest.mark.parametrize("who", ["as_moderator", "admin_client"])
def test_a_suspension_is_ended_from_the_list(request, who, alice, bob, client_of):
    browser = request.getfixturevalue(who)
    user_actions.suspend(alice, timezone.now() + timedelta(days=7))
    as_bob = client_of(bob)
    page = post_action(browser, "end_suspension", alice, bob)
    assert "1 released from their suspension." in page.content.decode()
    assert User.objects.get(pk=alice.pk).suspended_until is None
    # Bob was not suspended: nothing happens to him.
    assert as_bob.get("/users/profile").status_code == 200
    [row] = rows()
    assert row[1:] == ("suspension_ended", "alice", FROM_LIST, None, None)
    assert LogEntry.objects.get().change_message == "Was released from their suspension."


def test_staff_without_the_right_ends_no_suspension(make_user, alice, client, moderator):
    moderator.groups.clear()
    moderator.user_permissions.add(*moderator.user_permissions.model.objects.filter(codename="view_user"))
    client.force_login(moderator)
    user_actions.suspend(alice, timezone.now() + timedelta(days=7))
    assert "end_suspension" not in client.get(USERS).content.decode()
    post_action(client, "end_suspension", alice)
    assert User.objects.get(pk=alice.pk).is_suspended


def test_suspended_accounts_are_shown_and_filtered(as_moderator, alice, bob, charlie):
    until = user_actions.suspend(alice, timezone.now() + timedelta(days=7))
    User.objects.filter(pk=bob.pk).update(suspended_until=timezone.now() - timedelta(days=1))

    def names(query):
        return [user.username for user in as_moderator.get(f"{USERS}?{query}").context["cl"].result_list]

    assert names("suspended=yes") == ["alice"]
    assert names("suspended=no") == ["bob", "charlie", "moderator"]
    assert names("") == names("suspended=x") == ["alice", "bob", "charlie", "moderator"]
    assert f"{until:%B}"[:3] in as_moderator.get(f"{USERS}{alice.pk}/change/").content.decode()


def test_no_form_suspends_or_ends_a_suspension(admin_client, alice):
    form = {"username": "alice", "email": "alice@example.org", "is_active": "on"}
    admin_client.post(f"{USERS}{alice.pk}/change/", form | {"suspended_until": "2030-01-01", "suspended_until_0": "x"})
    assert User.objects.get(pk=alice.pk).suspended_until is None
    assert not AuthToken.objects.exists()
