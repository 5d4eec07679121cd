from django.db.models.signals import pre_delete
from django.dispatch import receiver

from users.models import User
from users.search import SearchEntry


@receiver(pre_delete, sender=User)
def remove_entries(instance, **kwargs):
    """The index has no foreign key that could do it."""
    SearchEntry.objects.replace(instance, instance.entries_held(), set())
