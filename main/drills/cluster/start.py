"""Starts a cluster from nothing."""

import subprocess
import time

from drills.cluster.machines import APPS, FRONT, HTTPS
from drills.cluster.steps import writer_of
from drills.service import say


def everything(cluster):
    """In the order of docs/cluster.md."""
    first, *rest = cluster.nodes
    first.install()
    first.bootstrap()
    first.wait_until_in_step()
    accounts = cluster.render("accounts.sql", FRONT)
    program = ["mariadb", "--no-defaults", f"--socket={first.socket}", "--abort-source-on-error"]
    subprocess.run(program, env=first.env, input=accounts.read_text(), text=True, check=True)  # noqa: S603
    for node in rest:
        node.install()
        node.start_again()
        how, seconds = node.wait_until_in_step()
        say(f"{node.name} joins: in step after {seconds:.1f} s, {how}")
    for haproxy, machine in zip(cluster.haproxies, APPS, strict=True):
        haproxy.start()
        haproxy.wait_for_port(cluster.address(machine), 3306)
    say(f"both HAProxys lead to {writer_of(cluster).name}")
    began = time.monotonic()
    cluster.manage("migrate", "--verbosity=0")
    say(f"migrations on the cluster: {time.monotonic() - began:.1f} s")
    cluster.redis.start()
    cluster.redis.wait_for_port(cluster.address(FRONT), 6379)
    for app, machine in zip(cluster.apps, APPS, strict=True):
        app.start()
        app.wait_for_port(cluster.address(machine), 8000)
    cluster.nginx.start()
    cluster.nginx.wait_for_port(cluster.address(FRONT), HTTPS)
