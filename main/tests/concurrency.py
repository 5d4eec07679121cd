"""Calls at the same moment, each from a thread with a database connection of its own."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

from django.db import connection

from conftest import Client


def at_once(*calls):
    """The results of the calls, all begun at the same moment."""
    barrier = Barrier(len(calls))

    def run(call):
        try:
            barrier.wait()
            return call()
        finally:
            connection.close()

    with ThreadPoolExecutor(len(calls)) as threads:
        return list(threads.map(run, calls))


def statuses(answers):
    return sorted(answer.status_code for answer in answers)


def copies(client, number):
    """Clients with the token of one, since a client is no thing to share."""
    clients = [Client() for _ in range(number)]
    for each in clients:
        each._credentials = client._credentials
    return clients
