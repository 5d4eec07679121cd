"""Work that is done in pieces."""

from threading import Event

import pytest
from django.db import OperationalError

from common import upkeep


def pieces(done, number=3):
    for piece in range(number):
        done.append(piece)
        yield


def test_work_ends_when_nothing_is_left():
    done = []
    assert upkeep.work(pieces(done)) is True
    assert done == [0, 1, 2]


def test_work_ends_when_its_time_is_over():
    done = []
    assert upkeep.work(pieces(done), seconds=-1) is False
    assert done == [0]


def test_a_share_of_the_time_leaves_pauses(monkeypatch):
    pauses, moments = [], iter(range(100))
    monkeypatch.setattr(upkeep.time, "monotonic", lambda: next(moments))
    monkeypatch.setattr(upkeep.time, "sleep", pauses.append)
    upkeep.work(pieces([], number=2), share=0.5)
    assert all(pause > 0 for pause in pauses)
    assert len(pauses) == 2


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("failure", [OperationalError(1205, "Lock wait timeout exceeded"), KeyError("x")])
def test_a_task_that_fails_does_not_keep_the_others_waiting(failure, monkeypatch, caplog):
    is_stopping, done = Event(), []

    def failing():
        raise failure
        yield

    def working():
        yield from pieces(done, number=1)

    monkeypatch.setattr(upkeep, "tasks", [failing, working])
    waits = iter([False, True])
    monkeypatch.setattr(is_stopping, "wait", lambda seconds: next(waits))
    upkeep.work_in_background(is_stopping)
    assert done == [0]
    assert "The upkeep was interrupted" in caplog.text


@pytest.mark.django_db(transaction=True)
def test_a_task_is_done_by_one_process_at_a_time(monkeypatch):
    is_stopping, done = Event(), []

    def working():
        yield from pieces(done, number=1)

    monkeypatch.setattr(upkeep, "tasks", [working])
    monkeypatch.setattr(upkeep, "PAUSE_IN_BACKGROUND", 60)
    waits = iter([False, False, True])
    monkeypatch.setattr(is_stopping, "wait", lambda seconds: next(waits))
    upkeep.work_in_background(is_stopping)  # comes round twice within the minute
    assert done == [0]
