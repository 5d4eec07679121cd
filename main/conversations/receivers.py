from django.db.models.signals import pre_delete
from django.dispatch import receiver

from conversations.actions import leave_everything
from users.models import User


@receiver(pre_delete, sender=User)
def leave_before_deletion(instance, **kwargs):
    """However an account is deleted: by its owner, or by a superuser in the admin."""
    leave_everything(instance)
