"""Active hours against the contract's sentence, read literally, minute by minute:

A moment lies in a window if the clock on the wall in that zone then shows a time from start (included) to end (not
included) on that day; an end that is not after start belongs to the next day; 24:00 is the day's end.
"""

import zoneinfo._zoneinfo as tables
from bisect import bisect_right
from datetime import UTC, datetime, timedelta
from functools import cache, lru_cache
from itertools import pairwise
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from users.hours import STEP
from users.user_settings import as_json, read_hours

DAYS = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]
ZONES = sorted(available_timezones())
# Half an hour of summer time, one for each Ramadan, days that were skipped or came twice, and the usual ones.
ODD_ZONES = [
    "Australia/Lord_Howe",
    "Africa/Casablanca",
    "Africa/El_Aaiun",
    "Pacific/Apia",
    "Pacific/Fakaofo",
    "Pacific/Kwajalein",
    "Pacific/Kiritimati",
    "Pacific/Enderbury",
    "Asia/Manila",
    "Africa/Freetown",
    "Europe/Oslo",
    "Europe/Dublin",
    "Europe/Amsterdam",
    "America/New_York",
    "America/St_Johns",
    "Asia/Gaza",
    "Asia/Kathmandu",
    "Antarctica/Troll",
    "Africa/Monrovia",
]
MINUTES = 24 * 60
WEEK = 7 * MINUTES
DAY = 60 * MINUTES


def second_of(text):
    """The moment in UTC as seconds since 1970."""
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())


FIRST, LAST = second_of("1902-01-01"), second_of("2100-01-01")


# The literal reading


def minute_of(clock):
    hour, minute = map(int, clock.split(":"))
    return 60 * hour + minute


@lru_cache(1000)
def marks_of(windows):
    """For every minute of the week, from Monday 00:00, whether the clock shows it within the windows."""
    marks = [False] * WEEK
    for name, start, end in windows:
        day, first, last = DAYS.index(name), minute_of(start), minute_of(end)
        last_day = day if first < last else day + 1
        for minute in range(day * MINUTES + first, last_day * MINUTES + last):
            marks[minute % WEEK] = True
    return marks


def clock_on_the_wall(zone, moment):
    """What the clock shows, as (minute of the week, seconds)."""
    shown = datetime.fromtimestamp(moment, ZoneInfo(zone))
    return (shown.weekday() * 24 + shown.hour) * 60 + shown.minute, shown.second


def is_within(zone, windows, moment):
    minute, _ = clock_on_the_wall(zone, moment)
    return marks_of(windows)[minute]


def find_turn(zone, windows, moment):
    """The next turn within four weeks, looked for minute by minute. None if there is none."""
    marks, changes = marks_of(windows), changes_of(zone)
    state, place, at, end = is_within(zone, windows, moment), bisect_right(changes, moment), moment, moment + 28 * DAY
    while at < end and not all(marks):
        # Until the clocks are changed, they show one minute after the other.
        change = changes[place] if place < len(changes) else end
        minute, second = clock_on_the_wall(zone, at)
        if marks[minute] != state:
            return at
        for new in range(at + 60 - second, min(change, end), 60):
            minute = (minute + 1) % WEEK
            if marks[minute] != state:
                return new
        at, place = change, place + 1
    return None


@cache
def changes_of(zone):
    """The moments until 2100 at which the clocks of the zone are changed, as its file has them."""
    table = tables.ZoneInfo.no_cache(zone)
    infos = list(zip(table._trans_utc, table._ttinfos, strict=True))
    rule = table._tz_after
    if isinstance(rule, tables._TZStr):
        last_year = datetime.fromtimestamp(infos[-1][0], UTC).year if infos else 1970
        for year in range(last_year, 2101):
            start, end = rule.transitions(year)
            both = [(start - seconds(rule.std), rule.dst), (end - seconds(rule.dst), rule.std)]
            infos += [each for each in sorted(both, key=lambda each: each[0]) if not infos or each[0] > infos[-1][0]]
    before = [table._tti_before, *(info for _, info in infos)]
    return [int(at) for (at, now), then in zip(infos, before, strict=False) if seconds(now) != seconds(then)]


@cache
def changes_between(zone):
    """Those that are tried."""
    return [change for change in changes_of(zone) if FIRST <= change < LAST]


def seconds(info):
    return int(info.utcoff.total_seconds())


# What is drawn


def text_of(minute):
    return f"{minute // 60:02}:{minute % 60:02}"


def hours_of(zone, windows):
    """The hours as they are read from the database."""
    weekly = [{"day": day, "start": start, "end": end} for day, start, end in windows]
    return read_hours(as_json({"time_zone": zone, "weekly": weekly}))


# Clocks are changed between midnight and three.
minutes = st.integers(0, MINUTES - 1) | st.sampled_from([0, 1, 60, 90, 119, 120, 121, 150, 179, 180, MINUTES - 1])
weeks = st.lists(
    st.tuples(st.sampled_from(DAYS), minutes.map(text_of), (minutes | st.just(MINUTES)).map(text_of)),
    min_size=1,
    max_size=28,
).map(tuple)


@st.composite
def zones_and_moments(draw):
    zone = draw(st.sampled_from(ZONES) | st.sampled_from(ODD_ZONES))
    changes = changes_between(zone)
    moments = st.integers(FIRST, LAST)
    if changes:
        near = st.integers(-8 * DAY, DAY) | st.integers(-3 * 60 * 60, 3 * 60 * 60) | st.sampled_from([-1, 0, 1])
        moments |= st.builds(int.__add__, st.sampled_from(changes), near)
    return zone, draw(moments)


NIGHT = (("sunday", "02:00", "03:00"), ("sunday", "02:30", "02:31"))
SKIPPED = ("Pacific/Apia", second_of("2011-12-30T09:59:59"))


@settings(max_examples=500)
@given(zones_and_moments(), weeks)
@example(SKIPPED, (("friday", "00:00", "24:00"),))
@example(("Europe/Oslo", second_of("2026-10-25T00:59:59")), NIGHT)
def test_somebody_is_active_while_the_clock_on_the_wall_shows_a_time_of_a_window(zone_and_moment, windows):
    zone, moment = zone_and_moment
    assert hours_of(zone, windows).are_active(moment) == is_within(zone, windows, moment)


@settings(max_examples=200)
@given(zones_and_moments(), weeks)
@example(SKIPPED, (("friday", "00:00", "24:00"),))
@example(("Pacific/Kwajalein", second_of("1993-08-20T00:00")), (("saturday", "12:00", "11:59"),))
@example(("Europe/Oslo", second_of("2026-03-29T00:59:59")), NIGHT)
@example(("Europe/Oslo", second_of("2026-10-25T00:59:59")), NIGHT)
@example(("Australia/Lord_Howe", second_of("2026-04-04T14:59:59")), (("sunday", "01:40", "01:50"),))
def test_the_next_turn_is_the_first_moment_at_which_the_state_is_another(zone_and_moment, windows):
    zone, moment = zone_and_moment
    assert hours_of(zone, windows).next_turn(moment) == find_turn(zone, windows, moment)


def test_every_zone_turns_at_the_changes_of_its_clocks_as_they_are_shown():
    windows = (("sunday", "00:30", "02:30"), ("saturday", "02:10", "23:45"), ("thursday", "22:00", "02:00"))
    # Many names stand for the same clocks.
    for changes, zone in {tuple(changes_between(zone)): zone for zone in ZONES}.items():
        hours = hours_of(zone, windows)
        for moment in [change + offset for change in changes for offset in (-1, 0)]:
            state, turn = is_within(zone, windows, moment), hours.next_turn(moment)
            assert hours.are_active(moment) == state, (zone, moment)
            assert is_within(zone, windows, turn - 1) == state != is_within(zone, windows, turn), (zone, moment)


@settings(max_examples=100)
@given(zones_and_moments(), weeks)
def test_what_never_turns_is_what_is_always_active(zone_and_moment, windows):
    zone, moment = zone_and_moment
    always = (("monday", "12:00", "12:00"), *((day, "00:00", "24:00") for day in DAYS), *windows)
    assert (hours_of(zone, always).are_active(moment), hours_of(zone, always).next_turn(moment)) == (True, None)
    is_always = all(marks_of(windows))
    assert (hours_of(zone, windows).next_turn(moment) is None) == is_always


# Weeks that can be checked by hand

NINE_TO_FIVE = [(day, "09:00", "17:00") for day in DAYS[:5]]
# Zone, windows, a moment, the state at it, and the turns that follow.
WEEKS = {
    "working hours": (
        *("Europe/Oslo", NINE_TO_FIVE, "2026-01-09T12:00:00", True),
        *["2026-01-09T16:00:00", "2026-01-12T08:00:00", "2026-01-12T16:00:00"],
    ),
    "from monday to monday": (
        *("UTC", [("sunday", "22:00", "06:00")], "2026-01-05T05:59:59", True),
        *["2026-01-05T06:00:00", "2026-01-11T22:00:00"],
    ),
    "a whole day from noon": (
        *("UTC", [("monday", "12:00", "12:00")], "2026-01-06T11:59:59", True),
        *["2026-01-06T12:00:00", "2026-01-12T12:00:00"],
    ),
    "an end at midnight, in both ways of writing": (
        *("UTC", [("monday", "20:00", "24:00"), ("tuesday", "20:00", "00:00")], "2026-01-05T19:00:00", False),
        *["2026-01-05T20:00:00", "2026-01-06T00:00:00", "2026-01-06T20:00:00", "2026-01-07T00:00:00"],
    ),
    "windows that touch and overlap": (
        *("UTC", [("monday", "08:00", "10:00"), ("monday", "10:00", "12:00"), ("monday", "09:00", "11:00")]),
        *("2026-01-05T08:00:00", True, "2026-01-05T12:00:00", "2026-01-12T08:00:00"),
    ),
    "a night without half past two": (
        *("Europe/Oslo", [("sunday", "02:15", "02:45")], "2026-03-28T12:00:00", False),
        *["2026-04-05T00:15:00", "2026-04-05T00:45:00"],
    ),
    "a night with half past two twice": (
        *("Europe/Oslo", [("sunday", "02:15", "02:45")], "2026-10-24T12:00:00", False),
        *["2026-10-25T00:15:00", "2026-10-25T00:45:00", "2026-10-25T01:15:00", "2026-10-25T01:45:00"],
    ),
    "a jump into a window": (
        *("Europe/Oslo", [("sunday", "02:30", "04:00")], "2026-03-29T00:59:59", False),
        *["2026-03-29T01:00:00", "2026-03-29T02:00:00"],
    ),
    "a jump out of a window and in again": (
        *("Europe/Oslo", [("sunday", "02:30", "03:00")], "2026-10-25T00:30:00", True),
        *["2026-10-25T01:00:00", "2026-10-25T01:30:00", "2026-10-25T02:00:00"],
    ),
    "clocks that go back by half an hour": (
        *("Australia/Lord_Howe", [("sunday", "01:40", "01:50")], "2026-04-04T14:00:00", False),
        *["2026-04-04T14:40:00", "2026-04-04T14:50:00", "2026-04-04T15:10:00", "2026-04-04T15:20:00"],
    ),
    "a friday that was skipped": (
        *("Pacific/Apia", [("friday", "00:00", "24:00")], "2011-12-24T10:00:00", False),
        *["2012-01-05T10:00:00", "2012-01-06T10:00:00"],
    ),
    "a night into a day that was skipped": (
        *("Pacific/Apia", [("thursday", "22:00", "02:00")], "2011-12-30T09:00:00", True),
        *["2011-12-30T10:00:00", "2012-01-05T08:00:00"],
    ),
}


@pytest.mark.parametrize(
    ("zone", "windows", "moment", "state", "turns"),
    [(zone, windows, moment, state, turns) for zone, windows, moment, state, *turns in WEEKS.values()],
    ids=WEEKS,
)
def test_the_turns_of_a_week(zone, windows, moment, state, turns):
    hours, at = hours_of(zone, windows), second_of(moment)
    assert hours.are_active(at) == state
    found = []
    for _ in turns:
        at = hours.next_turn(at)
        found.append(datetime.fromtimestamp(at, UTC).replace(tzinfo=None).isoformat())
    assert found == turns


def test_hours_in_a_zone_that_this_machine_does_not_know_are_none():
    assert hours_of("Europe/Atlantis", NINE_TO_FIVE) is None


# What the code takes for granted


def test_no_zone_changes_its_clocks_twice_within_a_step():
    pairs = [(zone, *pair) for zone in ZONES for pair in pairwise(changes_of(zone))]
    assert len(pairs) > 10_000
    assert [(zone, one, other) for zone, one, other in pairs if other - one < STEP] == []


def test_the_changes_are_read_as_zoneinfo_reads_them():
    def offset(moment):
        return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=moment)).astimezone(ZoneInfo(zone)).utcoffset()

    for zone in ZONES:
        changes = changes_between(zone)
        assert all(offset(change - 1) != offset(change) for change in changes)
        assert all(offset(one) == offset(next_one - 1) for one, next_one in pairwise(changes))
