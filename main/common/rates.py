"""Limits on how often something may be done, such as LOGIN_RATE; counted in the database, for all workers together."""

from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from threading import Lock

from django.conf import settings
from django.utils.crypto import salted_hmac
from rest_framework.exceptions import Throttled
from rest_framework.throttling import BaseThrottle

from common.models import RateCounter

# Of leased limits: how many uses this process has reserved and not spent, by key.
leases = {}
MOST_LEASES = 10_000
_leasing = Lock()


@dataclass(frozen=True)
class Limit:
    """What the setting allows, so many times over, to a subject: a user's id, an address, a name.

    Of one that is leased a process reserves a fiftieth at a time, so that few uses cost a write. What it has not spent
    when the period ends is lost, or spent in the next.
    """

    setting: str
    subject: object
    times: int = 1
    leased: bool = False

    @cached_property
    def key(self):
        return salted_hmac(f"{self.setting} {self.times}", str(self.subject), algorithm="sha256").hexdigest()

    def spend(self):
        """Count one use, or refuse with 429; the setting may be off."""
        if not (rate := getattr(settings, self.setting)):
            return
        number, seconds = rate
        uses = max(1, number // 50) if self.leased else 1
        if uses > 1 and self._spend_of_lease():
            return
        if wait := RateCounter.objects.reserve(self.key, number * self.times, seconds, uses):
            raise Throttled(wait, "Too many attempts.")
        if uses > 1:
            with _leasing:
                if len(leases) >= MOST_LEASES:
                    leases.clear()
                leases[self.key] = leases.get(self.key, 0) + uses - 1

    def _spend_of_lease(self):
        with _leasing:
            left = leases.get(self.key, 0)
            if left:
                leases[self.key] = left - 1
            return left

    def refund(self):
        if getattr(settings, self.setting):
            RateCounter.objects.refund(self.key)


class UserThrottle(BaseThrottle):
    """Limits a view for each user; a subclass names the setting, and the methods if not all count."""

    setting = None
    methods = ("GET", "POST", "PUT", "PATCH", "DELETE")

    def allow_request(self, request, view):
        if request.method in self.methods:
            Limit(self.setting, request.user.pk, leased=True).spend()
        return True


@contextmanager
def refunded_on_success(*limits):
    """Spend one use of each before the block is run; they are given back if it raises nothing."""
    spent = []
    try:
        for limit in limits:
            limit.spend()
            spent.append(limit)
    except Throttled:
        # What one refuses is not counted against the others.
        for limit in spent:
            limit.refund()
        raise
    yield
    for limit in spent:
        limit.refund()
