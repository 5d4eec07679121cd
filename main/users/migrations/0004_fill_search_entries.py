from django.db import migrations


def entries_of(search_text):
    """As in users.search at the time of this migration."""
    entries = {(0, search_text.partition("\n")[0])}
    for word in set(search_text.split()):
        entries |= {(1, word[start : start + 64]) for start in range(len(word))}
    return entries


def fill(apps, schema_editor):
    """Give the accounts that there are their entries; interrupted, it can be run again from the beginning."""
    user_model, entry_model = apps.get_model("users", "User"), apps.get_model("users", "SearchEntry")
    last = 0
    while (
        users := user_model.objects.filter(pk__gt=last)
        .order_by("pk")
        .values_list("pk", "search_text", "is_active")[:500]
    ):
        entries = [
            entry_model(rank=rank, text=text, user_id=pk)
            for pk, search_text, is_active in users
            if is_active
            for rank, text in entries_of(search_text)
        ]
        entry_model.objects.bulk_create(entries, ignore_conflicts=True, batch_size=5000)
        last = list(users)[-1][0]


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("users", "0003_search_entries")]
    operations = [migrations.RunPython(fill, migrations.RunPython.noop)]
