"""Backups of the database on which the tests run, restored into another one beside it."""

import os
import shutil
import sqlite3
import subprocess
from contextlib import closing
from fcntl import LOCK_EX, flock
from io import StringIO

import pytest
from django.apps import apps
from django.contrib.sessions.models import Session
from django.core.management import CommandError, call_command
from django.db import DEFAULT_DB_ALIAS, connection, connections
from django.db.migrations.recorder import MigrationRecorder

from common import backups, mysql_backups
from common.models import Lease, RateCounter
from conversations.actions import open_private, send_message
from conversations.models import Message
from delivery.models import Process, Slot
from events.models import Announcement, Event, Log
from mail.models import Mail
from users.codes import Code, Purpose
from users.models import AuthToken, User

pytestmark = pytest.mark.django_db(transaction=True)

on_mysql = pytest.mark.skipif("connection.vendor != 'mysql'", reason="Of MySQL and MariaDB.")
on_sqlite = pytest.mark.skipif("connection.vendor != 'sqlite'", reason="Of SQLite.")


@pytest.fixture(autouse=True)
def _programs(request):
    if connection.vendor == "mysql" and not (shutil.which("mariadb-dump") or shutil.which("mysqldump")):
        pytest.skip("mariadb-dump is not installed (scripts/install backup).")


class Databases:
    """Switches the connection between the database of the tests and an empty one."""

    def __init__(self, other):
        self.first, self.other = connection.settings_dict["NAME"], other

    def use(self, name):
        connection.close()
        connection.settings_dict["NAME"] = name

    def use_other(self):
        self.use(self.other)


@pytest.fixture
def databases(transactional_db, tmp_path):
    is_server = connection.vendor == "mysql"
    both = Databases(f"{connection.settings_dict['NAME']}_other" if is_server else str(tmp_path / "other.sqlite3"))
    run = connection.cursor().execute
    if is_server:
        run(f"CREATE DATABASE {both.other} CHARACTER SET latin1")
    yield both
    both.use(both.first)
    if is_server:
        connection.cursor().execute(f"DROP DATABASE {both.other}")


def backup(file, **options):
    call_command("backup", file, stdout=StringIO(), **options)


def restore(file, **options):
    out = StringIO()
    call_command("restore", file, stdout=out, **options)
    return out.getvalue()


def rows_of(model):
    return list(model._base_manager.order_by("pk").values_list())


KEPT = {
    *(f"users.{name}" for name in ("User", "UserSettings", "ContactBookEntry", "BlacklistEntry", "SearchEntry")),
    *(f"conversations.{name}" for name in ("Conversation", "Membership", "Message")),
    *("moderation.Report", "moderation.Decision", "mail.Mail", "admin.LogEntry"),
    *("auth.Permission", "auth.Group", "contenttypes.ContentType"),
}
OF_THE_MOMENT = {RateCounter, Lease, Slot, Process, Announcement, Event, Log, Code}
SESSIONS = {Session, AuthToken}


def test_for_each_table_it_is_decided_what_becomes_of_it():
    assert set(backups.of_the_moment) == OF_THE_MOMENT
    assert set(backups.sessions) == SESSIONS
    # A new model is added here, or to one of the lists, which is what this test is for.
    assert {model._meta.label for model in apps.get_models()} - KEPT == {
        model._meta.label for model in OF_THE_MOMENT | SESSIONS
    }


def test_what_is_restored_is_what_was_there_but_for_what_is_of_the_moment(
    databases, tmp_path, alice, bob, as_alice, as_bob
):
    private, _ = open_private(alice, bob)
    for text in ("Hello 😀\r\n\0 'quoted' \\ \x1a", "-- End of the backup {}\n"):
        send_message(alice, private.pk, text)
    as_bob.post("/users/contacts/contact-book/alice")
    cursor = as_alice.get("/events").json()["cursor"]
    Code.objects.issue(alice, Purpose.RESET)
    Mail.objects.create(kind="password_changed", recipient="alice@example.org")
    kept = [apps.get_model(label) for label in KEPT] + [AuthToken]
    before = {model: rows_of(model) for model in kept}
    file = tmp_path / "backup.gz"
    backup(file)
    send_message(alice, private.pk, "After the backup")
    name = Log.objects.get().name

    databases.use_other()
    assert "Logins that were ended since the backup are valid again." in restore(file)
    for model in kept:
        assert rows_of(model) == before[model], model
    assert not any(model.objects.exists() for model in OF_THE_MOMENT - {Log})
    call_command("index_search", stdout=StringIO())
    call_command("migrate", check=True, stdout=StringIO())

    [reset] = as_alice.get(f"/events?after={cursor}").json()["events"]
    assert reset["event"] == "reset"
    assert Log.objects.get().name != name
    send_message(alice, private.pk, "On it goes")
    assert list(Message.objects.order_by("number").values_list("number", flat=True)) == [1, 2, 3]


@on_mysql
def test_tables_are_made_as_they_were_and_so_are_those_of_later_migrations(databases, tmp_path):
    def made():
        with connection.cursor() as cursor:
            cursor.execute("SELECT @@character_set_database, @@collation_database")
            found = [cursor.fetchone()]
            for table in sorted(connection.introspection.table_names(cursor)):
                cursor.execute(f"SHOW CREATE TABLE {table}")
                lines = cursor.fetchone()[1].splitlines()
                found += [line for line in lines if not line.startswith(") ENGINE")]
        return found

    before = made()
    backup(tmp_path / "backup")
    databases.use_other()
    restore(tmp_path / "backup")
    assert len(before) > 100
    assert made() == before


def test_sessions_end_if_it_is_asked_for(alice, as_alice):
    as_alice.get("/events")
    name = Log.objects.get().name
    call_command("after_restore", stdout=StringIO())
    assert as_alice.get("/events").status_code == 200
    assert Log.objects.get().name != name
    call_command("after_restore", end_sessions=True, stdout=StringIO())
    assert as_alice.get("/events").status_code == 401
    assert User.objects.get() == alice


# The file


def test_a_backup_is_for_its_owner_alone_and_replaces_another_file_if_that_is_asked_for(tmp_path):
    file = tmp_path / "backup"
    file.write_text("Of great value")
    with pytest.raises(CommandError, match="is there already"):
        backup(file)
    assert file.read_text() == "Of great value"
    (tmp_path / "backup.part").write_text("Of one that was killed, and longer" * 100_000)
    backup(file, force=True)
    assert file.stat().st_mode & 0o777 == 0o600
    assert os.listdir(tmp_path) == ["backup"]
    assert "is a whole backup" in restore(file, check=True)


def test_a_backup_that_fails_leaves_no_file(databases, tmp_path):
    databases.use(f"{databases.other}_that_is_not_there")
    with pytest.raises(CommandError, match="No backup was made"):
        backup(tmp_path / "backup.gz")
    databases.use(databases.first)
    with pytest.raises(CommandError, match="No such file or directory"):
        backup(tmp_path / "folder" / "backup")
    assert os.listdir(tmp_path) == []


def test_two_processes_do_not_write_the_same_file(tmp_path):
    with (tmp_path / "backup.part").open("w") as part:
        flock(part, LOCK_EX)
        with pytest.raises(CommandError, match="Another process is writing"):
            backup(tmp_path / "backup")


# What is refused


@pytest.mark.parametrize("ending", ["", ".gz"])
def test_a_file_that_is_not_whole_is_refused(tmp_path, alice, ending):
    file, broken = tmp_path / f"backup{ending}", tmp_path / "broken"
    backup(file)
    whole = file.read_bytes()
    cuts = [0, 1, 20, len(whole) // 2, len(whole) - 5000, len(whole) - 1]
    for content in [whole[:cut] for cut in cuts] + [whole[: len(whole) // 3] + whole[len(whole) // 2 :]]:
        broken.write_bytes(content)
        with pytest.raises(CommandError, match=r"is not a whole backup|is no backup"):
            restore(broken, force=True)
    assert User.objects.get() == alice
    restore(file, check=True)


@pytest.mark.parametrize("content", [b"SQLite format 3\0", b"-- Backup of the chat server {}", b"", b"-- MariaDB dump"])
def test_something_else_is_refused(tmp_path, alice, content):
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(CommandError, match=r"is no|is a backup of another kind of database"):
        restore(tmp_path / "file", force=True)
    assert User.objects.get() == alice


@on_mysql
def test_a_changed_byte_is_noticed(tmp_path, alice):
    file = tmp_path / "backup"
    backup(file)
    file.write_bytes(file.read_bytes().replace(b"alice@example.org", b"mallory@examp.org"))
    with pytest.raises(CommandError, match="it is not what was written"):
        restore(file, force=True)


def test_a_backup_of_a_later_version_is_refused_and_one_of_an_earlier_version_says_so(tmp_path):
    recorder, last = MigrationRecorder(connection), ("users", "0010_suspended_until")
    recorder.record_applied("users", "9999_later")
    backup(tmp_path / "later")
    recorder.record_unapplied("users", "9999_later")
    recorder.record_unapplied(*last)
    backup(tmp_path / "earlier")
    recorder.record_applied(*last)
    with pytest.raises(CommandError, match=r"of a later version, which has the migration users\.9999_later"):
        restore(tmp_path / "later", force=True)
    assert "run manage.py migrate" in restore(tmp_path / "earlier", check=True)


def test_data_are_replaced_only_if_that_is_asked_for(databases, tmp_path, make_user):
    file = tmp_path / "backup"
    backup(file)  # of tables as migrations make them
    restore(file)
    make_user("alice")
    with pytest.raises(CommandError, match="has data, which --force removes"):
        restore(file)
    assert User.objects.exists()
    restore(file, force=True)
    assert not User.objects.exists()

    databases.use_other()
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE of_another_program (id INTEGER)")
    with pytest.raises(CommandError, match="has data"):
        restore(file)


def test_nothing_is_restored_while_a_server_has_the_database_open(tmp_path, alice):
    backup(tmp_path / "backup")
    servers = connections.create_connection(DEFAULT_DB_ALIAS)
    try:
        servers.cursor().execute("SELECT 1 FROM users_user")
        with pytest.raises(CommandError, match="stop the server first"):
            restore(tmp_path / "backup", force=True)
    finally:
        servers.close()
    assert User.objects.get() == alice


# SQLite


@on_sqlite
def test_what_a_killed_server_has_left_beside_the_file_does_not_get_into_the_restored_database(databases, tmp_path):
    backup(tmp_path / "backup")
    databases.use_other()
    restore(tmp_path / "backup")
    os.chmod(databases.other, 0o640)
    with closing(sqlite3.connect(databases.other)) as server:
        server.execute("PRAGMA journal_mode = WAL")
        server.execute("CREATE TABLE stray (id INTEGER)")
        left = {name: (tmp_path / name).read_bytes() for name in os.listdir(tmp_path) if name.startswith("other.")}
    assert set(left) == {"other.sqlite3", "other.sqlite3-wal", "other.sqlite3-shm"}
    for name, content in left.items():
        (tmp_path / name).write_bytes(content)
    restore(tmp_path / "backup", force=True)
    assert os.stat(databases.other).st_mode & 0o777 == 0o640
    assert sorted(os.listdir(tmp_path)) == ["backup", "other.sqlite3"]
    assert "stray" not in connection.introspection.table_names()


@on_sqlite
def test_what_a_killed_backup_or_restore_has_left_does_not_get_into_the_next_one(databases, tmp_path, alice):
    with closing(sqlite3.connect(tmp_path / "killed", isolation_level=None)) as killed:
        killed.execute("CREATE TABLE t (x)")
        killed.execute("INSERT INTO t VALUES (zeroblob(20000))")
        killed.execute("PRAGMA cache_size = 1")
        killed.execute("BEGIN")
        killed.execute("UPDATE t SET x = randomblob(20000)")
        journal = (tmp_path / "killed-journal").read_bytes()
    for name in ("backup.part-journal", "other.sqlite3.part-journal", "other.sqlite3-journal"):
        (tmp_path / name).write_bytes(journal)
    backup(tmp_path / "backup")
    databases.use_other()
    restore(tmp_path / "backup")
    assert User.objects.get() == alice
    assert not [name for name in os.listdir(tmp_path) if name.endswith("journal")]


@on_sqlite
def test_a_broken_database_can_be_replaced(databases, tmp_path):
    backup(tmp_path / "backup")
    databases.use_other()
    (tmp_path / "other.sqlite3").write_bytes(b"Broken" * 10_000)
    with pytest.raises(CommandError, match="has data"):
        restore(tmp_path / "backup")
    restore(tmp_path / "backup", force=True)
    assert "users_user" in connection.introspection.table_names()


@on_sqlite
def test_deleted_messages_are_not_in_a_backup(tmp_path, alice, bob, as_alice):
    private, _ = open_private(alice, bob)
    send_message(alice, private.pk, "A secret")
    as_alice.delete(f"/conversations/{private.pk}/messages/1")
    backup(tmp_path / "backup")
    assert b"A secret" not in (tmp_path / "backup").read_bytes()


# The programs of MySQL and MariaDB


@on_mysql
def test_the_password_is_neither_an_argument_nor_in_the_environment(tmp_path, monkeypatch):
    program, seen = tmp_path / "mariadb-dump", tmp_path / "seen"
    program.write_text(f'#!/bin/sh\n{{ echo "$@"; env; stat -Lc %a "${{1#*=}}"; }} >>{seen}\necho No. >&2; exit 3\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setenv("MYSQL_HOST", "example.org")
    with pytest.raises(CommandError, match=r"mariadb-dump failed: No\."):
        backup(tmp_path / "backup")
    text = seen.read_text()
    assert "--single-transaction" in text
    assert "600\n" in text
    assert "MYSQL" not in text
    assert connection.settings_dict["PASSWORD"] not in text
    assert sorted(os.listdir(tmp_path)) == ["mariadb-dump", "seen"]


@on_mysql
def test_a_dump_that_ends_too_early_is_no_backup(tmp_path, monkeypatch):
    (tmp_path / "mariadb-dump").write_text("#!/bin/sh\necho '-- MariaDB dump'\n")
    (tmp_path / "mariadb-dump").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    with pytest.raises(CommandError, match="mariadb-dump wrote no whole dump"):
        backup(tmp_path / "backup")
    assert os.listdir(tmp_path) == ["mariadb-dump"]


@on_mysql
def test_there_is_no_backup_of_a_database_that_is_migrated_meanwhile(tmp_path, monkeypatch):
    dump = mysql_backups._dump

    def dump_and_migrate(names, put):
        MigrationRecorder(connection).record_applied("users", f"9999_with_{names[0]}")
        return dump(names, put)

    monkeypatch.setattr(mysql_backups, "_dump", dump_and_migrate)
    with pytest.raises(CommandError, match="The database was migrated while it was copied: try again"):
        backup(tmp_path / "backup")
    assert os.listdir(tmp_path) == []
    MigrationRecorder.Migration.objects.filter(name__startswith="9999").delete()


@on_mysql
def test_a_restore_that_breaks_leaves_a_database_that_counts_as_never_migrated(databases, tmp_path, monkeypatch):
    backup(tmp_path / "backup")
    databases.use_other()

    def fail(tables):
        raise mysql_backups.FileError("No.")

    with monkeypatch.context() as patch:
        patch.setattr(mysql_backups, "empty_tables", fail)
        with pytest.raises(CommandError, match="The database is incomplete: restore again, with --force"):
            restore(tmp_path / "backup")
    assert "users_user" in connection.introspection.table_names()
    assert "django_migrations" not in connection.introspection.table_names()
    restore(tmp_path / "backup", force=True)
    assert "django_migrations" in connection.introspection.table_names()


@on_mysql
def test_the_programs_read_every_setting_as_it_is(monkeypatch, tmp_path):
    odd = "a \"b' \\ \\n # $x; é"
    settings = connection.settings_dict
    monkeypatch.setitem(settings, "USER", odd)
    monkeypatch.setitem(settings, "HOST", "/run/a socket")
    monkeypatch.setitem(settings, "OPTIONS", settings["OPTIONS"] | {"ssl": {"ca": "/etc/ca.pem"}})
    file = tmp_path / "options"
    file.write_text(mysql_backups.option_file(is_of_mariadb=True))
    command = [shutil.which("mariadb-dump"), f"--defaults-file={file}", "--print-defaults"]
    printed = subprocess.run(command, capture_output=True, check=True).stdout.decode()  # noqa: S603
    assert f"--user={odd} " in printed
    assert "--socket=/run/a socket --ssl-ca=/etc/ca.pem --ssl-verify-server-cert" in printed
    assert "ssl-mode=VERIFY_IDENTITY" in mysql_backups.option_file(is_of_mariadb=False)
