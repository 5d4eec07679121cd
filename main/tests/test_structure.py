"""What holds across the apps: who may import whom, migrations, settings, the database's characters."""

import ast
import re
from pathlib import Path

import pytest
from django.conf import settings
from django.core.management import call_command
from django.db import connection

from common.openapi import operations
from main import urls

ROOT = Path(settings.BASE_DIR)
MAY_IMPORT = {
    "common": set(),
    "events": {"common"},
    "mail": {"common"},
    "users": {"common", "events", "mail"},
    "conversations": {"common", "events", "users"},
    "delivery": {"common", "events", "users", "conversations"},
    "moderation": {"common", "events", "users", "conversations"},
    "export": {"common", "events", "users", "conversations", "delivery", "moderation"},
    "web": {"common"},
}
# Each module may import those before it.
LAYERS = {
    "common": """
        turns processes metrics keys validators access database statements compiled errors handlers addresses logs
        transactions models rates upkeep files sqlite_backups mysql_backups backups middleware negotiation parsers
        renderers serializers pagination exports checks health openapi views documentation admin
    """,
    "events": "models log",
    "mail": "models smtp outbox checks admin",
    "users": """
        validators hashers hours user_settings search codes models representations availability finding exports
        deletion guards throttles letters actions receivers authentication middleware serializers views documentation
        urls admin
    """,
    "conversations": """
        models representations exports guards throttles actions receivers serializers views documentation urls admin
    """,
    "delivery": """
        models slots tokens descriptions pages wire streams hints hub continuations answers views documentation urls
    """,
    "moderation": """
        models evidence representations exports throttles actions receivers serializers views documentation urls
        forms desk admin
    """,
    "export": "files parts making throttles answers views documentation urls",
    "web": "files views urls",
}


def imports(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            yield from (f"{node.module}.{name.name}" for name in node.names)
        elif isinstance(node, ast.Import):
            yield from (name.name for name in node.names)


@pytest.mark.parametrize("app", MAY_IMPORT)
def test_apps_import_downwards_only(app):
    ours = {"main", *MAY_IMPORT}
    for path in (ROOT / app).rglob("*.py"):
        if "tests" not in path.parts:
            imported = {name.split(".")[0] for name in imports(path)} & ours - {app}
            assert imported <= MAY_IMPORT[app], path


@pytest.mark.parametrize("app", MAY_IMPORT)
def test_modules_import_downwards_only(app):
    layers = LAYERS[app].split()
    assert {path.stem for path in (ROOT / app).glob("*.py")} == {*layers, "__init__", "apps"}
    for height, module in enumerate(layers):
        above = {f"{app}.{name}" for name in layers[height + 1 :]}
        path = ROOT / app / f"{module}.py"
        assert not [name for name in imports(path) if name in above or name.rpartition(".")[0] in above], path


def test_models_do_not_load_the_framework():
    for path in ROOT.glob("*/models.py"):
        assert not [name for name in imports(path) if name.startswith("rest_framework")], path


def test_no_migration_is_missing(db):
    call_command("makemigrations", check=True, dry_run=True)


def test_the_template_names_every_setting_once_with_a_comment():
    # Each is read by one of the helpers on top of the settings.
    read = re.findall(r'(?<!\.)\b[a-z_]+\("([A-Z_]+)"', (ROOT / "main/settings.py").read_text())
    lines = (ROOT / "dot_env_template").read_text().splitlines()
    listed = [line.split(" =")[0] for line in lines if " =" in line]
    assert sorted(listed) == sorted(set(read))
    for number, line in enumerate(lines):
        if " =" in line:
            assert lines[number - 1].startswith("# ")


def test_the_template_holds_the_default_rates():
    lines = (ROOT / "dot_env_template").read_text().splitlines()
    for name, default in re.findall(r'\brate\("([A-Z_]+)", "(.*)"\)', (ROOT / "main/settings.py").read_text()):
        assert f"{name} = {default}" in lines


def test_every_url_is_documented():
    def paths(patterns, prefix=""):
        for pattern in patterns:
            here = prefix + str(pattern.pattern)
            if hasattr(pattern, "url_patterns"):
                yield from paths(pattern.url_patterns, here)
            else:
                yield "/" + here

    served = {re.sub(r"<(\w+:)?", "<", path).rstrip("/") for path in paths(urls.urlpatterns)}
    served = {
        path.replace("<pk>", "<id>")
        for path in served
        if path.startswith(("/users/", "/conversations", "/events", "/reports"))
    }
    documented = {path.replace("{", "<").replace("}", ">").rstrip("/") for _, path, _, _ in operations()}
    assert documented == served


def test_every_text_in_the_database_is_unicode_and_compared_exactly(db):
    if connection.vendor != "mysql":
        pytest.skip("SQLite knows nothing else.")
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT table_name, column_name, collation_name FROM information_schema.columns "
            "WHERE table_schema = DATABASE() AND collation_name <> 'utf8mb4_bin' AND table_name <> 'django_migrations'"
        )
        # The server that the tests start has latin1 for its default.
        assert cursor.fetchall() == ()


def test_the_constraints_are_in_the_database(db):
    names = set()
    with connection.cursor() as cursor:
        for table in (
            "users_user",
            "users_contactbookentry",
            "users_blacklistentry",
            "users_authtoken",
            "users_code",
            "conversations_conversation",
            "conversations_membership",
            "conversations_message",
            "moderation_report",
            "moderation_decision",
        ):
            names |= set(connection.introspection.get_constraints(cursor, table))
    assert names >= {
        "users_username_once",
        "users_email_once",
        "users_contact_once",
        "users_contact_not_self",
        "users_blacklist_once",
        "users_blacklist_not_self",
        "users_token_once",
        "users_code_once",
        "conversations_pair_once",
        "conversations_kind_fits",
        "conversations_member_once",
        "conversations_number_once",
        "conversations_client_id_once",
        "conversations_deleted_is_empty",
        "moderation_open_report_once",
        "moderation_open_has_key",
        "moderation_message_is_whole",
        "moderation_until_fits",
    }
