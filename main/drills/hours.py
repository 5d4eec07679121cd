"""Compares active hours with the contract's sentence read literally, at random: python main/drills/hours.py 500000

The argument is the number of (zone, week, moment). It prints how many were different, and fails if any was.
"""

import multiprocessing
import os
import random
import secrets
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from drills.service import require, say  # isort: skip, it sets Django up

from users.tests import test_hours as literal

SEED = os.environ.get("DRILL_SEED") or secrets.token_hex(4)
PIECE = 1000


def main():
    number, began = int(sys.argv[1]), time.monotonic()
    say(f"DRILL_SEED={SEED}")
    pieces = [(f"{SEED}-{first}", min(PIECE, number - first)) for first in range(0, number, PIECE)]
    done, different = 0, []
    with multiprocessing.Pool() as processes:
        for (_, size), found in zip(pieces, processes.imap(differences, pieces), strict=True):
            done, different = done + size, different + found
            if done % 50_000 == 0:
                say(f"{done} after {time.monotonic() - began:.0f} s")
    for each in different[:10]:
        say(each)
    say(f"{done} compared, {len(different)} differences")
    require(not different, "the hours are as they read")


def differences(piece):
    """Those of a piece of the work, (seed, number), for which the code and the literal reading differ."""
    seed, number = piece
    choose = random.Random(seed)  # noqa: S311
    return [each for each in (draw(choose) for _ in range(number)) if computed(*each) != read_literally(*each)]


def draw(choose):
    """A zone, a week, and a moment from 1902 to 2100, often near a change of the clocks."""
    zone = choose.choice(literal.ZONES if choose.random() < 0.7 else literal.ODD_ZONES)
    windows = tuple(draw_window(choose) for _ in range(choose.randint(1, 28)))
    moment = choose.randrange(literal.FIRST, literal.LAST)
    changes = literal.changes_between(zone)
    if changes and choose.random() < 0.6:
        width = choose.choice([1, 3600, literal.DAY, 8 * literal.DAY])
        moment = choose.choice(changes) + choose.randint(-width, width // 2)
    return zone, windows, moment


def draw_window(choose):
    start = draw_minute(choose)
    length = choose.choice([1, choose.randint(1, 60), choose.randint(1, 600), choose.randint(1, literal.MINUTES)])
    # The end of a day is written in two ways.
    end = (start + length) % literal.MINUTES or choose.choice([0, literal.MINUTES])
    return choose.choice(literal.DAYS), literal.text_of(start), literal.text_of(end)


def draw_minute(choose):
    """Of the day. Clocks are changed between midnight and three."""
    return choose.randrange(literal.MINUTES) if choose.random() < 0.6 else choose.randint(0, 180)


def computed(zone, windows, moment):
    hours = literal.hours_of(zone, windows)
    return hours.are_active(moment), hours.next_turn(moment)


def read_literally(zone, windows, moment):
    return literal.is_within(zone, windows, moment), literal.find_turn(zone, windows, moment)


if __name__ == "__main__":
    main()
