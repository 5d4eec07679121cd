"""What the error codes of the databases mean, and parts of SQL."""

from collections.abc import Collection

from django.core.management.color import no_style
from django.db import InterfaceError, OperationalError, connection

# Error codes of MySQL and MariaDB: a deadlock, and a wait for a lock that timed out.
DEADLOCK, LOCK_WAIT_TIMEOUT = 1213, 1205

# Error codes of MySQL and MariaDB that mean a temporary outage: too many connections, shutdown, deadlock, lock wait,
# read-only, interrupted, disk full, killed, timed out; 1047 and 1180 come from a node of a Galera cluster that is not
# ready, or leaves. All codes from 2000 to 2099 are connection errors.
MYSQL_AWAY = {1040, 1047, 1053, 1180, 1203, 1205, 1213, 1290, 1317, 1021, 1836, 1927, 1969, 3024}
SQLITE_AWAY = (
    "database is locked",
    "unable to open",
    "disk I/O",
    "database or disk is full",
    "attempt to write a readonly",
)


def database_is_away(error: BaseException | None) -> bool:
    """True for a temporary outage, False for a bug in a query."""
    if not isinstance(error, OperationalError):
        return isinstance(error, InterfaceError)
    what = error.args[0] if error.args else None
    if isinstance(what, int):
        return 2000 <= what < 2100 or what in MYSQL_AWAY
    return str(what).startswith(SQLITE_AWAY)


def placeholders(values: Collection[object]) -> str:
    """The parameters of an IN list."""
    return ", ".join(["%s"] * len(values))


def empty_tables(names: Collection[str]) -> None:
    """Remove all rows of the tables, as far as there are such tables."""
    there = sorted(set(connection.introspection.table_names()).intersection(names))
    connection.ops.execute_sql_flush(connection.ops.sql_flush(no_style(), there, reset_sequences=True))
