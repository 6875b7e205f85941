import os
import time

import pytest

from veneer.corpus.pipeline.backends import AT_ONCE, side_by_side
from veneer.errors import VeneerError


def late(number, parent):
    """The first of the calls in other processes end last."""
    time.sleep(0.3 if number == AT_ONCE else 0)
    return number, os.getpid() == parent


def dies(number, parent):
    if os.getpid() != parent:
        os._exit(9)
    return number


def test_results_come_in_order_from_bounded_work():
    started = []

    def calls():
        for number in range(AT_ONCE + 12):
            started.append(number)
            yield number, os.getpid()

    seen = []
    for number, here in side_by_side(late, calls(), workers=2):
        assert here == (number < AT_ONCE)
        assert len(started) <= number + 6  # at most two calls a worker are ahead
        seen.append(number)
    assert seen == list(range(AT_ONCE + 12))


def test_one_worker_is_this_process():
    assert all(here for _, here in side_by_side(late, ((n, os.getpid()) for n in range(12)), 1))


def test_a_worker_that_is_killed_ends_in_words():
    calls = ((number, os.getpid()) for number in range(AT_ONCE + 5))
    with pytest.raises(VeneerError, match="A worker process was killed"):
        list(side_by_side(dies, calls, workers=2))
