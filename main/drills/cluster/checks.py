"""What must hold of a cluster: before the load, and after everything that was done to it."""

import json
import time
from collections import defaultdict

import MySQLdb
from django.db import connection

from conversations.models import Conversation, Message
from drills import events
from drills.cluster.machines import APPS
from drills.cluster.steps import by_way_of
from drills.service import require, say

DATABASE = "chat_app_db"


def primary_keys(cluster):
    """Each of our tables has a primary key, and no other table can be made."""
    without = cluster.nodes[0].ask(
        "SELECT table_name FROM information_schema.tables LEFT JOIN information_schema.table_constraints"
        " USING (table_schema, table_name) WHERE table_schema = %s AND table_type = 'BASE TABLE'"
        " GROUP BY table_name HAVING SUM(constraint_type = 'PRIMARY KEY') IS NOT TRUE",
        DATABASE,
    )
    require(not without, f"each table has a primary key: {without}")
    try:
        by_way_of(cluster, APPS[0], "CREATE TABLE without_key (number INT)")
    except MySQLdb.Error as error:
        refusal = error.args[1]
    else:
        raise SystemExit("Not as it should be: a table without a primary key is refused")
    [[number]] = cluster.nodes[-1].ask(
        "SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = %s", DATABASE
    )
    say(f"{number} tables on every node, all with a primary key; one without is refused: {refusal}")


def everything(cluster, load):
    """Nothing was lost, nothing came twice, and all nodes have the same."""
    connection.close()  # to a writer of before
    events.Check(load.cast, load.writers, load.readers).all()
    messages(load)
    logs(cluster)
    cluster.manage("index_search")
    for app in cluster.apps:
        app.terminate()
    same_on_all(cluster)


def messages(load):
    """Every message that was answered is there, once, under the number that was answered; no number is missing."""
    answered = {client_id: place for writer in load.writers for client_id, place in writer.stored.items()}
    numbers, stored = defaultdict(list), {}
    for pk, number, client_id in Message.objects.order_by("number").values_list("conversation", "number", "client_id"):
        numbers[pk].append(number)
        stored[client_id] = (pk, number)
    lost = [client_id for client_id, place in answered.items() if stored.get(client_id) != place]
    last = dict(Conversation.objects.values_list("pk", "last_number"))
    gaps = [pk for pk, found in numbers.items() if found != list(range(1, last[pk] + 1))]
    say(
        f"{len(answered)} messages answered, {len(lost)} lost; "
        f"{len(numbers)} conversations, {len(gaps)} with a number missing or twice"
    )
    require(len(answered) > 20 and not lost and not gaps, f"lost: {lost[:5]}, gaps: {gaps[:5]}")


def logs(cluster):
    """The app servers have logged no 500 and no traceback."""
    lines = [line for app in cluster.apps for line in app.log.read_text(errors="replace").splitlines()]
    failures = [line for line in lines if '"status": 500' in line or "Traceback" in line]
    statuses = sum('"status": ' in line for line in lines)
    say(f"{statuses} requests in the logs of the app servers, {len(failures)} with 500 or a traceback")
    require(statuses > 100, "there is a log")
    require(not failures, "\n".join(json.dumps(line) for line in failures[:5]))


def same_on_all(cluster):
    """Every table has the same checksum on every node."""
    began = time.monotonic()
    while len({node.status("wsrep_last_committed") for node in cluster.nodes}) > 1:
        require(time.monotonic() < began + 20, "all nodes have applied all")
        time.sleep(0.1)
    [*tables] = cluster.nodes[0].ask(
        "SELECT table_name FROM information_schema.tables WHERE table_schema = %s", DATABASE
    )
    names = ", ".join(f"{DATABASE}.{name}" for [name] in sorted(tables))
    sums = [dict(node.ask(f"CHECKSUM TABLE {names}")) for node in cluster.nodes]
    different = sorted(name for name in sums[0] if len({each[name] for each in sums}) > 1)
    require(not different and None not in sums[0].values(), f"the nodes differ: {different}")
    say(f"{len(tables)} tables have the same checksums on all {len(cluster.nodes)} nodes")
