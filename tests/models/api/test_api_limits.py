"""The limiter against simulated servers of every kind, in simulated time."""

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from simulated import simulate

from api_limits import Limit
from veneer.models.api.limits import Limiter

MINUTE = 60


def assert_used_and_quiet(seen, per_minute, start, end):
    after = sum(start <= t < end for t in seen.accepted)
    assert seen.share(per_minute / 60, start, end) >= 0.95
    assert seen.refusals(start, end) <= max(3, 0.001 * after)


KINDS = [("bucket", 0.25), ("bucket", 1), ("bucket", 60), ("sliding", 0), ("fixed60", 0)]
KINDS += [("fixed1", 0)]


@pytest.mark.parametrize(("kind", "burst"), KINDS)
@pytest.mark.parametrize("told", ["", "yes"])
@settings(max_examples=12, deadline=None, derandomize=True, phases=[Phase.generate])
@given(
    per_minute=st.integers(10, 50).map(lambda n: 60 * n),
    latency=st.floats(0.02, 0.4),
    retry_after=st.sampled_from(["seconds", "ms", "none", "one"]),
    offset=st.floats(0, 59),
)
def test_most_of_a_limit_is_used_and_hardly_a_429_comes(
    kind, burst, told, per_minute, latency, retry_after, offset
):
    # A window that was half over when we came is known only after the first whole one.
    start = 3 * MINUTE if kind == "fixed60" else MINUTE
    seen = simulate(
        Limiter(),
        Limit(kind, per_minute, burst, 60.0),
        seconds=start + MINUTE,
        latency=latency,
        told=told,
        retry_after=retry_after,
        offset=offset,
    )
    assert_used_and_quiet(seen, per_minute, start, start + MINUTE)


@pytest.mark.parametrize("per_minute", [300, 780, 1200])
def test_a_bucket_that_holds_one_request_is_met_too(per_minute):
    limit = Limit("bucket", per_minute, 0.05, 60.0)
    seen = simulate(Limiter(), limit, seconds=300, latency=0.2, retry_after="none")
    assert seen.share(per_minute / 60, 120, 300) >= 0.75


@pytest.mark.parametrize(("kind", "burst"), KINDS)
def test_a_given_limit_is_kept_from_the_first_second(kind, burst):
    limiter = Limiter(requests=600)
    seen = simulate(limiter, Limit(kind, 600, burst, 60.0), seconds=180, latency=0.3)
    assert len(seen.refused) <= 3
    assert seen.share(10, 0, 180) >= 0.95


def test_no_limit_is_no_pace():
    seen = simulate(Limiter(), Limit("bucket", 6e6, 60, 60.0), seconds=20, latency=0.5)
    assert not seen.refused
    assert len(seen.accepted) > 0.9 * 20 * 64 / 0.5


def test_what_an_earlier_run_learned_is_where_the_next_begins():
    first = Limiter()
    simulate(first, Limit("sliding", 1200, 0, 60.0), seconds=180, latency=0.1)
    assert first.learned == pytest.approx(20, rel=0.05)
    seen = simulate(
        Limiter(learned=first.learned), Limit("sliding", 1200, 0, 60.0), seconds=180, latency=0.1
    )
    assert len(seen.refused) <= 2
    assert seen.share(20, 0, 180) >= 0.95


@pytest.mark.parametrize("kind", ["sliding", "fixed60", "bucket"])
def test_runs_that_are_killed_at_once_teach_no_wrong_limit(kind):
    limit, clock, learned, pause, refused = Limit(kind, 2400, 1, 60.0), 0.0, None, 0.0, 0
    for _ in range(20):
        limiter = Limiter(learned=learned)
        limiter.pause(1000.0, pause)
        seen = simulate(limiter, limit, seconds=3, latency=0.3, offset=clock)
        refused += len(seen.refused)
        clock, learned = clock + 3.5, limiter.learned or learned
        pause = max(0.0, limiter.pausing(1003.0) - 0.5)
    if kind != "bucket":  # which never asks for a long pause
        assert refused <= 64, "a pause is kept by the runs that follow"
    limiter = Limiter(learned=learned)
    limiter.pause(1000.0, pause)
    seen = simulate(limiter, limit, seconds=240, latency=0.3, offset=clock)
    assert_used_and_quiet(seen, 2400, 2 * MINUTE, 4 * MINUTE)


def test_a_long_retry_after_is_kept():
    limiter = Limiter()
    assert limiter.wait(0.0) == 0
    limiter.refused(0.1, 0.0, 300.0)
    assert limiter.wait(299.0) > 1.0
    assert limiter.wait(300.2) == 0


def test_a_higher_limit_is_found_again():
    limiter = Limiter(learned=5.0)
    seen = simulate(limiter, Limit("bucket", 12000, 1, 60.0), seconds=900, latency=0.05)
    assert limiter.rate > 5.0
    assert not seen.refused


def test_tokens_are_paced_beside_requests():
    limiter = Limiter(tokens=6000)
    sent, now = 0, 0.0
    while now < 60:
        wait = limiter.wait(now, 50.0)
        sent += wait == 0
        now += wait or 1e-6
    assert 0.95 * 120 <= sent <= 121


@pytest.mark.parametrize(
    ("headers", "rate"),
    [
        ({"x-ratelimit-limit-requests": "600", "x-ratelimit-reset-requests": "120ms"}, 9.85),
        ({"x-ratelimit-limit-requests": "600"}, 9.85),
        ({"x-ratelimit-limit-requests": "200", "x-ratelimit-reset-requests": "7m12s"}, None),
        ({"x-ratelimit-limit-requests": "many"}, None),
        ({}, None),
    ],
)
def test_limits_a_minute_are_read_from_headers_and_those_of_a_day_are_not(headers, rate):
    limiter = Limiter()
    limiter.told(0.0, headers)
    assert limiter.rate == (None if rate is None else pytest.approx(rate))
