from django.conf import settings
from django.core.checks import Tags, Warning, register


@register(Tags.database, deploy=True)
def database_is_a_server(app_configs, **kwargs):
    """Warn an operator who deploys on the embedded database."""
    if settings.DATABASES["default"]["ENGINE"].endswith("sqlite3"):
        return [
            Warning(
                "The data is kept in the embedded SQLite file, which one machine alone can use.",
                hint="Set MYSQL_USER, MYSQL_PASSWORD and MYSQL_DATABASE to keep it on a MySQL or MariaDB server.",
                id="common.W001",
            )
        ]
    return []
