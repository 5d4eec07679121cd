"""A drill with mail: the server is killed while it sends, the mail server is slow and away, and strangers listen."""

import http.client
import os
import signal
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from statistics import median, quantiles

from django.contrib.auth.hashers import make_password
from django.db import OperationalError, connection
from django.db.models import F
from django.utils import timezone

from common.models import Lease, RateCounter
from drills.service import PASSWORD, call, require, say
from harness.server import PORT, Server
from harness.smtp import MailServer, code_of
from mail.models import Mail
from users.models import AuthToken, User

ACCOUNTS, KILLS = 200, 2
# Calls of one kind in a round with or without the mail server, and such rounds: the best one counts.
CALLS, ROUNDS = 50, 2
# Headers that are different in every answer.
OWN_HEADERS = {"date", "x-request-id"}


def run():
    os.environ |= {"LOGIN_RATE": "", "REGISTER_RATE": "", "EMAIL_HOST": "127.0.0.1", "EMAIL_FROM": "chat@example.org"}
    users = make_users("user", ACCOUNTS)
    with mail_server() as mails:
        kills_while_sending(mails, users)
    others = make_users("other", 2 * ROUNDS * CALLS)
    an_hour_without(mails.port, others)
    with mail_server(mails.port) as mails:
        what_strangers_learn(users)
        termination(mails, users[:40])


@contextmanager
def mail_server(port=None, behaviour=None):
    with MailServer(port, behaviour) as server:
        os.environ["EMAIL_PORT"] = str(server.port)
        yield server


def make_users(name, number):
    password, before = make_password(PASSWORD), User.objects.count()
    for each in range(before, before + number):
        User(username=f"{name}-{each}", email=f"{name}-{each}@example.org", password=password).save()
    return list(User.objects.order_by("pk")[before:])


def ask(user, *, number):
    """Ask for a mail to the user, of one kind or the other; return the status."""
    if number % 2:
        return call("POST", "/users/password/forgot", {"email": user.email})[0]
    return call("POST", "/users/email/verify", token=AuthToken.objects.issue(user))[0]


def ask_for_all(users):
    with ThreadPoolExecutor(4) as threads:
        answers = threads.map(lambda pair: asked_in_thread(*pair), enumerate(users))
        statuses = Counter(answers)
    require(statuses == {202: len(users)}, f"all mails are promised: {dict(statuses)}")


def asked_in_thread(number, user):
    try:
        return ask(user, number=number)
    finally:
        connection.close()


def kill_all(server):
    """Kill all processes of the server, so that none can note or finish anything."""
    pids = [server.process.pid, *server.workers()]
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    server.process.wait()
    while any(Server.command_of(pid) for pid in pids[1:]):
        time.sleep(0.05)


def let_pass(**duration):
    """Let so much time pass for the mails that wait."""
    Mail.objects.waiting().update(due_at=F("due_at") - timedelta(**duration))


def let_leases_end():
    """For when no server runs."""
    Lease.objects.update(until=timezone.now())


def kill_database():
    """Kill the database, which begins again by itself; return how many databases could be killed."""
    if not (pid_file := os.environ.get("MARIADB_PID_FILE")):
        return 0
    os.kill(int(Path(pid_file).read_text()), signal.SIGKILL)
    connection.close()
    wait_for(database_answers, "the database begins again")
    return 1


def database_answers():
    try:
        connection.ensure_connection()
    except OperationalError:
        return False
    return True


def wait_for(condition, text, seconds=60):
    until = time.monotonic() + seconds
    while not condition():
        require(time.monotonic() < until, text)
        time.sleep(0.05)


def require_all_is_sent(what):
    later = timezone.now() + timedelta(minutes=45)
    wait_for(lambda: not Mail.objects.waiting().filter(due_at__lt=later).exists(), f"{what} was sent")


def kills_while_sending(mails, users):
    """Kill the server, and then its database, in the middle of sending, again and again.

    No mail is lost, and at most one for each kill arrives twice.
    """
    mails.behaviour = "slow"
    for kill in range(KILLS):
        with Server() as server:
            if not kill:
                ask_for_all(users)
            wait_for(lambda: len(mails.mails) >= (kill + 1) * ACCOUNTS / (KILLS + 2), "mails arrive")  # noqa: B023
            kill_all(server)
            let_pass(minutes=1)
            let_leases_end()
    with Server() as server:
        wait_for(lambda: len(mails.mails) >= (KILLS + 1) * ACCOUNTS / (KILLS + 2), "mails arrive")
        kills = KILLS + kill_database()
        let_pass(minutes=1)
        require_all_is_sent("every mail")
        mails.behaviour = None
        arrived = Counter(mail["Message-ID"] for mail in mails.mails)
        twice = sum(arrived.values()) - len(arrived)
        say(f"{kills} kills while {len(users)} mails were sent: {len(arrived)} arrived, {twice} of them twice")
        recipients = {mail["Message-ID"]: mail.recipients for mail in mails.mails}
        expected = sorted([user.email] for user in users)
        require(sorted(recipients.values()) == expected, "everybody has got one mail, to one recipient")
        require(twice <= kills, "at most one mail for each kill arrives twice")
        require_codes_work(mails.mails)
        require_all_is_sent("that passwords were changed")
        require_no_secrets(server.lines(), mails.mails)


def require_codes_work(mails):
    """Use the codes of mails of each kind, those that came twice first."""
    arrived = Counter(mail["Message-ID"] for mail in mails)
    ordered = sorted(mails, key=lambda mail: -arrived[mail["Message-ID"]])
    confirmations = [code_of(mail) for mail in ordered if mail["Subject"].startswith("Confirm")][:10]
    resets = {mail["Message-ID"]: code_of(mail) for mail in ordered if mail["Subject"].startswith("Set")}
    resets = list(resets.values())[:10]
    statuses = [call("POST", "/users/email/confirm", {"code": code})[0] for code in confirmations]
    say(f"{len(confirmations)} codes that confirm and {len(resets)} that set a password were used")
    require(statuses == [204] * 10, f"codes confirm: {statuses}")
    for status in (200, 400):  # each works once
        body = {"new_password": "battery-staple-horse"}
        statuses = [call("POST", "/users/password/reset", body | {"code": code})[0] for code in resets]
        require(statuses == [status] * 10, f"codes set a password, once: {statuses}")


def require_no_secrets(lines, mails):
    """No line of the log has an address or a code in it."""
    log = "\n".join(lines)
    secrets = [*(recipient for mail in mails for recipient in mail.recipients), *map(code_of, codes_among(mails))]
    found = [secret for secret in secrets if secret in log]
    require(not found, f"no address and no code is in the log: {found[:3]}")
    require("Traceback" not in log, f"no mistake of ours is in the log: {lines[-20:]}")


def codes_among(mails):
    return [mail for mail in mails if mail["Subject"].startswith(("Confirm", "Set"))]


def an_hour_without(port, users):
    """While the mail server is away every call answers as ever; later all mails arrive."""
    waiting, ratios, slowest = iter(users), [], {"there": [], "away": []}
    expected = Counter()
    with Server():
        for _ in range(ROUNDS):
            with mail_server(port) as mails:
                there, statuses = measure([next(waiting) for _ in range(CALLS)])
                require_all_is_sent("what was asked for")
                require(len(mails.mails) == CALLS, f"mails arrive at a mail server that is there: {len(mails.mails)}")
            asking = [next(waiting) for _ in range(CALLS)]
            expected.update(user.email for user in asking)
            away, statuses_away = measure(asking)
            require(statuses == statuses_away, f"the same answers: {statuses} and {statuses_away}")
            slowest["there"].append(max(there))
            slowest["away"].append(max(away))
            ratios.append(max(away) / max(there))
            # What waits is tried later, so that it does not count in the next round.
            Mail.objects.waiting().update(due_at=timezone.now() + timedelta(hours=1))
        say(f"the slowest of {3 * CALLS} calls without the mail server took {min(ratios):.2f} times as long as with it")
        say("  in ms: " + ", ".join(f"{key} {[round(1000 * each) for each in slowest[key]]}" for key in slowest))
        require(min(ratios) < 2, "calls do not wait for the mail server")
        require(Mail.objects.waiting().count() == ROUNDS * CALLS, "the mails wait")
        with mail_server(port) as mails:
            let_pass(hours=1)
            require_all_is_sent("what waited")
            say(f"an hour later the mail server is back: {len(mails.mails)} mails that waited have arrived")
            require(Counter(mails.recipients()) == expected, "each mail that waited has arrived once")


def measure(users):
    """The seconds of calls that cause mails and of others, and their statuses."""
    calls = []
    for number, user in enumerate(users):
        token = AuthToken.objects.issue(user)
        if number % 2:
            calls.append(("POST", "/users/password/forgot", {"email": user.email}, None))
        else:
            calls.append(("POST", "/users/email/verify", None, token))
        calls.append(("GET", "/users/profile", None, token))
        calls.append(("PUT", "/users/profile", {"bio": f"Number {number}"}, token))
    seconds, statuses = [], Counter()
    to = http.client.HTTPConnection("127.0.0.1", PORT, timeout=60)
    for method, path, body, token in calls:
        began = time.perf_counter()
        status, _ = call(method, path, body, token, to)
        seconds.append(time.perf_counter() - began)
        statuses[method, path, status] += 1
    return seconds, statuses


def what_strangers_learn(users):
    """A stranger who asks for a reset cannot tell whether there is such an account."""
    known = [user.email for user in users]
    unknown = [email.replace("user", "nobody") for email in known]
    with Server():
        forget(known[0])  # the first answer of a process takes longer
        for _ in range(3):
            pairs = [forget(email) for pair in zip(known, unknown, strict=True) for email in pair]
            of_known, of_unknown = pairs[::2], pairs[1::2]
            require_same_answers(pairs)
            ratio = median(seconds_of(of_known)) / median(seconds_of(of_unknown))
            say(f"interleaved: known {statistics(of_known)}; unknown {statistics(of_unknown)}; ratio {ratio:.3f}")
            if 0.9 < ratio < 1.1:
                break
        require(0.9 < ratio < 1.1, "the time does not tell whether there is an account")
        blocks = []
        for block in (unknown, known):
            Mail.objects.waiting().delete()  # sending all of it would take long
            stranger.close()  # it was idle for so long that the server would close it with the next answer
            blocks.append([forget(email) for email in block])
        require_same_answers([*blocks[0], *blocks[1]])
        Mail.objects.waiting().delete()
        say(f"one after the other: unknown {statistics(blocks[0])}; known {statistics(blocks[1])}")


stranger = http.client.HTTPConnection("127.0.0.1", PORT, timeout=60)


def forget(email):
    """The seconds that the answer took, and what of it must be the same for all."""
    began = time.perf_counter()
    stranger.request("POST", "/users/password/forgot", f'{{"email": "{email}"}}', {"Content-Type": "application/json"})
    answer = stranger.getresponse()
    body = answer.read()
    seconds = time.perf_counter() - began
    headers = sorted((name, value) for name, value in answer.getheaders() if name.lower() not in OWN_HEADERS)
    return seconds, (answer.status, headers, body)


def seconds_of(answers):
    return [seconds for seconds, _ in answers]


def statistics(answers):
    seconds = seconds_of(answers)
    return f"median {1000 * median(seconds):.2f} ms, p95 {1000 * quantiles(seconds, n=20)[-1]:.2f} ms"


def require_same_answers(answers):
    first = answers[0][1]
    others = [answer for _, answer in answers if answer != first]
    require(first[0] == 202 and not others, f"the same answer to all: {first}, {others[:1]}")


def termination(mails, users):
    """SIGTERM while mails wait for a mail server that takes its time: the server stops, and the next one sends them."""
    for behaviour in ("slow", "stall"):
        RateCounter.objects.all().delete()
        mails.mails.clear()
        mails.behaviour = behaviour
        with Server() as server:
            for user in users:
                call("POST", "/users/password/forgot", {"email": user.email})
            wait_for(lambda: Mail.objects.waiting().filter(tries__gt=0).exists(), "it sends")
            began = time.monotonic()
            server.process.send_signal(signal.SIGTERM)
            server.process.wait(20)
            seconds = time.monotonic() - began
        left = Mail.objects.waiting().count()
        say(f"SIGTERM while the mail server is to {behaviour}: over in {seconds:.1f} s, {left} mails wait")
        require(left, "some mails wait")
        mails.behaviour = None
        let_pass(minutes=1)
        let_leases_end()
        with Server():
            require_all_is_sent("what was left")
        arrived = Counter(mail["Message-ID"] for mail in mails.mails)
        expected = sorted(user.email for user in users)
        require(sorted({*mails.recipients()}) == expected, "everybody has got the mail")
        require(len(arrived) == len(users) and sum(arrived.values()) <= len(users) + 1, "at most one arrived twice")
