from collections.abc import Sequence

from django.apps import AppConfig
from django.core.checks import CheckMessage, Tags, Warning, register
from django.db import connection


@register(Tags.database, deploy=True)
def database_is_a_server(app_configs: Sequence[AppConfig] | None, **kwargs: object) -> list[CheckMessage]:
    """Warn about a deployment on the embedded database."""
    if connection.vendor == "sqlite":
        return [
            Warning(
                "The data is kept in the embedded SQLite file, which one machine alone can use.",
                hint="Set MYSQL_USER, MYSQL_PASSWORD and MYSQL_DATABASE to keep it on a MySQL or MariaDB server.",
                id="common.W001",
            )
        ]
    return []
