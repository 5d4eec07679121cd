"""Backups of a MySQL or MariaDB database: SQL, as their own programs write and read it.

The file is, in this order: a line about the backup, the dump of all tables but that of the migrations, the dump of that
one, and a line with the lengths of both and a digest. The lines are comments, so that the file can be loaded by hand.
The migrations come last, so that a database into which the file is loaded counts as never migrated until all is there.
"""

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from hashlib import sha256
from pathlib import Path
from typing import IO, Any

from django.db import Error, connection

from common.database import empty_tables
from common.files import BROKEN, CHUNK, FileError, open_to_read, open_to_write

BEGIN, END = b"-- Backup of the chat server ", b"-- End of the backup "
MAGIC = BEGIN
FORMAT = 1
MIGRATIONS = "django_migrations"
# The end of every dump that is whole.
COMPLETED = b"-- Dump completed"

DUMP_OPTIONS = (
    "--default-character-set=utf8mb4",
    "--single-transaction",  # which locks nothing, and reads all as it is at one moment
    "--quick",
    "--hex-blob",
    "--no-tablespaces",  # about which only accounts with the right PROCESS may ask
    "--skip-add-locks",
)
# MySQL's own program asks by default for what needs rights, or servers, that may not be there.
DUMP_OPTIONS_OF_MYSQL = ("--set-gtid-purged=OFF", "--skip-column-statistics")


Migrations = set[tuple[str, str]]


# Writing


def write(part: Path, *, compressed: bool) -> None:
    """Write the database, as it is at one moment, into the empty file, while others read and write."""
    about = _about()
    data = sorted(tables() - {MIGRATIONS})
    connection.close()  # it would idle for longer than the server may allow
    digest, lengths = sha256(), []

    with open_to_write(part, compressed=compressed) as out:

        def put(data: bytes) -> None:
            digest.update(data)
            out.write(data)

        put(BEGIN + json.dumps(about).encode() + b"\n")
        for names in (data, [MIGRATIONS]):
            lengths.append(_dump(names, put))
        if _about() != about:
            raise FileError("The database was migrated while it was copied: try again.")
        out.write(END + json.dumps({"lengths": lengths, "sha256": digest.hexdigest()}).encode() + b"\n")


def _about() -> dict[str, Any]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT @@character_set_database, @@collation_database")
        charset, collation = cursor.fetchone()
        cursor.execute(f"SELECT app, name FROM {MIGRATIONS} ORDER BY app, name")  # noqa: S608
        migrations = [list(row) for row in cursor.fetchall()]
    return {"format": FORMAT, "charset": charset, "collation": collation, "migrations": migrations}


def _dump(names: list[str], put: Callable[[bytes], None]) -> int:
    """Dump the tables; return how many bytes that were."""
    length, tail = 0, b""
    program = _program("mariadb-dump", "mysqldump")
    options = DUMP_OPTIONS if _is_of_mariadb(program) else DUMP_OPTIONS + DUMP_OPTIONS_OF_MYSQL
    with _running(program, *options, connection.settings_dict["NAME"], *names, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None  # noqa: S101
        while data := process.stdout.read(CHUNK):
            put(data)
            length += len(data)
            tail = (tail + data)[-200:]
    if COMPLETED not in tail:
        raise FileError(f"{Path(program).name} wrote no whole dump.")
    return length


# Checking


class Contents:
    """What the first and the last line of a backup tell."""

    def __init__(self, first: bytes, last: bytes) -> None:
        about, end = json.loads(first.removeprefix(BEGIN)), json.loads(last.removeprefix(END))
        self.format: int = about["format"]
        self.charset, self.collation = about["charset"], about["collation"]
        self.migrations = {(app, name) for app, name in about["migrations"]}
        self.lengths: list[int] = end["lengths"]
        self.sha256: str = end["sha256"]


def check(file: Path) -> Migrations:
    """The migrations of the backup; refuse what is not a whole one."""
    return _read(file).migrations


def _read(file: Path) -> Contents:
    digest, first, last = sha256(), b"", b""
    try:
        with open_to_read(file) as source:
            for line in source:
                digest.update(last)
                first, last = first or line, line
    except BROKEN as error:
        raise FileError(f"{file} is not a whole backup: {error}.") from None
    if not last.startswith(END) or not last.endswith(b"\n"):
        raise FileError(f"{file} is not a whole backup: it ends too early.")
    try:
        contents = Contents(first, last)
    except (ValueError, KeyError, TypeError):
        raise FileError(f"{file} is not a whole backup: its first or last line is broken.") from None
    if contents.format != FORMAT:
        raise FileError(f"{file} was written by another version of this service, which has to restore it.")
    if contents.sha256 != digest.hexdigest():
        raise FileError(f"{file} is not a whole backup: it is not what was written.")
    return contents


# Restoring


def tables() -> set[str]:
    return set(connection.introspection.table_names())


def has_rows(table: str) -> bool:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT 1 FROM {connection.ops.quote_name(table)} LIMIT 1")  # noqa: S608
        return cursor.fetchone() is not None


def restore(file: Path, approve: Callable[[Migrations], None], emptied: Collection[str]) -> Migrations:
    """Remove all tables and load those of the backup, if its migrations are approved, with these tables emptied."""
    contents = _read(file)
    approve(contents.migrations)
    _program("mariadb", "mysql")
    _require_alone()
    try:
        _drop_all(contents)
        with open_to_read(file) as source:
            source.readline()
            connection.close()  # it would idle for longer than the server may allow
            _load(source, contents.lengths[0])
            empty_tables(emptied)
            _load(source, contents.lengths[1])
    except (FileError, Error) as error:
        raise FileError(f"{error} The database is incomplete: restore again, with --force.") from None
    return contents.migrations


def _require_alone() -> None:
    """Refuse while a server is connected to the database. An ordinary account sees the connections of its own name."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT COUNT(*) FROM information_schema.processlist WHERE db = DATABASE() AND id <> CONNECTION_ID()"
        )
        if number := cursor.fetchone()[0]:
            name = connection.settings_dict["NAME"]
            raise FileError(f"{number} other connections use the database {name}: stop the server first.")


def _drop_all(contents: Contents) -> None:
    name = connection.ops.quote_name
    with connection.cursor() as cursor:
        cursor.execute("SET FOREIGN_KEY_CHECKS = 0")
        # Until the end the database is to count as one that was never migrated.
        for table in sorted(tables(), key=lambda table: table != MIGRATIONS):
            cursor.execute(f"DROP TABLE {name(table)}")
        cursor.execute("SET FOREIGN_KEY_CHECKS = 1")
        # For tables that later migrations make.
        cursor.execute(
            f"ALTER DATABASE {name(connection.settings_dict['NAME'])}"
            f" CHARACTER SET {name(contents.charset)} COLLATE {name(contents.collation)}"
        )


def _load(source: IO[bytes], length: int) -> None:
    """Have the program execute so many bytes of the source."""
    program = _program("mariadb", "mysql")
    options = ("--default-character-set=utf8mb4", "--batch", connection.settings_dict["NAME"])
    # A program that fails ends before it has read all; its own words say more.
    with _running(program, *options, stdin=subprocess.PIPE) as process, suppress(BrokenPipeError):
        assert process.stdin is not None  # noqa: S101
        while length and (data := source.read(min(length, CHUNK))):
            process.stdin.write(data)
            length -= len(data)
        process.stdin.close()


# Programs


def _program(of_mariadb: str, of_mysql: str) -> str:
    """The path of one of these programs, rather of that which belongs to the server."""
    names = (of_mariadb, of_mysql) if connection.mysql_is_mariadb else (of_mysql, of_mariadb)  # type: ignore[attr-defined]
    found = shutil.which(names[0]) or shutil.which(names[1])
    if found is None:
        raise FileError(f"{names[0]} is not installed: Debian has it in the package mariadb-client.")
    return found


def _is_of_mariadb(program: str) -> bool:
    version = subprocess.run([program, "--version"], env=_environment(), capture_output=True, check=False)  # noqa: S603
    return b"MariaDB" in version.stdout


def _environment() -> dict[str, str]:
    """Nothing of ours: MYSQL_HOST and the like have a meaning for these programs, and the password may be in it."""
    return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C.UTF-8"}


@contextmanager
def _running(
    program: str, *arguments: str, stdin: int = subprocess.DEVNULL, stdout: int | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """Run the program with access to the database; FileError with its own words if it fails.

    The password is in a file without a name that only the program is given. It reads no other file of options.
    """
    with tempfile.TemporaryFile() as options, tempfile.TemporaryFile() as errors:
        options.write(option_file(_is_of_mariadb(program)).encode())
        options.seek(0)
        process = subprocess.Popen(  # noqa: S603
            [program, f"--defaults-file=/dev/fd/{options.fileno()}", *arguments],
            pass_fds=[options.fileno()],
            env=_environment(),
            stdin=stdin,
            stdout=stdout,
            stderr=errors,
        )
        with process:
            try:
                yield process
            except BaseException:
                process.kill()
                raise
        if process.returncode:
            errors.seek(0)
            lines = [line for line in errors.read().decode(errors="replace").splitlines() if line.strip()]
            why = lines[-1] if lines else f"it ended with {process.returncode}"
            raise FileError(f"{Path(program).name} failed: {why[:300]}")


def option_file(is_of_mariadb: bool) -> str:
    """The settings of the connection for the programs of MySQL and MariaDB."""
    settings = connection.settings_dict
    options = {"user": settings["USER"], "password": settings["PASSWORD"]}
    if settings["HOST"].startswith("/"):
        options["socket"] = settings["HOST"]
    else:
        options |= {"host": settings["HOST"], "port": str(settings["PORT"])}
    lines = [f"{name}={_quoted(value)}" for name, value in options.items()]
    if authority := settings["OPTIONS"].get("ssl", {}).get("ca"):
        lines.append(f"ssl-ca={_quoted(authority)}")
        lines.append("ssl-verify-server-cert" if is_of_mariadb else "ssl-mode=VERIFY_IDENTITY")
    elif is_of_mariadb:
        lines.append("skip-ssl")  # newer ones would insist on it
    return "\n".join(["[client]", *lines, ""])


def _quoted(value: str) -> str:
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'
