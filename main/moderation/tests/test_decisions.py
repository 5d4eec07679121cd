"""The audit trail, and what a decision does."""

from datetime import timedelta

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from common.errors import Conflict, Forbidden
from moderation import actions
from moderation.models import AppendOnly, Decision, Report, What
from users.models import AuthToken, User


@pytest.fixture
def decision(report, moderator):
    return actions.decide(report.pk, moderator, What.DISMISSED, "Nothing to see.")


def as_row(decision):
    return Decision.objects.filter(pk=decision.pk).values().get()


# Append-only


def test_a_decision_is_not_changed_or_deleted(decision):
    before = as_row(decision)
    decision.why = "Another reason"
    for attempt in (
        decision.save,
        lambda: decision.save(force_update=True),
        lambda: decision.save(update_fields=["why"]),
        decision.delete,
        Decision.objects.get().delete,
        Decision.objects.all().delete,
        lambda: Decision.objects.update(why="x"),
        lambda: Decision.objects.filter(pk=decision.pk).update(why="x"),
        lambda: Decision.objects.bulk_update([decision], ["why"]),
        lambda: Decision.objects.update_or_create(pk=decision.pk, defaults={"why": "x"}),
    ):
        with pytest.raises(AppendOnly), transaction.atomic():
            attempt()
    assert as_row(decision) == before


def test_a_row_with_the_key_of_another_replaces_nothing(decision):
    before = as_row(decision)
    same_key = Decision(pk=decision.pk, moderator_id=1, moderator="x", what="dismissed", username="x", why="x")
    with pytest.raises(IntegrityError), transaction.atomic():
        same_key.save()
    Decision.objects.bulk_create([same_key], ignore_conflicts=True)
    assert as_row(decision) == before


def test_no_deletion_reaches_the_trail(as_bob, decision, moderator, upkeep):
    before = as_row(decision)
    as_bob.delete("/users/profile")
    upkeep()
    User.objects.all().delete()
    Report.objects.all().delete()
    assert as_row(decision) == before


# What a decision does


def test_a_dismissal_closes_the_report_and_nothing_else(report, moderator, as_bob, bob):
    decision = actions.decide(report.pk, moderator, What.DISMISSED, "They were joking.")
    report.refresh_from_db()
    assert (report.state, report.open_key) == ("closed", None)
    assert as_bob.get("/users/profile").status_code == 200
    row = as_row(decision)
    assert timezone.now() - row.pop("decided_at") < timedelta(minutes=1)
    assert row == {
        "id": decision.pk,
        "moderator_id": moderator.pk,
        "moderator": "moderator",
        "what": "dismissed",
        "until": None,
        "user_id": bob.pk,
        "username": "bob",
        "why": "They were joking.",
        "report_id": report.pk,
        "names_key": "bob\nmoderator",
    }


@pytest.mark.parametrize("days", [1, 7, 30])
def test_a_suspension_lasts_as_long_as_was_decided(report, moderator, as_bob, bob, days):
    decision = actions.decide(report.pk, moderator, What.SUSPENDED, "Enough.", days)
    until = User.objects.get(pk=bob.pk).suspended_until
    assert abs(until - timezone.now() - timedelta(days=days)) < timedelta(minutes=1)
    assert until.microsecond == 0
    assert decision.until == until
    assert as_bob.get("/users/profile").status_code == 401


def test_the_trail_has_the_end_of_a_longer_suspension(report, moderator, bob):
    until = timezone.now() + timedelta(days=20)
    User.objects.filter(pk=bob.pk).update(suspended_until=until)
    assert actions.decide(report.pk, moderator, What.SUSPENDED, "Again.", 1).until == until


def test_a_deactivation_ends_the_tokens(report, moderator, as_bob, bob):
    actions.decide(report.pk, moderator, What.DEACTIVATED, "Enough.")
    assert not User.objects.get(pk=bob.pk).is_active
    assert not AuthToken.objects.filter(user=bob).exists()


@pytest.mark.parametrize(("what", "days"), [(What.SUSPENDED, None), (What.SUSPENDED, 2), (What.REACTIVATED, None)])
def test_anything_else_cannot_be_decided(report, moderator, what, days):
    with pytest.raises(ValueError, match="cannot be decided"):
        actions.decide(report.pk, moderator, what, "x", days)
    report.refresh_from_db()
    assert report.state == "open"


def test_other_open_reports_about_the_same_person_stay_open(report, moderator, as_charlie):
    as_charlie.post("/reports", {"username": "bob", "reason": "spam"})
    actions.decide(report.pk, moderator, What.DEACTIVATED, "Enough.")
    assert Report.objects.open().count() == 1


# What is refused, with nothing changed


def assert_refused(kind, match, report, *decision):
    with pytest.raises(kind, match=match):
        actions.decide(report.pk, *decision)
    report.refresh_from_db()
    assert report.state == "open"
    assert not Decision.objects.exists()


def test_a_closed_report_is_decided_once(report, moderator, admin_user, bob):
    actions.decide(report.pk, moderator, What.DISMISSED, "Nothing.")
    with pytest.raises(Conflict, match="This report was decided by moderator just now"):
        actions.decide(report.pk, admin_user, What.DEACTIVATED, "Enough.")
    assert Decision.objects.count() == 1
    assert User.objects.get(pk=bob.pk).is_active


@pytest.mark.parametrize("right", ["is_staff", "is_superuser"])
@pytest.mark.parametrize("who", ["moderator", "admin_user"])
@pytest.mark.parametrize(("what", "days"), [(What.SUSPENDED, 7), (What.DEACTIVATED, None)])
def test_staff_is_out_of_reach_for_everybody(request, report, bob, right, who, what, days):
    User.objects.filter(pk=bob.pk).update(**{right: True})
    decider = request.getfixturevalue(who)
    assert_refused(Forbidden, "belongs to the staff", report, decider, what, "Enough.", days)
    bob.refresh_from_db()
    assert (bob.is_active, bob.suspended_until) == (True, None)
    assert actions.decide(report.pk, decider, What.DISMISSED, "Nothing.").what == "dismissed"


def test_nobody_decides_about_themselves(report, bob):
    assert_refused(Forbidden, "about yourself", report, bob, What.DISMISSED, "Nothing.")


@pytest.mark.parametrize("is_removed", [False, True])
def test_of_a_deleted_account_a_report_is_only_closed(report, as_bob, moderator, upkeep, is_removed):
    as_bob.delete("/users/profile")
    if is_removed:
        upkeep()
    for what, days in ((What.SUSPENDED, 7), (What.DEACTIVATED, None)):
        assert_refused(Conflict, "This account was deleted", report, moderator, what, "Enough.", days)
    assert actions.decide(report.pk, moderator, What.DISMISSED, "Gone.").username == "bob"
