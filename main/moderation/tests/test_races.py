"""Calls at the same moment, each with a connection of its own."""

from unittest.mock import ANY

import pytest

from common.errors import RuleRefusal
from conversations.models import Message
from moderation import actions
from moderation.models import Decision, Report, What
from tests.concurrency import at_once, copies, statuses
from users.models import AuthToken, User

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def moderator(make_user):
    """Without the group: these tests ask what happens, not who may."""
    return make_user("moderator", is_staff=True)


def decider(report, moderator, what, days=None):
    def decide():
        try:
            return actions.decide(report.pk, moderator, what, "Enough.", days).what
        except RuleRefusal as refusal:
            return str(refusal.detail)

    return decide


def test_of_six_equal_reports_one_is_made(as_alice, as_bob, private, talk):
    talk.send(as_bob, private, "One")
    body = {"username": "bob", "reason": "spam", "conversation": private, "number": 1}
    answers = at_once(*[lambda client=client: client.post("/reports", body) for client in copies(as_alice, 6)])
    assert statuses(answers) == [201, 409, 409, 409, 409, 409]
    assert Report.objects.count() == 1


def test_a_message_deleted_while_it_is_reported_is_kept_whole_or_as_deleted(as_alice, as_bob, private, talk):
    talk.send(as_bob, private, *map(str, range(12)))
    for number in range(1, 13):
        body = {"username": "bob", "reason": "spam", "conversation": private, "number": number}
        reported, deleted = at_once(
            lambda body=body: as_alice.post("/reports", body),
            lambda number=number: as_bob.delete(f"/conversations/{private}/messages/{number}"),
        )
        assert (reported.status_code, deleted.status_code) == (201, 204)
        kept = Report.objects.get(number=number).evidence[-1]
        assert (kept["text"], kept["deleted"]) in [(str(number - 1), False), ("", True)]
    assert Message.objects.filter(deleted=True).count() == 12


def test_reports_while_the_reported_goes_leave_no_row_of_the_account(as_bob, bob, make_user, client_of, upkeep):
    clients = [client_of(make_user(f"user{number}")) for number in range(5)]
    body = {"username": "bob", "reason": "spam"}
    deletion, *answers = at_once(
        lambda: as_bob.delete("/users/profile"),
        *[lambda client=client: client.post("/reports", body) for client in clients],
    )
    assert deletion.status_code == 204
    assert set(statuses(answers)) <= {201, 404}
    upkeep()
    assert not User.objects.filter(pk=bob.pk).exists()
    assert Report.objects.filter(reported=None, username="bob").count() == statuses(answers).count(201)


def test_reports_of_somebody_who_goes_are_made_or_refused(as_alice, alice, bob, upkeep):
    deletion, *answers = at_once(
        lambda: as_alice.delete("/users/profile"),
        *[
            lambda c=client, r=reason: c.post("/reports", {"username": "bob", "reason": r})
            for client, reason in zip(copies(as_alice, 4), ("spam", "other", "illegal", "harassment"), strict=True)
        ],
    )
    assert deletion.status_code == 204
    assert set(statuses(answers)) <= {201, 401}
    upkeep()
    assert not User.objects.filter(pk=alice.pk).exists()
    assert Report.objects.filter(reporter=None).count() == statuses(answers).count(201)


def test_of_two_moderators_one_decides(report, moderator, make_user, bob):
    other = make_user("other", is_staff=True)
    results = at_once(
        decider(report, moderator, What.SUSPENDED, 7),
        decider(report, other, What.DEACTIVATED),
        decider(report, moderator, What.DISMISSED),
    )
    [decision] = Decision.objects.all()
    refused = f"This report was decided by {decision.moderator} just now."
    assert sorted(results, key=lambda result: result == refused) == [decision.what, refused, refused]
    bob.refresh_from_db()
    assert bob.is_active == (decision.what != "deactivated")
    assert (bob.suspended_until is None) == (decision.what != "suspended")


@pytest.mark.parametrize(("what", "days"), [(What.SUSPENDED, 7), (What.DEACTIVATED, None), (What.DISMISSED, None)])
def test_a_decision_while_the_account_is_deleted_holds_or_is_refused(report, as_bob, moderator, upkeep, what, days):
    result, deletion = at_once(decider(report, moderator, what, days), lambda: as_bob.delete("/users/profile"))
    assert deletion.status_code in (204, 401)
    report.refresh_from_db()
    if result == what:
        assert (report.state, Decision.objects.count()) == ("closed", 1)
    else:
        assert "This account was deleted" in result
        assert (report.state, Decision.objects.count()) == ("open", 0)
    if deletion.status_code == 401:
        as_bob_is_out = User.objects.get(username="bob")
        assert as_bob_is_out.is_suspended or not as_bob_is_out.is_active
    upkeep()
    assert Report.objects.filter(reported=None).count() == (deletion.status_code == 204)


def test_equal_decisions_about_two_reports_of_one_person_both_hold(report, as_charlie, moderator, as_bob, bob):
    second = as_charlie.post("/reports", {"username": "bob", "reason": "spam"}).json()["id"]
    results = at_once(
        decider(report, moderator, What.SUSPENDED, 30),
        decider(Report.objects.get(pk=second), moderator, What.SUSPENDED, 1),
        lambda: as_bob.get("/users/profile"),
    )
    assert results == ["suspended", "suspended", ANY]
    longest = max(Decision.objects.values_list("until", flat=True))
    assert User.objects.get(pk=bob.pk).suspended_until == longest
    assert not AuthToken.objects.filter(user=bob).exists()
