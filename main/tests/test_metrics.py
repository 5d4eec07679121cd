"""GET /metrics: who may read it, what it counts, and that it stays small and works while other things fail."""

import json
import math
import os
import re
import signal
import subprocess
import sys
from http import HTTPStatus
from threading import Event

import pytest
from django.db import OperationalError, connection
from django.test import Client as Browser
from prometheus_client.parser import text_string_to_metric_families

from common import metrics, processes, upkeep
from common.rates import Limit
from common.transactions import retried_transaction
from delivery import hub, slots
from delivery.descriptions import Told
from mail import outbox
from mail.models import Mail
from main import refusals
from tests.test_settings import MAIN, evaluate
from users import representations

TOKEN = "a-token-of-the-operators"


@pytest.fixture
def read(db, settings):
    """Reads the numbers, as a dict with keys such as (name, (label, value), …), the labels in their order."""
    settings.METRICS_TOKEN = TOKEN

    def read():
        answer = Browser().get("/metrics", headers={"Authorization": f"Bearer {TOKEN}"})
        assert answer.status_code == 200
        return parsed(answer.content.decode())

    return read


def parsed(text):
    return {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


@pytest.fixture
def added(read):
    """A function of a number's name and labels; what it returns tells what was added to the number since."""

    def added(name, **labels):
        key = (name, *sorted(labels.items()))
        before = read().get(key, 0)
        return lambda: read().get(key, 0) - before

    return added


def without_id(answer):
    return answer.status_code, answer.content, {key: answer[key] for key in answer.headers if key != "X-Request-ID"}


def is_unknown(client, **headers):
    """The status, after it was compared with the answer of a path that does not exist."""
    statuses = set()
    for method in ("GET", "POST", "HEAD", "OPTIONS", "ODD"):
        here, elsewhere = (client.generic(method, path, **headers) for path in ("/metrics", "/no-such-path"))
        assert without_id(here) == without_id(elsewhere)
        statuses.add(here.status_code)
    [status] = statuses
    return status


@pytest.mark.parametrize("token", ["", TOKEN])
@pytest.mark.parametrize(
    "shown", ["", "Bearer", "Bearer ", "Bearer wrong", f"Bearer {TOKEN}x", f"Basic {TOKEN}", f"Token {TOKEN}", "é"]
)
def test_without_its_token_it_is_a_path_that_does_not_exist(anonymous, settings, token, shown, caplog):
    settings.METRICS_TOKEN = token
    assert is_unknown(anonymous, HTTP_AUTHORIZATION=shown) == 401
    assert TOKEN not in caplog.text


@pytest.mark.parametrize("token", ["", TOKEN])
def test_for_users_it_does_not_exist(as_alice, settings, token):
    settings.METRICS_TOKEN = token
    assert is_unknown(as_alice) == 404


def test_other_methods_are_unknown_with_the_token_too(anonymous, settings):
    settings.METRICS_TOKEN = TOKEN
    for method in ("POST", "PUT", "OPTIONS"):
        assert anonymous.generic(method, "/metrics", HTTP_AUTHORIZATION=f"Bearer {TOKEN}").status_code == 401


def test_with_its_token_it_is_text_that_nobody_keeps(db, settings):
    settings.METRICS_TOKEN = TOKEN
    answer = Browser().get("/metrics", headers={"Authorization": f"bearer {TOKEN}"})
    assert answer.status_code == 200
    assert answer["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert answer["Cache-Control"] == "no-store"
    assert TOKEN not in answer.content.decode()


def test_proxies_of_https_do_not_redirect_it():
    # Prometheus asks from within the network, as those do who ask for the health.
    assert evaluate("settings.SECURE_REDIRECT_EXEMPT", HTTPS="on") == "['^(healthz|readyz|metrics)$']"


def test_requests_count_by_method_route_and_status(as_alice, added, read):
    labels = {"method": "GET", "route": "/users/contacts/view-user/<username>", "status": "404"}
    number = added("chat_requests_total", **labels)
    duration = added("chat_request_seconds_count", route=labels["route"])
    for name in ("somebody", "else"):
        as_alice.get(f"/users/contacts/view-user/{name}")
    assert (number(), duration()) == (2, 2)


def test_no_path_and_no_method_makes_series_of_its_own(as_alice, anonymous, read):
    def call(word):
        for client in (as_alice, anonymous):
            client.get(f"/{word}")
            client.get(f"/users/{word}/{word}")
            client.get(f"/users/contacts/view-user/{word}")
            client.get(f"/admin/{word}")
            client.generic(f"M{word.upper()}", f"/{word}")
            client.generic(f"M{word.upper()}", "/users/profile")

    call("first")
    read()
    before = set(read())
    for word in ("second", "third", "fourth"):
        call(word)
    assert set(read()) == before
    assert not [name for name in before if "first" in str(name) or "FIRST" in str(name)]
    assert len(metrics._of_requests) == len(
        {key for key in metrics._of_requests if key[0] in (*metrics.METHODS, "other")}
    )


def test_requests_that_nobody_counts_do_not_accumulate(added):
    number = added("chat_requests_total", method="GET", route="/healthz", status="299")
    for _ in range(metrics.MAX_NOTED * 2 + 10):
        metrics.note_request("GET", "/healthz", 299, 0.1)
        assert len(metrics._noted) < metrics.MAX_NOTED
    assert number() == metrics.MAX_NOTED * 2 + 10


def test_too_many_combinations_are_one(monkeypatch, added):
    monkeypatch.setattr(metrics, "MAX_COMBINATIONS", len(metrics._of_requests))
    number = added("chat_requests_total", method="GET", route="other", status="other")
    for status in (701, 702):
        metrics.note_request("GET", "/a/route", status, 0.1)
    assert number() == 2


def test_a_limit_that_refuses_counts_by_its_name(added, settings):
    settings.LOGIN_RATE = (1, 60)
    number = added("chat_limit_refusals_total", limit="LOGIN_RATE")
    Limit("LOGIN_RATE", "somebody").spend()
    with pytest.raises(Exception, match="Too many attempts"):
        Limit("LOGIN_RATE", "somebody").spend()
    assert number() == 1


def test_too_many_streams_of_a_user_count(alice, added):
    number = added("chat_limit_refusals_total", limit="streams of a user")
    for _ in range(slots.MAX_STREAMS):
        slots.reserve(alice.pk)
    with pytest.raises(Exception, match="streams open"):
        slots.reserve(alice.pk)
    assert number() == 1


def test_a_repeated_transaction_counts(added):
    number = added("chat_database_retries_total", reason="deadlock")
    results = [OperationalError(1213, "Deadlock"), None]

    def action():
        if error := results.pop(0):
            raise error

    # As outside of the transaction of this test.
    is_inside, connection.in_atomic_block = connection.in_atomic_block, False
    try:
        retried_transaction(action)()
    finally:
        connection.in_atomic_block = is_inside
    assert number() == 1


def test_answers_without_the_database_count(as_alice, monkeypatch, added):
    def fail(*args):
        raise OperationalError(2003, "Can't connect")

    number = added("chat_database_away_total")
    as_alice.raise_request_exception = False
    monkeypatch.setattr(representations, "of_oneself", fail)
    assert as_alice.get("/users/profile").status_code == 503
    assert number() == 1


def test_refusals_of_the_guard_count(added):
    number = added("chat_connection_refusals_total", status="408")
    refusals.refusal(HTTPStatus.REQUEST_TIMEOUT)
    assert number() == 1


def test_mails_count_when_they_wait_are_sent_or_fail(alice, as_alice, send_mails, mail_server, added, read):
    sent, failed = added("chat_mails_sent_total"), added("chat_mail_failures_total")
    as_alice.post("/users/email/verify")
    metrics.ask()
    assert read()[("chat_mails_waiting",)] == 1
    send_mails()
    metrics.ask()
    assert (sent(), failed(), read()[("chat_mails_waiting",)]) == (1, 0, 0)


def test_a_mail_that_is_given_up_counts(alice, added):
    given_up, failed = added("chat_mails_given_up_total"), added("chat_mail_failures_total")
    mail = Mail.objects.create(kind="unknown", recipient="alice@example.org")
    outbox._send(mail, "holder")
    mail.created_at -= 2 * outbox.KEPT_FOR
    outbox._send(mail, "holder")
    assert (given_up(), failed()) == (1, 1)


def test_the_number_of_mails_is_bounded(db, settings, monkeypatch, queries):
    monkeypatch.setattr(metrics, "MOST_ROWS", 2)
    Mail.objects.bulk_create(Mail(kind="x", recipient="a@example.org") for _ in range(3))
    with queries(1):
        assert outbox.count_waiting() == 2


def test_pieces_of_the_upkeep_count(db, monkeypatch, added):
    def three_pieces():
        yield from (None, None, None)

    monkeypatch.setattr(upkeep, "tasks", [three_pieces])
    number = added("chat_upkeep_pieces_total", task="three_pieces")
    is_stopping = Event()
    monkeypatch.setattr(upkeep, "PAUSE_IN_BACKGROUND", 0)
    monkeypatch.setattr(upkeep.connections, "close_all", is_stopping.set)
    monkeypatch.setattr(upkeep.RateCounter.objects, "reserve", lambda *args: 0)
    upkeep.work_in_background(is_stopping)
    assert number() == 3


def test_the_delay_of_a_message_counts_once_and_only_while_it_is_new(added):
    number, total = added("chat_delivery_seconds_count"), added("chat_delivery_seconds_sum")
    now = hub.timezone.now()
    new = {"message": {"created_at": now - hub.timezone.timedelta(seconds=3), "edited_at": None, "deleted": False}}
    edited = {"message": new["message"] | {"edited_at": now}}
    deleted = {"message": new["message"] | {"deleted": True}}
    told = [
        Told(1, "message", new, [1]),
        Told(1, "message", new, [2]),
        Told(2, "message", edited, [1]),
        Told(3, "message", deleted, [1]),
        Told(4, "read", {}, [1]),
    ]
    hub.Hub.measure(hub.Batch(4, [], {}, list(hub.times_of_new_messages(told))), 5)
    assert number() == 1
    assert 3 <= total() < 4


def test_it_asks_nothing_of_the_database(read, queries):
    with queries(0):
        read()


def test_while_the_database_is_away_the_rest_is_shown(as_alice, read, monkeypatch):
    metrics.ask()
    assert read()[("chat_database_up",)] == 1

    def fail():
        raise OperationalError(2003, "Can't connect")

    with monkeypatch.context() as patch:
        patch.setattr(connection, "ensure_connection", fail)
        metrics.ask()
    numbers = read()
    assert numbers[("chat_database_up",)] == 0
    assert math.isnan(numbers[("chat_mails_waiting",)])
    assert numbers[("chat_process_memory_bytes",)] > 1e7


def test_no_mistake_stops_the_questions(db, monkeypatch, caplog):
    is_stopping, asked = Event(), []

    def fail():
        asked.append(1)
        if len(asked) == 2:
            is_stopping.set()
        raise RuntimeError("a mistake")

    monkeypatch.setattr(metrics, "ask", fail)
    monkeypatch.setattr(metrics, "PAUSE_OF_QUESTIONS", 0)
    monkeypatch.setattr(metrics.connections, "close_all", lambda: None)
    metrics.ask_in_background(is_stopping)
    assert len(asked) == 2
    assert "a mistake" in caplog.text


# Processes of their own, which share a folder as those of a server do.

PROGRAM = """
import sys
from common import processes
from prometheus_client import Counter, Gauge
calls = Counter("calls", "Calls.", registry=processes.registry)
opened = Gauge("opened", "What is open.", registry=processes.registry, multiprocess_mode="livesum")
calls.inc(int(sys.argv[1])), opened.set(int(sys.argv[1]))
processes.write_out()
print(processes.number, flush=True)
sys.stdin.read()
sys.stdout.write(processes.as_text().decode())
"""


@pytest.fixture
def begin(tmp_path):
    """Begins a process that has counted so much; it tells its number, and what it reads when its input ends."""
    begun = []

    def begin(amount):
        process = subprocess.Popen(  # noqa: S603
            [sys.executable, "-c", PROGRAM, str(amount)],
            cwd=MAIN,
            env=os.environ | {"PROMETHEUS_MULTIPROC_DIR": str(tmp_path)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        begun.append(process)
        process.number = int(process.stdout.readline())
        return process

    yield begin
    for process in begun:
        process.kill()
        process.communicate()


def kill(process):
    process.send_signal(signal.SIGKILL)
    process.wait()


def read_by(process):
    numbers = parsed(process.communicate(timeout=20)[0])
    return numbers[("calls_total",)], numbers[("opened",)]


def test_processes_are_summed_and_what_a_killed_one_had_open_is_not(begin):
    first, second = begin(1), begin(20)
    assert (first.number, second.number) == (0, 1)
    kill(first)
    # What it has counted stays.
    assert read_by(second) == (21, 20)


def test_a_new_process_goes_on_with_the_files_of_one_that_has_ended(begin, tmp_path):
    first, second = begin(1), begin(20)
    kill(first)
    files = {path.name for path in tmp_path.iterdir()}
    for amount in (300, 4000):
        third = begin(amount)
        assert third.number == 0
        kill(third)
    assert {path.name for path in tmp_path.iterdir()} == files
    last = begin(50000)
    assert last.number == 0
    assert read_by(second) == (54321, 50020)


def test_a_file_that_is_being_made_stops_nobody(begin, tmp_path):
    (tmp_path / "counter_7.db").touch()
    assert read_by(begin(1)) == (1, 1)


def test_the_files_do_not_grow(begin, tmp_path):
    # A file in memory that grows on a full disk ends its process.
    kill(begin(1))
    assert all(path.stat().st_blocks * 512 >= path.stat().st_size for path in tmp_path.iterdir())
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) < 3_000_000


# What is written of the numbers.

METRICS = {metric.name for metric in processes.registry.collect()}
ROOT = MAIN.parent
WRITTEN = ["docs/metrics.md", "deploy/prometheus/chat.rules.yml", "deploy/grafana/dashboard.json"]


@pytest.mark.parametrize("path", WRITTEN)
def test_what_is_written_names_what_there_is(path):
    named = set(re.findall(r"chat_[a-z_]+", (ROOT / path).read_text()))
    assert {re.sub("_(total|bucket)$", "", name) for name in named} <= METRICS


def test_the_documentation_tells_of_every_number_and_every_alert():
    text = (ROOT / "docs/metrics.md").read_text()
    listed = re.findall(r"^\| `(chat_[a-z_]+)` \|", text, re.MULTILINE)
    assert sorted(re.sub("_total$", "", name) for name in listed) == sorted(METRICS)
    alerts = re.findall(r"alert: (\w+)", (ROOT / "deploy/prometheus/chat.rules.yml").read_text())
    assert [alert for alert in alerts if f"**{alert}**" not in text] == []


def test_the_dashboard_has_the_form_that_grafana_reads():
    dashboard = json.loads((ROOT / "deploy/grafana/dashboard.json").read_text())
    assert dashboard["schemaVersion"] >= 39
    assert [each["name"] for each in dashboard["templating"]["list"]] == ["datasource", "instance"]
    panels = dashboard["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken = set()
    for panel in panels:
        place = panel["gridPos"]
        fields = {(x + place["x"], y + place["y"]) for x in range(place["w"]) for y in range(place["h"])}
        assert not fields & taken, panel["title"]
        assert max(x for x, _ in fields) < 24
        taken |= fields
        for thing in (panel, *panel["targets"]):
            assert thing["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
        assert all('instance=~"$instance"' in target["expr"] for target in panel["targets"])
