from functools import cache

from django.db import DEFAULT_DB_ALIAS, DatabaseError, connections
from django.db.migrations.loader import MigrationLoader

# Seconds in which the database must connect, and answer each question.
PATIENCE = 1


def what_is_missing():
    """Why the service cannot do its work, as a sentence, or None if it can."""
    probe = _new_connection()
    try:
        with probe.cursor() as cursor:
            # Not by Django's recorder, which asks over the thread's own connection.
            cursor.execute("SELECT app, name FROM django_migrations")
            applied = set(cursor.fetchall())
    except DatabaseError:
        return "The database does not answer, or was never migrated."
    finally:
        probe.close()
    return None if _migrations() <= applied else "There are migrations to apply."


def _new_connection():
    """One of its own, since the others wait longer than anybody who asks this."""
    probe = connections.create_connection(DEFAULT_DB_ALIAS)
    if probe.vendor == "mysql":
        timeouts = dict.fromkeys(("connect_timeout", "read_timeout", "write_timeout"), PATIENCE)
    else:
        timeouts = {"timeout": PATIENCE}
    options = probe.settings_dict["OPTIONS"] | timeouts
    probe.settings_dict = probe.settings_dict | {"OPTIONS": options}
    return probe


@cache
def _migrations():
    return set(MigrationLoader(None).disk_migrations)
