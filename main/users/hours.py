"""Active hours: windows of the clock on the wall, week by week. Moments are whole seconds since 1970."""

from bisect import bisect_right
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
DAY = 24 * 60 * 60
WEEK = 7 * DAY

# The clocks of a zone are never changed twice within so many seconds; the shortest time was four days.
STEP = 3 * DAY
# Within so many seconds whatever can turn has turned, also where a day was skipped.
HORIZON = 3 * WEEK

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
EPOCH_WEEKDAY = 3  # a Thursday

# (start, length), in seconds; the start from Monday 00:00.
Window = tuple[int, int]


class Hours:
    """The active hours of somebody: a time zone, and one window or more."""

    def __init__(self, time_zone: str, windows: Sequence[Window]) -> None:
        self.zone = ZoneInfo(time_zone)

        def is_active(second: int) -> bool:
            return any((second - start) % WEEK < length for start, length in windows)

        edges = sorted({edge % WEEK for start, length in windows for edge in (start, start + length)})
        # The seconds of the week at which the state turns, and the state from then on. None: active at all times.
        self.turns = [edge for edge in edges if is_active(edge) != is_active(edge - 1)]
        self.states = [is_active(edge) for edge in self.turns]

    def are_active(self, moment: int) -> bool:
        if not self.turns:
            return True
        # Before the first turn of the week it is as after the last one, at place -1.
        return self.states[bisect_right(self.turns, self._second_of_week(moment)) - 1]

    def next_turn(self, moment: int) -> int | None:
        """The next moment at which the state turns; None if it never does."""
        state, at = self.are_active(moment), moment
        while self.turns and at < moment + HORIZON:
            turn = at + self._until_turn(self._second_of_week(at))
            change = self._change_of_clocks(at, turn)
            if change is None:
                return turn
            if self.are_active(change) != state:
                return change
            at = change
        return None

    def _second_of_week(self, moment: int) -> int:
        """What the clock on the wall shows."""
        return (moment + self._offset(moment) + EPOCH_WEEKDAY * DAY) % WEEK

    def _until_turn(self, second: int) -> int:
        """The seconds until the next turn, if the clocks are not changed."""
        place = bisect_right(self.turns, second)
        turn = self.turns[place] if place < len(self.turns) else self.turns[0] + WEEK
        return turn - second

    def _offset(self, moment: int) -> int:
        """The seconds that the clock is ahead of UTC."""
        offset = (EPOCH + timedelta(seconds=moment)).astimezone(self.zone).utcoffset()
        return int(offset.total_seconds()) if offset else 0

    def _change_of_clocks(self, after: int, until: int) -> int | None:
        """The first moment behind the one, up to and with the other, at which the clocks are changed; or None."""
        for low in range(after, until, STEP):
            high = min(low + STEP, until)
            before = self._offset(low)
            if self._offset(high) != before:
                while high - low > 1:
                    middle = (low + high) // 2
                    low, high = (middle, high) if self._offset(middle) == before else (low, middle)
                return high
        return None
