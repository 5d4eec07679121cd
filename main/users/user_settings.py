"""What the server keeps for a user's clients, and who may see what of the user."""

import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Self
from zoneinfo import ZoneInfoNotFoundError, available_timezones

from django.conf import settings
from django.contrib.auth.models import AbstractUser
from django.db import models

from users.hours import DAY, DAYS, Hours

JSON = dict[str, Any]

# The names of time zones of the IANA database; `localtime` is this machine's own.
TIME_ZONES = frozenset(available_timezones() - {"localtime"})


class Audience(models.IntegerChoices):
    """Who may see something of a user."""

    EVERYONE = 0
    CONTACTS = 1  # those in the user's own contact book
    NOBODY = 2

    @classmethod
    def named(cls, name: str) -> Self:
        return cls[name.upper()]

    @property
    def as_text(self) -> str:
        return self.name.lower()


AUDIENCE_NAMES = [audience.as_text for audience in Audience]


class UserSettingsQuerySet(models.QuerySet["UserSettings"]):
    def of(self, user: AbstractUser) -> "UserSettings":
        """The user's settings. Those of a user who never changed any are not in the database."""
        return (user.pk and self.filter(user=user.pk).first()) or UserSettings(user_id=user.pk)


class UserSettings(models.Model):
    user = models.OneToOneField(settings.AUTH_USER_MODEL, models.CASCADE, primary_key=True)
    theme = models.CharField(max_length=32, default="system")
    # As JSON in text: the databases disagree on how deep JSON may be nested.
    active_hours_json = models.TextField(default="", blank=True)
    client_json = models.TextField(default="{}")
    email_for = models.PositiveSmallIntegerField(choices=Audience, default=Audience.EVERYONE)
    phone_number_for = models.PositiveSmallIntegerField(choices=Audience, default=Audience.EVERYONE)
    active_hours_for = models.PositiveSmallIntegerField(choices=Audience, default=Audience.EVERYONE)
    findable_by_address = models.BooleanField(default=True)
    email_verified = models.BooleanField(default=False)
    # Counts the changes, for the ETag.
    version = models.PositiveIntegerField(default=0)

    objects = UserSettingsQuerySet.as_manager()

    class Meta:
        verbose_name_plural = "user settings"

    def __str__(self) -> str:
        return f"Settings of {self.user}"

    @property
    def etag(self) -> str:
        # With the user, for browsers in which one person logs in after another.
        return f'"{self.user_id}-{self.version}"'

    @property
    def active_hours(self) -> JSON | None:
        return json.loads(self.active_hours_json) if self.active_hours_json else None

    @property
    def as_data(self) -> JSON:
        """The settings of the API."""
        return {
            "theme": self.theme,
            "active_hours": self.active_hours,
            "privacy": {
                "email": Audience(self.email_for).as_text,
                "phone_number": Audience(self.phone_number_for).as_text,
                "active_hours": Audience(self.active_hours_for).as_text,
                "findable_by_address": self.findable_by_address,
            },
            "client": json.loads(self.client_json),
            "email_verified": self.email_verified,
        }

    def set(self, data: Mapping[str, Any]) -> None:
        """Take over settings of the API, which are valid."""
        privacy = data["privacy"]
        self.theme = data["theme"]
        self.active_hours_json = as_json(data["active_hours"]) if data["active_hours"] else ""
        self.client_json = as_json(data["client"])
        self.email_for = Audience.named(privacy["email"])
        self.phone_number_for = Audience.named(privacy["phone_number"])
        self.active_hours_for = Audience.named(privacy["active_hours"])
        self.findable_by_address = privacy["findable_by_address"]

    @property
    def is_found_by_parts_of_address(self) -> bool:
        return self.email_for == Audience.EVERYONE and self.findable_by_address

    @property
    def is_found_by_whole_address(self) -> bool:
        """Only by the whole of it."""
        return self.email_for != Audience.EVERYONE and self.findable_by_address


def as_json(value: object) -> str:
    """Compact JSON; ValueError for numbers that JSON does not have."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def seconds_of_day(clock: str) -> int:
    """Of a time such as 09:30."""
    return 60 * (60 * int(clock[:2]) + int(clock[3:]))


@lru_cache(10_000)
def read_hours(active_hours_json: str) -> Hours | None:
    """The hours as they are stored; None if this machine does not know their time zone."""
    active_hours = json.loads(active_hours_json)
    windows = []
    for window in active_hours["weekly"]:
        start, end = seconds_of_day(window["start"]), seconds_of_day(window["end"])
        # An end that is not after the start belongs to the next day.
        windows.append((DAYS.index(window["day"]) * DAY + start, end - start if end > start else end - start + DAY))
    try:
        return Hours(active_hours["time_zone"], windows)
    except ZoneInfoNotFoundError:
        return None
