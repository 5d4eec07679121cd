from django.db import migrations

# Looking at everything here, and deactivating ordinary accounts. No right that could be turned into another.
PERMISSIONS = {
    "user": {"view_user": "Can view user", "deactivate_user": "Can deactivate ordinary users"},
    "contactbookentry": {"view_contactbookentry": "Can view contact book entry"},
    "blacklistentry": {"view_blacklistentry": "Can view blacklist entry"},
    "authtoken": {"view_authtoken": "Can view auth token"},
}


def create_moderators(apps, schema_editor):
    content_types = apps.get_model("contenttypes", "ContentType").objects
    permissions = apps.get_model("auth", "Permission").objects
    moderators, _ = apps.get_model("auth", "Group").objects.get_or_create(name="Moderators")
    for model, names in PERMISSIONS.items():
        # Django makes these only after the last migration; it leaves those that it finds as they are.
        content_type, _ = content_types.get_or_create(app_label="users", model=model)
        for codename, name in names.items():
            permission, _ = permissions.get_or_create(
                content_type=content_type, codename=codename, defaults={"name": name}
            )
            moderators.permissions.add(permission)


class Migration(migrations.Migration):
    dependencies = [("users", "0001_initial"), ("contenttypes", "0002_remove_content_type_name")]
    operations = [migrations.RunPython(create_moderators, migrations.RunPython.noop)]
