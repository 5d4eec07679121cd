"""The load on a cluster: clients behind nginx that write and listen, and what all of them were answered."""

import http.client
import ssl
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from itertools import pairwise
from statistics import median

from drills import events
from drills.cluster.machines import FRONT, HTTPS
from drills.service import require, say

WRITERS = 6
# Readers that drop their connections all the time, of the eighteen that there are; the others keep theirs.
HASTY = 4


class Front(http.client.HTTPSConnection):
    """A connection to nginx that notes what comes: the statuses of failures, and who gives them."""

    address = context = None  # set once, for all
    noted = []

    def __init__(self):
        super().__init__(self.address, HTTPS, timeout=60, context=self.context)

    def getresponse(self):
        answer = super().getresponse()
        if answer.status >= 500:
            # nginx's own answers have no id: nothing of the service has seen the request, or said anything of it.
            by = "service" if answer.headers["X-Request-ID"] else "nginx"
            comes_again = "" if answer.headers["Retry-After"] else " without Retry-After"
            self.noted.append(f"{answer.status} by the {by}{comes_again}".replace("the nginx", "nginx"))
        return answer


class Writer(events.Writer):
    """Writes unless `may_write` is cleared."""

    REST, PATIENCE = 0.1, 90

    def __init__(self, number, cast):
        super().__init__(number, cast)
        self.to = Front()
        self.may_write = threading.Event()
        self.may_write.set()

    def ask(self, *question):
        self.may_write.wait()
        return super().ask(*question)


class Reader(events.Reader):
    @staticmethod
    def connect():
        return Front()


class Load:
    """Writers and readers, for as long as a `with` lasts."""

    def __init__(self, cluster):
        Front.address = cluster.address(FRONT)
        Front.context = ssl.create_default_context(cafile=cluster.certificate)
        self.cast = events.Cast(events.dice("cluster"))
        self.writers = [Writer(number, self.cast) for number in range(WRITERS)]
        self.prober = Writer(WRITERS, self.cast)
        self.readers = []
        users = [user for user in self.cast.staying for _ in range(2)] + self.cast.coming + self.cast.strangers
        for number, user in enumerate(users):
            drops = events.RESTLESS if number % 5 == 0 and number < 5 * HASTY else None
            self.readers.append(Reader(user, events.dice("reader", number), drops))
        self.done = threading.Event()

    def __enter__(self):
        self.stack = ExitStack()
        for reader in self.readers:
            self.stack.enter_context(reader)
        self.threads = ThreadPoolExecutor(WRITERS)
        self.running = [self.threads.submit(writer.run, self.done) for writer in self.writers]
        return self

    def __exit__(self, *failure):
        self.done.set()
        self.threads.shutdown()
        self.stack.close()

    def finish(self):
        """End the writing, and wait until every reader has the last event of its user."""
        self.done.set()
        for each in self.running:
            each.result()
        for user in self.cast.everybody:
            self.prober.change_profile(user, "the last event")
        for reader in self.readers:
            what = f"the last event reaches {reader.user.username}, {reader.last_id}, {reader.answers}"
            require(reader.gets("the last event", 30), what)
        time.sleep(1)  # nothing may come twice

    def require_writers(self):
        """An exception of a writer at once, and not at the end."""
        for each in self.running:
            if each.done():
                each.result()

    def times(self):
        return sorted(at for writer in self.writers for at in writer.times)

    def rate(self, seconds):
        """Writes answered a second, in the last so many seconds."""
        return sum(at > time.monotonic() - seconds for at in self.times()) / seconds

    def pause_since(self, moment):
        """The longest time without an answered write."""
        times = [moment, *(at for at in self.times() if at > moment), time.monotonic()]
        return max(later - earlier for earlier, later in pairwise(times))

    @contextmanager
    def step(self, what, most=15):
        """Say what a step did to the writers: the longest pause, and answers that are no success."""
        begun, before, noted = time.monotonic(), self.failures(), len(Front.noted)
        also = []
        yield also
        self.require_writers()
        pause = self.pause_since(begun)
        statuses = Counter(Front.noted[noted:])
        # Answers are in what was noted; what is left are connections without an answer.
        silent = {key: n for key, n in (self.failures() - before).items() if isinstance(key, str)}
        others = ", ".join(f"{n} × {key}" for key, n in sorted((statuses + Counter(silent)).items())) or "none"
        say(f"{what}: no write answered for {pause:.1f} s; failures: {others}{''.join(f'; {each}' for each in also)}")
        wrong = [key for key in statuses if not key.startswith("503 ") or "without" in key]
        require(not wrong, f"failures are 503 with Retry-After, not {wrong}")
        require(pause < most, f"it goes on within {most} s")
        self.require_all_come_back()

    def require_all_come_back(self):
        """Every writer writes again."""
        now = time.monotonic()
        while not all(writer.times and writer.times[-1] > now for writer in self.writers):
            require(time.monotonic() < now + 20, "every writer writes again within 20 s")
            time.sleep(0.05)

    def failures(self):
        return sum((writer.failures for writer in self.writers), Counter())

    @contextmanager
    def nobody_else(self):
        """In the block the writers pause."""
        for writer in self.writers:
            writer.may_write.clear()
        time.sleep(1)
        try:
            yield
        finally:
            for writer in self.writers:
                writer.may_write.set()

    def lag(self, number=12):
        """Milliseconds from the begin of a send until the last reader, of both app servers, has it: the median."""
        lags = []
        for _ in range(number):
            self.prober.number += 1
            text = f"probe {self.prober.number}"
            place = self.cast.groups[self.prober.number % len(self.cast.groups)]
            listening = [reader for reader in self.readers if reader.user in place.staying and not reader.drops]
            began = time.monotonic()
            path = f"/conversations/{place.pk}/messages"
            self.prober.ask("send", place.owner, "POST", path, {"text": text, "client_id": text.replace(" ", "-")})
            require(all(reader.gets(text) for reader in listening), "a message comes within 20 s")
            lags.append(1000 * (time.monotonic() - began))
        return median(lags)
