from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("users", "0009_codes"),
    ]

    operations = [
        migrations.AddField(
            model_name="user",
            name="suspended_until",
            field=models.DateTimeField(editable=False, null=True),
        ),
    ]
