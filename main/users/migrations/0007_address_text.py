from django.db import migrations

import common.keys


class Migration(migrations.Migration):
    dependencies = [
        ("users", "0006_user_settings"),
    ]

    operations = [
        migrations.AddField(
            model_name="user",
            name="address_text",
            field=common.keys.KeyField("whole_address", default=""),
        ),
        # Where the key comes from is no matter of the database: SQLite would copy the whole table.
        migrations.SeparateDatabaseAndState(
            state_operations=[
                migrations.AlterField(
                    model_name="user",
                    name="search_text",
                    field=common.keys.KeyField("username", "first_name", "last_name", "searched_email"),
                ),
            ]
        ),
    ]
