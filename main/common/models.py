import math
from datetime import timedelta

from django.db import models
from django.db.models import Case, F, Q, When
from django.utils import timezone

from common.keys import ExactCharField
from common.transactions import retried_transaction


class RateCounterQuerySet(models.QuerySet):
    def reserve(self, key, limit, seconds, uses=1):
        """Count some uses more; return 0, or, where there are not so many, in how many seconds there will be again.

        One statement both asks and counts, so that of many at the same moment no more than the limit get through.
        """
        counter = self.filter(key=key)
        while True:
            now = timezone.now()
            later = now + timedelta(seconds=seconds)
            is_running = {"expires_at__gt": now}
            # The count first: MySQL gives what stands to the right of an assignment the new value.
            if counter.filter(Q(count__lte=limit - uses) | ~Q(**is_running)).update(
                count=Case(When(**is_running, then=F("count") + uses), default=uses),
                expires_at=Case(When(**is_running, then=F("expires_at")), default=later),
            ):
                return 0
            found = counter.values("count", "expires_at").first()
            if found is None:
                self.prune()
                made = [self.model(key=key, count=0, expires_at=later)]
                retried_transaction(self.bulk_create)(made, ignore_conflicts=True)
            elif found["count"] > limit - uses and found["expires_at"] > now:
                return min(seconds, math.ceil((found["expires_at"] - now).total_seconds()))
            # Otherwise somebody made it, or gave some back, since: ask again.

    def refund(self, key):
        self.filter(key=key, count__gt=0).update(count=F("count") - 1)

    def prune(self, most=20):
        """Remove some that have expired: with every new one more than that, so that they cannot pile up."""
        now = timezone.now()
        keys = list(self.filter(expires_at__lte=now).values_list("key", flat=True)[:most])
        if keys:
            retried_transaction(self.filter(key__in=keys, expires_at__lte=now).delete)()


class RateCounter(models.Model):
    """How often something was done since the first time within its period."""

    # A keyed digest of what is counted: the table tells nobody's name or address.
    key = ExactCharField(max_length=64, primary_key=True)
    count = models.PositiveIntegerField()
    expires_at = models.DateTimeField(db_index=True)

    objects = RateCounterQuerySet.as_manager()

    def __str__(self):
        return f"{self.count} until {self.expires_at}"
