"""What is done to the cluster: one function for each failure. Each says what it did to the writers."""

import http.client
import json
import shutil
import signal
import socket
import time
from contextlib import closing, contextmanager

import MySQLdb

from drills.cluster.load import Front
from drills.cluster.machines import APPS, FRONT, RESTART_OF_DATABASE
from drills.service import require, say


def writer_of(cluster, seconds=30):
    """The node to which both HAProxys lead."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        try:
            [address] = {by_way_of(cluster, machine, "SELECT @@wsrep_node_name")[0][0] for machine in APPS}
        except (MySQLdb.Error, ValueError):
            time.sleep(0.2)
        else:
            return next(node for node in cluster.nodes if node.address == address)
    raise SystemExit("Not as it should be: both HAProxys lead to one writer")


def by_way_of(cluster, machine, query):
    """The rows of a query that goes by way of the HAProxy of an app server, as those of the service do."""
    account = {"user": "chat", "password": cluster.secrets["THE_DATABASE_PASSWORD"], "database": "chat_app_db"}
    with closing(
        MySQLdb.connect(host=cluster.address(machine), port=3306, connect_timeout=3, read_timeout=30, **account)
    ) as to:
        cursor = to.cursor()
        cursor.execute(query)
        return cursor.fetchall()


def others(cluster, *these):
    return [node for node in cluster.nodes if node not in these]


def back(nodes):
    """How nodes that were started came back, one sentence."""
    said = []
    for node in nodes:
        how, seconds = node.wait_until_in_step()
        said.append(f"{node.name} in step {seconds:.1f} s after its start, {how}")
    return ", ".join(said)


def calm(cluster, load):
    time.sleep(6)
    clients = f"{len(load.writers)} writers, {len(load.readers)} streams"
    say(f"nothing broken: {load.rate(5):.0f} changes a second; {clients}")


def tables_change(cluster, load):
    """A change of a table, as a migration makes it, while all write."""
    with load.step("a column added to the table of messages, and removed"):
        began = time.monotonic()
        by_way_of(cluster, APPS[0], "ALTER TABLE conversations_message ADD COLUMN drill INT NULL")
        by_way_of(cluster, APPS[0], "ALTER TABLE conversations_message DROP COLUMN drill")
        require(time.monotonic() - began < 20, "a change of a small table takes seconds")
        time.sleep(1)


def export(cluster, load):
    with load.step("an export"), closing(Front()) as to:
        user = load.cast.staying[0]
        to.request("GET", "/users/export", headers={"Authorization": f"Token {load.cast.tokens[user]}"})
        answer = to.getresponse()
        require(answer.status == 200 and json.loads(answer.read())["conversations"], "an export is whole")


def killed_writer(cluster, load):
    node = writer_of(cluster)
    with load.step(f"kill -9 of the writer, {node.name}") as also:
        node.kill()
        time.sleep(RESTART_OF_DATABASE)
        node.start_again()
        also.append(back([node]))
        time.sleep(2)
    require(writer_of(cluster) is not node, "a node that comes back does not become the writer")


def killed_haproxy(cluster, load):
    """The writer is not the node that an empty HAProxy would choose: this one has to learn it from its peer."""
    before, haproxy = writer_of(cluster), cluster.haproxies[0]
    require(before is not cluster.nodes[0], f"the writer has changed before this step: {before.name}")
    with load.step(f"kill -9 of {haproxy.name}") as also:
        haproxy.kill()
        time.sleep(1)
        haproxy.start()
        haproxy.wait_for_port(cluster.address(APPS[0]), 3306)
        time.sleep(4)
        also.append(f"started again after a second, it leads to {before.name} as before")
    require(writer_of(cluster) is before, "both still lead to the writer of before")


def stopped_writer(cluster, load):
    node = writer_of(cluster)
    with load.step(f"SIGTERM to the writer, {node.name}") as also:
        also.append(f"it took {node.terminate():.1f} s to end")
        node.start_again()
        also.append(back([node]))
        time.sleep(2)


def planned_change(cluster, load):
    """As before an upgrade: HAProxy is told first."""
    node = writer_of(cluster)
    with load.step(f"a planned change of the writer, {node.name}") as also:
        for machine in APPS:
            tell_haproxy(cluster, machine, f"set server writer/{node.name} state maint")
        time.sleep(2)
        require(writer_of(cluster) is not node, "HAProxy leads elsewhere")
        node.terminate()
        node.start_again()
        also.append(back([node]))
        for machine in APPS:
            tell_haproxy(cluster, machine, f"set server writer/{node.name} state ready")
        time.sleep(2)


def tell_haproxy(cluster, machine, command):
    with closing(socket.socket(socket.AF_UNIX)) as to:
        to.connect(str(cluster.folder / f"{cluster.address(machine)}-haproxy.sock"))
        to.sendall(f"{command}\n".encode())
        answer = to.recv(1000).decode().strip()
        require(not answer, f"HAProxy does as it is told: {answer}")


def frozen_writer(cluster, load, seconds=15):
    node = writer_of(cluster)
    with load.step(f"SIGSTOP of the writer, {node.name}, for {seconds} s") as also:
        node.signal(signal.SIGSTOP)
        time.sleep(seconds)
        node.signal(signal.SIGCONT)
        node.note_start()
        time.sleep(1)
        how, took = node.wait_until_in_step()
        also.append(f"{node.name} in step {took:.1f} s after SIGCONT, {how}")


def killed_app(cluster, load):
    app = cluster.apps[0]
    with load.step(f"kill -9 of {app.name}, all processes") as also:
        app.kill()
        time.sleep(4)
        start_app(cluster, 0)
        also.append("started again")
        time.sleep(6)


def restarted_apps(cluster, load):
    """As for an upgrade of the service: nginx is told first."""
    with load.step("one app server after the other taken out of nginx, stopped, and started again") as also:
        for number, app in enumerate(cluster.apps):
            with out_of_nginx(cluster, APPS[number]):
                took = app.terminate()
                start_app(cluster, number)
            also.append(f"{app.name} took {took:.1f} s to end")
            time.sleep(3)


@contextmanager
def out_of_nginx(cluster, machine):
    """In the block nginx gives the app server nothing new."""
    config = cluster.nginx_config
    text = config.read_text()
    line = f"server {cluster.address(machine)}:8000 "
    config.write_text(text.replace(line, f"{line}down "))
    cluster.nginx.process.send_signal(signal.SIGHUP)
    time.sleep(2)
    yield
    config.write_text(text)
    cluster.nginx.process.send_signal(signal.SIGHUP)


def start_app(cluster, number):
    cluster.apps[number].start()
    cluster.apps[number].wait_for_port(cluster.address(APPS[number]), 8000)


def killed_redis(cluster, load):
    with load.nobody_else():
        lag = load.lag()
        cluster.redis.kill()
        time.sleep(3)
        without = load.lag()
    say(f"from a send to the last reader {lag:.0f} ms; Redis killed: {without:.0f} ms")
    require(without < 1000 + lag, "without Redis the database is asked four times a second")
    with load.step("load while Redis is away, and comes back"):
        time.sleep(3)
        cluster.redis.start()
        time.sleep(2)


def lost_disk(cluster, load):
    writer = writer_of(cluster)
    node = others(cluster, writer)[-1]
    with load.step(f"{node.name} loses its disk and comes back empty") as also:
        node.kill()
        shutil.rmtree(node.data)
        node.install()
        node.start_again()
        also.append(back([node]))


def lost_quorum(cluster, load):
    writer = writer_of(cluster)
    other, left = others(cluster, writer)
    with load.step(f"quorum lost: kill -9 of {writer.name} and {other.name} at once", most=40) as also:
        writer.kill()
        other.kill()
        time.sleep(RESTART_OF_DATABASE)
        status = left.status("wsrep_cluster_status")
        require(status != "Primary", f"one of three does not go on alone: {status}")
        statuses = ready(cluster)
        require(statuses == {503}, f"both app servers say that they are not ready: {statuses}")
        began = time.monotonic()
        for node in (writer, other):
            node.start_again()
        also.append(back([writer, other]))
        while ready(cluster) != {200}:
            require(time.monotonic() < began + 60, "both app servers are ready again")
            time.sleep(0.1)
        also.append(f"both app servers ready {time.monotonic() - began:.1f} s after the first node was started")
        time.sleep(2)


def ready(cluster):
    """What the app servers answer when they are asked whether they are ready."""
    statuses = set()
    for machine in APPS:
        with closing(http.client.HTTPConnection(cluster.address(machine), 8000, timeout=10)) as to:
            to.request("GET", "/readyz", headers={"Host": cluster.address(FRONT)})
            statuses.add(to.getresponse().status)
    return statuses


def killed_all(cluster, load):
    with load.step("kill -9 of all three nodes at once", most=60) as also:
        for node in cluster.nodes:
            node.signal(signal.SIGKILL)
        for node in cluster.nodes:
            node.process.wait()
        time.sleep(RESTART_OF_DATABASE)
        for node in cluster.nodes:
            node.start_again()
        also.append(back(cluster.nodes))
        time.sleep(3)


def stopped_all(cluster, load):
    """All nodes stopped in order, and started from the last one, the only one that may begin."""
    with load.step("all three nodes stopped one after the other, and started from the last", most=60) as also:
        for node in cluster.nodes:
            node.terminate()
        may_begin = [node.name for node in cluster.nodes if "safe_to_bootstrap: 1" in node.state()]
        last = cluster.nodes[-1]
        require(may_begin == [last.name], f"the last one may begin, not {may_begin}")
        last.bootstrap()
        also.append(back([last]))
        for node in cluster.nodes[:-1]:
            node.start_again()
            also.append(back([node]))
        time.sleep(3)


ALL = [
    calm,
    export,
    tables_change,
    killed_writer,
    killed_haproxy,
    stopped_writer,
    planned_change,
    frozen_writer,
    killed_app,
    restarted_apps,
    killed_redis,
    lost_disk,
    lost_quorum,
    killed_all,
    stopped_all,
]
