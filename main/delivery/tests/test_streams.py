"""A stream and the hub, by themselves: in an event loop, without a server, a client or a database."""

import asyncio
import logging
from types import SimpleNamespace

import pytest
from django.db import OperationalError

from delivery import hub
from delivery.hub import Batch, Hub, LogReplacedError
from delivery.streams import MAX_WAITING, MAX_WAITING_BYTES, Stream
from delivery.wire import HEARTBEAT
from events import log

# Seconds after which a test gives up.
DEADLINE = 20


class OneStream(Stream):
    """A stream that counts how often it is cut off."""

    def __init__(self, user_id=1, token_id=10, position=0):
        super().__init__(user_id, token_id, "log", position, self.count)
        self.cuts = 0

    def count(self):
        self.cuts += 1


async def all_of(stream):
    """What the client gets until the stream is over."""
    pieces = []
    while data := await stream.take():
        pieces.append(data)
    return pieces


# A stream


def test_what_waits_is_taken_together_in_its_order():
    async def run():
        stream = OneStream()
        for data in (b"one, ", b"two, ", b"three"):
            stream.put(data)
        assert await stream.take() == b"one, two, three"

    asyncio.run(run())


def test_who_takes_waits_until_there_is_something():
    async def run():
        stream = OneStream()
        taking = asyncio.create_task(stream.take())
        await asyncio.sleep(0)
        assert not taking.done()
        stream.put(b"something")
        assert await taking == b"something"

    asyncio.run(run())


def test_the_last_piece_is_taken_and_nothing_after_it():
    async def run():
        stream = OneStream()
        stream.put(b"before, ")
        stream.end(b"end")
        stream.put(b"after")
        assert await all_of(stream) == [b"before, end"]

    asyncio.run(run())


def test_the_end_wakes_who_waits():
    async def run():
        stream = OneStream()
        taking = asyncio.create_task(stream.take())
        await asyncio.sleep(0)
        stream.end()
        assert await taking == b""

    asyncio.run(run())


@pytest.mark.parametrize(
    ("piece", "most"), [(b"x" * 1024, MAX_WAITING_BYTES // 1024), (b"x", MAX_WAITING)], ids=["bytes", "pieces"]
)
def test_a_client_that_does_not_read_is_cut_off_once(piece, most):
    stream = OneStream()
    for _ in range(most):
        stream.put(piece)
    assert (stream.cuts, stream.is_over) == (0, False)
    for _ in range(3):
        stream.put(piece)
    assert (stream.cuts, stream.is_over, stream.waiting) == (1, True, [])


def test_a_client_that_reads_may_get_any_amount():
    async def run():
        stream = OneStream()
        for _ in range(5):
            for _ in range(MAX_WAITING):
                stream.put(b"x" * (MAX_WAITING_BYTES // MAX_WAITING))
            await stream.take()
        assert (stream.cuts, stream.is_over) == (0, False)

    asyncio.run(run())


# The hub


class Reader:
    """Stands for the thread that asks the database: it answers with what the test has laid out."""

    def __init__(self):
        self.batches = []  # to be found; errors are raised
        self.dead = {}
        self.released = []
        self.failures = []  # of the next releases of slots

    async def run(self, in_thread, function, *arguments):
        await asyncio.sleep(0)
        return getattr(self, function.__name__, lambda *arguments: None)(*arguments)

    def find_batch(self, *arguments):
        found = self.batches.pop(0) if self.batches else None
        if isinstance(found, Exception):
            raise found
        return found

    def find_dead(self, tokens):
        return {token: why for token, why in self.dead.items() if token in tokens}

    def release(self, ids):
        if self.failures:
            raise self.failures.pop(0)
        self.released += ids


@pytest.fixture
def with_hub(monkeypatch):
    """Runs a coroutine function with a hub and its reader."""
    monkeypatch.setattr(hub, "all_hints", lambda wake: [])
    monkeypatch.setattr(hub, "POLL", 0.01)

    def run_with(function):
        async def run():
            reader = Reader()
            made = Hub(reader.run)
            try:
                async with asyncio.timeout(DEADLINE):
                    await function(made, reader)
            finally:
                await made.close()

        asyncio.run(run())

    return run_with


def batch(*told, end, dead=None):
    return Batch(end, list(told), dead or {}, [])


class OtherMachines:
    """Hints of other machines, which come or do not."""

    def __init__(self, reach_machines):
        self.reach_machines = reach_machines

    async def close(self):
        pass


@pytest.mark.parametrize(
    ("hints", "seconds"),
    [
        ([], hub.POLL),
        ([OtherMachines(False)], hub.POLL),
        ([OtherMachines(False), OtherMachines(True)], hub.POLL_WITH_REDIS),
    ],
)
def test_the_database_is_asked_seldom_only_while_other_machines_hint(hints, seconds, monkeypatch):
    monkeypatch.setattr(hub, "all_hints", lambda wake: hints)

    async def run():
        made = Hub(Reader().run)
        assert made.poll == hub.POLL_IDLE
        await made.attach(OneStream(1))
        assert made.poll == seconds
        await made.close()

    asyncio.run(run())


def test_each_stream_of_a_user_gets_what_is_told_to_the_user(with_hub):
    async def run(hub, reader):
        streams = [OneStream(1), OneStream(1), OneStream(2), OneStream(3)]
        for stream in streams:
            await hub.attach(stream)
        reader.batches = [batch((1, b"to 1 and 2, ", [1, 2]), (2, b"to 2", [2]), end=2)]
        hub.wake()
        assert [await stream.take() for stream in streams[:3]] == [
            b"to 1 and 2, ",
            b"to 1 and 2, ",
            b"to 1 and 2, to 2",
        ]
        assert ([stream.number for stream in streams], streams[3].waiting) == ([1, 1, 2, 0], [])

    with_hub(run)


def test_a_stream_gets_nothing_that_its_client_has(with_hub):
    async def run(hub, reader):
        await hub.attach(OneStream(2))
        stream = OneStream(1, position=2)
        assert await hub.attach(stream)
        reader.batches = [batch((2, b"old", [1]), (3, b"new", [1]), end=3)]
        hub.wake()
        assert await stream.take() == b"new"

    with_hub(run)


def test_a_stream_that_is_behind_has_to_catch_up_first(with_hub):
    async def run(hub, reader):
        first, late = OneStream(), OneStream(position=4)
        await hub.attach(first)
        reader.batches = [batch((5, b"five", [1]), end=5)]
        hub.wake()
        await first.take()
        assert not await hub.attach(late)
        late.position = 5
        assert await hub.attach(late)

    with_hub(run)


def test_the_first_stream_begins_wherever_it_is(with_hub):
    async def run(hub, reader):
        ahead, behind = OneStream(position=9), OneStream(position=4)
        assert await hub.attach(ahead)
        hub.detach(ahead)
        assert await hub.attach(behind)

    with_hub(run)


def test_the_stream_of_a_dead_token_is_told_why_and_the_others_go_on(with_hub):
    async def run(hub, reader):
        dead, alive = OneStream(token_id=10), OneStream(token_id=11)
        for stream in (dead, alive):
            await hub.attach(stream)
        reader.batches = [batch((1, b"after", [1]), end=1, dead={10: "logout"})]
        hub.wake()
        assert await all_of(dead) == [b'id: log-0e\nevent: end\ndata: {"why":"logout"}\n\n']
        assert (dead.why, await alive.take(), alive.is_over) == ("logout", b"after", False)

    with_hub(run)


def test_a_token_that_died_before_its_stream_was_added_is_noticed(with_hub):
    async def run(hub, reader):
        reader.dead = {10: "password"}
        stream = OneStream()
        await hub.attach(stream)
        assert await all_of(stream) == [b'id: log-0e\nevent: end\ndata: {"why":"password"}\n\n']

    with_hub(run)


def test_a_silent_stream_gets_a_comment(with_hub, monkeypatch):
    monkeypatch.setattr(hub, "SILENCE", 0.1)

    async def run(hub, reader):
        stream = OneStream()
        await hub.attach(stream)
        assert await stream.take() == HEARTBEAT

    with_hub(run)


def test_a_stream_that_is_given_up_gets_nothing_more(with_hub):
    async def run(hub, reader):
        stream, other = OneStream(), OneStream()
        for each in (stream, other):
            await hub.attach(each)
        hub.detach(stream)
        hub.detach(stream)
        reader.batches = [batch((1, b"one", [1]), end=1)]
        hub.wake()
        assert (await other.take(), stream.waiting, hub.number) == (b"one", [], 1)

    with_hub(run)


def test_a_slot_that_could_not_be_released_is_released_later(with_hub):
    async def run(hub, reader):
        reader.failures = [OperationalError("away"), OperationalError("away")]
        hub.release(7)
        hub.release(8)
        while not reader.released:
            await asyncio.sleep(0.01)
        assert (reader.released, hub.released) == ([7, 8], [])

    with_hub(run)


def test_the_streams_stay_while_the_database_is_away_which_is_logged_once(with_hub, caplog):
    caplog.set_level(logging.INFO, logger="delivery.hub")

    async def run(hub, reader):
        stream = OneStream()
        await hub.attach(stream)
        reader.batches = [OperationalError("away"), batch((1, b"one", [1]), end=1)]
        hub.wake()
        assert await stream.take() == b"one"

    with_hub(run)
    assert caplog.messages == ["The reader of events cannot reach the database: away", "The reader of events goes on."]


def test_a_mistake_of_ours_is_logged_and_the_streams_stay(with_hub, caplog):
    async def run(hub, reader):
        stream = OneStream()
        await hub.attach(stream)
        reader.batches = [ZeroDivisionError(), batch((1, b"one", [1]), end=1)]
        hub.wake()
        assert await stream.take() == b"one"

    with_hub(run)
    [failure] = [record for record in caplog.records if record.levelname == "ERROR"]
    assert (failure.message, failure.exc_info[0]) == ("The reader of events failed.", ZeroDivisionError)


def test_all_streams_end_if_the_log_was_replaced(with_hub):
    async def run(hub, reader):
        streams = [OneStream(1), OneStream(2)]
        for stream in streams:
            await hub.attach(stream)
        reader.batches = [LogReplacedError()]
        hub.wake()
        assert [await all_of(stream) for stream in streams] == [[], []]

    with_hub(run)


def test_a_hub_that_stops_ends_all_streams_and_those_that_come(with_hub):
    async def run(hub, reader):
        stream, late = OneStream(), OneStream()
        await hub.attach(stream)
        hub.stop()
        assert await hub.attach(late)
        assert [await all_of(each) for each in (stream, late)] == [[], []]

    with_hub(run)


def test_a_commit_in_this_process_wakes_the_hub_and_the_others(with_hub):
    told = SimpleNamespace(times=0)

    async def run(hub, reader):
        hub.hints.append(Told(told))
        await asyncio.to_thread(log._call_listeners)
        while not told.times:
            await asyncio.sleep(0.01)

    with_hub(run)


def test_without_streams_nothing_is_read_and_the_first_one_begins_with_reading(with_hub):
    told = SimpleNamespace(times=0)

    async def run(hub, reader):
        hub.hints.append(Told(told))
        reader.batches = [batch((1, b"before", [1]), end=1)]
        for times in range(1, 4):
            hub.wake()
            await asyncio.to_thread(log._call_listeners)
            await asyncio.sleep(0.01)
            assert told.times == times
        assert len(reader.batches) == 1
        stream = OneStream(1)
        await hub.attach(stream)
        async with asyncio.timeout(0.5):  # sooner than the poll, which is as of the time without streams
            assert await stream.take() == b"before"

    with_hub(run)


class Told:
    """Hints that count how often they are given."""

    def __init__(self, told):
        self.told = told

    def tell(self):
        self.told.times += 1

    async def close(self):
        pass


def test_a_closed_hub_listens_no_more(with_hub):
    before = list(log.listeners)

    async def run(hub, reader):
        assert len(log.listeners) == len(before) + 1

    with_hub(run)
    assert log.listeners == before


def test_the_id_of_an_end_is_not_behind_what_the_client_has(with_hub):
    async def run(hub, reader):
        await hub.attach(OneStream(2, token_id=20))
        stream = OneStream(1, position=3)
        await hub.attach(stream)
        reader.batches = [batch(end=0, dead={10: "logout"})]
        hub.wake()
        assert await all_of(stream) == [b'id: log-3e\nevent: end\ndata: {"why":"logout"}\n\n']

    with_hub(run)
