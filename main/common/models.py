import math
from datetime import datetime, timedelta

from django.db import models
from django.db.models import Case, F, Q, When
from django.utils import timezone

from common.compiled import Update, compiled
from common.keys import ExactCharField
from common.transactions import retried_transaction


class LeaseQuerySet(models.QuerySet["Lease"]):
    def take(self, name: str, holder: str, seconds: int) -> bool:
        """Take the lease, or extend it; return whether the holder has it for so many seconds from now on."""
        now = timezone.now()
        until = now + timedelta(seconds=seconds)
        if self.filter(Q(holder=holder) | Q(until__lte=now), name=name).update(holder=holder, until=until):
            return True
        if self.filter(name=name).exists():
            return False
        first = [self.model(name=name, holder=holder, until=until)]
        retried_transaction(self.bulk_create)(first, ignore_conflicts=True)
        return self.filter(name=name, holder=holder).exists()

    def give_back(self, name: str, holder: str) -> None:
        self.filter(name=name, holder=holder).update(until=timezone.now())


class Lease(models.Model):
    """Who of all processes does a work that one does at a time. The lease of a killed process runs out by itself."""

    name = ExactCharField(max_length=32, primary_key=True)
    holder = ExactCharField(max_length=32)
    until = models.DateTimeField()

    objects = LeaseQuerySet.as_manager()

    def __str__(self) -> str:
        return f"{self.name} until {self.until}"


class RateCounterQuerySet(models.QuerySet["RateCounter"]):
    def reserve(self, key: str, limit: int, seconds: int, uses: int = 1) -> int:
        """Count uses within the limit and return 0; else count nothing and return the seconds until the next period.

        One statement checks and counts, so that simultaneous requests cannot exceed the limit.
        """
        counter = self.filter(key=key)
        while True:
            now = timezone.now()
            later = now + timedelta(seconds=seconds)
            if _count(key, limit - uses, uses, now, later):
                return 0
            found = counter.values("count", "expires_at").first()
            if found is None:
                self.prune()
                made = [self.model(key=key, count=0, expires_at=later)]
                retried_transaction(self.bulk_create)(made, ignore_conflicts=True)
            elif found["count"] > limit - uses and found["expires_at"] > now:
                return min(seconds, math.ceil((found["expires_at"] - now).total_seconds()))
            # Otherwise another request created the counter, or refunded a use, in between: try again.

    def refund(self, key: str) -> None:
        self.filter(key=key, count__gt=0).update(count=F("count") - 1)

    def prune(self, most: int = 20) -> None:
        """Remove some expired counters. Each new counter removes several, so that they cannot accumulate."""
        now = timezone.now()
        keys = list(self.filter(expires_at__lte=now).values_list("key", flat=True)[:most])
        if keys:
            retried_transaction(self.filter(key__in=keys, expires_at__lte=now).delete)()


class RateCounter(models.Model):
    """How often something was done in the current period, which began with its first use."""

    # A keyed digest of what is counted, so that the table contains no names and addresses.
    key = ExactCharField(max_length=64, primary_key=True)
    count = models.PositiveIntegerField()
    expires_at = models.DateTimeField(db_index=True)

    objects = RateCounterQuerySet.as_manager()

    def __str__(self) -> str:
        return f"{self.count} until {self.expires_at}"


@compiled
def _count(key: str, most: int, uses: int, now: datetime, later: datetime) -> Update:
    """Count more uses unless the running period has more than `most`, or begin a period, which ends later."""
    is_running = Q(expires_at__gt=now)
    counter = RateCounter.objects.filter(Q(count__lte=most) | ~is_running, key=key)
    # `count` comes first: MySQL evaluates later assignments with the new values of earlier ones.
    count = Case(When(is_running, then=F("count") + uses), default=uses, output_field=models.PositiveIntegerField())
    return Update(counter, {"count": count, "expires_at": Case(When(is_running, then=F("expires_at")), default=later)})
