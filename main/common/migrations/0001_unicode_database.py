from django.db import migrations


def make_unicode_the_default(apps, schema_editor):
    """Give the tables to come every character of Unicode and one order of them on MySQL and MariaDB.

    The servers' defaults differ (latin1 among them), and most hold some different names for equal.
    """
    connection = schema_editor.connection
    if connection.vendor == "mysql":
        name = connection.ops.quote_name(connection.settings_dict["NAME"])
        schema_editor.execute(f"ALTER DATABASE {name} CHARACTER SET utf8mb4 COLLATE utf8mb4_bin", params=None)


class Migration(migrations.Migration):
    # Before every table that there is.
    run_before = [("contenttypes", "0001_initial"), ("sessions", "0001_initial")]
    atomic = False
    dependencies = []
    operations = [migrations.RunPython(make_unicode_the_default, migrations.RunPython.noop)]
