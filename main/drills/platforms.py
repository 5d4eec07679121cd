"""Runs the server as platforms do, with their settings; called by scripts/drill-platforms with its folder.

The environment of each is what the platform gives and what its guide in docs/ sets, and nothing else.
"""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import MySQLdb

from drills.container.client import Client, free_port, require, run, say, stopped_during_a_call, wait_until

ROOT = Path(__file__).resolve().parents[2]
HOST = "chat.example.org"
COMMON = {"PATH": f"{ROOT}/env/bin:{os.environ['PATH']}", "ENV_FILE": "/dev/null", "SECRET_KEY": "k" * 60}
BY_HTTPS = {"X-Forwarded-Proto": "https", "X-Forwarded-For": "192.0.2.1, 203.0.113.9"}


def as_root():
    """The database server as its root, through its socket."""
    return MySQLdb.connect(user="root", unix_socket=socket_of_the_database())


def socket_of_the_database():
    return str(Path(os.environ["MARIADB_PID_FILE"]).with_name("socket"))


def new_database(name):
    with as_root() as connection:
        connection.cursor().execute(f"CREATE DATABASE {name}")


def is_encrypted(environment):
    program = (
        "from django.db import connection as c; k = c.cursor(); k.execute(\"SHOW STATUS LIKE 'Ssl_cipher'\");"
        "print(k.fetchone()[1])"
    )
    found = run("python", "manage.py", "shell", "--no-imports", "-c", program, cwd=ROOT / "main", env=environment)
    return found.stdout.strip()


class Running:
    """A command in an environment for as long as a `with` lasts."""

    def __init__(self, *command, cwd=ROOT, env=None):
        self.command, self.cwd, self.env = command, cwd, env

    def __enter__(self):
        self.process = subprocess.Popen(  # noqa: S603
            self.command, cwd=self.cwd, env=self.env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        return self.process

    def __exit__(self, *failure):
        if self.process.poll() is None:
            self.process.terminate()
        printed, _ = self.process.communicate(timeout=60)
        if failure[0]:
            say(printed[-4000:])


def sigterm_finishes_what_runs(process, client, database, token, conversation, expected):
    """A message that waits for a lock is answered after SIGTERM, as a platform sends it before it kills."""

    def stop():
        process.send_signal(signal.SIGTERM)

    with as_root() as connection:
        began = stopped_during_a_call(client, connection, database, token, conversation, stop)
    code = process.wait(60)
    require(code in expected, f"SIGTERM ends it with one of {expected}, not {code}")
    say(f"  SIGTERM during a slow call: answered 201, ended after {time.monotonic() - began:.1f} s")


def heroku(folder):
    say("== Heroku: Procfile, PORT, DATABASE_URL with ssl-mode, HTTPS at the router")
    new_database("heroku_1")
    place = f"127.0.0.1:{os.environ['MYSQL_PORT']}/heroku_1"
    url = f"mysql://chat:{os.environ['MYSQL_PASSWORD']}@{place}?reconnect=true&ssl-mode=VERIFY_IDENTITY"
    port = free_port()
    platform = {
        "PORT": str(port),
        "DATABASE_URL": url,
        "WEB_CONCURRENCY": "2",
        "SSL_CERT_FILE": f"{folder}/trusted.pem",
    }
    guide = {"ALLOWED_HOSTS": HOST, "HTTPS": "on", "TRUSTED_PROXIES": "127.0.0.0/8", "LOGIN_RATE": "5/min"}
    environment = COMMON | platform | guide
    honcho = f"{folder}/tools/bin/honcho"
    began = time.monotonic()
    run(honcho, "start", "release", cwd=ROOT, env=environment)
    say(f"  release phase, from an empty database: {time.monotonic() - began:.1f} s")
    require(is_encrypted(environment), "the connection to the database is encrypted")
    client = Client(port, HOST, headers=BY_HTTPS)
    with Running(honcho, "start", "web", env=environment) as process:
        wait_until(lambda: client.status("/readyz") == 200, "the web process answers")
        alice, conversation = client.talk()
        status, headers, _ = Client(port, HOST, headers={"X-Forwarded-Proto": "http"}).answer("GET", "/chat")
        require((status, headers["Location"]) == (301, f"https://{HOST}/chat"), "plain HTTP leads to HTTPS")
        the_router_tells_the_address(client)
        # honcho itself ends with the signal.
        sigterm_finishes_what_runs(process, client, "heroku_1", alice, conversation, (0, 143, -15))
    stranger = environment | {"SSL_CERT_FILE": f"{folder}/stranger.pem"}
    refused = run("python", "-m", "main.serve", cwd=ROOT / "main", env=stranger, may_fail=True)
    require(
        refused.returncode == 1 and refused.stderr.startswith("serve: The database cannot be reached: "),
        f"a certificate of a stranger stops the start with a sentence: {refused.stderr}",
    )
    require(os.environ["MYSQL_PASSWORD"] not in refused.stderr, "the sentence has no password")
    say("  the way to the database is encrypted; another authority than the trusted one stops the start")


def the_router_tells_the_address(client):
    """The router adds the address that it sees at the end; what a client wrote before it counts for nothing."""
    wrong = {"username": "nobody-at-all", "password": "wrong-password"}
    statuses = [
        client.call("POST", "/users/login", wrong, headers={"X-Forwarded-For": f"192.0.2.{number}, 203.0.113.7"})[0]
        for number in range(7)
    ]
    require(statuses == [400] * 5 + [429] * 2, f"5 guesses from an address, then 429: {statuses}")


def cloud_run(folder):
    say("== Google Cloud Run: PORT, MYSQL_SOCKET, one process")
    new_database("chat_app_db")
    with as_root() as connection:
        cursor = connection.cursor()
        cursor.execute("CREATE USER chat@localhost IDENTIFIED BY 'a-password'")
        cursor.execute("GRANT ALL ON chat_app_db.* TO chat@localhost")
    port = free_port()
    platform = {"PORT": str(port), "K_SERVICE": "chat", "MYSQL_SOCKET": socket_of_the_database()}
    guide = {"MYSQL_USER": "chat", "MYSQL_PASSWORD": "a-password", "WEB_CONCURRENCY": "1", "THREADS": "8"}
    guide |= {"ALLOWED_HOSTS": HOST, "HTTPS": "on", "TRUSTED_PROXIES": "127.0.0.0/8"}
    environment = COMMON | platform | guide
    run("python", "manage.py", "migrate", "--no-input", cwd=ROOT / "main", env=environment)
    client = Client(port, HOST, headers=BY_HTTPS)
    with Running("python", "-m", "main.serve", cwd=ROOT / "main", env=environment) as process:
        wait_until(lambda: client.status("/readyz") == 200, "the instance answers")
        alice, conversation = client.talk()
        sigterm_finishes_what_runs(process, client, "chat_app_db", alice, conversation, (0,))


def elastic_beanstalk(folder):
    say("== AWS Elastic Beanstalk: its own Procfile, RDS_*, MYSQL_SSL_CA")
    new_database("ebdb")
    rds = {"RDS_HOSTNAME": "127.0.0.1", "RDS_PORT": os.environ["MYSQL_PORT"], "RDS_DB_NAME": "ebdb"}
    rds |= {"RDS_USERNAME": "chat", "RDS_PASSWORD": os.environ["MYSQL_PASSWORD"]}
    guide = {
        "MYSQL_SSL_CA": f"{folder}/trusted.pem",
        "ALLOWED_HOSTS": HOST,
        "HTTPS": "on",
        "TRUSTED_PROXIES": "127.0.0.1",
    }
    environment = COMMON | rds | guide
    require(is_encrypted(environment), "the connection to the database is encrypted")
    bundle = Path(folder) / "bundle"
    run(f"{ROOT}/deploy/elastic-beanstalk/bundle", f"{bundle}.zip")
    run("python", "-m", "zipfile", "-e", f"{bundle}.zip", str(bundle), env=environment)
    run("python", "manage.py", "migrate", "--no-input", cwd=bundle / "main", env=environment)
    procfile = (bundle / "Procfile").read_text()
    require(procfile.count(":8000") == 1 and "release" not in procfile, "the Procfile has one process, at port 8000")
    port = free_port()  # 8000 may be taken here
    (bundle / "Procfile").write_text(procfile.replace(":8000", f":{port}"))
    client = Client(port, HOST, headers=BY_HTTPS)
    with Running(f"{folder}/tools/bin/honcho", "start", "web", cwd=bundle, env=environment) as process:
        wait_until(lambda: client.status("/readyz") == 200, "the web process answers")
        alice, conversation = client.talk()
        sigterm_finishes_what_runs(process, client, "ebdb", alice, conversation, (0, 143, -15))


if __name__ == "__main__":
    for platform in (heroku, cloud_run, elastic_beanstalk):
        platform(sys.argv[1])
