"""This server beside Matrix Synapse: run by `make bench-peers`, which gives it a MariaDB server of its own.

Three servers run at the same time, of one process each: Synapse on SQLite, and this one on SQLite and on MariaDB. They
have the same people, conversations and messages, and are asked in turn, so that what disturbs the machine disturbs
all. What they answer is checked before and after each round, every answer must be a good one, and in the end every
message must be there. Writes Markdown and JSON into results/.
"""

import argparse
import datetime
import http.client
import json
import os
import random
import secrets
import shutil
import signal
import statistics
import sys
import tempfile
import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

MAIN = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(MAIN))
for name in ("DATABASE_URL", "JAWSDB_URL", "CLEARDB_DATABASE_URL", "RDS_HOSTNAME"):
    os.environ.pop(name, None)  # of somebody's database: the server on SQLite has none

from benchmarks.run import CONNECTIONS, ask_with_wrk, cpu_seconds, database_pid, machine  # noqa: E402  (sets Django up)

# isort: split
from benchmarks import peer_ours, peer_synapse  # noqa: E402
from benchmarks.peer_client import PATIENCE, Listener, require  # noqa: E402
from benchmarks.peer_people import ALICE, LISTENED, PER_PAGE, READ, TERMS, WRITTEN, people, shown_name  # noqa: E402

# Counted as ever and never used up, as Synapse's.
RATES = ("LOGIN_RATE", "REGISTER_RATE", "SEARCH_RATE", "SEND_RATE", "OPEN_RATE", "REPORT_RATE")
os.environ |= dict.fromkeys(RATES, "1000000/sec")

# What takes so long that only a few are done in a second has so many times the seconds.
LONGER = {"log in": 4}
SENDS = {"send": WRITTEN[:1], "send, 8 conversations": WRITTEN}


class Contender:
    """One of the servers, with what was measured of it."""

    def __init__(self, peer, *pids):
        self.peer, self.pids, self.samples = peer, pids, {}
        self.least, self.most = 0, 0  # messages that must and may be in WRITTEN

    def set_the_stage(self, users, messages):
        self.users, self.messages, self.delivered = users, messages, 0
        self.peer.set_the_stage(users, messages)
        self.calls = self.peer.calls(random.sample(users, min(50, len(users))))

    def measure(self, row, seconds):
        self.check(row)
        authorization, duration = self.peer.headers(ALICE)["Authorization"], seconds * LONGER.get(row, 1)
        before = cpu_seconds(*self.pids)
        sample = ask_with_wrk(self.peer.port, authorization, self.calls[row], duration)
        self.become_idle()
        used = [now - then for now, then in zip(cpu_seconds(*self.pids), before, strict=True)]
        faults = sample["refused"] + sample["failed"]
        self.peer.require(faults == 0, f"{row}: {faults} of {sample['requests']} without a good answer")
        # When wrk ends, each of its connections waits for an answer, which the server still makes.
        started = sample["requests"] + CONNECTIONS
        if row in SENDS:
            self.least, self.most = self.least + sample["requests"], self.most + started
        self.check(row)
        if not sample["requests"] and duration < PATIENCE:  # the machine is busy
            return self.measure(row, 2 * seconds)
        self.peer.require(sample["requests"], f"{row} is answered within {duration} seconds")
        return sample | self.costs(used, started) | {"rate": sample["requests"] / sample["seconds"]}

    def costs(self, used, number):
        """Milliseconds of processor time for each of so many; of SQLite it is the server's."""
        server, database = (*used, 0)[:2]
        return {"server": 1000 * server / number, "database": 1000 * database / number}

    def become_idle(self, seconds=20):
        """Wait until what wrk left behind is done; it would also disturb the next one."""
        deadline, used = time.monotonic() + seconds, sum(cpu_seconds(*self.pids))
        while time.monotonic() < deadline:
            time.sleep(0.1)
            before, used = used, sum(cpu_seconds(*self.pids))
            if used - before < 0.015:  # the clock ticks every 10 ms
                return

    def check(self, row):
        """Make the call, and see that it does what it should."""
        peer = self.peer
        match row:
            case "who am I":
                peer.require(peer.own_name() == ALICE, "it knows who asks")
            case "profile of another":
                user = random.choice(self.users)  # noqa: S311
                peer.require(peer.name_of(user) == shown_name(user), f"it knows the name of {user.username}")
            case "search for people":
                for term in TERMS:
                    found, matching = peer.found(term), peer.is_found_by(term)
                    is_right = len(found) == len(set(found)) == min(PER_PAGE, len(matching)) and set(found) <= matching
                    peer.require(is_right, f"{term} finds {found} of {matching}")
            case "50 messages":
                numbers = range(self.messages, max(self.messages - 50, 0), -1)
                page = [((ALICE, READ)[number % 2], f"Message {number}") for number in numbers]
                peer.require(peer.page() == page, f"the latest messages are {page}")
            case "send" | "send, 8 conversations":
                friend, text = random.choice(SENDS[row]), f"Check {secrets.token_hex(8)}"  # noqa: S311
                peer.send(friend, text)
                peer.require(next(peer.texts(friend)) == text, "a message that was sent is the latest")
                self.least, self.most = self.least + 1, self.most + 1
            case "log in":
                peer.tokens["once more"] = peer.log_in(READ)
                peer.require(peer.own_name("once more") == READ, "one is who has logged in")

    def deliver(self, kind, messages):
        """Send one message after the other to somebody who listens: milliseconds until each is there, and the costs."""
        peer, milliseconds = self.peer, []
        sender = http.client.HTTPConnection("127.0.0.1", peer.port, timeout=PATIENCE)
        with Listener(peer, LISTENED, is_stream=peer.listening[kind]) as listener:
            before = cpu_seconds(*self.pids)
            for _ in range(messages):
                time.sleep(random.uniform(0.03, 0.13))  # noqa: S311  (the listener has asked again)
                text = f"Message {secrets.token_hex(8)}"
                began = time.perf_counter()
                peer.send(LISTENED, text, to=sender)
                milliseconds.append(1000 * (listener.wait_for(text) - began))
            used = [now - then for now, then in zip(cpu_seconds(*self.pids), before, strict=True)]
        sender.close()
        self.delivered += messages
        return self.costs(used, messages) | {"milliseconds": milliseconds}

    def check_all_messages(self):
        """See that all that was sent is there, once; return how many are in the conversations that wrk sent to."""
        peer = self.peer
        texts = Counter((friend, text) for friend in WRITTEN for text in peer.texts(friend))
        number = sum(texts.values())
        peer.require(self.least <= number <= self.most, f"{self.least} to {self.most} messages are {number}")
        peer.require(max(texts.values()) == 1, "no message is there twice")
        for friend, expected in ((READ, self.messages), (LISTENED, self.delivered)):
            there = len(set(peer.texts(friend)))
            peer.require(there == expected, f"{expected} messages with {friend} are {there}")
        return number


def summary_of_calls(samples):
    medians = {key: statistics.median(sample[key] for sample in samples) for key in samples[0]}
    rates = [sample["rate"] for sample in samples]
    return medians | {"min": min(rates), "max": max(rates), "answers": sum(sample["requests"] for sample in samples)}


def summary_of_deliveries(samples):
    times = sorted(time for sample in samples for time in sample["milliseconds"])
    costs = {key: statistics.median(sample[key] for sample in samples) for key in ("server", "database")}
    return costs | {"p50": times[len(times) // 2], "p95": times[int(0.95 * len(times))], "answers": len(times)}


def compare(contenders, options):
    """What was measured, by row and name of the server."""
    rows, deliveries = list(contenders[0].calls), {}
    for row in rows:
        for contender in contenders:
            contender.samples[row] = []
            contender.measure(row, 1)  # caches are filled, code is loaded
    for number in range(1, options.rounds + 1):
        for row in rows:
            for contender in contenders:
                contender.samples[row].append(contender.measure(row, options.seconds))
        for contender in contenders:
            for kind in contender.peer.listening:
                sample = contender.deliver(kind, options.messages)
                deliveries.setdefault((contender.peer.name, kind), []).append(sample)
        print(f"Round {number} of {options.rounds} is done.", file=sys.stderr, flush=True)  # noqa: T201
    results = {row: {c.peer.name: summary_of_calls(c.samples[row]) for c in contenders} for row in rows}
    synapse = contenders[0].peer.name
    for kind in ("stream", "long poll"):
        results[f"delivery, {kind}"] = {
            name: summary_of_deliveries(samples)
            for (name, other), samples in deliveries.items()
            if other == kind or name == synapse
        }
    return results


def ratios(results):
    """Of this server's figures to Synapse's, by row and name of the server: rate, processor time of all, p95."""
    compared = {}
    for row, figures in results.items():
        (_, synapse), *others = figures.items()
        for name, ours in others:
            cpu = (ours["server"] + ours["database"]) / (synapse["server"] + synapse["database"])
            rate = ours["rate"] / synapse["rate"] if "rate" in ours else None
            compared.setdefault(row, {})[name] = {"rate": rate, "cpu": cpu, "p95": ours["p95"] / synapse["p95"]}
    return compared


def as_rate(number):
    return f"{number:.0f}" if number > 20 else f"{number:.1f}"


def tables(results):
    lines = ["| call | of | requests/s (min to max) | p50 ms | p95 ms | CPU ms: server | database |"]
    lines.append("|---|---|" + "---:|" * 5)
    for row, figures in results.items():
        for name, r in figures.items():
            rate = "{} ({} to {})".format(*(as_rate(r[key]) for key in ("rate", "min", "max"))) if "rate" in r else ""
            database = f"{r['database']:.2f}" if "MariaDB" in name else ""
            cells = (row, name, rate, f"{r['p50']:.1f}", f"{r['p95']:.1f}", f"{r['server']:.2f}", database)
            lines.append(f"| {' | '.join(cells)} |")
    lines += ["", "This server's figures, in those of Synapse: more is better of the rate, less of the others."]
    lines += ["", "| call | of | rate | CPU | p95 |", "|---|---|---:|---:|---:|"]
    for row, compared in ratios(results).items():
        for name, ratio in compared.items():
            rate = f"{ratio['rate']:.2f}" if ratio["rate"] else ""
            lines.append(f"| {row} | {name} | {rate} | {ratio['cpu']:.2f} | {ratio['p95']:.2f} |")
    return lines


NOTES = f"""\
- Who am I: Synapse answers from a cache and asks no database; this server asks its database at each call.
- Search: Synapse finds words by their beginning, this server finds any part of a word, and by the address, too.
- Log in: {peer_synapse.HASH}, in Synapse; {peer_ours.HASH}, in this server. Both are the servers' defaults.
- Delivery: from the start of a send until one client has the message, by `/sync` in Synapse, by the stream and by the
  long poll of `/events` in this server. Requests/s have no meaning there; CPU is that of sending and listening.
- Synapse keeps the state of rooms, signs events for federation and counts what is unread by push rules; this server
  checks blacklist and privacy. Synapse's federation and presence are off, its caches are as by default.
- All rates are lifted. Processor time of SQLite is that of the server; the ratio of MariaDB has the database's, too."""


def place_for_data():
    """A folder in memory if there is one with room: Synapse lets SQLite sync each commit, this server does not."""
    memory = Path("/dev/shm")  # noqa: S108
    if os.access(memory, os.W_OK) and shutil.disk_usage(memory).free > 2**30:
        return memory, "in memory"
    return None, "on disk, where Synapse syncs each commit and this server does not"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--people", type=int, default=1000)
    parser.add_argument("--history", type=int, default=200, help="messages of the conversation that is read")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument(
        "--seconds", type=int, default=2, help="of each round of each call; four times so many of log in"
    )
    parser.add_argument("--messages", type=int, default=25, help="to be delivered, of each round")
    options = parser.parse_args()
    require(os.environ.get("PEERS_ENV"), "PEERS_ENV is a folder with Synapse, as make bench-peers sets it")
    # As Ctrl-C: the servers are stopped, and their data is removed.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))

    place, kind_of_place = place_for_data()
    load, _, _ = os.getloadavg()
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="chat-peers.", dir=place))
        synapse, synapse_pid = stack.enter_context(peer_synapse.serving(folder, os.environ["PEERS_ENV"]))
        on_sqlite, sqlite_pid = stack.enter_context(peer_ours.on_sqlite(folder, options.people))
        on_mariadb, mariadb_pid = stack.enter_context(peer_ours.on_mariadb(options.people))
        contenders = [
            Contender(synapse, synapse_pid),
            Contender(on_sqlite, sqlite_pid),
            Contender(on_mariadb, mariadb_pid, database_pid()),
        ]
        users = people(options.people)
        for contender in contenders:
            contender.set_the_stage(users, options.history)
        when = f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d %H:%M} UTC"
        where = f"{machine()}, Synapse {synapse.version()}"
        results = compare(contenders, options)
        stored = {contender.peer.name: contender.check_all_messages() for contender in contenders}

    report = {
        "when": when,
        "machine": where,
        "load": load,
        "data": kind_of_place,
        "options": vars(options),
        "stored": stored,
    }
    report |= {"results": results, "ratios": ratios(results)}
    answers = sum(r["answers"] for figures in results.values() for r in figures.values() if "rate" in r)
    text = ["# Beside Matrix Synapse", "", f"{when}, {where}.", ""]
    text += [f"One process each, {options.people} people, {CONNECTIONS} connections of wrk; medians of "]
    text[-1] += f"{options.rounds} rounds of {options.seconds} s, taken in turn. SQLite files are {kind_of_place}."
    text += [f"The load of the machine was {load:.1f} before it began."]
    text += ["", *tables(results), "", NOTES, ""]
    text += [f"{answers} answers were counted, none of them an error; the {sum(stored.values())} messages of the sends"]
    text += ["are there, each once."]
    results_folder, name = Path(__file__).with_name("results"), f"peers-{datetime.datetime.now(datetime.UTC):%Y-%m-%d}"
    (results_folder / f"{name}.json").write_text(json.dumps(report, indent=1) + "\n")
    (results_folder / f"{name}.md").write_text("\n".join(text) + "\n")
    print("\n".join(text))  # noqa: T201


if __name__ == "__main__":
    main()
