from django.db import migrations

# Who talks with whom, not what they say.
PERMISSIONS = {
    "conversation": {"view_conversation": "Can view conversation"},
    "membership": {"view_membership": "Can view membership"},
}


def let_moderators_look(apps, schema_editor):
    content_types = apps.get_model("contenttypes", "ContentType").objects
    permissions = apps.get_model("auth", "Permission").objects
    moderators, _ = apps.get_model("auth", "Group").objects.get_or_create(name="Moderators")
    for model, names in PERMISSIONS.items():
        content_type, _ = content_types.get_or_create(app_label="conversations", model=model)
        for codename, name in names.items():
            permission, _ = permissions.get_or_create(
                content_type=content_type, codename=codename, defaults={"name": name}
            )
            moderators.permissions.add(permission)


class Migration(migrations.Migration):
    dependencies = [("conversations", "0001_initial"), ("users", "0002_moderators")]
    operations = [migrations.RunPython(let_moderators_look, migrations.RunPython.noop)]
