"""What the error codes of the databases mean."""

from django.db import InterfaceError, OperationalError

# Two transactions of MySQL or MariaDB that wait for each other; one that has waited for a lock too long.
DEADLOCK, LOCK_WAIT_TIMEOUT = 1213, 1205

# Of MySQL and MariaDB, besides all from 2000 to 2099, which are of the connection: too many connections, shutting down,
# lock wait, deadlock, read-only, interrupted, no disk, killed, out of time; and of a node of a Galera cluster that is
# not ready, or goes: 1047, 1180.
MYSQL_AWAY = {1040, 1047, 1053, 1180, 1203, 1205, 1213, 1290, 1317, 1021, 1836, 1927, 1969, 3024}
SQLITE_AWAY = (
    "database is locked",
    "unable to open",
    "disk I/O",
    "database or disk is full",
    "attempt to write a readonly",
)


def database_is_away(error):
    """True for a temporary outage, False for a bug in a query."""
    if not isinstance(error, OperationalError):
        return isinstance(error, InterfaceError)
    what = error.args[0] if error.args else None
    if isinstance(what, int):
        return 2000 <= what < 2100 or what in MYSQL_AWAY
    return str(what).startswith(SQLITE_AWAY)
