from django.db import migrations


def let_moderators_look(apps, schema_editor):
    content_type, _ = apps.get_model("contenttypes", "ContentType").objects.get_or_create(
        app_label="users", model="usersettings"
    )
    permission, _ = apps.get_model("auth", "Permission").objects.get_or_create(
        content_type=content_type, codename="view_usersettings", defaults={"name": "Can view user settings"}
    )
    moderators, _ = apps.get_model("auth", "Group").objects.get_or_create(name="Moderators")
    moderators.permissions.add(permission)


class Migration(migrations.Migration):
    dependencies = [("users", "0007_address_text")]
    operations = [migrations.RunPython(let_moderators_look, migrations.RunPython.noop)]
