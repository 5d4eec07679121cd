"""Starts a whole cluster on the loopback interface, breaks it under load, and counts what is lost.

Called by `make drill-cluster`. Three databases behind HAProxy, two app servers, Redis and nginx run from the files of
deploy/cluster. Arguments name the steps to do: functions of steps.py. Without arguments all of them are done. KEEP=1
keeps the folder with all logs.
"""

import os
import secrets
import signal
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from drills.cluster.machines import APPS, Cluster, what_is_missing

SECRETS = {
    "THE_SECRET_KEY": secrets.token_hex(32),
    "THE_DATABASE_PASSWORD": secrets.token_hex(),
    "THE_REDIS_PASSWORD": secrets.token_hex(),
}


def main():
    if missing := what_is_missing():
        print(f"The drill of a cluster is skipped: {missing}")  # noqa: T201
        return
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    began = time.monotonic()
    with Cluster(SECRETS) as cluster:
        # The drill itself connects by way of the first app server's HAProxy. This must be known before Django is.
        os.environ |= {
            "MYSQL_HOST": cluster.address(APPS[0]),
            "MYSQL_USER": "chat",
            "MYSQL_PASSWORD": SECRETS["THE_DATABASE_PASSWORD"],
            "MYSQL_DATABASE": "chat_app_db",
            "MYSQL_PORT": "3306",
        }
        from drills.service import say  # isort: skip, it sets Django up
        from drills.cluster import checks, start, steps
        from drills.cluster.load import Load

        start.everything(cluster)
        checks.primary_keys(cluster)
        chosen = [getattr(steps, name) for name in sys.argv[1:]] or steps.ALL
        with Load(cluster) as load:
            for step in chosen:
                step(cluster, load)
            load.finish()
        checks.everything(cluster, load)
        say(f"(cluster: {time.monotonic() - began:.0f} s)")


if __name__ == "__main__":
    main()
