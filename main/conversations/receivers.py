from django.db.models.signals import pre_delete
from django.dispatch import receiver

from common import upkeep
from conversations.actions import disown_some, leave_everything, leave_one, pieces_of_all_ended
from users import deletion
from users.models import User

deletion.steps += [leave_one, disown_some]
upkeep.tasks.append(pieces_of_all_ended)


@receiver(pre_delete, sender=User)
def leave_before_deletion(instance: User, **kwargs: object) -> None:
    """For accounts that are deleted in other ways than users.deletion, for example in a shell."""
    leave_everything(instance)
