from functools import cache

from django.db import DEFAULT_DB_ALIAS, DatabaseError, connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.migrations.loader import MigrationLoader

# Seconds within which the database must accept a connection, and answer each query.
PATIENCE = 1


def what_is_missing() -> str | None:
    """Why the service cannot work, as a sentence, or None if it can."""
    probe = _new_connection()
    try:
        with probe.cursor() as cursor:
            # Django's MigrationRecorder would use the thread's own connection, which waits longer.
            cursor.execute("SELECT app, name FROM django_migrations")
            applied = set(cursor.fetchall())
    except DatabaseError:
        return "The database does not answer, or was never migrated."
    finally:
        probe.close()
    return None if _migrations() <= applied else "There are migrations to apply."


def _new_connection() -> BaseDatabaseWrapper:
    """A separate connection with short timeouts: a health check must not wait as long as a call may."""
    probe = connections.create_connection(DEFAULT_DB_ALIAS)
    if probe.vendor == "mysql":
        timeouts = dict.fromkeys(("connect_timeout", "read_timeout", "write_timeout"), PATIENCE)
    else:
        timeouts = {"timeout": PATIENCE}
    options = probe.settings_dict["OPTIONS"] | timeouts
    probe.settings_dict = probe.settings_dict | {"OPTIONS": options}
    return probe


@cache
def _migrations() -> set[tuple[str, str]]:
    return set(MigrationLoader(None).disk_migrations)
