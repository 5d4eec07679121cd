"""What a cluster needs of the code and of deploy/cluster. `make drill-cluster` tries the whole of it."""

import re
from pathlib import Path

import pytest
from django.conf import settings
from django.db import connection

ROOT = Path(settings.BASE_DIR)
FILES = ROOT.parent / "deploy" / "cluster"


def names(path):
    return set(re.findall(r"^([A-Z_]+) ?=", path.read_text(), re.MULTILINE))


def test_every_table_has_a_primary_key(db):
    with connection.cursor() as cursor:
        tables = connection.introspection.table_names(cursor)
        assert len(tables) > 20
        for table in tables:
            constraints = connection.introspection.get_constraints(cursor, table).values()
            assert any(each["primary_key"] for each in constraints), table


def test_the_settings_of_an_app_server_are_settings():
    ours = names(FILES / "app.env")
    assert {"SECRET_KEY", "MYSQL_HOST", "REDIS_URL"} <= ours
    assert ours <= names(ROOT / "dot_env_template")


def test_haproxy_logs_in_as_the_account_for_it_and_asks_in_whole_packets():
    lines = (FILES / "haproxy.cfg").read_text().splitlines()
    sent = b""
    for line in lines:
        if match := re.fullmatch(r" *tcp-check send-binary ([0-9a-f]+)", line):
            sent += bytes.fromhex(match[1])
        elif match := re.fullmatch(r' *tcp-check send "(.+)"', line):
            sent += match[1].encode()
    packets = []
    while sent:
        length = int.from_bytes(sent[:3], "little")
        packets.append((sent[3], sent[4 : 4 + length]))
        sent = sent[4 + length :]
    (number, login), (_, question), (_, goodbye) = packets
    account = re.search(r"CREATE USER (\w+)@\S+;", (FILES / "accounts.sql").read_text())[1]
    assert (number, login[32:]) == (1, account.encode() + b"\0\0")  # without a password
    assert question == b"\3SHOW STATUS LIKE 'wsrep_local_state'"
    assert goodbye == b"\1"


@pytest.mark.parametrize("name", ["mariadb.cnf", "haproxy.cfg", "nginx.conf", "redis.conf", "app.env", "accounts.sql"])
def test_the_files_have_no_address_of_another_network(name):
    addresses = re.findall(r"\b[0-9]+\.[0-9]+\.[0-9]+\.[0-9%]+", (FILES / name).read_text())
    assert {each for each in addresses if not each.startswith("10.20.0.")} <= {"127.0.0.1"}
