"""Limits on how often something may be done, such as LOGIN_RATE. The database counts, for all processes together."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from threading import Lock

from django.conf import settings
from django.utils.crypto import salted_hmac
from rest_framework.exceptions import Throttled
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle
from rest_framework.views import APIView

from common import metrics
from common.models import RateCounter

# The uses of leased limits that this process has reserved and not spent yet.
leases: dict["Limit", int] = {}
MAX_LEASES = 10_000
_leasing = Lock()


@dataclass(frozen=True)
class Limit:
    """The rate of a setting, times a factor, for a subject: a user's id, an address or a name.

    Where operators cannot choose the rate it is given as (number, seconds), and `setting` is a name for it.

    A process reserves a fiftieth of a leased limit at a time, so that few uses cost a write to the database: without it
    a message takes 1.4 times the processor time. Uses left over when the period ends are lost, or spent in the next.
    """

    setting: str
    subject: object
    times: int = 1
    leased: bool = False
    fixed_rate: tuple[int, int] | None = None

    @cached_property
    def key(self) -> str:
        return salted_hmac(f"{self.setting} {self.times}", str(self.subject), algorithm="sha256").hexdigest()

    @property
    def rate(self) -> tuple[int, int] | None:
        """As (number, seconds); None if there is no limit."""
        return self.fixed_rate or getattr(settings, self.setting)

    def spend(self) -> None:
        """Count one use, or refuse with 429. An empty setting allows everything."""
        if not (rate := self.rate):
            return
        number, seconds = rate
        uses = max(1, number // 50) if self.leased else 1
        if uses > 1 and self._spend_of_lease():
            return
        if wait := RateCounter.objects.reserve(self.key, number * self.times, seconds, uses):
            metrics.limit_refusals.labels(self.setting).inc()
            raise Throttled(wait, "Too many attempts.")
        if uses > 1:
            with _leasing:
                if len(leases) >= MAX_LEASES:
                    leases.clear()
                leases[self] = leases.get(self, 0) + uses - 1

    def _spend_of_lease(self) -> int:
        with _leasing:
            left = leases.pop(self, 0)
            if left > 1:
                leases[self] = left - 1
            return left

    def refund(self) -> None:
        if self.rate:
            RateCounter.objects.refund(self.key)


class UserThrottle(BaseThrottle):
    """Limits a view per user. A subclass names the setting, and the methods if not all count."""

    setting: str
    methods: tuple[str, ...] = ("GET", "POST", "PUT", "PATCH", "DELETE")

    def allow_request(self, request: Request, view: APIView) -> bool:
        if request.method in self.methods:
            Limit(self.setting, request.user.pk, leased=True).spend()
        return True


def spend_all(*limits: Limit) -> None:
    """Spend one use of each limit, or none if one of them refuses."""
    spent: list[Limit] = []
    try:
        for limit in limits:
            limit.spend()
            spent.append(limit)
    except Throttled:
        # A use that one limit refuses must not count for the others.
        for limit in spent:
            limit.refund()
        raise


@contextmanager
def refunded_on_success(*limits: Limit) -> Iterator[None]:
    """Spend one use of each limit before the block runs, and refund them if it raises nothing."""
    spend_all(*limits)
    yield
    for limit in limits:
        limit.refund()
