from django.db.models.signals import pre_delete
from django.dispatch import receiver

from users.models import User
from users.search import SearchEntry


@receiver(pre_delete, sender=User)
def remove_entries(instance: User, **kwargs: object) -> None:
    """For accounts that are deleted in other ways than users.deletion: the index has no foreign key."""
    now = User.objects.select_for_update().filter(pk=instance.pk).first()
    if now:
        SearchEntry.objects.replace(now, now.entries, set())
