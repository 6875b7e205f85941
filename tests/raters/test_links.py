"""Links, cookies and forms' tokens: signed for one purpose, and told from forged ones."""

import hashlib
import hmac
import re

import pytest

from veneer.raters.server import links
from veneer.raters.server.limits import Buckets, Rate
from veneer.raters.store.terms import Refused

SECRET, OTHER = b"s" * 32, b"o" * 32
KINDS = ("rater", "owner", "crowd")


@pytest.mark.parametrize("kind", KINDS)
def test_a_link_is_good_for_its_kind_and_study_alone(kind):
    token = links.new_link(SECRET, kind)
    assert re.fullmatch(r"[\w.-]{66}", token)
    links.check_link(SECRET, token, kind)
    for other in set(KINDS) - {kind}:
        with pytest.raises(Refused, match="forged"):
            links.check_link(SECRET, token, other)
    with pytest.raises(Refused):
        links.check_link(OTHER, token, kind)


def test_no_changed_link_passes():
    token = links.new_link(SECRET, "rater")
    changed = {token[:n] + ("A" if token[n] != "A" else "B") + token[n + 1 :] for n in range(65)}
    wrong = changed | {"", ".", token[:-1], "é" * 10, token + "\x00", "a" * 100_000, token[:22]}
    for forged in wrong:
        with pytest.raises(Refused, match="forged"):
            links.check_link(SECRET, forged, "rater")
    assert len({links.new_link(SECRET, "rater") for _ in range(200)}) == 200


def test_a_cookie_knows_what_opened_it():
    cookie = links.new_cookie(SECRET, "token")
    assert links.opened_with(SECRET, cookie, "token")
    assert not links.opened_with(SECRET, cookie, "token2")
    assert not links.opened_with(OTHER, cookie, "token")
    for forged in ("é", "", ".", "..", "a.b.c", cookie[:-1], "A" + cookie[1:], cookie + ".x"):
        assert not links.opened_with(SECRET, forged, "token")
        assert not links.is_ours(SECRET, forged)
    assert links.is_ours(SECRET, cookie)
    assert not links.is_ours(OTHER, cookie)
    assert "token" not in cookie


def test_hashes_are_the_plain_standard_ones():
    assert links.hash_of("abc") == hashlib.sha256(b"abc").hexdigest()
    wanted = hmac.new(b"salt", b"mturk\0A1B2", "sha256").hexdigest()
    assert links.worker_hash(b"salt", "mturk", "A1B2") == wanted
    assert links.worker_hash(b"salt", "prolific", "A1B2") != wanted


def test_a_form_is_good_for_one_cookie():
    given = links.csrf(SECRET, "cookie")
    assert links.csrf_fits(SECRET, "cookie", given)
    for cookie, token in (("cookie2", given), ("cookie", ""), ("cookie", "é"), ("", given)):
        assert not links.csrf_fits(SECRET, cookie, token)


def test_a_bucket_holds_back_one_key_and_fills_again():
    clock = [0.0]
    buckets = Buckets(Rate(per_second=2, burst=3), lambda: clock[0])
    assert [buckets.take("a") for _ in range(5)] == [True, True, True, False, False]
    assert buckets.take("b")
    clock[0] = 0.5
    assert [buckets.take("a"), buckets.take("a")] == [True, False]
    clock[0] = 1000
    assert [buckets.take("a") for _ in range(4)] == [True, True, True, False]


def test_buckets_of_many_keys_stay_few_and_none_is_set_free():
    buckets = Buckets(Rate(per_second=0.001, burst=1), lambda: 0.0)
    for n in range(30_000):
        buckets.take(str(n))
    assert not buckets.take("29999")
    assert len(buckets._kept) <= 20_000
