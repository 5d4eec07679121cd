from django.db import migrations

# Reading reports and the audit trail, and deciding about ordinary users.
PERMISSIONS = {
    "report": {"view_report": "Can view report", "decide_report": "Can decide reports about ordinary users"},
    "decision": {"view_decision": "Can view decision"},
}


def let_moderators_decide(apps, schema_editor):
    content_types = apps.get_model("contenttypes", "ContentType").objects
    permissions = apps.get_model("auth", "Permission").objects
    moderators, _ = apps.get_model("auth", "Group").objects.get_or_create(name="Moderators")
    for model, names in PERMISSIONS.items():
        content_type, _ = content_types.get_or_create(app_label="moderation", model=model)
        for codename, name in names.items():
            permission, _ = permissions.get_or_create(
                content_type=content_type, codename=codename, defaults={"name": name}
            )
            moderators.permissions.add(permission)


class Migration(migrations.Migration):
    dependencies = [("moderation", "0001_initial"), ("users", "0002_moderators")]
    operations = [migrations.RunPython(let_moderators_decide, migrations.RunPython.noop)]
