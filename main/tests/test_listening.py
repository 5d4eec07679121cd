"""How connections are accepted."""

import asyncio
import errno
import socket
from functools import wraps

import pytest
import uvloop

from main import listening
from main.listening import Listener


def in_loop(test):
    """Run the coroutine of a test in an event loop."""

    @wraps(test)
    def run(*args, **kwargs):
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(asyncio.wait_for(test(*args, **kwargs), 10))

    return run


class Greeting(asyncio.Protocol):
    def connection_made(self, transport):
        transport.write(b"hello")
        transport.close()


@pytest.fixture
def bound():
    with socket.create_server(("127.0.0.1", 0)) as sock:
        yield sock


def clients(bound, number):
    return [socket.create_connection(bound.getsockname(), timeout=5) for _ in range(number)]


async def greeting_of(client):
    client.setblocking(False)
    with client:
        return await asyncio.get_running_loop().sock_recv(client, 100)


@in_loop
async def test_every_connection_is_accepted(bound):
    listener = Listener(asyncio.get_running_loop(), bound, Greeting)
    assert [await greeting_of(client) for client in clients(bound, 5)] == [b"hello"] * 5
    listener.close()


@in_loop
async def test_of_two_that_wait_one_is_left_to_other_processes(bound):
    loop = asyncio.get_running_loop()
    listener = Listener(loop, bound.dup(), Greeting)
    loop.remove_reader(listener.listening)
    first, second = clients(bound, 2)
    listener.accept()
    accepted, _ = bound.accept()  # by another process
    assert accepted.getpeername() == second.getsockname()
    listener.accept()  # there is none left
    assert await greeting_of(first) == b"hello"
    listener.close()
    for each in (accepted, second):
        each.close()


@in_loop
async def test_it_goes_on_after_a_pause(bound):
    listener = Listener(asyncio.get_running_loop(), bound.dup(), Greeting)
    first, second = clients(bound, 2)
    assert await greeting_of(first) == await greeting_of(second) == b"hello"
    listener.close()


@in_loop
async def test_too_many_open_files_pause_it(bound, monkeypatch):
    class Full:
        fileno = bound.fileno

        def accept(self):
            raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(listening, "PAUSE_AFTER_FAILURE", 0.01)
    listener = Listener(asyncio.get_running_loop(), bound, Greeting)
    listener.listening = Full()
    listener.accept()
    assert not asyncio.get_running_loop().remove_reader(bound)
    listener.listening = bound
    [client] = clients(bound, 1)
    assert await greeting_of(client) == b"hello"
    listener.close()


@in_loop
async def test_a_closed_one_accepts_nothing(bound):
    listener = Listener(asyncio.get_running_loop(), bound.dup(), Greeting)
    listener.close()
    await listener.wait_closed()
    assert (listener.is_serving(), listener.sockets) == (False, [])
    [client] = clients(bound, 1)
    with client, pytest.raises(TimeoutError):
        await asyncio.wait_for(greeting_of(client), 0.1)
