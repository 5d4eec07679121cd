import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("users", "0005_deleted_accounts"),
    ]

    operations = [
        migrations.CreateModel(
            name="UserSettings",
            fields=[
                (
                    "user",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        primary_key=True,
                        serialize=False,
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                ("theme", models.CharField(default="system", max_length=32)),
                ("active_hours_json", models.TextField(blank=True, default="")),
                ("client_json", models.TextField(default="{}")),
                (
                    "email_for",
                    models.PositiveSmallIntegerField(
                        choices=[(0, "Everyone"), (1, "Contacts"), (2, "Nobody")], default=0
                    ),
                ),
                (
                    "phone_number_for",
                    models.PositiveSmallIntegerField(
                        choices=[(0, "Everyone"), (1, "Contacts"), (2, "Nobody")], default=0
                    ),
                ),
                (
                    "active_hours_for",
                    models.PositiveSmallIntegerField(
                        choices=[(0, "Everyone"), (1, "Contacts"), (2, "Nobody")], default=0
                    ),
                ),
                ("findable_by_address", models.BooleanField(default=True)),
                ("email_verified", models.BooleanField(default=False)),
                ("version", models.PositiveIntegerField(default=0)),
            ],
            options={
                "verbose_name_plural": "user settings",
            },
        ),
    ]
