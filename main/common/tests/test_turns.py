"""The queue of those who write to a SQLite file, among threads and real processes."""

import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from common.turns import Queue, queue_for

MAIN = Path(__file__).resolve().parents[2]
# Seconds after which a test gives up.
DEADLINE = 20

# A process that does as it is told: `take` and `give` turns, and say when it has one, or None.
PROCESS = """
import sys, time
from common.turns import queue_for
queue = queue_for(sys.argv[1])
for line in sys.stdin:
    if line.strip() == "take":
        turn = queue.take(20)
        print(turn and time.monotonic_ns(), flush=True)
    else:
        queue.give_back(turn)
"""

# A process of two threads that count in a file, which loses counts if anybody else writes meanwhile.
COUNTER = """
import sys, threading, time
from pathlib import Path
from common.turns import queue_for
queue, file = queue_for(sys.argv[1]), Path(sys.argv[2])
def count():
    for _ in range(50):
        turn = queue.take(20)
        number = int(file.read_text())
        time.sleep(0.0005)
        file.write_text(str(number + 1))
        queue.give_back(turn)
threads = [threading.Thread(target=count) for _ in range(2)]
for each in threads: each.start()
for each in threads: each.join()
"""

# A process of four threads whose numbers are often taken when they come to lock them, as if others were quicker.
UNLUCKY = """
import random, sys, threading, time
from common.turns import queue_for
queue, lock = queue_for(sys.argv[1]), queue_for(sys.argv[1])._lock
def lock_late(first, last):
    if first == last:
        time.sleep(random.uniform(0, 0.002))
    return (first < last or random.random() < 0.5) and lock(first, last)
queue._lock = lock_late
def take_turns():
    for _ in range(100):
        turn = queue.take(20)
        print(turn is not None, flush=True)
        time.sleep(0.0002)
        queue.give_back(turn)
threads = [threading.Thread(target=take_turns) for _ in range(4)]
for each in threads: each.start()
for each in threads: each.join()
"""

# A process that is forked while it has the turn: the other one has none, and cannot end it.
FORKED = """
import os, sys
from common.turns import queue_for
queue = queue_for(sys.argv[1])
turn = queue.take(1)
reading, writing = os.pipe()
if not os.fork():
    queue._unlock(0, turn.number)
    has_turn = queue_for(sys.argv[1]).take(0.1) is not None
    os.write(writing, b".")
    os._exit(has_turn or not queue_for(sys.argv[1]).take(20))
os.read(reading, 1)
queue.give_back(turn)
sys.exit(os.wait()[1])
"""


@pytest.fixture
def database(tmp_path):
    path = tmp_path / "db.sqlite3"
    path.touch()
    return str(path)


@pytest.fixture
def queue(database):
    return queue_for(database)


@contextmanager
def process(script, *arguments):
    """A process that runs the script, killed in the end."""
    run = subprocess.Popen(  # noqa: S603
        [sys.executable, "-c", script, *arguments],
        env=os.environ | {"PYTHONPATH": str(MAIN)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield run
    finally:
        run.kill()
        run.communicate()


def tell(run, *words):
    for word in words:
        run.stdin.write(f"{word}\n")
    run.stdin.flush()


def eventually(condition):
    end = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < end, "This has not come true."
        time.sleep(0.01)


def others_wait(queue):
    """Whether another process has a place in the queue, behind that of this one."""
    first, last = queue.places[-1].number + 1, time.monotonic_ns()
    is_free = queue._lock(first, last)
    if is_free:
        queue._unlock(first, last)
    return not is_free


def test_within_a_process_turns_are_taken_in_the_order_of_coming(queue):
    order = []

    def write(number):
        turn = queue.take(DEADLINE)
        order.append(number)
        queue.give_back(turn)

    turn = queue.take(DEADLINE)
    with ThreadPoolExecutor(8) as threads:
        for number in range(8):
            threads.submit(write, number)
            eventually(lambda number=number: len(queue.places) == number + 2)
        assert not order
        queue.give_back(turn)
    assert order == list(range(8))


def test_between_processes_turns_are_taken_in_the_order_of_coming(database, queue):
    def write():
        turn = queue.take(DEADLINE)
        at = time.monotonic_ns()
        queue.give_back(turn)
        return at

    turn = queue.take(DEADLINE)
    with process(PROCESS, database) as one, process(PROCESS, database) as other, ThreadPoolExecutor(2) as threads:
        tell(one, "take", "give")
        eventually(lambda: others_wait(queue))
        second = threads.submit(write)
        eventually(lambda: len(queue.places) == 2)
        tell(other, "take", "give")
        eventually(lambda: others_wait(queue))
        fourth = threads.submit(write)
        eventually(lambda: len(queue.places) == 3)
        queue.give_back(turn)
        times = [int(one.stdout.readline()), second.result(), int(other.stdout.readline()), fourth.result()]
    assert times == sorted(times)


def test_one_alone_has_the_turn(database, tmp_path):
    file = tmp_path / "count"
    file.write_text("0")
    with process(COUNTER, database, str(file)) as one, process(COUNTER, database, str(file)) as other:
        assert (one.wait(DEADLINE), other.wait(DEADLINE)) == (0, 0)
    assert file.read_text() == "200"


def test_places_that_got_another_number_let_no_two_processes_wait_for_each_other(database):
    with process(UNLUCKY, database) as one, process(UNLUCKY, database) as two:
        answers = [run.communicate(timeout=DEADLINE - 1)[0].split() for run in (one, two)]
    assert answers == [["True"] * 400] * 2


def test_the_turn_of_a_process_that_is_killed_is_free(database, queue):
    with process(PROCESS, database) as holder:
        tell(holder, "take")
        holder.stdout.readline()
        assert queue.take(0.1) is None
        holder.kill()
        turn = queue.take(DEADLINE)
        assert turn
        queue.give_back(turn)


def test_nobody_waits_for_a_process_that_was_killed_as_it_waited(database, queue):
    turn = queue.take(DEADLINE)
    with process(PROCESS, database) as waiting:
        tell(waiting, "take")
        eventually(lambda: others_wait(queue))
        waiting.kill()
        waiting.wait()
        assert not others_wait(queue)
    queue.give_back(turn)
    queue.give_back(queue.take(1))


def test_who_has_waited_in_vain_leaves_the_queue(queue):
    turn = queue.take(DEADLINE)
    with ThreadPoolExecutor(2) as threads:
        impatient = threads.submit(queue.take, 0.1)
        eventually(lambda: len(queue.places) == 2)
        patient = threads.submit(queue.take, DEADLINE)
        assert impatient.result() is None
        queue.give_back(turn)
        queue.give_back(patient.result())
    assert not queue.places


def test_who_has_waited_in_vain_for_another_process_lets_the_next_one_try(database, queue):
    with process(PROCESS, database) as holder, ThreadPoolExecutor(2) as threads:
        tell(holder, "take")
        holder.stdout.readline()
        impatient = threads.submit(queue.take, 0.1)
        eventually(lambda: queue.places)
        patient = threads.submit(queue.take, DEADLINE)
        assert impatient.result() is None
        tell(holder, "give")
        queue.give_back(patient.result())
    assert not queue.places


def test_who_has_waited_in_vain_is_in_nobodys_way(database, queue):
    with process(PROCESS, database) as other:
        tell(other, "take")
        other.stdout.readline()
        assert queue.take(0.1) is None
        tell(other, "give", "take")
        assert other.stdout.readline() != "None\n"


def test_a_turn_is_not_inherited(database):
    with process(FORKED, database) as run:
        assert run.wait(DEADLINE) == 0


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o664])
def test_the_file_of_locks_is_for_those_who_may_write_to_the_database(database, mode):
    os.chmod(database, mode)
    Queue(database)
    assert os.stat(f"{database}-turns").st_mode & 0o777 == mode


@pytest.mark.parametrize("hindrance", [os.mkdir, lambda path: os.symlink("/etc/passwd", path)])
def test_without_a_file_of_locks_the_threads_of_a_process_take_turns(database, hindrance, caplog):
    hindrance(f"{database}-turns")
    queue = Queue(database)
    assert "Processes that write to the database do not take turns: " in caplog.text
    turn = queue.take(1)
    assert queue.take(0.01) is None
    queue.give_back(turn)
    assert queue.take(0)
