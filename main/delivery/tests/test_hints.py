"""Hints between processes and machines: the sockets of a folder, and a real Redis server."""

import asyncio
import logging
import os
import socket
import time
from contextlib import asynccontextmanager

import pytest

from delivery import hints
from delivery.hints import Machines, Neighbours, all_hints
from delivery.tests.live import DEADLINE, Redis
from harness.server import free_port


class Wakes:
    """Counts how often it is woken."""

    def __init__(self):
        self.number = 0
        self.event = asyncio.Event()

    def __call__(self):
        self.number += 1
        self.event.set()

    async def next(self):
        async with asyncio.timeout(DEADLINE):
            await self.event.wait()
        self.event.clear()


@asynccontextmanager
async def opened(kind, place, number=2):
    """So many of them at one place, each with what it wakes."""
    wakes = [Wakes() for _ in range(number)]
    made = [kind(place, wake) for wake in wakes]
    try:
        yield *made, *wakes
    finally:
        for each in made:
            await each.close()


# Neighbours


def test_neighbours_wake_each_other_and_not_themselves(tmp_path):
    async def run():
        async with opened(Neighbours, tmp_path) as (one, two, wake_one, wake_two):
            one.tell()
            await wake_two.next()
            two.tell()
            await wake_one.next()
            assert (wake_one.number, wake_two.number) == (1, 1)

    asyncio.run(run())


def test_the_socket_of_a_dead_neighbour_is_removed(tmp_path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as dead:
        dead.bind(str(tmp_path / "dead"))

    async def run():
        async with opened(Neighbours, tmp_path) as (one, two, _, wake_two):
            one.tell()
            await wake_two.next()
            assert set(tmp_path.iterdir()) == {one.path, two.path}

    asyncio.run(run())


def test_a_neighbour_that_does_not_read_delays_nobody_and_stays(tmp_path):
    async def run():
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as busy:
            busy.bind(str(tmp_path / "busy"))
            async with opened(Neighbours, tmp_path) as (one, _, _, wake_two):
                for _ in range(1000):
                    one.tell()
                await wake_two.next()
                assert (tmp_path / "busy").exists()

    asyncio.run(run())


def test_a_neighbour_that_leaves_takes_its_socket_along(tmp_path):
    async def run():
        async with opened(Neighbours, tmp_path):
            assert len(list(tmp_path.iterdir())) == 2

    asyncio.run(run())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("age", [0, 60])
def test_a_neighbour_that_comes_later_is_told_too(tmp_path, age):
    async def run():
        async with opened(Neighbours, tmp_path) as (one, _, _, wake_two):
            then = time.time() - age
            os.utime(tmp_path, (then, then))
            one.tell()
            await wake_two.next()
            async with opened(Neighbours, tmp_path, 1) as (_, wake_three):
                one.tell()
                await wake_three.next()

    asyncio.run(run())


def test_the_folder_is_read_again_only_after_a_change(tmp_path, monkeypatch):
    read = []
    monkeypatch.setattr(type(tmp_path), "iterdir", lambda folder: read.append(folder) or iter(()))

    async def run():
        async with opened(Neighbours, tmp_path, 1) as (one, _):
            os.utime(tmp_path, (0, 0))
            for _ in range(5):
                one.tell()

    asyncio.run(run())
    assert read == [tmp_path]


def test_who_is_alone_tells_nobody(tmp_path):
    async def run():
        async with opened(Neighbours, tmp_path, 1) as (one, wake):
            one.tell()
            await asyncio.sleep(0.05)
            assert wake.number == 0

    asyncio.run(run())


# Machines


@pytest.fixture
def redis():
    with Redis() as redis:
        yield redis


@pytest.fixture
def _hasty(monkeypatch):
    """Come back to Redis soon."""
    monkeypatch.setattr(hints, "PAUSE", 0.05)


async def both_listen(*wakes):
    """Each is woken once it listens: something may have been said before."""
    for wake in wakes:
        await wake.next()


def test_machines_wake_each_other_and_not_themselves(redis):
    async def run():
        async with opened(Machines, redis.url) as (one, two, wake_one, wake_two):
            await both_listen(wake_one, wake_two)
            one.tell()
            await wake_two.next()
            two.tell()
            await wake_one.next()
            await asyncio.sleep(0.1)
            assert (wake_one.number, wake_two.number) == (2, 2)

    asyncio.run(run())


def test_a_burst_of_hints_reaches_the_other(redis):
    async def run():
        async with opened(Machines, redis.url) as (one, _, wake_one, wake_two):
            await both_listen(wake_one, wake_two)
            for _ in range(1000):
                one.tell()
            await wake_two.next()

    asyncio.run(run())


def test_what_is_told_while_a_hint_is_on_its_way_is_told_once_more(redis, monkeypatch):
    async def run():
        async with opened(Machines, redis.url) as (one, _, wake_one, wake_two):
            await both_listen(wake_one, wake_two)
            publish, published, may_publish = one.client.publish, [], asyncio.Event()

            async def publish_later(*message):
                published.append(message)
                await may_publish.wait()
                return await publish(*message)

            monkeypatch.setattr(one.client, "publish", publish_later)
            one.tell()
            await asyncio.sleep(0)
            for _ in range(3):
                one.tell()
            may_publish.set()
            await one.publishing
            assert len(published) == 2

    asyncio.run(run())


@pytest.mark.usefixtures("_hasty")
def test_while_redis_is_away_nothing_fails_and_afterwards_it_works_again(redis, caplog):
    caplog.set_level(logging.INFO, logger="delivery.hints")

    async def run():
        async with opened(Machines, redis.url) as (one, two, wake_one, wake_two):
            await both_listen(wake_one, wake_two)
            assert one.reach_machines
            assert two.reach_machines
            redis.kill()
            while one.reach_machines or two.reach_machines:
                one.tell()
                await asyncio.sleep(0.01)
            await asyncio.sleep(0.3)
            one.tell()
            await asyncio.to_thread(redis.start)
            await both_listen(wake_one, wake_two)
            assert one.reach_machines
            one.tell()
            await wake_two.next()

    asyncio.run(run())
    away = "Redis is away. Other machines notice later what is new: ConnectionError"
    assert sorted((record.levelname, record.message) for record in caplog.records) == [
        *[("INFO", "Redis is back.")] * 2,
        *[("WARNING", away)] * 2,
    ]


@pytest.mark.usefixtures("_hasty")
@pytest.mark.parametrize(
    "url", ["redis://127.0.0.1:{port}/0", "redis://no-such-host.invalid/0", "unix:///no/such/path"]
)
def test_a_redis_that_cannot_be_reached_is_logged_once_and_breaks_nothing(url, caplog):
    async def run():
        async with opened(Machines, url.format(port=free_port()), 1) as (machines, wake):
            for _ in range(20):
                machines.tell()
                await asyncio.sleep(0.02)
            async with asyncio.timeout(DEADLINE):
                while not machines.is_away:
                    await asyncio.sleep(0.02)
            assert wake.number == 0

    asyncio.run(run())
    assert [record.levelname for record in caplog.records if record.name == "delivery.hints"] == ["WARNING"]


@pytest.mark.usefixtures("_hasty")
def test_a_wrong_password_is_logged_once_without_the_password(caplog):
    async def run():
        with Redis("--requirepass", "the-right-one") as redis:
            async with opened(Machines, redis.url.replace("//", "//:a-wrong-one@"), 1) as (machines, _):
                async with asyncio.timeout(DEADLINE):
                    while not machines.is_away:
                        await asyncio.sleep(0.02)
                machines.tell()
                await asyncio.sleep(0.2)

    asyncio.run(run())
    away = "Redis is away. Other machines notice later what is new: AuthenticationError"
    assert [record.message for record in caplog.records if record.name == "delivery.hints"] == [away]
    assert "one" not in caplog.text


# Which there are


@pytest.mark.parametrize(
    ("has_folder", "has_redis", "kinds"),
    [(False, False, []), (True, False, [Neighbours]), (False, True, [Machines]), (True, True, [Neighbours, Machines])],
)
def test_a_process_has_the_hints_that_it_is_set_up_for(tmp_path, monkeypatch, settings, has_folder, has_redis, kinds):
    monkeypatch.setitem(os.environ, hints.FOLDER, str(tmp_path) if has_folder else "")
    settings.REDIS_URL = f"redis://127.0.0.1:{free_port()}/0" if has_redis else ""

    async def run():
        made = all_hints(lambda: None)
        assert [type(each) for each in made] == kinds
        for each in made:
            await each.close()

    asyncio.run(run())
