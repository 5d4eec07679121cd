"""Reports outlive accounts and messages; the names of deleted accounts do not show."""

import pytest

from common import upkeep as upkeep_module
from moderation import actions
from moderation.models import Report, What
from users import deletion
from users.models import User


@pytest.fixture(params=[False, True], ids=["at once", "in the end"])
def end_of(request, upkeep):
    """Deletes the account of a client; its rows are still there, or not."""

    def end(client):
        assert client.delete("/users/profile").status_code == 204
        if request.param:
            upkeep()

    return end


def test_a_report_outlives_its_reporter(as_alice, report, moderator, end_of):
    end_of(as_alice)
    kept = Report.objects.get()
    assert (kept.reporter_account, kept.username, kept.text) == (None, "bob", "Again and again.")
    assert actions.decide(report.pk, moderator, What.DEACTIVATED, "Enough.").username == "bob"


def test_a_report_outlives_the_reported(as_alice, as_bob, report, end_of):
    end_of(as_bob)
    assert Report.objects.get().reported_account is None
    assert [each["username"] for each in as_alice.get("/reports").json()] == ["bob"]


def test_a_deleted_name_that_is_taken_again_is_somebody_else(as_alice, as_bob, report, make_user, end_of):
    end_of(as_bob)
    other = make_user("bob")
    assert Report.objects.filter(reported=other).count() == 0
    assert as_alice.post("/reports", {"username": "bob", "reason": "harassment"}).status_code == 201


def test_pieces_take_the_account_out_of_reports(as_alice, alice, bob, monkeypatch):
    monkeypatch.setattr(upkeep_module, "PIECE", 2)
    Report.objects.bulk_create(
        Report(reporter=alice, reported=bob, username="bob", reason="spam", open_key=str(n)) for n in range(3)
    )
    for forget, user, field in (
        (actions.forget_some_reporters, alice, "reporter"),
        (actions.forget_some_reported, bob, "reported"),
    ):
        assert forget(user.pk)
        assert Report.objects.filter(**{field: None}).count() == 2
        assert forget(user.pk)
        assert not forget(user.pk)


def test_no_row_of_an_account_is_left_that_reported_and_was_reported(as_alice, as_bob, bob, report, upkeep):
    as_bob.post("/reports", {"username": "alice", "reason": "spam"})
    as_bob.delete("/users/profile")
    upkeep()
    assert not User.objects.filter(pk=bob.pk).exists()
    assert Report.objects.count() == 2


def test_the_deletion_in_a_shell_leaves_them_too(bob, report):
    User.objects.get(pk=bob.pk).delete()
    assert Report.objects.get().reported is None


def test_the_steps_of_a_deletion_go_through_the_reports(as_alice, as_bob, alice, bob, report):
    """Otherwise the removal of the account's row would change all of them in one transaction."""
    for client, user in ((as_alice, alice), (as_bob, bob)):
        client.delete("/users/profile")
        for step in deletion.steps:
            while step(user.pk):
                pass
    report.refresh_from_db()
    assert (report.reporter_id, report.reported_id) == (None, None)
    assert User.objects.filter(pk__in=[alice.pk, bob.pk]).count() == 2
