"""Backups of the whole database, the way back, and what has to be done once an older state has come back."""

from collections.abc import Iterable
from pathlib import Path
from types import ModuleType

from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.sessions.models import Session
from django.db import connection
from django.db.migrations.loader import MigrationLoader
from django.db.models import Model

from common import mysql_backups, sqlite_backups
from common.database import empty_tables
from common.files import BROKEN, FileError, appearing, open_to_read
from common.models import Lease, RateCounter

# How SQLite and MySQL write, check and restore a backup.
ENGINES: dict[str, ModuleType] = {"sqlite": sqlite_backups, "mysql": mysql_backups}

# Models whose rows are wrong once an older state has come back, and models whose rows let people in. Apps add theirs.
of_the_moment: list[type[Model]] = [RateCounter, Lease]
sessions: list[type[Model]] = [Session]

Migrations = set[tuple[str, str]]


def make(file: Path, *, replace: bool) -> None:
    """Write a backup of the database as it is now; it is compressed if the name ends with .gz."""
    with appearing(file, replace=replace) as part:
        _engine().write(part, compressed=file.suffix == ".gz")


def check(file: Path) -> bool:
    """Refuse a file that is no whole backup of this service; return whether it is of an earlier version."""
    migrations = _engine_of(file).check(file)
    _require_known(migrations)
    return _is_earlier(migrations)


def restore(file: Path, *, replace: bool, end_sessions: bool) -> bool:
    """Put a backup into the place of the database; return whether it is of an earlier version."""
    engine = _engine_of(file)
    if not replace and _has_data():
        raise FileError(f"{connection.settings_dict['NAME']} has data, which --force removes.")
    return _is_earlier(engine.restore(file, _require_known, _emptied(end_sessions)))


def after_restore(*, end_sessions: bool) -> None:
    """Do what `restore` does besides, in a database that was brought back in another way."""
    empty_tables(_emptied(end_sessions))


def _engine() -> ModuleType:
    return ENGINES[connection.vendor]


def _engine_of(file: Path) -> ModuleType:
    """This database's engine; refuse a file that begins otherwise than its backups."""
    try:
        with open_to_read(file) as content:
            begin = content.read(100)
    except BROKEN as error:
        raise FileError(f"{file} is not a whole backup: {error}.") from None
    engine = _engine()
    if not begin.startswith(engine.MAGIC):
        is_of_other = any(begin.startswith(other.MAGIC) for other in ENGINES.values())
        what = f"a backup of another kind of database than {connection.display_name}" if is_of_other else "no backup"
        raise FileError(f"{file} is {what}.")
    return engine


def _require_known(migrations: Migrations) -> None:
    if (settings.AUTH_USER_MODEL.partition(".")[0], "0001_initial") not in migrations:
        raise FileError("It is not a backup of this service.")
    if unknown := sorted(migrations - _known_migrations()):
        raise FileError(f"It is of a later version, which has the migration {'.'.join(unknown[0])}.")


def _is_earlier(migrations: Migrations) -> bool:
    return not _known_migrations() <= migrations


def _known_migrations() -> Migrations:
    return set(MigrationLoader(None).disk_migrations)


def _emptied(end_sessions: bool) -> list[str]:
    models: Iterable[type[Model]] = of_the_moment + sessions if end_sessions else of_the_moment
    return [model._meta.db_table for model in models]


def _has_data() -> bool:
    """Whether there is more than migrations make."""
    engine = _engine()
    try:
        tables = engine.tables()
    except FileError:
        return True  # of another program, or broken: nothing to replace unasked
    known = {*connection.introspection.django_table_names(), "django_migrations"}
    people = get_user_model()._meta.db_table
    return bool(tables - known) or (people in tables and engine.has_rows(people))
