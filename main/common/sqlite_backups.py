"""Backups of an SQLite file: a file of the same kind, and the way back."""

import os
import sqlite3
from collections.abc import Callable, Collection, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from django.db import connection

from common.files import BROKEN, FileError, appearing, beside, copy, open_to_read, open_to_write, passing

MAGIC = b"SQLite format 3\0"
# Files beside that of a database: what to undo, what was written last, and the index of that. SQLite takes them for a
# part of whatever has the name of the database, so that none may be left of another one, by a kill say.
COMPANIONS = ("-journal", "-wal", "-shm")
# Seconds to wait for a lock.
PATIENCE = 20

Migrations = set[tuple[str, str]]


def write(part: Path, *, compressed: bool) -> None:
    """Copy the database, as it is at one moment, into the empty file, while others read and write.

    VACUUM INTO reads in one transaction, for which no writer waits: what is written meanwhile stays in the log beside
    the file. The copy has no free pages, and so nothing of what was deleted.
    """
    with passing(beside(part, ".sqlite3")) as plain:
        target = plain if compressed else part
        try:
            with _by_itself(target), closing(_connect(_database())) as source:
                source.execute("VACUUM INTO ?", [str(target)])
        except sqlite3.Error as error:
            raise FileError(f"The database could not be copied: {error}.") from None
        if compressed:
            with plain.open("rb") as whole, open_to_write(part, compressed=True) as out:
                copy(whole, out)


def check(file: Path) -> Migrations:
    """The migrations of the backup; refuse what is not a whole one. The folder of the database has room for a copy."""
    with passing(beside(_database(), ".check")) as plain, _by_itself(plain):
        return _unpack(file, plain)


def tables() -> set[str]:
    database = _database()
    if not database.exists() or not database.stat().st_size:
        return set()
    try:
        with closing(_connect(database)) as found:
            return _tables(found)
    except sqlite3.Error as error:
        raise FileError(f"{database} cannot be read: {error}.") from None


def has_rows(table: str) -> bool:
    with closing(_connect(_database())) as found:
        return found.execute(f'SELECT 1 FROM "{table}" LIMIT 1').fetchone() is not None  # noqa: S608


def restore(file: Path, approve: Callable[[Migrations], None], emptied: Collection[str]) -> Migrations:
    """Put the backup, if its migrations are approved, into the place of the database, with these tables emptied.

    That happens at one moment.
    """
    database = _database()
    connection.close()
    with appearing(database, replace=True) as part, _by_itself(part):
        migrations = _unpack(file, part)
        approve(migrations)
        _empty(part, emptied)
        if database.exists():
            _give_to_owner_of(database, part)
            # Last of all: from here on until the file is replaced nobody should open the database.
            _close(database)
        _remove_companions(database)
    return migrations


def _database() -> Path:
    return Path(connection.settings_dict["NAME"]).resolve()


@contextmanager
def _by_itself(path: Path) -> Iterator[None]:
    """In the block the database of this path begins without anything beside it, and nothing is left there."""
    _remove_companions(path)
    try:
        yield
    finally:
        _remove_companions(path)


def _remove_companions(path: Path) -> None:
    for ending in COMPANIONS:
        beside(path, ending).unlink(missing_ok=True)


def _connect(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"{path.as_uri()}?mode=rw", uri=True, timeout=PATIENCE, isolation_level=None)


def _unpack(file: Path, plain: Path) -> Migrations:
    try:
        with open_to_read(file) as source, plain.open("wb") as out:
            copy(source, out)
        with closing(_connect(plain)) as copied:
            [problem] = copied.execute("PRAGMA quick_check(1)").fetchone()
            [pages], [page_size] = (copied.execute(f"PRAGMA page_{what}").fetchone() for what in ("count", "size"))
            migrations = set(copied.execute("SELECT app, name FROM django_migrations"))
    except (*BROKEN, sqlite3.Error) as error:
        raise FileError(f"{file} is not a whole backup: {error}.") from None
    # A last page that is cut off is not noticed by SQLite.
    if problem == "ok" and plain.stat().st_size != pages * page_size:
        problem = f"it should have {pages * page_size} bytes"
    if problem != "ok":
        raise FileError(f"{file} is not a whole backup: {' '.join(problem.split())}.")
    return migrations


def _tables(found: sqlite3.Connection) -> set[str]:
    rows = found.execute("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite!_%' ESCAPE '!'")
    return {name for (name,) in rows}


def _empty(part: Path, tables: Collection[str]) -> None:
    with closing(_connect(part)) as copied:
        copied.execute("BEGIN IMMEDIATE")
        for table in _tables(copied).intersection(tables):
            copied.execute(f'DELETE FROM "{table}"')  # noqa: S608
        copied.execute("COMMIT")


def _give_to_owner_of(database: Path, part: Path) -> None:
    """Let the server open the new file as it opened the old one, whoever restores."""
    old, new = database.stat(), part.stat()
    os.chmod(part, old.st_mode & 0o777)
    if (old.st_uid, old.st_gid) != (new.st_uid, new.st_gid):
        try:
            os.chown(part, old.st_uid, old.st_gid)
        except PermissionError:
            raise FileError(f"{database} is another user's: restore as that user, or as root.") from None


def _close(database: Path) -> None:
    """Bring the database into its one file, and refuse while another process has it open."""
    try:
        with closing(_connect(database)) as old:
            old.execute("PRAGMA busy_timeout = 0")
            # Nobody else may have the file open for this.
            old.execute("PRAGMA journal_mode = DELETE")
    except sqlite3.OperationalError as error:
        if "locked" in str(error):
            raise FileError(f"{database} is open in another process: stop the server first.") from None
    except sqlite3.DatabaseError:
        pass  # It is broken, which may be why it is restored.
