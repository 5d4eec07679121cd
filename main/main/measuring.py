"""What is measured in the event loop, once a second."""

import asyncio
from time import monotonic

from common import metrics, processes
from main.connections import Connection

PAUSE = 1


class Turns(asyncio.Semaphore):
    """Counts those who wait for a turn or have one."""

    number = 0

    async def __aenter__(self) -> None:
        self.number += 1
        try:
            await super().__aenter__()
        except BaseException:
            self.number -= 1
            raise

    async def __aexit__(self, *failure: object) -> None:
        self.number -= 1
        await super().__aexit__(*failure)  # type: ignore[arg-type]


async def measure(turns: Turns) -> None:
    """Bring the gauges of this process up to date, and let the other processes see them, for as long as it serves."""

    def watch() -> None:
        metrics.connections_open.set(len(Connection.opened))
        metrics.requests_in_progress.set(turns.number)

    metrics.watchers.append(watch)
    try:
        while True:
            began = monotonic()
            await asyncio.sleep(PAUSE)
            metrics.loop_lag_seconds.set(max(0.0, monotonic() - began - PAUSE))
            metrics.watch()
            processes.write_out()
    finally:
        metrics.count_requests()
        processes.write_out()
