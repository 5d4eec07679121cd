"""The settings, with Django's own backend for SQLite: writers wait as SQLite lets them."""

from main.settings import *  # noqa: F403
from main.settings import DATABASES

if DATABASES["default"]["ENGINE"] == "common.sqlite":
    DATABASES["default"]["ENGINE"] = "django.db.backends.sqlite3"
