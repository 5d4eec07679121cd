"""A server started with an environment of its own: what it takes, and the sentence with which it refuses."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

MAIN = Path(__file__).resolve().parent.parent


DEFAULTS = {"ENV_FILE": "/dev/null", "SECRET_KEY": "abcdefghijklmnopqrstuvwxyz" * 3}


def start(*arguments, **environment):
    """Run manage.py; a variable of None is not in its environment."""
    environment = {"PATH": os.environ["PATH"]} | DEFAULTS | environment
    return subprocess.run(  # noqa: S603
        [sys.executable, "manage.py", *arguments],
        cwd=MAIN,
        env={name: value for name, value in environment.items() if value is not None},
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SECRET_KEY", ""),
        ("SECRET_KEY", "  "),
        ("DEBUG", "maybe"),
        ("HTTPS", "2"),
        ("TOKEN_TTL_DAYS", "0"),
        ("TOKEN_TTL_DAYS", "-1"),
        ("TOKEN_TTL_DAYS", "30d"),
        ("MYSQL_PORT", "mysql"),
        ("MYSQL_PORT", "65536"),
        ("MYSQL_SSL_CA", "/no/such/file"),
        ("CORS_ALLOWED_ORIGINS", "example.org"),
        ("CORS_ALLOWED_ORIGINS", "*"),
        ("CORS_ALLOWED_ORIGINS", "https://example.org/path"),
        ("LOGIN_RATE", "10"),
        ("REGISTER_RATE", "10/week"),
        ("SEARCH_RATE", "0/min"),
        ("SEND_RATE", "-1/min"),
        ("TRUSTED_PROXIES", "proxy.example.org"),
        ("TRUSTED_PROXIES", "10.0.0.1/8"),
        ("LOG_FORMAT", "xml"),
        ("OPEN_RATE", "60"),
        ("REPORT_RATE", "20/year"),
        ("PORT", "http"),
        ("BIND", "8000"),
        ("BIND", "127.0.0.1:0"),
        ("BIND", "127.0.0.1:65536"),
        ("BIND", "::1:8000"),
        ("BIND", "unix:chat.sock"),
        ("BIND", "systemd:"),
        ("WEB_CONCURRENCY", "0"),
        ("THREADS", "0"),
        ("EMAIL_PORT", "smtp"),
        ("EMAIL_TLS", "ssl3"),
        ("EMAIL_FROM", "chat"),
        ("EMAIL_FROM", "a@example.org, b@example.org"),
        ("EMAIL_FROM", "Chat: the server <chat@example.org>"),
        ("EMAIL_FROM", '"Chat <chat@example.org>'),
        ("EMAIL_FROM", "Chat\x0bBcc: eve@example.com <chat@example.org>"),
        ("EMAIL_FROM", "chät@example.org"),
        ("METRICS_TOKEN", "fifteen-letters"),
        ("METRICS_TOKEN", "sixteen letters!"),
        ("METRICS_TOKEN", "sixteen-lettersé"),
        ("PUBLIC_URL", "chat.example.org"),
        ("PUBLIC_URL", "https://chat.example.org/?x"),
    ],
)
def test_an_unusable_value_stops_the_start_with_a_sentence(name, value):
    result = start("check", **({"MYSQL_USER": "chat"} | {name: value}))
    assert result.returncode == 1
    assert result.stderr.startswith(f"manage.py: {name} ")
    assert result.stderr.count("\n") == 1


def evaluate(expression, **environment):
    result = start(
        "shell", "--no-imports", "-c", f"from django.conf import settings; print({expression})", **environment
    )
    assert result.returncode == 0, result.stderr
    return result.stdout.strip()


def test_without_an_account_the_data_is_in_the_file():
    assert evaluate("settings.DATABASES['default']['NAME']") == str(MAIN / "db.sqlite3")


def test_with_an_account_the_data_is_on_mysql():
    database = "settings.DATABASES['default']"
    fields = f"[{database}[key] for key in ('ENGINE', 'NAME', 'USER', 'PASSWORD', 'HOST', 'PORT')]"
    values = evaluate(fields, MYSQL_USER="chat", MYSQL_PASSWORD="pa$$wo#rd")
    assert values == "['common.mysql', 'chat_app_db', 'chat', 'pa$$wo#rd', '127.0.0.1', 3306]"


FIELDS = "[settings.DATABASES['default'][key] for key in ('USER', 'PASSWORD', 'HOST', 'PORT', 'NAME')]"
RDS = {
    "RDS_HOSTNAME": "db.example.org",
    "RDS_PORT": "3307",
    "RDS_DB_NAME": "ebdb",
    "RDS_USERNAME": "chat",
    "RDS_PASSWORD": "p@ss",
}


@pytest.mark.parametrize(
    ("environment", "values"),
    [
        (
            {"DATABASE_URL": "mysql://chat:p%40%3As@db.example.org:3307/heroku_1?reconnect=true"},
            ["chat", "p@:s", "db.example.org", 3307, "heroku_1"],
        ),
        ({"JAWSDB_URL": "mysql://chat@db.example.org/chat"}, ["chat", "", "db.example.org", 3306, "chat"]),
        ({"CLEARDB_DATABASE_URL": "mysql2://a:b@[::1]/chat"}, ["a", "b", "::1", 3306, "chat"]),
        (RDS, ["chat", "p@ss", "db.example.org", 3307, "ebdb"]),
        (
            {"MYSQL_USER": "chat", "MYSQL_SOCKET": "/cloudsql/a:b:c", **RDS},
            ["chat", "", "/cloudsql/a:b:c", 3306, "chat_app_db"],
        ),
    ],
)
def test_the_account_comes_as_platforms_give_it(environment, values):
    assert evaluate(FIELDS, **environment) == str(values)


@pytest.mark.parametrize(
    "value", ["postgres://a:b@db/chat", "mysql://db/chat", "mysql://a:b@db", "mysql://a:b@db:x/chat", "x"]
)
def test_an_account_that_is_not_mysql_stops_the_start_and_the_password_is_not_shown(value):
    result = start("check", DATABASE_URL=value)
    assert result.returncode == 1
    assert result.stderr == "manage.py: DATABASE_URL must be such as mysql://user:password@host:3306/database.\n"


OPTIONS = "[settings.DATABASES['default']['OPTIONS'].get(key) for key in ('ssl_mode', 'ssl')]"
URL = "mysql://a:secret@db/chat"


@pytest.mark.parametrize(
    ("environment", "values"),
    [
        ({"DATABASE_URL": f"{URL}?reconnect=true&charset=utf8"}, [None, None]),
        ({"DATABASE_URL": f"{URL}?ssl-mode=REQUIRED"}, ["REQUIRED", None]),
        ({"JAWSDB_URL": f"{URL}?ssl=true"}, ["REQUIRED", None]),
        ({"DATABASE_URL": f"{URL}?ssl-mode=VERIFY_CA"}, ["VERIFY_IDENTITY", {"ca": "{file}"}]),
        ({"DATABASE_URL": f"{URL}?ssl-mode=verify-identity"}, ["VERIFY_IDENTITY", {"ca": "{file}"}]),
        ({"DATABASE_URL": f"{URL}?ssl-mode=REQUIRED", "MYSQL_SSL_CA": "{file}"}, ["VERIFY_IDENTITY", {"ca": "{file}"}]),
        ({"MYSQL_USER": "chat", "MYSQL_SSL_CA": "system"}, ["VERIFY_IDENTITY", {"ca": "{file}"}]),
        ({**RDS, "MYSQL_SSL_CA": "{file}"}, ["VERIFY_IDENTITY", {"ca": "{file}"}]),
    ],
)
def test_how_the_way_to_the_database_is_encrypted(environment, values, tmp_path):
    file = tmp_path / "authorities.pem"
    file.touch()
    environment = {name: value.replace("{file}", str(file)) for name, value in environment.items()}
    found = evaluate(OPTIONS, **environment, SSL_CERT_FILE=str(file))
    assert found == str(values).replace("{file}", str(file))


@pytest.mark.parametrize("query", ["ssl-mode=on", "sslaccept=strict", "ssl-ca=/ca.pem", "ssl=maybe", "tlsmode=verify"])
def test_an_encryption_that_is_not_understood_stops_the_start_and_the_password_is_not_shown(query):
    result = start("check", DATABASE_URL=f"{URL}?{query}")
    assert result.returncode == 1
    assert result.stderr.startswith("manage.py: DATABASE_URL may have ssl-mode=REQUIRED or VERIFY_IDENTITY")
    assert result.stderr.count("\n") == 1
    assert "secret" not in result.stderr


def test_a_metrics_token_that_is_refused_is_not_shown_and_an_empty_one_is_none():
    result = start("check", METRICS_TOKEN="too-short")
    assert "too-short" not in result.stderr + result.stdout
    assert evaluate("[settings.METRICS_TOKEN]", METRICS_TOKEN="  ") == "['']"
    assert evaluate("[settings.METRICS_TOKEN]", METRICS_TOKEN="sixteen-letters!") == "['sixteen-letters!']"


def test_a_file_as_the_project_began_with_works(tmp_path):
    env_file = tmp_path / ".env"
    env_file.write_text(
        "    SECRET_KEY = myserverencryptionsecretkey\n"
        "    MYSQL_PASSWORD = mysecret${HOME}password\n"
        "    MYSQL_USER = mysqlusername\n"
    )
    database = "settings.DATABASES['default']"
    values = f"settings.SECRET_KEY, {database}['USER'], {database}['PASSWORD']"
    found = evaluate(values, ENV_FILE=str(env_file), SECRET_KEY=None)
    assert found == "myserverencryptionsecretkey mysqlusername mysecret${HOME}password"


def test_the_file_is_overruled_by_the_environment(tmp_path):
    env_file = tmp_path / ".env"
    env_file.write_text("TOKEN_TTL_DAYS = 5\nDEBUG = on\n")
    assert evaluate("settings.TOKEN_TTL_DAYS, settings.DEBUG", ENV_FILE=str(env_file), TOKEN_TTL_DAYS="7") == "7 True"


@pytest.mark.parametrize(
    ("value", "rate"), [("10/min", "(10, 60)"), ("3/hour", "(3, 3600)"), ("", "None"), (" ", "None")]
)
def test_a_rate_is_so_many_in_so_long_or_off(value, rate):
    assert evaluate("settings.LOGIN_RATE", LOGIN_RATE=value) == rate


def test_the_proxies_are_addresses_and_networks():
    value = evaluate("settings.TRUSTED_PROXIES", TRUSTED_PROXIES="10.0.0.0/8, ::1")
    assert value == "[IPv4Network('10.0.0.0/8'), IPv6Network('::1/128')]"


@pytest.mark.parametrize(
    ("environment", "place"),
    [
        ({}, "127.0.0.1:8000"),
        ({"PORT": "5000"}, "0.0.0.0:5000"),
        ({"PORT": "5000", "BIND": "unix:/run/chat.sock"}, "unix:/run/chat.sock"),
        ({"BIND": "systemd"}, "systemd"),
        ({"BIND": "[::1]:80"}, "[::1]:80"),
        ({"BIND": "chat.internal:8000", "PORT": ""}, "chat.internal:8000"),
    ],
)
def test_where_it_listens(environment, place):
    assert evaluate("settings.BIND", **environment) == place


@pytest.mark.parametrize(
    ("encryption", "port", "values"),
    [
        ("", "", "25 False False"),
        ("on", "", "587 True False"),
        ("starttls", "2525", "2525 True False"),
        ("implicit", "", "465 False True"),
    ],
)
def test_how_mails_are_encrypted(encryption, port, values):
    fields = "settings.EMAIL_PORT, settings.EMAIL_USE_TLS, settings.EMAIL_USE_SSL"
    assert evaluate(fields, EMAIL_HOST="mail", EMAIL_TLS=encryption, EMAIL_PORT=port) == values


@pytest.mark.parametrize(
    "value", ["chat@example.org", "chat@vm_1", "chat@münchen.example", "Chät 1.0 <a.b+c@d>", '"Chat: us, all" <a@b>']
)
def test_mails_may_come_from_any_plain_address(value):
    assert evaluate("settings.DEFAULT_FROM_EMAIL", EMAIL_FROM=value) == value


def test_who_sends_mails_and_where_their_links_lead():
    values = "settings.DEFAULT_FROM_EMAIL, settings.PUBLIC_URL"
    environment = {"EMAIL_FROM": "Chat <chat@example.org>", "PUBLIC_URL": "https://example.org/chat/"}
    assert evaluate(values, **environment) == "Chat <chat@example.org> https://example.org/chat"


@pytest.mark.parametrize(
    ("environment", "warnings"),
    [
        ({"EMAIL_HOST": "mail.example.org"}, ["mail.W001", "mail.W002"]),
        ({"EMAIL_HOST": "127.0.0.1", "PUBLIC_URL": "https://chat.example.org"}, []),
        ({"EMAIL_HOST": "mail.example.org", "EMAIL_TLS": "on", "PUBLIC_URL": "https://chat.example.org"}, []),
        ({"EMAIL_TLS": "off"}, []),
    ],
)
def test_the_deployment_check_warns_of_mails_that_can_be_read_and_of_links_that_lead_nowhere(environment, warnings):
    production = {"ALLOWED_HOSTS": "chat.example.org", "HTTPS": "on", "MYSQL_USER": "chat"}
    result = start("check", "--deploy", **production, **environment)
    assert re.findall(r"mail\.W\d+", result.stderr) == warnings


@pytest.mark.parametrize(("seconds", "has_subdomains"), [("", False), ("31535999", False), ("31536000", True)])
def test_subdomains_are_included_from_a_year_on(seconds, has_subdomains):
    values = "settings.SECURE_HSTS_INCLUDE_SUBDOMAINS, settings.SECURE_HSTS_PRELOAD"
    assert evaluate(values, HTTPS="on", HSTS_SECONDS=seconds) == f"{has_subdomains} {has_subdomains}"


def test_the_deployment_check_warns_of_the_file_alone():
    production = {"ALLOWED_HOSTS": "chat.example.org", "HTTPS": "on"}
    result = start("check", "--deploy", "--fail-level", "WARNING", **production)
    assert result.returncode == 1
    assert "common.W001" in result.stderr
    assert "1 issue" in result.stderr
    result = start("check", "--deploy", "--fail-level", "WARNING", MYSQL_USER="chat", **production)
    assert (result.returncode, result.stdout) == (0, "System check identified no issues (3 silenced).\n")
